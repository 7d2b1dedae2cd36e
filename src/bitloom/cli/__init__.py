"""The ``bitloom`` program: one file per command."""

from bitloom.cli.main import main

__all__ = ["main"]
