"""Every error bitloom raises on purpose: one line that says what, where, and what to do.

The command line prints ``str(error)`` and exits with status 2; a library user catches `BitloomError` or the
subclass of the stage that failed.
"""

from __future__ import annotations


class BitloomError(Exception):
    """Base of all errors a user can cause or mend.

    Args:
        what: what is wrong, as a sentence without a final full stop.
        where: the place it happened: a file, a node, a tensor, a command-line flag.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        text = f"{text}; {self.remedy}" if self.remedy else text
        return " ".join(text.split())


class ArithmeticDomainError(BitloomError):
    """A width, range or multiplier for which the integer arithmetic is not defined."""


class GraphError(BitloomError):
    """A graph that is not well formed, or a text form that does not parse."""


class ModelFormatError(BitloomError):
    """A model file that is missing, truncated, corrupt, or of another format."""


class UnsupportedError(BitloomError):
    """A well-formed model that uses something bitloom does not support."""


class InputError(BitloomError):
    """Inference inputs with the wrong shape, type, range, or number."""


class DataError(BitloomError):
    """A data set that cannot be found, fetched or understood."""


class MissingExtraError(BitloomError):
    """An optional package is needed and not installed; the message names the extra."""


class MissingToolError(BitloomError):
    """A program is needed (simulator, compiler, synthesis) and cannot be found or run."""


class TrainError(BitloomError):
    """Training or quantization could not be done as asked."""


class QuantizeError(BitloomError):
    """A float network that cannot become integers as asked: a dead channel, numbers that are not finite."""


class PlanError(BitloomError):
    """No folding meets the target; the message names the limit and the nearest that would do."""


class HardwareError(BitloomError):
    """A circuit that cannot be built from the given parameters."""


class ExportError(BitloomError):
    """Files could not be written, or a folder is not what it should be."""


class ExecutionError(BitloomError):
    """An executor or simulator failed while running."""


class UsageError(BitloomError):
    """A command-line or API argument that makes no sense."""
