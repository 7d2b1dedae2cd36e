"""Networks stated as a list of layers, with weights from PyTorch or trained here."""

from bitloom.sequential.integers import Integers
from bitloom.sequential.layer_stack import Parameters
from bitloom.sequential.layers import (
    ArgMax,
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    SoftMax,
    TruncateLSB,
)
from bitloom.sequential.network import Sequential

__all__ = [
    "ArgMax",
    "AvgPool2d",
    "Conv2d",
    "Flatten",
    "Integers",
    "Linear",
    "MaxPool2d",
    "Parameters",
    "ReLU",
    "ReLU6",
    "Sequential",
    "Sigmoid",
    "SoftMax",
    "TruncateLSB",
]
