"""What a design takes on an FPGA: synthesis by Yosys, and for ECP5 place and route by nextpnr.

Results go into report.json under ``resources``, by family:

=================  ===================================================================================================
key                value
=================  ===================================================================================================
used               xc7: ``lut``, ``ff``, ``dsp`` (DSP48E1), ``bram36``; ecp5: ``lut4``, ``ff``, ``mult18x18d``,
                   ``dp16kd``
fmax_mhz           the highest frequency of the slowest clock after place and route; null without
cells              number of cells of each kind in the netlist
port_bits          bits of all ports together
tool               Yosys and its version
seconds            spent synthesising
place              null, or after place and route: ``device``, ``seed``, ``out_of_context``, ``tool``, ``seconds``,
                   ``used`` (cells as nextpnr packed them, by its names), ``absorbed_ff`` (flip-flops that
                   multipliers took in before, see `bitloom.deploy.multiplier_registers`),
                   ``critical_path`` (``from``, ``to``, ``delay_ns``, ``logic_ns``, ``routing_ns``; null if unknown)
=================  ===================================================================================================

How look-up tables are counted. xc7, ``lut``: every LUT1 to LUT6 and INV is one, although the chip can fit two small
ones into one; shift registers (SRL16E, SRLC32E) are one each; memories in look-up tables are as many as they occupy
(RAM32M and RAM64M four). ``bram36``: a RAMB18E1 is half. ecp5, ``lut4``: LUT4 one, a carry cell CCU2C two, a memory
TRELLIS_DPR16X4 four. Multiplexers and carry chains beside look-up tables are in ``cells`` only.

Out of context: without pins and their delays, for a design whose ports are meant to meet other logic on the chip, and
that has more ports than the package has pins.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bitloom.deploy.flows import FAMILIES, yosys_script
from bitloom.deploy.folder import read_report, write_report
from bitloom.deploy.multiplier_registers import absorb_registers
from bitloom.deploy.tools import NEXTPNR, YOSYS
from bitloom.errors import ExecutionError, ExportError, UsageError

__all__ = ["FAMILIES", "synthesize"]

_DEVICE, _DEVICE_NAME = ("--85k", "--package", "CABGA381", "--speed", "6"), "LFE5U-85F, CABGA381, speed grade 6"
_PINS = 203
_FREQUENCY_MHZ = 100
_STATISTICS, _NETLIST, _TIMING = "statistics.json", "netlist.json", "timing.json"


def synthesize(
    folder: str | Path,
    family: str,
    *,
    place: bool = False,
    seed: int = 1,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Synthesise what a build wrote and add the result to its report.

    The programs' output is kept in ``synth-<family>.log`` in the folder.

    Args:
        folder: that `bitloom.deploy.build` wrote.
        family: one of `FAMILIES`.
        place: whether to place and route, which gives the clock's frequency; for ecp5.
        seed: of placement.
        progress: told what is being done.

    Returns:
        The report, as it is now in report.json.

    Raises:
        UsageError: no such family, or no place and route for it.
        MissingExtraError: the programs are not installed.
        ExportError: the folder is not a build, or cannot be written.
        ExecutionError: a program failed, or no logic came out.
    """
    if family not in FAMILIES:
        raise UsageError(f"there is no family '{family}'", remedy=f"choose one of {', '.join(FAMILIES)}")
    if place and family != "ecp5":
        raise UsageError(
            f"there is no place and route for {family} here", remedy="leave --place away, or choose --family ecp5"
        )
    path, say = Path(folder), progress or _silent
    report = read_report(path)
    top = str(report["top"])
    if not (path / f"{top}.v").is_file():
        raise ExportError(f"has no {top}.v", where=str(folder), remedy="build it again")
    for tool in (YOSYS, NEXTPNR) if place else (YOSYS,):
        tool.require()
    with tempfile.TemporaryDirectory(prefix="bitloom-synth-") as scratch:
        work, log = Path(scratch), Path(scratch) / "log"
        try:
            shutil.copy(path / f"{top}.v", work)
            say(f"synthesising for {FAMILIES[family].title} (the first time on a machine compiles Yosys)")
            found = _yosys(work, family, top, log)
            _check_logic(report, found)
            if place:
                say("placing and routing (the first time on a machine compiles nextpnr)")
                found |= _nextpnr(work, top, seed, log, out_of_context=found["port_bits"] > _PINS)
        except OSError as error:
            raise ExportError(f"cannot be read: {error.strerror or error}", where=str(folder)) from error
        except ExecutionError as error:
            kept = _keep(log, path, family)
            raise ExecutionError(error.what, where=str(kept), remedy=error.remedy or "see the log") from error
        _keep(log, path, family)
    report = read_report(path)  # again: another family may have been synthesised meanwhile
    report["resources"] = {**(report["resources"] or {}), family: found}
    write_report(path, report)
    return report


def _keep(log: Path, folder: Path, family: str) -> Path:
    """Put the log of a run that has ended, well or not, into the folder."""
    kept = folder / f"synth-{family}.log"
    try:
        shutil.copy(log, kept)
    except OSError as error:
        raise ExportError(f"cannot be written: {error.strerror or error}", where=str(kept)) from error
    return kept


def _yosys(work: Path, family: str, top: str, log: Path) -> dict[str, Any]:
    start = time.perf_counter()
    script = f"{yosys_script(family, top)}; tee -q -o {_STATISTICS} stat -json; write_json {_NETLIST}"
    YOSYS.run(["-p", script], work, log)
    counted = json.loads((work / _STATISTICS).read_text(encoding="utf-8"))["design"]
    cells = counted["num_cells_by_type"]
    cells = {name: int(cells[name]) for name in sorted(cells) if not name.startswith("$")}
    return {
        "used": FAMILIES[family].used(cells),
        "fmax_mhz": None,
        "cells": cells,
        "port_bits": int(counted["num_port_bits"]),
        "tool": YOSYS.version,
        "seconds": round(time.perf_counter() - start, 1),
        "place": None,
    }


def _check_logic(report: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse a netlist that cannot be the network: synthesis removes, silently, whatever has no effect.

    Raises:
        ExecutionError: no registers, or nothing that could multiply.
    """
    luts, flip_flops, multipliers, _ = found["used"].values()
    if flip_flops == 0 or (report["macs"] and luts + multipliers == 0):
        raise ExecutionError(
            f"synthesis left {luts} look-up tables, {flip_flops} flip-flops and {multipliers} multipliers",
            remedy="the design's logic has been removed; build the folder again",
        )


def _nextpnr(work: Path, top: str, seed: int, log: Path, *, out_of_context: bool) -> dict[str, Any]:
    start = time.perf_counter()
    netlist = json.loads((work / _NETLIST).read_text(encoding="utf-8"))
    absorbed = absorb_registers(netlist["modules"][top])
    (work / _NETLIST).write_text(json.dumps(netlist), encoding="utf-8")
    arguments = [*_DEVICE, "--json", _NETLIST, "--lpf-allow-unconstrained", "--freq", str(_FREQUENCY_MHZ)]
    arguments += ["--timing-allow-fail", "--seed", str(seed), "--report", _TIMING]
    arguments += ["--out-of-context"] if out_of_context else []
    NEXTPNR.run(arguments, work, log)
    result = json.loads((work / _TIMING).read_text(encoding="utf-8"))
    if not result["fmax"]:
        raise ExecutionError("nextpnr found no clock")
    slowest = min(clock["achieved"] for clock in result["fmax"].values())
    return {
        "fmax_mhz": round(slowest, 2),
        "place": {
            "device": _DEVICE_NAME,
            "seed": seed,
            "out_of_context": out_of_context,
            "tool": NEXTPNR.version,
            "seconds": round(time.perf_counter() - start, 1),
            "absorbed_ff": absorbed,
            "used": {name: count["used"] for name, count in result["utilization"].items() if count["used"]},
            "critical_path": _critical_path(result["critical_paths"]),
        },
    }


def _critical_path(paths: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The slowest path between two registers of one clock."""
    inside = [path for path in paths if path["from"] == path["to"]]
    if not inside:
        return None
    steps = max((path["path"] for path in inside), key=lambda path: sum(step["delay"] for step in path))
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    delay = sum(step["delay"] for step in steps)
    return {
        "from": steps[0]["from"]["cell"],
        "to": steps[-1]["to"]["cell"],
        "delay_ns": round(delay, 2),
        "logic_ns": round(delay - routing, 2),
        "routing_ns": round(routing, 2),
    }


def _silent(what: str) -> None:
    """Progress nobody sees."""
