"""Data sets to train and to show networks on: digits and iris inside the package, MNIST from a folder or fetched."""

from bitloom.data.dataset import Dataset
from bitloom.data.images import downscale
from bitloom.data.load import DATASETS, load_dataset
from bitloom.data.mnist import load_mnist, mnist_files
from bitloom.data.quantized import quantize_inputs

__all__ = ["DATASETS", "Dataset", "downscale", "load_dataset", "load_mnist", "mnist_files", "quantize_inputs"]
