"""Skips what needs Icarus where it is absent, and collects nothing that runs inside a simulator."""

import shutil
from collections.abc import Generator

import pytest

from bitloom.errors import MissingToolError

# These run inside a simulator, which gives them what they read when they are imported.
collect_ignore_glob = ["*cocotb_*.py"]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Icarus is the one tool that no Python package brings: without it, its tests are skipped."""
    try:
        return (yield)
    except MissingToolError as error:
        if "Icarus" in error.what and shutil.which("iverilog") is None:
            pytest.skip("Icarus Verilog (iverilog) is not installed")
        raise
