"""The page: whole and well formed, every layer in every picture, names from files harmless, nothing fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from models import dense_network, every_operator_network
from networks import BRANCHING

from bitloom.design import design
from bitloom.passes import split_float_edges
from bitloom.plan import BOARDS, Bus, Target, make_plan
from bitloom.report import design_report, report_page
from bitloom.report.charts import resource_bars, schedule_chart
from bitloom.report.drawing import network_picture
from bitloom.run import Cycles

GRAPHS = {
    "chain": dense_network([17, 11, 7, 3], 1),
    "everything": split_float_edges(every_operator_network(1)).core,
    **{name: make() for name, make in BRANCHING.items()},
}


def report_of(graph, cycles=Cycles(77, 60)):  # noqa: B008 - never changed
    circuit = design(make_plan(graph, Target(dsp=10), Bus.STREAM))
    return {"written_by": "bitloom 0", **design_report(circuit, Target(dsp=10), cycles)}


class Tags(HTMLParser):
    """Counts what is opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", GRAPHS)
def test_a_page_is_well_formed_and_fetches_nothing(name):
    report = report_of(GRAPHS[name])
    page = report_page(report)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not [pair for pair in tags.attributes if pair[0] in ("src", "href", "onload", "onclick")]
    for picture in (resource_bars(report), schedule_chart(report), network_picture(report)):
        assert picture in page
        words = " ".join(ElementTree.fromstring(picture).itertext())
        for layer in report["layers"]:
            assert layer["name"][:20] in words


def test_boxes_do_not_lie_on_each_other():
    picture = network_picture(report_of(GRAPHS["shared_value"]))
    corners = re.findall(r'<rect x="(\S+)" y="(\S+)" width="250', picture)
    assert len(corners) == len(set(corners)) == 1 + 4 + 4  # input, nodes, outputs
    assert picture.count('class="arrow"') == 4 + 4


def test_names_from_files_are_words():
    graph = replace(dense_network((7, 4), 3), name="<script>alert('x')</script>\x1b")
    page = report_page(report_of(graph))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


def test_what_holds_the_interval_is_said():
    page = report_page(report_of(GRAPHS["chain"]))
    assert "held by <b>fully_connected_0</b> (compute, " in page
    assert "The interval (measured)" in page
    report = report_of(GRAPHS["chain"], None)
    assert not report["measured"]
    assert report["interval_cycles"] == report["planned_interval_cycles"]
    assert report["latency_cycles"] > report["layers"][-1]["schedule"]["last"]
    assert "The interval (planned)" in report_page(report)


def test_a_bus_can_be_the_bound():
    circuit = design(make_plan(dense_network([400, 2], 1), Target(interval=100), Bus.AXI))
    report = design_report(circuit, Target(interval=100), None)
    assert report["bottleneck"]["bound"] == "compute"
    # Every folding that is faster than 100 cycles waits for the bus.
    plan = replace(circuit.plan, nodes=())
    assert (plan.bottleneck, plan.bound) == (("input x", 100), "input bus")


def test_synthesis_is_added():
    used = {"used": {"lut": 10, "ff": 20, "dsp": 1, "bram36": 0}, "fmax_mhz": None, "place": None}
    report = report_of(GRAPHS["chain"]) | {"resources": {"xc7": used}, "target": {"board": BOARDS[0].name}}
    page = report_page(report)
    assert "After synthesis: xc7" in page
    assert "of pynq-z2" in page
