"""Data sets to train and to show networks on: digits and iris inside the package, MNIST from a folder or fetched."""

from bitloom.data.dataset import Dataset
from bitloom.data.images import downscale
from bitloom.data.load import DATASETS, load_dataset
from bitloom.data.mnist import load_mnist, mnist_files
from bitloom.data.quantized import quantize_inputs
from bitloom.data.shipped import SHIPPED_DIGITS, SHIPPED_IRIS

__all__ = [
    "DATASETS",
    "SHIPPED_DIGITS",
    "SHIPPED_IRIS",
    "Dataset",
    "downscale",
    "load_dataset",
    "load_mnist",
    "mnist_files",
    "quantize_inputs",
]
