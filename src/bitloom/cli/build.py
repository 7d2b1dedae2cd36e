"""``bitloom build``: a model as a folder of Verilog, testbench and report that stands alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitloom.cli.inputs import add_input_arguments, model_path, read_inferences
from bitloom.cli.options import add_target_arguments, bus, target
from bitloom.cli.progress import progress

NAME = "build"
HELP = "write a model's circuit as Verilog, with a testbench and a report, into a folder that stands alone"

_EPILOG = """\
The folder holds the Verilog, a self-checking testbench with the inputs below as vectors, report.json, a README and a
Makefile (`make icarus`, `make verilator`). It is written whole or not at all; a folder that bitloom wrote before is
replaced, any other that is not empty is left alone. `bitloom synth` then says what the circuit takes on an FPGA.

examples:
  bitloom build digits.tflite -o digits_fpga --interval 40
  bitloom build model.tflite -o small --dsp 8 --bus stream
  bitloom build resnet.tflite -o resnet_fpga --board pynq-z2 --report
  bitloom build model.tflite -o checked --dataset mnist --num-images 100"""


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
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder to write")
    add_target_arguments(parser)
    add_input_arguments(parser, default_count=16)
    group = parser.add_argument_group("output")
    group.add_argument("--report", action="store_true", help="write report.html, too: the design in pictures")
    group.add_argument("--json", action="store_true", help="print report.json instead of its tables")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.cli.render import label, output_console
    from bitloom.deploy import build, check_replaceable, report_text
    from bitloom.report import design_tables

    goal = target(arguments)
    check_replaceable(Path(arguments.output))
    model = load(arguments.model)
    inferences = read_inferences(model.graph, arguments)
    with progress() as report:
        built = build(
            model,
            arguments.output,
            target=goal,
            bus=bus(arguments),
            inputs=inferences.inputs,
            page=arguments.report,
            progress=report,
        )
    if arguments.json:
        print(report_text(built.report), end="")
        return 0
    print(design_tables(built.report))
    console = output_console()
    console.print(f"vectors: {inferences.description}", soft_wrap=True)
    console.print(label(f"written to {arguments.output}", "bold"), soft_wrap=True)
    return 0
