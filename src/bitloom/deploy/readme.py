"""The README of a build: what the folder holds and everything needed to use it without bitloom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bitloom.deploy.folder import PAGE
from bitloom.design import Circuit
from bitloom.design.axi import register_map
from bitloom.plan import Bus, Port
from bitloom.report.tables import design_tables, printable


def readme(circuit: Circuit, report: Mapping[str, Any], vectors: int) -> str:
    """The text of README.md.

    Args:
        circuit: the design.
        report: of it.
        vectors: inferences in the testbench.
    """
    name = circuit.name
    parts = [
        f"# {name}\n",
        f"The quantized neural network {_in_table(report['model'])} as a circuit, made by {report['written_by']}. "
        "It computes, bit for bit, what the integer model computes. Nothing else is needed to use this folder.\n",
        _files(name, vectors, page=PAGE in report["files"]),
        "## The design\n",
        f"```\n{design_tables(report)}```\n",
        _ports(circuit, report),
        _registers(circuit) if circuit.plan.bus is Bus.AXI else "",
        _simulation(name, vectors),
        _synthesis(name),
    ]
    return "\n".join(part for part in parts if part)


def _files(name: str, vectors: int, *, page: bool) -> str:
    return (
        "| file | what it is |\n"
        "|---|---|\n"
        f"| `{name}.v` | the design, Verilog-2005, one file; the top module is `{name}`; constants are inline |\n"
        f"| `{name}_tb.v` | testbench: sends {vectors} inferences and compares every word that comes out |\n"
        f"| `{name}_tb_*.hex` | its vectors, one bus word a line; only the testbench reads them |\n"
        "| `report.json` | the numbers below, and resources once synthesised |\n"
        + ("| `report.html` | the same in pictures, for a browser |\n" if page else "")
        + "| `Makefile` | the commands below as targets |\n"
    )


def _ports(circuit: Circuit, report: Mapping[str, Any]) -> str:
    rows = []
    for port, known in zip((*circuit.inputs, *circuit.outputs), report["ports"], strict=True):
        rows.append(
            f"| `{port.name}_*` | {known['direction']} | {_in_table(known['tensor'])} | {known['element']}"
            f"{known['shape']} | {_meaning(known)} | {port.bus_bits} | {port.type.lanes} | {port.type.beats} |"
        )
    return "\n".join(
        [
            "## Ports\n",
            "`aclk`: clock, rising edge. `aresetn`: reset, low for at least two cycles, synchronous to `aclk`.\n",
            "Tensors come and go as AXI4-Streams:\n",
            "| stream | direction | tensor | type | real value | tdata bits | elements per beat | beats per tensor |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "- A beat moves in a cycle in which `tvalid` and `tready` are both high. Both sides may pause at any time.",
            "- Elements come in row-major order, the last dimension fastest, the first element of a beat in the lowest "
            "bits of `tdata`.",
            *(f"- {line}" for port in circuit.inputs for line in _packing(port, "the content is ignored")),
            *(f"- {line}" for port in circuit.outputs for line in _packing(port, "`tkeep` is low")),
            "- `tlast` is high on the last beat of a tensor. Inferences follow each other without a gap or a reset.",
            "",
        ]
    )


def _in_table(name: str) -> str:
    """A name from a file, harmless in a Markdown table."""
    return f"`{printable(name).replace('|', '?').replace('`', '?')}`"


def _meaning(known: Mapping[str, Any]) -> str:
    if known["scale"] is None:
        return "the integer"
    offset = f" - {known['zero_point']}" if known["zero_point"] >= 0 else f" + {-known['zero_point']}"
    return f"{known['scale']!r} * (integer{offset if known['zero_point'] else ''})"


def _packing(port: Port, empty_places: str) -> list[str]:
    """How elements sit in containers that they do not fill, and what the last beat looks like."""
    lines = []
    element = port.type.element
    if element.bits != port.container:
        how = "sign-extended" if element.signed else "zero-extended"
        lines.append(f"`{port.name}`: an element of {element.bits} bits sits in {port.container} bits, {how}.")
    if port.type.has_partial_beats:
        filled = port.type.row - (port.type.row_beats - 1) * port.type.lanes
        whose = "a tensor" if port.type.rows == 1 else "each row"
        lines.append(
            f"`{port.name}`: the last beat of {whose} carries {filled} of {port.type.lanes} elements; of the rest, in "
            f"the highest bits, {empty_places}."
        )
    return lines


def _registers(circuit: Circuit) -> str:
    return "\n".join(
        [
            "## Registers\n",
            "AXI4-Lite on `s_axi_*`, 32 bits; an address outside the map answers DECERR, a write to a read-only "
            "register (`ro`) SLVERR. `pulse` registers act when a one is written, `w1c` bits are cleared by writing "
            "ones.\n",
            f"```\n{register_map(circuit.plan).table()}\n```\n",
        ]
    )


def _simulation(name: str, vectors: int) -> str:
    return f"""## Simulating

```
make icarus                    # Icarus Verilog
make verilator                 # Verilator 5
make icarus STALL=30 SEED=7    # inputs and outputs pause in 30 % of the cycles
```

A run ends with PASS and exit status 0 if all {vectors} inferences gave the expected words, else with FAIL and another
exit status. By hand, for any simulator: `{name}.v` and `{name}_tb.v`, top `{name}_tb`, run in this folder or with
`+vectors=FOLDER`; for example `iverilog -g2012 -o sim.vvp {name}.v {name}_tb.v && vvp -n sim.vvp`, or
`verilator --binary --timing -Wno-fatal --top-module {name}_tb {name}.v {name}_tb.v && obj_dir/V{name}_tb`.
"""


def _synthesis(name: str) -> str:
    return f"""## Synthesising

`bitloom synth` on this folder runs Yosys (and nextpnr) and adds what it finds to `report.json`. Without bitloom:

```
make synth-xc7                 # Yosys, for Xilinx 7 series
make synth-ecp5                # Yosys, for Lattice ECP5
```

In Vivado add `{name}.v` to a block design: the attributes on its ports make the buses, the clock and the reset known.
In any other tool the top module is `{name}` and the only file is `{name}.v`.
"""
