"""``bitloom verify``: several executors on the same inputs, every tensor compared by equality."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.inputs import add_input_arguments, model_path, read_inferences
from bitloom.cli.options import EXECUTOR_NAMES, add_executor_arguments, executor_names, executor_options
from bitloom.cli.progress import progress

if TYPE_CHECKING:
    from rich.console import Console

    from bitloom.run.verify import Verification

NAME = "verify"
HELP = "run several executors on the same inputs and compare every tensor by equality"

_EPILOG = """\
The judge is litert where it takes part, else onnxruntime, else onnx-reference, else numpy.
Exit status 1 if any element of any tensor differs.

examples:
  bitloom verify digits.tflite
  bitloom verify model.tflite --random 1000 --seed 7 --executors litert,numpy
  bitloom verify model.tflite --dataset mnist --executors numpy,verilog --stalls --json report.json"""

# Characters of a tensor's name at least, and of everything else in its line.
_NARROWEST_NAME, _OTHER_COLUMNS = 16, 66


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=model_path,
        help="digits or iris, which come with bitloom; a .tflite or .onnx file; or the text of a graph "
        "(bitloom show --full)",
    )
    parser.add_argument(
        "--executors",
        type=executor_names,
        default=None,
        metavar="A,B,...",
        help=f"two or more of {', '.join(EXECUTOR_NAMES)} (default: all that fit the format of the model; "
        "pyrtl, which is slow, for small networks only)",
    )
    parser.add_argument(
        "--stalls", action="store_true", help="let the producers and consumers of circuits pause at random (see --seed)"
    )
    add_input_arguments(parser, default_count=100)
    add_executor_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", metavar="FILE", help="write the outcome there too ('-': only JSON, to stdout)")
    group.add_argument("--quiet", action="store_true", help="print the verdict only")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.cli.render import label, output_console
    from bitloom.run.verify import check_executors, verify

    if arguments.executors is not None:
        check_executors(arguments.executors)
    options = executor_options(arguments, stalls=arguments.stalls)
    files.check_file(arguments.json)
    model = load(arguments.model)
    inferences = read_inferences(model.graph, arguments)
    console = output_console()
    console.quiet = arguments.json == files.STANDARD_OUTPUT
    with progress() as report:

        def show(executor: str, done: int, total: int) -> None:
            report(executor if done else f"{executor}: preparing", done, total)

        outcome = verify(model, inferences.inputs, arguments.executors, options, show)
    console.print(label(f"{arguments.model}: {inferences.description}", "bold"), soft_wrap=True)
    if not arguments.quiet:
        print_tensors(console, outcome)
        print_executors(console, outcome)
    print_verdict(console, outcome, inferences.first)
    if arguments.json is not None:
        files.write_json(arguments.json, outcome.to_json())
    return 0 if outcome.equal else 1


def print_tensors(console: Console, outcome: Verification) -> None:
    """A line for each tensor: how each executor compares with the judge."""
    from rich.text import Text

    from bitloom.cli.render import differ, label, make_table, shortened

    others = [report.name for report in outcome.executors if report.name != outcome.judge]
    table = make_table(console, "tensor", "operator", "shape", "elements", *others, right=["elements"])
    for tensor in outcome.tensors:
        cells = []
        for name in others:
            difference = tensor.differences.get(name)
            if difference is None:
                cells.append(Text("not shown", "dim"))
            elif difference.mismatches:
                cells.append(Text(f"{differ(difference.mismatches)}, by up to {difference.largest:g}", "bold red"))
            else:
                cells.append(Text("equal", "green"))
        shape = "x".join(map(str, tensor.shape)) or "1"
        name = shortened(tensor.name, max(_NARROWEST_NAME, console.width - _OTHER_COLUMNS))
        table.add_row(label(name), label(tensor.operator), shape, f"{tensor.elements:,}", *cells)
    console.print()
    console.print(table)


def print_executors(console: Console, outcome: Verification) -> None:
    """A line for each executor: its time and its cycles."""
    from bitloom.cli.render import make_table, seconds_text, significant

    numbers = ("inferences/s", "seconds", "setup", "latency", "interval")
    table = make_table(console, "executor", *numbers, right=numbers)
    for report in outcome.executors:
        cycles = report.cycles
        table.add_row(
            f"{report.name} (judge)" if report.name == outcome.judge else report.name,
            significant(report.inferences_per_second),
            seconds_text(report.seconds),
            seconds_text(report.setup_seconds) if report.setup_seconds else "-",
            f"{cycles.latency:,} cycles" if cycles else "-",
            f"{cycles.interval:,} cycles" if cycles and cycles.interval is not None else "-",
        )
    console.print()
    console.print(table)


def print_verdict(console: Console, outcome: Verification, first: int = 0) -> None:
    """One line that says whether everything is equal, and where the first difference is if not.

    Args:
        console: to print on.
        outcome: of the verification.
        first: number of the first inference where they come from.
    """
    from bitloom.cli.errors import one_line
    from bitloom.cli.render import verdict

    names = ", ".join(report.name for report in outcome.executors)
    elements = sum(tensor.elements for tensor in outcome.tensors)
    console.print()
    if outcome.equal:
        tensors = "1 tensor" if len(outcome.tensors) == 1 else f"{len(outcome.tensors)} tensors"
        stalls = ", under random stalls" if outcome.stalls else ""
        text = f"equal: {names} agree on all {elements:,} elements of {tensors}{stalls}"
        verdict(console, True, text)
        return
    for tensor in outcome.tensors:
        for name, difference in tensor.differences.items():
            if difference.first is None:
                continue
            found = difference.first
            place = f"inference {first + found.inference}, element {list(found.index)} of '{one_line(tensor.name)}'"
            text = f"different: at {place}, {outcome.judge} has {found.expected:g} and {name} {found.found:g}"
            verdict(console, False, text)
            return
