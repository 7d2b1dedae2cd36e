"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path

SHIPPED_DIGITS = Path(__file__).parent / "models" / "digits.tflite"
"""The int8 network for digits, as ``bitloom.train.train(load_dataset("digits"))`` makes it, byte for byte."""
