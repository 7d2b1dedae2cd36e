"""Training: from a data set to TFLite files, the same bytes everywhere; in PyTorch, with integers of any width."""

from bitloom.train.recipe import RECIPES, Recipe, train
from bitloom.train.tensorflow import require_tensorflow, train_with_tensorflow
from bitloom.train.torch_fit import classes, fit
from bitloom.train.torch_quantized import FakeQuantized
from bitloom.train.torch_ranges import NetworkWidths
from bitloom.train.trained import EpochReport, Trained

__all__ = [
    "RECIPES",
    "EpochReport",
    "FakeQuantized",
    "NetworkWidths",
    "Recipe",
    "Trained",
    "classes",
    "fit",
    "require_tensorflow",
    "train",
    "train_with_tensorflow",
]
