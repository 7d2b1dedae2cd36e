"""``bitloom show``: the integer graph as text."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.inputs import model_path

if TYPE_CHECKING:
    from rich.text import Text

    from bitloom.frontends import Model

NAME = "show"
HELP = "print the integer graph of a model as text"

_EPILOG = """\
The text names every tensor with its type, scale and zero point, and every node with its integer
parameters. What follows // is derived: multiply-accumulates, ranges, and the widths chosen from them.
With --full the text holds the weights, and every command takes it in place of a model file.

examples:
  bitloom show model.tflite
  bitloom show --full model.tflite -o model.bitloom && bitloom verify model.bitloom"""

_STYLES = (
    (r"//[^\n]*", "dim"),
    (r'%(?:[A-Za-z_][\w.]*|"(?:[^"\\]|\\.)*")', "cyan"),
    (r'@(?:[A-Za-z_][\w.]*|"(?:[^"\\]|\\.)*")', "magenta"),
    (r"(?m)^ *(?:graph|input|const|output)(?= )", "bold"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=model_path,
        help="digits or iris, which come with bitloom; a .tflite or .onnx file; or the text of a graph",
    )
    parser.add_argument("--full", action="store_true", help="write all weights instead of their SHA-256")
    parser.add_argument("--no-notes", action="store_true", help="leave out what is derived")
    parser.add_argument("-o", "--output", metavar="FILE", default=files.STANDARD_OUTPUT, help="write it there")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.cli.render import is_plain, output_console
    from bitloom.ir import print_graph

    files.check_file(arguments.output)
    model = load(arguments.model)
    notes = not arguments.no_notes
    text = print_graph(model.graph, constants="inline" if arguments.full else "digest", notes=notes)
    if notes:
        text = _summary(model, arguments.model) + text
    console = output_console()
    if arguments.output == files.STANDARD_OUTPUT and not is_plain(console):
        console.print(_highlighted(text), soft_wrap=True, end="")
    else:
        files.write_text(arguments.output, text)
    return 0


def _summary(model: Model, path: str) -> str:
    """Comments in front of the graph: what it takes, gives, and costs."""
    from bitloom.cli.errors import one_line

    graph = model.graph
    constants = [value for value in graph.values if value.is_constant]
    bits = sum(value.type.size * value.type.element.bits for value in constants)
    sides = [
        ", ".join(f"{name} {graph.type(name).element}{list(graph.type(name).shape)}" for name in names)
        for names in (graph.inputs, graph.outputs)
    ]
    lines = [
        f"{path}: {sides[0]} to {sides[1]}",
        f"{len(graph.nodes)} nodes, {graph.macs:,} multiply-accumulates, "
        f"{sum(value.type.size for value in constants):,} constants of {bits:,} bits",
    ]
    return "".join(f"// {one_line(line)}\n" for line in lines)


def _highlighted(text: str) -> Text:
    from rich.text import Text

    shown = Text(text)
    # Later styles win: what stands in a comment stays a comment.
    for pattern, style in reversed(_STYLES):
        shown.highlight_regex(re.compile(pattern), style)
    return shown
