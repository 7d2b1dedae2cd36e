"""Verilator: the exported Verilog translated to C++, compiled with a harness that reads inner streams.

Compiling dominates. The translated code and Verilator's run-time library are compiled by the C++ compiler directly,
in as few units as there are levels of optimisation, because reading Verilator's headers takes longer than compiling
a unit: what runs in every cycle is optimised, what runs once (initial values, harness, library) is not. The library is
the same for all designs and is compiled once per process.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from bitloom.design import Circuit
from bitloom.export.bench import tied_inputs
from bitloom.export.verilog import VerilogModule
from bitloom.run.verilog.simulation import Bytes, Pauses, Recorded, Simulation, beats_of, inner_streams
from bitloom.run.verilog.toolchain import VerilatorInstallation, Workspace, find_compiler, find_verilator, run_tool

# The C++ class of every design: the harness names it.
_CLASS = "Vdesign"
_TRANSLATE = ("--cc", "-O3", "--noassert", "-Wno-fatal", "--x-assign", "fast", "--x-initial", "unique")
_FAST, _SLOW = "-O1", "-O0"
_LIBRARY = ("verilated", "verilated_threads")
# Bytes of translated code worth a unit of their own.
_UNIT_BYTES = 1_000_000
# What Verilator's own makefile defines for a design without coverage, SystemC, timing and traces.
_FEATURES = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF")


@dataclass(frozen=True)
class VerilatedDesign(Simulation):
    """A compiled design.

    Attributes:
        workspace: holds the program.
    """

    workspace: Workspace

    def command(self, pauses: Pauses) -> Sequence[str]:
        """The compiled harness."""
        numbers = (pauses.stall, pauses.seed, pauses.patience)
        return [str(self.workspace.path / "simulate"), *map(str, numbers)]

    def recorded(self, path: Path, stream: Recorded) -> Bytes:
        """The words as written."""
        return beats_of(np.fromfile(path, np.uint8), stream.bits)


def compile_with_verilator(circuit: Circuit, module: VerilogModule) -> VerilatedDesign:
    """Translate and compile.

    Raises:
        MissingToolError: no Verilator, or no C++ compiler.
        ExecutionError: one of them fails.
    """
    tools = _Tools(find_verilator(), find_compiler())
    workspace = Workspace("verilator")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        library = pool.submit(_library, tools)
        _translate(tools.verilator, circuit, module, workspace.path)
        units = [pool.submit(_compile, tools, workspace.path, *unit) for unit in _units(workspace.path)]
        objects = [*(unit.result() for unit in units), str(library.result().object)]
    run_tool([tools.compiler, "-o", "simulate", *objects, "-pthread"], "the C++ compiler", folder=workspace.path)
    return VerilatedDesign(workspace)


@dataclass(frozen=True)
class _Tools:
    verilator: VerilatorInstallation
    compiler: str


def _translate(verilator: VerilatorInstallation, circuit: Circuit, module: VerilogModule, folder: Path) -> None:
    """Write the design and what belongs to it, and the translation of it all to C++."""
    (folder / f"{module.top}.v").write_text(module.text)
    (folder / "visible.vlt").write_text(_visible_signals(circuit, module))
    (folder / "design.h").write_text(_design_header(circuit, module))
    (folder / "harness.cpp").write_text(resources.files(__package__).joinpath("harness.cpp").read_text())
    names = ["--prefix", _CLASS, "--top-module", module.top, "--Mdir", "."]
    run_tool(
        [str(verilator.program), *_TRANSLATE, *names, "visible.vlt", f"{module.top}.v"],
        "Verilator",
        folder=folder,
        environment=verilator.environment,
    )


def _units(folder: Path) -> list[tuple[str, list[str], str]]:
    """Name, sources and optimisation of each unit to compile."""
    translated = sorted(folder.glob(f"{_CLASS}*.cpp"))
    once = [path.name for path in translated if path.name.endswith("__Slow.cpp")]
    always = [path for path in translated if path.name not in once]
    count = min(os.cpu_count() or 1, len(always), 1 + sum(path.stat().st_size for path in always) // _UNIT_BYTES)
    units = [(f"always{part}", [path.name for path in always[part::count]], _FAST) for part in range(count)]
    # Verilator's own header for its units must come first where it is wanted, so the harness goes last.
    return [*units, ("once", [*once, "harness.cpp"], _SLOW)]


@dataclass(frozen=True)
class _Library:
    """Verilator's run-time library, compiled.

    Attributes:
        workspace: the folder it is in.
        object: the file.
    """

    workspace: Workspace
    object: Path


@functools.cache
def _library(tools: _Tools) -> _Library:
    workspace = Workspace("verilated")
    sources = [str(tools.verilator.include / f"{name}.cpp") for name in _LIBRARY]
    return _Library(workspace, workspace.path / _compile(tools, workspace.path, "library", sources, _SLOW))


def _compile(tools: _Tools, folder: Path, unit: str, sources: Sequence[str], level: str) -> str:
    """Compile several sources as one unit; the name of the object."""
    (folder / f"{unit}_unit.cpp").write_text("".join(f'#include "{source}"\n' for source in sources))
    include = tools.verilator.include
    flags = ["-std=c++20", level, "-w", "-I.", f"-I{include}", f"-I{include / 'vltstd'}", "-DVERILATOR=1"]
    flags += [f"-DVM_{feature}=0" for feature in _FEATURES]
    command = [tools.compiler, *flags, "-c", f"{unit}_unit.cpp", "-o", f"{unit}.o"]
    run_tool(command, "the C++ compiler", folder=folder)
    return f"{unit}.o"


def _visible_signals(circuit: Circuit, module: VerilogModule) -> str:
    """A control file that keeps the streams' signals, without touching the Verilog."""
    lines = ["`verilator_config"]
    for tap in inner_streams(circuit):
        for signal in ("data", "valid", "ready"):
            lines.append(f'public_flat_rd -module "{module.core}" -var "{tap.stream}_{signal}"')
    return "\n".join([*lines, ""])


def _design_header(circuit: Circuit, module: VerilogModule) -> str:
    """What the harness has to know: the ports by name, and the inner streams."""
    scope = f"TOP.{module.top}.{module.instance}"

    def function(kind: str, name: str, argument: str, items: Sequence[str]) -> str:
        body = "".join(f"\n        {item}," for item in items)
        return f"std::vector<{kind}> {name}([[maybe_unused]] {argument}) {{\n    return {{{body}\n    }};\n}}\n"

    def handshake(name: str, beats: int) -> str:
        signals = ", ".join(f"port(design.{name}_{signal})" for signal in ("tdata", "tvalid", "tready", "tlast"))
        return f'Handshake{{"{name}", {beats}, {signals}}}'

    sources = [handshake(port.name, port.type.beats) for port in circuit.inputs]
    sinks = [handshake(port.name, port.type.beats) for port in circuit.outputs]
    taps = [f'inner_stream(context, "{scope}", "{tap.stream}", {tap.type.beats})' for tap in inner_streams(circuit)]
    tied = [f"port(design.{wire.name})" for wire in tied_inputs(circuit)]
    return "\n".join(
        [
            f"// The ports and inner streams of {module.top}, made for harness.cpp.",
            function("Handshake", "sources", f"{_CLASS}& design", sources),
            function("Handshake", "sinks", f"{_CLASS}& design", sinks),
            function("Handshake", "taps", "VerilatedContext& context", taps),
            function("Signal", "tied_low", f"{_CLASS}& design", tied),
        ]
    )
