"""Flags that several commands share: how executors work, and what their circuits are to reach."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitloom.plan import Bus, Target
    from bitloom.run.executor import ExecutorOptions

EXECUTOR_NAMES = ("litert", "onnxruntime", "onnx-reference", "numpy", "pyrtl", "verilog")
"""As `bitloom.run.EXECUTORS`, which is slow to import; a test compares the two."""


def positive(text: str) -> int:
    """The argument type of counts."""
    return _integer(text, 1)


def not_negative(text: str) -> int:
    """The argument type of positions and seeds."""
    return _integer(text, 0)


def executor_name(text: str) -> str:
    """The argument type of one executor."""
    if text not in EXECUTOR_NAMES:
        raise argparse.ArgumentTypeError(f"there is no executor '{text}', choose from {', '.join(EXECUTOR_NAMES)}")
    return text


def executor_names(text: str) -> tuple[str, ...]:
    """The argument type of several executors, separated by commas."""
    names = tuple(executor_name(name.strip()) for name in text.split(","))
    if len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"an executor is named twice in '{text}'")
    return names


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is too small, give at least {least}")
    return number


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare everything in `executor_options`."""
    group = parser.add_argument_group("executors")
    group.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="inferences handed over at a time (default: chosen by speed); the last batch may be partial",
    )
    group.add_argument(
        "--litert-kernels",
        default="reference",
        metavar="KIND",
        help="reference (default; every tensor) or default (as applications run it; outputs only, rounds differently)",
    )
    group.add_argument(
        "--simulation", default="fast", metavar="KIND", help="of pyrtl: interpreted, fast (default) or compiled"
    )
    group.add_argument(
        "--simulator", default="verilator", metavar="NAME", help="of verilog: verilator (default) or icarus"
    )
    add_target_arguments(parser)


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare everything in `target` and `bus`."""
    group = parser.add_argument_group("circuit")
    goal = group.add_mutually_exclusive_group()
    goal.add_argument(
        "--interval",
        type=positive,
        metavar="CYCLES",
        help="at most so many cycles between inferences, as small as possible",
    )
    goal.add_argument("--dsp", type=positive, metavar="N", help="at most so many multipliers, as fast as possible")
    group.add_argument("--board", metavar="NAME", help="the board whose multipliers are the limit otherwise")
    group.add_argument(
        "--bus",
        choices=("axi", "stream"),
        default="axi",
        help="axi: 32-bit AXI4-Stream and AXI4-Lite registers (default); stream: as wide as the circuit wants",
    )


def executor_options(arguments: argparse.Namespace, *, stalls: bool = False) -> ExecutorOptions:
    """The options the arguments ask for.

    Raises:
        UsageError: a value that is none of the choices.
        PlanError: a board or a target that makes no sense.
    """
    from bitloom.run.executor import ExecutorOptions

    return ExecutorOptions(
        batch_size=arguments.batch_size,
        litert_kernels=arguments.litert_kernels,
        simulation=arguments.simulation,
        simulator=arguments.simulator,
        stalls=stalls,
        seed=arguments.seed,
        target=target(arguments),
        bus=bus(arguments),
    )


def target(arguments: argparse.Namespace) -> Target:
    """What circuits are to reach.

    Raises:
        PlanError: there is no such board.
    """
    from bitloom.plan import Target, board_named

    goal = Target(interval=arguments.interval, dsp=arguments.dsp)
    if arguments.board is None:
        return goal
    return Target(goal.interval, goal.dsp, board_named(arguments.board))


def bus(arguments: argparse.Namespace) -> Bus:
    """How circuits meet the world."""
    from bitloom.plan import Bus

    return Bus(arguments.bus)
