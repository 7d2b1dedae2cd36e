"""Directives that write tables and printouts from the code, so that they cannot be out of date."""

from __future__ import annotations

import contextlib
import importlib
import io
import pkgutil
import re
import runpy
from collections.abc import Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import WiringOperator, has_hardware
from bitloom.data import SHIPPED_DIGITS
from bitloom.design.axi import register_map
from bitloom.errors import UnsupportedError
from bitloom.frontends import load
from bitloom.ir import Graph, Operator, operators
from bitloom.passes import split_float_edges
from bitloom.plan import BOARDS, make_plan

LAYERING = Path(__file__).parents[2] / "tests" / "test_layering.py"


class OperatorTable(SphinxDirective):
    """``operator-table``: one row per registered operator."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        rows = [
            (
                f"`{operator.name}` {', '.join(operator.tflite)}",
                operator.summary,
                _software(operator),
                _hardware(operator),
            )
            for operator in operators().values()
        ]
        return [table(("operator, and in TFLite files", "what it computes", "software", "hardware"), rows, code=False)]


class BoardTable(SphinxDirective):
    """``board-table``: what each board offers."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        header = ("board", "family", "look-up tables", "flip-flops", "multiplier slices", "block memories")
        rows = [
            (board.name, board.family, *(f"{count:,}" for count in (board.lut, board.ff, board.dsp, board.bram)))
            for board in BOARDS
        ]
        return [table(header, rows)]


class RegisterTable(SphinxDirective):
    """``register-table``: the registers of a network with an AXI bus, for the network that comes with the package."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        rows = []
        for register in register_map(make_plan(load(SHIPPED_DIGITS).graph)).registers:
            for field in register.fields:
                described = field.description or register.description
                bits = f"{field.lowest + field.bits - 1}:{field.lowest}" if field.bits > 1 else str(field.lowest)
                rows.append(
                    (f"0x{register.offset:02x}", register.name, register.access.value, bits, field.name, described)
                )
        return [table(("offset", "register", "access", "bits", "field", "what it is"), rows)]


class LayerTable(SphinxDirective):
    """``layer-table``: the order of imports, as the test that holds it states it."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        layering = runpy.run_path(str(LAYERING))
        rows = [(", ".join(packages), reason) for packages, reason in layering["ORDER"]]
        rows += [(name, f"aside: {reason}") for name, (_, reason) in layering["ASIDE"].items()]
        return [table(("packages", "why they stand here"), rows)]


class ModuleTable(SphinxDirective):
    """``module-table``: the modules of a package, with the first sentence of what each says about itself."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        package = importlib.import_module(self.arguments[0])
        modules = [found.name for found in pkgutil.iter_modules(package.__path__) if not found.ispkg]
        documented = [(name, importlib.import_module(f"{package.__name__}.{name}").__doc__ or "") for name in modules]
        rows = [(name, " ".join(text.split("\n\n")[0].split())) for name, text in documented]
        return [table((f"module of {package.__name__}", "what it is"), rows)]


class OutputOf(SphinxDirective):
    """``output-of``: what a program of the documentation prints, a path from the documentation's folder."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A block of text."""
        program = Path(self.env.srcdir) / self.arguments[0]
        self.env.note_dependency(str(program))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(program), run_name="__main__")
        return [nodes.literal_block(printed.getvalue(), printed.getvalue(), language="text")]


def _software(operator: type[Operator]) -> str:
    return f"yes, {sum(1 for _ in operator.examples())} examples"


def _hardware(operator: type[Operator]) -> str:
    """Whether there is a circuit, for how many of the examples, and what the planner says of the others."""
    if operator.float_edge:
        return "edges stay in software" if not has_hardware(operator) else "yes"
    if not has_hardware(operator):
        return "no"
    if issubclass(operator, WiringOperator):
        return "yes, wires only"
    refused = [_refused(example.graph) for example in operator.examples()]
    reasons = dict.fromkeys(reason for reason in refused if reason)
    circuits = refused.count("")
    return "; ".join([f"yes, {circuits} of {len(refused)} examples" if reasons else "yes, all examples", *reasons])


def _refused(graph: Graph) -> str:
    """Why the planner does not take a network, in its words; empty if it does."""
    try:
        make_plan(split_float_edges(graph).core)
    except UnsupportedError as error:
        return error.what
    return ""


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, code: bool = True) -> nodes.table:
    """A docutils table of texts; if wanted with a first column of code."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    group += nodes.thead("", _row(header, code=False))
    body = nodes.tbody()
    body += [_row(row, code=code) for row in rows]
    group += body
    return nodes.table("", group, classes=["colwidths-auto"])


def _row(cells: tuple[str, ...], *, code: bool) -> nodes.row:
    row = nodes.row()
    for index, text in enumerate(cells):
        # Between backquotes is code, in docstrings and descriptions.
        parts = re.split("`+", text)
        content = [nodes.literal(part, part) if place % 2 else nodes.Text(part) for place, part in enumerate(parts)]
        content = [nodes.literal(text, text)] if code and index == 0 else content
        row += nodes.entry("", nodes.paragraph("", "", *content))
    return row


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("operator-table", OperatorTable)
    app.add_directive("board-table", BoardTable)
    app.add_directive("register-table", RegisterTable)
    app.add_directive("layer-table", LayerTable)
    app.add_directive("module-table", ModuleTable)
    app.add_directive("output-of", OutputOf)
    return {"parallel_read_safe": True}
