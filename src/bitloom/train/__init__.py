"""Training recipes: from a data set to float and int8 TFLite files, the same bytes on every machine."""

from bitloom.train.recipe import RECIPES, Recipe, train
from bitloom.train.tensorflow import require_tensorflow, train_with_tensorflow
from bitloom.train.trained import EpochReport, Trained

__all__ = ["RECIPES", "EpochReport", "Recipe", "Trained", "require_tensorflow", "train", "train_with_tensorflow"]
