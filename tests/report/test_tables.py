"""Reports as text."""

from __future__ import annotations

from models import dense_network, every_operator_network

from bitloom.design import design
from bitloom.passes import split_float_edges
from bitloom.plan import BOARDS, Bus, Target, make_plan
from bitloom.report import design_report, design_tables, resource_tables, text_table
from bitloom.run import Cycles

MEASURED = Cycles(latency=77, interval=12)


def report_of(graph, target, cycles=MEASURED):
    return design_report(design(make_plan(split_float_edges(graph).core, target, Bus.STREAM)), target, cycles)


def test_columns_are_aligned_numbers_to_the_right():
    rows = [["first", 1, None, "1.0 %"], ["second one", 123456, 2.5, "-"]]
    assert text_table(["name", "count", "share", "part"], rows).splitlines() == [
        "name          count  share  part",
        "first             1      -  1.0 %",
        "second one  123,456    2.5  -",
    ]
    assert text_table(["name", "count"], []) == "name  count"


def test_names_from_files_stay_on_their_line():
    assert text_table(["name"], [["a\nb\x1b[31m"]]).splitlines() == ["name", "a?b?[31m"]


def test_the_design_is_told_in_a_row_per_layer():
    report = report_of(dense_network((7, 6, 4), 3), Target(dsp=2))
    assert (report["latency_cycles"], report["interval_cycles"]) == (77, 12)
    lines = design_tables(report).splitlines()
    assert lines[0] == "dense_network: dataflow, stream bus, 66 MACs per inference"
    assert lines[1] == "latency 77 cycles, interval 12 cycles (planned 21, held by fully_connected_0)"
    assert lines[4].split() == [
        *("layer", "operator", "MACs", "pe", "x", "simd", "results", "cycles", "multipliers", "MACs/cycle"),
        *("constant", "bits"),
    ]
    assert lines[5].split()[:9] == ["fully_connected_0", "fully_connected", "42", "2", "x", "1", "1", "21", "1"]
    assert lines[6].split()[7:10] == ["12", "1", "2.00"]
    assert lines[8].startswith("fully_connected_0: accumulator [")


def test_layers_without_multiplications_and_without_notes():
    lines = design_tables(report_of(every_operator_network(1), Target(dsp=40))).splitlines()
    row = next(line for line in lines if " logistic " in line).split()
    assert "-" in row
    assert not any(line.startswith("logistic") and ":" in line for line in lines)


def test_an_interval_that_was_not_measured_is_the_planned_one():
    report = report_of(dense_network((7, 4), 3), Target(dsp=1), Cycles(50, None))
    assert report["interval_cycles"] == report["planned_interval_cycles"] == 14


SYNTHESISED = {
    "used": {"lut4": 8364, "ff": 10, "mult18x18d": 39, "dp16kd": 0},
    "fmax_mhz": None,
    "place": None,
}


def test_resources_are_compared_with_the_board_of_their_family():
    target = Target(dsp=2, board=BOARDS[2])
    report = report_of(dense_network((7, 6, 4), 3), target) | {"resources": {"ecp5": SYNTHESISED}}
    assert resource_tables(report, "ecp5").splitlines() == [
        "resource     used  of ulx3s-85f  share",
        "lut4        8,364        83,640  10.0 %",
        "ff             10        83,640  0.0 %",
        "mult18x18d     39           156  25.0 %",
        "dp16kd          0           208  0.0 %",
        "",
        "clock: not placed; add --place",
    ]
    other = report | {"target": {"board": "pynq-z2"}}
    assert resource_tables(other, "ecp5").splitlines()[:2] == ["resource     used", "lut4        8,364"]


def test_the_clock_and_its_slowest_path():
    path = {"from": "core.a", "to": "core.b", "delay_ns": 8.99, "logic_ns": 4.45, "routing_ns": 4.54}
    placed = {**SYNTHESISED, "fmax_mhz": 111.23, "place": {"device": "LFE5U-85F", "critical_path": path}}
    report = report_of(dense_network((7, 4), 3), Target(dsp=2)) | {"resources": {"ecp5": placed}}
    assert resource_tables(report, "ecp5").splitlines()[-2:] == [
        "clock 111.23 MHz on LFE5U-85F",
        "slowest path 8.99 ns (4.45 logic, 4.54 routing): core.a to core.b",
    ]
    placed["place"]["critical_path"] = None
    assert resource_tables(report, "ecp5").splitlines()[-1] == "clock 111.23 MHz on LFE5U-85F"
