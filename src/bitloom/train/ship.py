"""Make the models that come with the package; a maintainer's tool: ``python -m bitloom.train.ship``.

The models are never edited otherwise. Where a recipe changes on purpose, run this and commit the results.
"""

from __future__ import annotations

from pathlib import Path

from bitloom.data.load import load_dataset
from bitloom.data.shipped import SHIPPED
from bitloom.train.recipe import train
from bitloom.train.trained import Trained


def ship(dataset: str, path: Path) -> Trained:
    """Train a data set's default network and put its int8 model in the package."""
    trained = train(load_dataset(dataset))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(trained.int8_model)
    return trained


if __name__ == "__main__":
    for name, file in SHIPPED.items():
        result = ship(name, file)
        accuracy = f"{result.quantized_accuracy:.4f} of the test samples right ({result.float_accuracy:.4f} in float)"
        print(f"{file}: {accuracy}")
