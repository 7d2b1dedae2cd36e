"""``bitloom synth``: what a built circuit takes on an FPGA, and how fast its clock can be."""

from __future__ import annotations

import argparse

from bitloom.cli.options import not_negative
from bitloom.cli.progress import progress

NAME = "synth"
HELP = "synthesise what build wrote, and place and route it, and add the result to its report"

_EPILOG = """\
Yosys counts look-up tables, flip-flops, multipliers and block memories; --place adds the clock's frequency, from
nextpnr for an ECP5-85k of speed grade 6. Both come with pip install 'bitloom[synth]'; their first run on a machine
takes a minute longer. Their output stays in the folder as synth-FAMILY.log.

examples:
  bitloom synth digits_fpga --family xc7
  bitloom synth digits_fpga --family ecp5 --place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("folder", metavar="DIR", help="a folder that bitloom build wrote")
    parser.add_argument("--family", metavar="NAME", required=True, help="xc7 (Xilinx 7 series) or ecp5 (Lattice ECP5)")
    parser.add_argument("--place", action="store_true", help="place and route too, for the clock's frequency (ecp5)")
    parser.add_argument("--seed", type=not_negative, default=1, metavar="S", help="of placement (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the family's entry of report.json instead of tables")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    import json

    from bitloom.cli.render import seconds_text
    from bitloom.deploy import synthesize
    from bitloom.report import resource_tables

    with progress() as say:
        report = synthesize(
            arguments.folder, arguments.family, place=arguments.place, seed=arguments.seed, progress=say
        )
    found = report["resources"][arguments.family]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    print(resource_tables(report, arguments.family))
    spent = f"{found['tool']}: {seconds_text(found['seconds'])}"
    if found["place"]:
        spent += f"; {found['place']['tool']}: {seconds_text(found['place']['seconds'])}"
    print(spent)
    return 0
