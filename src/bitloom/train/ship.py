"""Make the models that come with the package; a maintainer's tool: ``python -m bitloom.train.ship``.

The models are never edited otherwise. Where the recipe changes on purpose, run this and commit the result.
"""

from __future__ import annotations

from bitloom.data.load import load_dataset
from bitloom.data.shipped import SHIPPED_DIGITS
from bitloom.train.recipe import train
from bitloom.train.trained import Trained


def ship() -> Trained:
    """Train the default digits network and put its int8 model in the package."""
    trained = train(load_dataset("digits"))
    SHIPPED_DIGITS.parent.mkdir(exist_ok=True)
    SHIPPED_DIGITS.write_bytes(trained.int8_model)
    return trained


if __name__ == "__main__":
    result = ship()
    accuracy = f"{result.quantized_accuracy:.4f} of the test digits right ({result.float_accuracy:.4f} in float)"
    print(f"{SHIPPED_DIGITS}: {accuracy}")
