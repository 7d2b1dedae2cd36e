"""Skips what needs Icarus where it is absent."""

import shutil
from collections.abc import Generator

import pytest

from bitloom.errors import MissingToolError


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Icarus is the one tool that no Python package brings: without it, its tests are skipped."""
    try:
        return (yield)
    except MissingToolError as error:
        if "Icarus" in error.what and shutil.which("iverilog") is None:
            pytest.skip("Icarus Verilog (iverilog) is not installed")
        raise
