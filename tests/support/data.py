"""Public models and data that are not part of the repository; tests that need them skip where they are absent."""

import os
from pathlib import Path

import pytest

VARIABLE = "BITLOOM_TEST_DATA"


def test_data(name: str) -> Path:
    """The path of a file below the folder that the environment variable names; skips the test if it is not there."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{name}: set {VARIABLE} to the folder of public test data")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"{VARIABLE} holds no {name}")
    return path


test_data.__test__ = False  # its name looks like a test's
