"""A simulator that keeps running between jobs: the design is reset once, however many runs follow."""

from __future__ import annotations

import contextlib
import subprocess
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bitloom.errors import ExecutionError, MissingToolError
from bitloom.run.verilog.toolchain import Workspace, first_error

# What a simulator prints when a job is done.
_DONE = "done"
_STOP_SECONDS = 5


class Session:
    """One simulator process, started at the first job and again after a failure.

    A job is a line with its number of inferences on standard input; the simulator reads and writes the files of the
    workspace and answers with a line ``done``, or writes what is wrong on standard error and exits.

    Args:
        command: the simulator and its arguments.
        where: the design, for messages.
    """

    def __init__(self, command: Sequence[str], where: str) -> None:
        self.command = command
        self.where = where
        self.workspace = Workspace("run")
        self._process: subprocess.Popen[str] | None = None

    @property
    def folder(self) -> Path:
        """Where the simulator runs."""
        return self.workspace.path

    def run(self, inferences: int) -> None:
        """Do a job.

        Raises:
            MissingToolError: the simulator cannot be started.
            ExecutionError: it failed; the message is what it said.
        """
        process = self._process or self._start()
        # Until the job is done the process is in no state to be used again.
        self._process = None
        try:
            finished = _answer(process, f"{inferences}\n")
        except BaseException:
            process.kill()
            raise
        if not finished:
            _stop(process)
            said = (self.folder / "errors").read_text(errors="replace")
            raise ExecutionError(
                f"Verilog simulation failed: {first_error(said, process.returncode)}", where=self.where
            )
        self._process = process

    def _start(self) -> subprocess.Popen[str]:
        try:
            with (self.folder / "errors").open("w") as errors:
                process = subprocess.Popen(
                    self.command,
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    errors="replace",
                )
        except OSError as error:
            raise MissingToolError(f"cannot be started: {error.strerror}", where=self.command[0]) from error
        weakref.finalize(self, _stop, process)
        return process


def _answer(process: subprocess.Popen[str], job: str) -> bool:
    """Whether the simulator says that it has done the job."""
    with contextlib.suppress(BrokenPipeError):
        _pipe(process.stdin).write(job)
        _pipe(process.stdin).flush()
    return any(line.strip() == _DONE for line in iter(_pipe(process.stdout).readline, ""))


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process: the end of its input ends it, unless it hangs."""
    with contextlib.suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _pipe(process.stdout).close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # all are made as pipes
    return stream
