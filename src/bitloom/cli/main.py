"""The program: finds the command, runs it, and turns every outcome into an exit status."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from bitloom.cli.errors import exit_status
from bitloom.errors import UsageError

COMMANDS = ("demo", "run", "verify", "show", "build", "synth", "train", "quantize", "convert", "matrix", "axi")
"""Modules of this package that are commands, in the order `bitloom --help` lists them. A command is one file."""

_EPILOG = """\
exit status:
  0  success
  1  results differ
  2  something is wrong with the input, the arguments or the machine; one line on standard error says what
  3  a bug in bitloom

Start with `bitloom demo`. Every command explains itself: `bitloom run --help`."""


class Command(Protocol):
    """What a module of `COMMANDS` has; it imports whatever is slow inside `run`."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments; ``parser.description`` and ``epilog`` may be set too."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and give the exit status."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are bitloom's."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(message, remedy=f"see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: the arguments; those of the process if None.

    Returns:
        The exit status, see `bitloom --help`.
    """
    return exit_status(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    command: Command = arguments.command
    return command.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bitloom",
        description="Quantized neural networks as hardware, bit for bit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        command = cast(Command, importlib.import_module(f"bitloom.cli.{name}"))
        own = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.HELP[:1].upper() + command.HELP[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(own)
        own.set_defaults(command=command)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"bitloom {version('bitloom')}")
        parser.exit()
