"""Draw the pictures of a real report, that of the documentation's residual network, into ``generated/report``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bitloom.design import design
from bitloom.plan import Target, board_named, make_plan
from bitloom.report import design_report
from bitloom.report.charts import resource_bars, schedule_chart
from bitloom.report.drawing import network_picture
from bitloom.report.html import _STYLE

EXAMPLES = Path(__file__).parents[1] / "examples"
_TARGET = Target(interval=4000, board=board_named("pynq-z2"))


def pictures() -> dict[str, str]:
    """Each picture by name, as SVG that needs no page around it."""
    sys.path.insert(0, str(EXAMPLES))
    from residual import residual_network

    circuit = design(make_plan(residual_network().graph, _TARGET))
    report = design_report(circuit, _TARGET, None)
    drawn = {"network": network_picture, "layers": resource_bars, "schedule": schedule_chart}
    return {name: _alone(draw(report)) for name, draw in drawn.items()}


def _alone(drawn: str) -> str:
    """With the page's light colours, on white: a picture does not know the page's."""
    colours = re.findall(r":root \{.*?\}", _STYLE, re.DOTALL)[0].replace("color-scheme: light dark; ", "")
    rules = " ".join(re.findall(r"svg [^{]+\{[^}]*\}", _STYLE))
    head, _, shapes = drawn.partition("\n")
    return f'{head}\n<style>{colours} {rules}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{shapes}\n'


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated" / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in pictures().items():
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Draw before Sphinx looks for pictures."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
