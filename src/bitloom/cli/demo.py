"""``bitloom demo``: one network, end to end, at every level, shown and compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.options import EXECUTOR_NAMES, executor_names, not_negative
from bitloom.cli.progress import progress
from bitloom.errors import UsageError

if TYPE_CHECKING:
    from bitloom.deploy import Build
    from bitloom.frontends import Model
    from bitloom.ir.operator import Array
    from bitloom.run import RunResult

NAME = "demo"
HELP = "show one network computed by every executor, and compare every layer; needs no arguments"

_EPILOG = """\
A quantized network that comes with bitloom reads handwritten digits it was not trained on.
The Verilog is left in the output folder. Exit status 1 if any element of any layer differs."""

# The network is a TFLite file, which ONNX Runtime cannot judge.
_EXECUTORS = tuple(name for name in EXECUTOR_NAMES if not name.startswith("onnx"))
# PyRTL simulates the circuit in Python; the others take all test images in less time.
_PYRTL_IMAGES = 100
# Images in the testbench that is written.
_VECTORS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="bitloom-demo", help="folder for the Verilog (default: bitloom-demo)"
    )
    parser.add_argument(
        "--image", type=not_negative, default=1, metavar="N", help="the test image to show (default: 1)"
    )
    parser.add_argument(
        "--executors",
        type=executor_names,
        default=_EXECUTORS,
        metavar="A,B,...",
        help=f"two or more of {', '.join(_EXECUTORS)} (default: all)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.cli.demo_view import DemoView
    from bitloom.cli.render import output_console
    from bitloom.data import SHIPPED_DIGITS
    from bitloom.deploy import check_replaceable
    from bitloom.run.inputs import dataset_samples
    from bitloom.run.verify import check_executors

    check_executors(arguments.executors)
    check_replaceable(Path(arguments.output))
    files.check_folder(arguments.output)
    model = load(SHIPPED_DIGITS)
    digits = dataset_samples(model.graph, "digits")
    if arguments.image >= digits.available:
        raise UsageError(f"there is no test image {arguments.image}", remedy=f"choose 0 to {digits.available - 1}")
    view = DemoView(output_console(), model, digits, arguments.image)
    view.introduction()
    results: dict[str, RunResult] = {}
    for name in arguments.executors:
        results[name] = _run(name, model, view.inputs)
        view.executor(results[name])
    equal = view.comparison(results)
    view.answers(results)
    view.written(_build(model, arguments.output, view.inputs))
    view.verdict(equal)
    return 0 if equal else 1


def _run(name: str, model: Model, inputs: Mapping[str, Array]) -> RunResult:
    """Make an executor and run the images it takes little time for."""
    from bitloom.run import create_executor
    from bitloom.run.batches import joined, run_batches

    count = _PYRTL_IMAGES if name == "pyrtl" else None
    chosen = {key: array[:count] for key, array in inputs.items()}
    total = len(next(iter(chosen.values())))
    with progress() as report:
        report(f"{name}: preparing")
        results = []
        for start, result in run_batches(create_executor(name, model), chosen):
            results.append(result)
            report(name, start + result.inferences, total)
    return joined(results)


def _build(model: Model, folder: str, inputs: Mapping[str, Array]) -> Build:
    """Write the circuit, with a testbench that reads the first of the test images."""
    from bitloom.deploy import build

    with progress() as report:
        return build(model, folder, inputs={key: array[:_VECTORS] for key, array in inputs.items()}, progress=report)
