"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path

SHIPPED_DIGITS = Path(__file__).parent / "models" / "digits.tflite"
"""The int8 network for digits, as ``bitloom.train.train(load_dataset("digits"))`` makes it, byte for byte."""

SHIPPED_IRIS = Path(__file__).parent / "models" / "iris.tflite"
"""The int8 network for iris, 4-30-30-3, as ``bitloom.train.train(load_dataset("iris"))`` makes it, byte for byte."""

SHIPPED = {"digits": SHIPPED_DIGITS, "iris": SHIPPED_IRIS}
"""By the name of the data set."""
