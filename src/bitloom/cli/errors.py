"""Every way a command can end: its exit status, and at most one line on standard error."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

from bitloom.errors import BitloomError

BAD_INPUT, BUG, INTERRUPTED, BROKEN_PIPE = 2, 3, 130, 141
TRACEBACK_VARIABLE = "BITLOOM_TRACEBACK"


def exit_status(action: Callable[[], int]) -> int:
    """Run a command and answer with its exit status; nothing is raised.

    Args:
        action: gives the exit status when all goes well.
    """
    _prepare_streams()
    try:
        status = _interruptible(action)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # argparse, after --help
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BitloomError as error:
        _say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except MemoryError:
        _say("there is not enough memory; use fewer inferences or a smaller --batch-size")
        return BAD_INPUT
    except OSError as error:
        _say(f"{error.filename or 'the system'}: {error.strerror or error}")
        # Standard output itself may be what failed; then what is left of it would fail again at the end.
        _forget_stdout()
        return BAD_INPUT
    except Exception as error:
        _say(
            f"this is a bug in bitloom ({type(error).__name__}: {error}); please report it with the traceback that "
            f"{TRACEBACK_VARIABLE}=1 shows"
        )
        return BUG


def _interruptible(action: Callable[[], int]) -> int:
    """The action's status; an action that Ctrl-C ended raises KeyboardInterrupt, whatever else it raised because of it.

    Code in between may turn the interrupt into an error of its own: a module in C that is just being imported says
    "initialization failed", and a compiler that got the same Ctrl-C gives up, which looks like a fault of its input.
    """
    if (
        threading.current_thread() is not threading.main_thread()  # others cannot set handlers, nor are interrupted
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # ignored under nohup, say
    ):
        return action()
    interrupted = False

    def notice(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        return action()
    except Exception as error:
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _say(message: str) -> None:
    """One line on standard error, whatever is in the message; first the traceback where that was asked for."""
    if os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
        traceback.print_exc()
    print(f"bitloom: error: {one_line(message)}", file=sys.stderr)


def one_line(text: str) -> str:
    r"""Text on one line, without characters that could steer the terminal: names come from files.

    >>> one_line("a\n  b\x1b[31m")
    'a b?[31m'
    """
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "?" for character in line)


def _prepare_streams() -> None:
    """Make printing safe: streams that are closed, or whose encoding lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - a device, open until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if name == "stdout" else "backslashreplace")


def _forget_stdout() -> None:
    """Let the interpreter flush into nothing when it ends: whoever read the output has gone."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
