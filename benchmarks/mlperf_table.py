"""The table that compares with what is published, from the results that are kept: for terminal, README and pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.commands import outcome
from benchmarks.mlperf_models import MODELS, TinyModel
from benchmarks.rows import RESULTS

NOTHING = "-"
README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- mlperf-tiny -->", "<!-- end -->"
_RESOURCES = ("dsp", "lut", "ff", "bram36")
_HEAD = ["network", "", "cycles", "DSP48E1", "LUT", "FF", "BRAM36", "MAC per DSP and cycle"]
_TOOLS = ["network", "build", "memory", "Verilog: compiling", "an inference", "NumPy", "clock on ECP5-85k"]


def measured(model: TinyModel) -> dict[str, float]:
    """The kept values by key; empty if there are none."""
    path = RESULTS / f"{model.results}.json"
    if not path.exists():
        return {}
    return {row["key"]: row["value"] for row in outcome(path)["rows"] if row["key"] and row["value"] is not None}


def summary() -> tuple[list[str], list[list[object]]]:
    """Head and rows: for each model what is reached and what is published."""
    rows: list[list[object]] = []
    for model in MODELS:
        ours, peer = measured(model), model.peer
        rows.append([f"{model.title}, {model.macs / 1e6:.3g} M MAC", "bitloom", *_figures(model, ours)])
        published = {"interval_cycles": float(peer.cycles), **{key: float(count) for key, count in peer.used.items()}}
        rows.append(["", peer.name, *_figures(model, published, same_model=peer.same_model)])
    return _HEAD, rows


def tools() -> tuple[list[str], list[list[object]]]:
    """Head and rows: what the tools take, and the clock."""
    rows: list[list[object]] = []
    for model in MODELS:
        found = measured(model)
        rows.append(
            [
                model.title,
                _shown(found, "build_seconds", "{:.0f} s"),
                _shown(found, "build_memory", "{:.1f} GB"),
                _shown(found, "verilog_setup", "{:.0f} s"),
                _shown(found, "verilog_seconds", "{:.2g} s"),
                _shown(found, "numpy", "{:,.0f} inferences/s"),
                _shown(found, "ecp5_fmax", "{:.0f} MHz"),
            ]
        )
    return _TOOLS, rows


def _figures(model: TinyModel, values: Mapping[str, float], *, same_model: bool = True) -> list[object]:
    """Cycles, resources, and how much of them computes."""
    cycles, dsp = values.get("interval_cycles"), values.get("dsp")
    useful = f"{model.macs / (cycles * dsp):.2f}" if cycles and dsp and same_model else NOTHING
    return [*(_shown(values, key, "{:,.10g}") for key in ("interval_cycles", *_RESOURCES)), useful]


def _shown(values: Mapping[str, float], key: str, form: str) -> str:
    return form.format(values[key]) if key in values else NOTHING


def markdown_table() -> str:
    """The summary as Markdown, numbers to the right."""
    head, rows = summary()
    lines: list[list[object]] = [[*head], ["---", "---", *["---:"] * (len(head) - 2)], *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def update_readme() -> Path:
    """Put the table between its marks."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text(f"{before}{_BEGIN}\n\n{markdown_table()}\n\n{_END}{after}", encoding="utf-8")
    return README.relative_to(Path.cwd()) if README.is_relative_to(Path.cwd()) else README
