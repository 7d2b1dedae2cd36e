"""A design on its way to a chip: the folder that stands alone, and the tools that turn it into a netlist."""

from bitloom.deploy.build import Build, build
from bitloom.deploy.folder import check_replaceable, report_text
from bitloom.deploy.synthesis import FAMILIES, synthesize

__all__ = ["FAMILIES", "Build", "build", "check_replaceable", "report_text", "synthesize"]
