"""LiteRT's reference kernels in a process of their own, which damaged models may take down."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

_SECONDS = 60


class LitertJudge:
    """Runs model files, one after the other; a context manager."""

    def __enter__(self) -> Self:
        self._process: subprocess.Popen[bytes] | None = None
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stop()

    def run(self, content: bytes, inputs: Mapping[int, np.ndarray], outputs: Sequence[int]) -> list[np.ndarray] | str:
        """Run one inference.

        Args:
            content: of the file.
            inputs: arrays by tensor index.
            outputs: indices of the tensors to read.

        Returns:
            The tensors, or why there are none: LiteRT's message, or that it crashed or hung.
        """
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(_SECONDS, process.kill)
        watchdog.start()
        try:
            pickle.dump((content, dict(inputs), tuple(outputs)), process.stdin)
            process.stdin.flush()
            answer: list[np.ndarray] | str = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self._stop()
            return f"LiteRT crashed or hung (exit status {process.returncode})"
        finally:
            watchdog.cancel()
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(Path(__file__).resolve())]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None


def _serve() -> None:
    """Answer what comes on standard input until it ends."""
    while True:
        try:
            content, inputs, outputs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_answer(content, inputs, outputs), sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _answer(content: bytes, inputs: Mapping[int, np.ndarray], outputs: Sequence[int]) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        for index, array in inputs.items():
            interpreter.resize_tensor_input(index, array.shape)
        interpreter.allocate_tensors()
        for index, array in inputs.items():
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [np.array(interpreter.get_tensor(index)) for index in outputs]
    except (RuntimeError, ValueError) as error:
        return str(error)


if __name__ == "__main__":
    _serve()
