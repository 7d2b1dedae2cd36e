"""Simulate a module as synthesis for ECP5 leaves it, with and without the registers that multipliers take in.

Yosys has models of this family's logic and registers, but none of its multipliers; the one here follows the sysDSP
Usage Guide (FPGA-TN-02205): operands and product each through a register or past it, two's complement where SIGNED says
so.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from gate_level import GateLevel, cells_counted, require_tools, run_yosys, yosys_share

from bitloom.deploy.multiplier_registers import absorb_registers


def synthesize_ecp5(verilog: str, top: str, folder: Path, *, absorb: bool) -> GateLevel:
    """Synthesise for ECP5; skips the test if Yosys or Icarus is not installed."""
    require_tools()
    (folder / "design.v").write_text(verilog)
    run_yosys(
        f"read_verilog design.v; synth_ecp5 -no-rw-check -top {top}; tee -q -o cells.txt stat; write_json netlist.json",
        folder,
    )
    netlist = json.loads((folder / "netlist.json").read_text())
    if absorb:
        absorb_registers(netlist["modules"][top])
        (folder / "netlist.json").write_text(json.dumps(netlist))
    # What is left without a driver or a reader shows here: Yosys warns of the one, and keeps the other.
    run_yosys("read_json netlist.json; tee -q -o cells.txt stat; write_verilog -noattr netlist.v", folder)
    models = folder / "models.v"
    models.write_text("\n".join([*_logic(), _multiplier()]))
    return GateLevel(folder / "netlist.v", cells_counted(folder / "cells.txt"), folder, top, (models,))


def _logic() -> list[str]:
    """Yosys's models; the file that holds all of them has some that Icarus cannot read."""
    text = "".join((yosys_share() / "ecp5" / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
    modules = re.findall(r"^module (\w+).*?^endmodule", text, re.MULTILINE | re.DOTALL)
    wanted = {"LUT2", "LUT4", "PFUMX", "L6MUX21", "TRELLIS_FF", "TRELLIS_DPR16X4", "INV", "CCU2C"}
    assert wanted <= set(modules), "Yosys has renamed cells"
    return [re.search(rf"^module {name}\b.*?^endmodule", text, re.MULTILINE | re.DOTALL).group() for name in wanted]


def _multiplier() -> str:
    """The model, with a port for every bit."""
    operands = {name: [f"{name}{bit}" for bit in reversed(range(18))] for name in "ABC"}
    product = [f"P{bit}" for bit in reversed(range(36))]
    flags = [
        "SIGNEDA",
        "SIGNEDB",
        "SOURCEA",
        "SOURCEB",
        *(f"{kind}{n}" for kind in ("CLK", "CE", "RST") for n in range(4)),
    ]
    inputs = [*(bit for bits in operands.values() for bit in bits), *flags]
    parameters = [
        f"REG_{part}_{kind}" for part in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT") for kind in ("CLK", "CE", "RST")
    ]
    return "\n".join(
        [
            f"module MULT18X18D(input {', '.join(inputs)}, output {', '.join(product)});",
            *(
                f'  parameter {name} = "{"NONE" if name.endswith("CLK") else name[-3:].strip("_") + "0"}";'
                for name in parameters
            ),
            '  parameter GSR = "ENABLED", RESETMODE = "SYNC";',
            *_registered("A", f"{{{', '.join(operands['A'])}}}", 18, "REG_INPUTA_CLK"),
            *_registered("B", f"{{{', '.join(operands['B'])}}}", 18, "REG_INPUTB_CLK"),
            "  wire signed [36:0] full = $signed({SIGNEDA & a[17], a}) * $signed({SIGNEDB & b[17], b});",
            *_registered("P", "full[35:0]", 36, "REG_OUTPUT_CLK"),
            f"  assign {{{', '.join(product)}}} = p;",
            "endmodule",
        ]
    )


def _registered(name: str, value: str, bits: int, clock: str) -> list[str]:
    low = name.lower()
    return [
        f"  wire [{bits - 1}:0] {low}_in = {value};",
        f"  reg [{bits - 1}:0] {low}_kept = 0;",
        f"  always @(posedge CLK0) if (CE0 === 1) {low}_kept <= RST0 === 0 ? {low}_in : {bits}'bx;",
        f'  wire [{bits - 1}:0] {low} = {clock} == "NONE" ? {low}_in : {clock} == "CLK0" ? {low}_kept : {bits}\'bx;',
    ]
