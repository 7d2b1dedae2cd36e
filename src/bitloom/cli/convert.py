"""``bitloom convert``: an integer network in another format."""

from __future__ import annotations

import argparse

from bitloom.cli.inputs import model_path

NAME = "convert"
HELP = "write an integer network as a .tflite, .onnx or .bitloom file"

_EPILOG = """\
The format is what the name of OUT ends with: .tflite, whose answers LiteRT's reference kernels judge exactly; .onnx,
with QuantizeLinear and DequantizeLinear (QDQ, opset 21), whose roundings are ONNX's; .bitloom, the text with all
constants, which says every graph. What a format cannot say is refused, and nothing is written then.

examples:
  bitloom convert digits -o digits.onnx
  bitloom convert model.tflite -o model.onnx && bitloom verify model.onnx --random 100
  bitloom convert model.onnx -o model.bitloom"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=model_path,
        help="digits or iris, which come with bitloom; a .tflite or .onnx file; or the text of a graph",
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="a .tflite, .onnx or .bitloom file")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.export.save import check_destination, save

    check_destination(arguments.output)
    save(load(arguments.model).graph, arguments.output)
    return 0
