"""The four MLPerf Tiny reference models, unmodified: exactness, cycles, resources, clock, and the time of the tools.

Run from the repository: ``python -m benchmarks.mlperf_tiny``. The models and their real inputs are in the folder
``mlperf_tiny`` of the folder that the environment variable BITLOOM_TEST_DATA, or ``--models``, names.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmarks.commands import bitloom, mismatches, outcome
from benchmarks.designs import XC7_NAMES
from benchmarks.mlperf_inputs import INPUTS, KEYWORDS, RANDOM, add_arguments, data_folder, prepare
from benchmarks.mlperf_models import MODELS, SOURCE, ZYNQ, TinyModel
from benchmarks.mlperf_table import summary, update_readme
from benchmarks.rows import Row, keep, show
from benchmarks.synthesis import synthesize
from bitloom.report import text_table

PREPARED = "python -m benchmarks.mlperf_tiny --prepare"
_RATE = "inferences/s"


@dataclass(frozen=True)
class _Measured:
    """A model being measured.

    Attributes:
        model: of the suite.
        real: how many of its inputs are real.
        reuse: whether to take what synthesis found before for the same Verilog.
    """

    model: TinyModel
    real: int
    reuse: bool

    def row(self, key: str, name: str, value: float | None, unit: str, command: str, wanted: str = "") -> Row:
        """A row, with what the peer reaches."""
        peer = self.model.peer
        published = {"interval_cycles": peer.cycles, **peer.used}.get(key)
        whose = "" if peer.same_model else f" ({peer.name})"
        said = f"{published:,}{whose}" if published else ""
        return Row(name, value, unit, f"{PREPARED} && {command}", wanted, said, key)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mlperf_tiny", description=__doc__)
    add_arguments(parser)
    names = [model.name for model in MODELS]
    parser.add_argument("--only", choices=names, help="measure one model")
    parser.add_argument("--no-synthesis", action="store_true", help="leave out what takes the longest; nothing is kept")
    parser.add_argument("--no-place", action="store_true", help="leave out the clock on ECP5")
    parser.add_argument("--reuse", action="store_true", help="take what synthesis found before for the same Verilog")
    parser.add_argument("--prepare", action="store_true", help="write models and inputs, measure nothing")
    parser.add_argument("--table", action="store_true", help="put the table of what was kept before into README.md")
    arguments = parser.parse_args()
    if arguments.table:
        print(f"written to {update_readme()}")
        return
    data = data_folder(arguments.models)
    for model in MODELS:
        if arguments.only in (None, model.name):
            measured = _Measured(model, prepare(model, data), arguments.reuse)
            if not arguments.prepare:
                _measure(measured, synthesized=not arguments.no_synthesis, placed=not arguments.no_place)
    if not (arguments.prepare or arguments.no_synthesis):
        print(f"\n{text_table(*summary())}")


def _measure(measured: _Measured, *, synthesized: bool, placed: bool) -> None:
    """All rows of a model."""
    rows = _verified(measured)
    if (measured.model.folder / KEYWORDS).exists():
        rows += _all_keywords(measured)
    built, made = _built(measured)
    rows += made
    if synthesized:
        rows += _on_zynq(measured, built)
        rows += _on_ecp5(measured) if placed else []
    title = f"{measured.model.title}: {measured.model.file}"
    show(title, rows, measured.model.peer.name)
    if synthesized:
        print(f"\nkept in {keep(measured.model.results, title, rows, SOURCE)}")


def _verified(measured: _Measured) -> list[Row]:
    """All three executors on real and random inputs; what was seen on the way."""
    model = measured.model
    path = model.folder / "verified.json"
    inputs = ("--input", model.folder / INPUTS, "--executors", "litert,numpy,verilog")
    command = bitloom("verify", model.path, *inputs, *model.target, "--json", path).text
    verified = outcome(path)
    numpy, verilog = verified["executors"]["numpy"], verified["executors"]["verilog"]
    count = measured.real + RANDOM
    name = f"LiteRT = NumPy = Verilog, {measured.real} real and {RANDOM} random inputs, all tensors: differing"
    speed_wanted = "at least 20" if model.name == "resnet8" else ""
    return [
        measured.row("differing", name, mismatches(verified), "", command, "exactly 0"),
        measured.row(
            "interval_cycles",
            "between inferences, in Verilog",
            verilog["interval_cycles"],
            "cycles",
            command,
            f"at most {model.cycles:,}",
        ),
        measured.row(
            "latency_cycles", "first input to last output, in Verilog", verilog["latency_cycles"], "cycles", command
        ),
        measured.row("numpy", "NumPy", numpy["inferences_per_second"], _RATE, command, speed_wanted),
        measured.row(
            "verilog_setup",
            "planning, writing and compiling the Verilog",
            verilog["setup_seconds"],
            "s",
            command,
            "at most 300",
        ),
        measured.row(
            "verilog_seconds", "an inference in Verilog", verilog["seconds"] / count, "s", command, "at most 20"
        ),
    ]


def _all_keywords(measured: _Measured) -> list[Row]:
    """A thousand keywords in software."""
    model = measured.model
    path, inputs = model.folder / "keywords.json", ("--input", model.folder / KEYWORDS)
    verified = bitloom("verify", model.path, *inputs, "--executors", "litert,numpy", "--json", path).text
    differing = mismatches(outcome(path))
    count = outcome(path)["inferences"]
    ran = bitloom("run", model.path, *inputs, "--executor", "numpy", "--quiet", "--json", path).text
    accuracy = round(100 * outcome(path)["accuracy"], 6)
    return [
        measured.row(
            "keywords", f"LiteRT = NumPy, {count:,} keywords, all tensors: differing", differing, "", verified,
            "exactly 0",
        ),
        measured.row("accuracy", f"accuracy on {count:,} keywords", accuracy, "%", ran, "exactly 90.1"),
    ]  # fmt: skip


def _built(measured: _Measured) -> tuple[str, list[Row]]:
    """The command that builds for the Zynq, and what building took."""
    model = measured.model
    folder = model.folder / "zynq"
    ran = bitloom("build", model.path, "-o", folder, *model.target, "--random", RANDOM, "--report")
    totals = outcome(folder / "report.json")["totals"]
    useful = totals["utilisation"]
    return ran.text, [
        measured.row("build_seconds", "building", ran.seconds, "s", ran.text, "at most 60"),
        measured.row("build_processor", "the same, time of processors", ran.processor_seconds, "s", ran.text),
        measured.row("build_memory", "memory while building", ran.peak_bytes / 1e9, "GB", ran.text, "at most 4"),
        measured.row("multipliers", "multiplier slices, planned", totals["multipliers"], "", ran.text),
        measured.row("utilisation", "useful products per slice of the arrays and cycle", useful, "", ran.text),
    ]


def _on_zynq(measured: _Measured, built: str) -> list[Row]:
    """What Yosys makes of it for Xilinx 7 series."""
    limits = {**ZYNQ, "dsp": measured.model.dsp}
    ran = synthesize(measured.model.folder / "zynq", "xc7", reuse=measured.reuse)
    return [
        measured.row(
            key, f"xc7 {name}", ran.found["used"][key], "", f"{built} && {ran.command}", f"at most {limits[key]:,}"
        )
        for key, name in XC7_NAMES.items()
    ]


def _on_ecp5(measured: _Measured) -> list[Row]:
    """What fits an ECP5-85k, and its clock."""
    model = measured.model
    folder = model.folder / "ecp5"
    built = bitloom("build", model.path, "-o", folder, *model.ecp5, "--random", RANDOM).text
    interval = outcome(folder / "report.json")["interval_cycles"]
    ran = synthesize(folder, "ecp5", place=True, reuse=measured.reuse)
    command, fmax = f"{built} && {ran.command}", ran.found["fmax_mhz"]
    used = [
        measured.row(f"ecp5_{key}", f"ECP5 {key.upper()}", value, "", command)
        for key, value in ran.found["used"].items()
    ]
    return [
        measured.row("ecp5_interval", "ECP5-85k: between inferences, planned", interval, "cycles", built),
        *used,
        measured.row("ecp5_fmax", "ECP5-85k clock", fmax, "MHz", command, "at least 100"),
        measured.row("ecp5_rate", "inferences at that clock", fmax * 1e6 / interval, "1/s", command),
    ]


if __name__ == "__main__":
    main()
