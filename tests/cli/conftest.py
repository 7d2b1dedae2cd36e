"""What tests of the program share: running it in this process, and models to give it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from models import dense_network

from bitloom.cli import main
from bitloom.data import SHIPPED_DIGITS
from bitloom.export.tflite import graph_to_tflite


@dataclass(frozen=True)
class Ended:
    """How the program ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output without trailing spaces."""
        return [line.rstrip() for line in self.out.splitlines()]


Program = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment decides on colours and widths; tests say what they want."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "COLORTERM", "BITLOOM_TRACEBACK", "BITLOOM_MNIST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    """Runs `bitloom` with arguments in this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return run


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C works here and in processes started here: shells have those in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def digits() -> Path:
    """The shipped model."""
    return SHIPPED_DIGITS


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .tflite of 6-5-3 neurons: its circuit is made in a moment."""
    path = tmp_path_factory.mktemp("models") / "small.tflite"
    path.write_bytes(graph_to_tflite(dense_network((6, 5, 3), seed=1)))
    return path
