"""``bitloom matrix``: a systolic array multiplies two matrices, cycle by cycle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.options import not_negative, positive

if TYPE_CHECKING:
    from rich.console import Console

    from bitloom.ir.operator import Array

NAME = "matrix"
HELP = "show a systolic array multiply two matrices: waveform, cycles, and NumPy's product to compare"

_EPILOG = """\
Each cell of the array multiplies what passes it from the left by what passes it from above, adds the product to its
sum, and hands both on. Row i of the left matrix enters i cycles late, so that what belongs together meets.

examples:
  bitloom matrix
  bitloom matrix --rows 4 --terms 5 --cols 3 --seed 7
  bitloom matrix --verilog systolic.v"""

# The array has a cell per element of the product, and the waveform a line per cell.
_LARGEST = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--rows", type=_size, default=2, metavar="N", help="of the left matrix (default: 2)")
    parser.add_argument(
        "--terms", type=_size, default=3, metavar="N", help="its columns, the right's rows (default: 3)"
    )
    parser.add_argument("--cols", type=_size, default=2, metavar="N", help="of the right matrix (default: 2)")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of the elements (default: 0)")
    parser.add_argument("--no-waveform", action="store_true", help="leave the waveform out")
    parser.add_argument("--verilog", metavar="FILE", help="write the circuit there ('-': only that, to stdout)")


def _size(text: str) -> int:
    number = positive(text)
    if number > _LARGEST:
        raise argparse.ArgumentTypeError(f"{number} is too large to look at, give at most {_LARGEST}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from bitloom.cli.render import is_plain, output_console, verdict
    from bitloom.hw.matrix.demo import run_matrix_demo

    files.check_file(arguments.verilog)
    random = np.random.Generator(np.random.PCG64(arguments.seed))
    a = random.integers(-9, 9, (arguments.rows, arguments.terms), endpoint=True)
    b = random.integers(-9, 9, (arguments.terms, arguments.cols), endpoint=True)
    console = output_console()
    console.quiet = arguments.verilog == files.STANDARD_OUTPUT
    demo = run_matrix_demo(a, b, ascii_only=is_plain(console))
    types = demo.types
    _show(console, f"a: {arguments.rows} x {arguments.terms} {types['a']}", a)
    _show(console, f"b: {arguments.terms} x {arguments.cols} {types['b']}", b)
    if not arguments.no_waveform:
        console.print(demo.waveform, soft_wrap=True)
    _show(console, f"a @ b, as the array computes it: {types['product']}", demo.product)
    _show(console, "a @ b, as NumPy computes it", demo.expected)
    console.print(
        f"{demo.cells} cells, {a.size * arguments.cols} products in {demo.cycles} cycles from operands to product",
        soft_wrap=True,
    )
    verdict(console, demo.equal, "equal" if demo.equal else "different")
    if arguments.verilog is not None:
        files.write_text(arguments.verilog, demo.verilog)
        console.print(f"Verilog written to {arguments.verilog}", soft_wrap=True)
    return 0 if demo.equal else 1


def _show(console: Console, title: str, matrix: Array) -> None:
    """A matrix under its title, columns aligned."""
    width = max(len(str(value)) for value in matrix.ravel().tolist())
    rows = ["  ".join(f"{value:>{width}}" for value in row) for row in matrix.tolist()]
    console.print("\n".join([title, *(f"    {row}" for row in rows), ""]), soft_wrap=True)
