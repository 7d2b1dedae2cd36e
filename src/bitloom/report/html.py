"""A report as one page that stands alone: no scripts, no fonts, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bitloom.report.charts import resource_bars, schedule_chart
from bitloom.report.drawing import network_picture
from bitloom.report.tables import layer_table, printable, resource_tables

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667085; --rail: #e8ebf0; --bar: #3b7ddd; --held: #d9622b;
  --box: #f4f7fb; --wire: #fff; --end: #e6f2ea; --edge: #9fb0c5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --rail: #2b3240; --bar: #3467b0;
  --held: #b9541f; --box: #222a36; --wire: #181d26; --end: #20352a; --edge: #55637a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.soft { color: var(--soft); } .tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.tile { background: var(--box); border-radius: 8px; padding: .6rem 1rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.25rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; text-align: right; }
th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--rail); }
td.word, th.word { text-align: left; } pre { overflow-x: auto; }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif; } svg .small { fill: var(--soft); font-size: 10px; }
svg .head { fill: var(--soft); } svg .value { font-size: 10px; } svg .rail { fill: var(--rail); }
svg .bar { fill: var(--bar); fill-opacity: .75; }
svg .bar.held { fill: var(--held); } svg .bar.later { fill-opacity: .25; }
svg .grid { stroke: var(--rail); } svg .arrow { stroke: var(--edge); stroke-width: 1.4; }
svg .circuit { fill: var(--box); stroke: var(--edge); }
svg .wires { fill: var(--wire); stroke: var(--edge); stroke-dasharray: 4 3; }
svg .end { fill: var(--end); stroke: var(--edge); }
"""


def report_page(report: Mapping[str, Any]) -> str:
    """The whole report as HTML.

    Args:
        report: see `bitloom.report.design`.
    """
    name = escape(printable(report["model"]))
    sections = [
        f"<h1>{name}</h1>",
        f'<p class="soft">a network as a circuit: {report["organisation"]}, {report["bus"]} bus, for '
        f"{escape(report['target']['board'])}; {escape(report['written_by'])}</p>",
        _tiles(report),
        f"<p>{_bound(report)}</p>",
        "<h2>What each layer takes</h2>",
        f'<div class="scroll">{resource_bars(report)}</div>',
        "<h2>When each layer works</h2>",
        '<p class="soft">Cycles in which a layer gives results for one inference, counted from its first input beat; '
        "paler, the inferences behind it.</p>",
        f'<div class="scroll">{schedule_chart(report)}</div>',
        "<h2>The network</h2>",
        '<p class="soft">In each box the shape it makes and how many outputs x inputs it computes with at a time; '
        "dashed boxes move no element; beside an arrow the beats that wait there.</p>",
        f'<div class="scroll">{network_picture(report)}</div>',
        "<h2>Layers</h2>",
        f'<div class="scroll">{_table(*layer_table(report))}</div>',
        _branches(report),
        _resources(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    totals = report["totals"]
    useful = totals["utilisation"]
    tiles = [
        (f"{report['interval_cycles']:,}", "cycles between inferences"),
        (f"{report['latency_cycles']:,}", "cycles from first input to last output"),
        (f"{report['macs']:,}", "multiply-accumulates"),
        (f"{totals['multipliers']:,}", "multipliers"),
        ("-" if useful is None else f"{useful:.2f}", "useful products per multiplier and cycle"),
        (f"{totals['ram_blocks']:,}", "18-kbit memories, estimated"),
        (f"{totals['logic']:,}", "look-up tables, estimated"),
    ]
    return (
        '<div class="tiles">' + "".join(f'<div class="tile"><b>{b}</b>{escape(t)}</div>' for b, t in tiles) + "</div>"
    )


def _bound(report: Mapping[str, Any]) -> str:
    held = report["bottleneck"]
    how = "measured" if report["measured"] else "planned"
    return (
        f"The interval ({how}) is held by <b>{escape(printable(held['what']))}</b> ({escape(held['bound'])}, "
        f"{held['cycles']:,} cycles)."
    )


def _branches(report: Mapping[str, Any]) -> str:
    if not report["branches"]:
        return ""
    head = ["joined at", "operand", "tensor", "beats held", "least", "bits a beat"]
    keys = ("node", "operand", "tensor", "depth", "least", "beat_bits")
    rows = [[branch[key] for key in keys] for branch in report["branches"]]
    return (
        "<h2>Where branches join</h2>\n"
        '<p class="soft">Each waits in a FIFO; one that holds less than the least would block the network.</p>\n'
        f'<div class="scroll">{_table(head, rows)}</div>'
    )


def _resources(report: Mapping[str, Any]) -> str:
    found = report["resources"] or {}
    return "\n".join(
        f"<h2>After synthesis: {escape(family)}</h2>\n<pre>{escape(resource_tables(report, family))}</pre>"
        for family in found
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    words = [any(isinstance(row[column], str) for row in rows) for column in range(len(head))]

    def cells(tag: str, values: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{' class=word' if word else ''}>{escape(_cell(value))}</{tag}>"
            for value, word in zip(values, words, strict=True)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>\n<tr>{cells('th', head)}</tr>\n{body}\n</table>"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
