"""``bitloom axi``: an AXI stream into a memory, its sum over AXI4-Lite, every transaction shown."""

from __future__ import annotations

import argparse

from bitloom.cli import files
from bitloom.cli.options import not_negative, positive

NAME = "axi"
HELP = "show an AXI stream fill a memory and its sum be read over AXI4-Lite: transactions and waveform"

_EPILOG = """\
A packet comes in over AXI4-Stream and fills a memory; the circuit adds it up; software waits for its status over
AXI4-Lite, reads the sum, and then reads the memory back word by word.

examples:
  bitloom axi
  bitloom axi --values=-10,20,30
  bitloom axi --count 8 --seed 3 --pauses
  bitloom axi --verilog axi_sum.v"""

_MOST_VALUES = 256
_LONGEST_PAUSE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--values", type=_values, metavar="A,B,...", help="what to send, signed 32-bit integers")
    what.add_argument("--count", type=_count, default=4, metavar="N", help="of random values (default: 4)")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of everything random (default: 0)")
    parser.add_argument("--pauses", action="store_true", help="let the stream pause at random")
    parser.add_argument("--no-waveform", action="store_true", help="leave the waveform out")
    parser.add_argument("--verilog", metavar="FILE", help="write the circuit there ('-': only that, to stdout)")


def _values(text: str) -> list[int]:
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of whole numbers, such as 10,-20,30") from None
    _check_count(len(values))
    return values


def _count(text: str) -> int:
    return _check_count(positive(text))


def _check_count(count: int) -> int:
    if count > _MOST_VALUES:
        raise argparse.ArgumentTypeError(f"{count} values are too many to look at, give at most {_MOST_VALUES}")
    return count


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from bitloom.cli.render import is_plain, make_table, output_console, verdict
    from bitloom.hw.axi.demo import run_axi_demo

    files.check_file(arguments.verilog)
    random = np.random.Generator(np.random.PCG64(arguments.seed))
    values = arguments.values or random.integers(-100, 100, arguments.count, endpoint=True).tolist()
    pauses = random.integers(0, _LONGEST_PAUSE, len(values), endpoint=True).tolist() if arguments.pauses else []
    console = output_console()
    console.quiet = arguments.verilog == files.STANDARD_OUTPUT
    demo = run_axi_demo(values, pauses=pauses, ascii_only=is_plain(console), columns=console.width)
    console.print(f"registers\n{demo.registers}\n", soft_wrap=True)
    table = make_table(console, "cycle", "bus", "transaction", right=["cycle"])
    for done in demo.transactions:
        table.add_row(str(done.cycle), done.bus, done.text)
    console.print(table)
    console.print()
    if not arguments.no_waveform:
        console.print(demo.waveform, soft_wrap=True)
    said = f"sum {demo.total}, NumPy's {int(np.sum(values, dtype=np.int64))}, after {demo.cycles} cycles"
    verdict(console, demo.equal, f"{'equal' if demo.equal else 'different'}: {said}; {len(demo.words)} words read back")
    if arguments.verilog is not None:
        files.write_text(arguments.verilog, demo.verilog)
        console.print(f"Verilog written to {arguments.verilog}", soft_wrap=True)
    return 0 if demo.equal else 1
