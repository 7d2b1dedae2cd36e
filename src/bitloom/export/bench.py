"""What Verilog benches around a design share: clock, reset, the instance, producers that pause at random.

The self-checking testbench of a build and the bench that Icarus records inner streams with are made of these.
"""

from __future__ import annotations

from textwrap import indent

import pyrtl

from bitloom.design import Circuit
from bitloom.export.verilog import CLOCK, RESET, VerilogModule
from bitloom.plan import Port

RESET_CYCLES = 8
INSTANCE = "dut"

# Every bench draws from one sequence of random numbers, in `random_state`.
RANDOM = """
// The next number of a random sequence: xorshift32 (Marsaglia 2003).
function [31:0] next_random;
    input [31:0] state;
    reg [31:0] left, right;
    begin
        left = state ^ (state << 13);
        right = left ^ (left >> 17);
        next_random = right ^ (right << 5);
    end
endfunction
"""


def tied_inputs(circuit: Circuit) -> list[pyrtl.Input]:
    """The input ports that belong to no stream: registers a bench does not use; it holds them low."""
    streams = {f"{port.name}_{signal}" for port in circuit.inputs for signal in ("tdata", "tvalid", "tlast")}
    streams |= {f"{port.name}_tready" for port in circuit.outputs}
    inputs = circuit.block.wirevector_subset(pyrtl.Input)
    return sorted(
        (wire for wire in inputs if wire.name != "reset" and wire.name not in streams), key=lambda wire: wire.name
    )


def instance(circuit: Circuit, module: VerilogModule) -> str:
    """Clock, reset, a variable or net named like each port of the design, and the design.

    Inputs are low until something drives them; `aresetn` rises after some clock cycles.
    """
    ports = sorted(
        (wire for wire in circuit.block.wirevector_subset((pyrtl.Input, pyrtl.Output)) if wire.name != "reset"),
        key=lambda wire: wire.name,
    )
    lines = [
        f"reg {CLOCK} = 1'b0;",
        f"reg {RESET} = 1'b0;",
        f"always #5 {CLOCK} = ~{CLOCK};",
        "integer reset_cycles = 0;",
        f"always @(posedge {CLOCK}) begin",
        "    reset_cycles <= reset_cycles + 1;",
        f"    if (reset_cycles == {RESET_CYCLES}) {RESET} <= 1'b1;",
        "end",
        "",
    ]
    for wire in ports:
        width = f" [{wire.bitwidth - 1}:0]" if wire.bitwidth > 1 else ""
        is_input = isinstance(wire, pyrtl.Input)
        lines.append(f"reg{width} {wire.name} = 0;" if is_input else f"wire{width} {wire.name};")
    names = [CLOCK, RESET, *(wire.name for wire in ports)]
    connections = ",\n".join(f"    .{name}({name})" for name in names)
    return "\n".join([*lines, "", f"{module.top} {INSTANCE} (", connections, ");", ""])


def source(port: Port, *, total: str, read: str, pause: str, on_transfer: str = "") -> str:
    """Statements of a clocked block that offer an input's beats in order; an offered beat stays until it is taken.

    Uses `random_state`, `moved`, and ``{name}_beats``, which counts accepted beats.

    Args:
        port: the input.
        total: expression for the number of beats to send.
        read: statements that put the next beat into ``{name}_word``.
        pause: condition on `random_state` under which nothing is offered.
        on_transfer: statements for a beat that has just been accepted, before it is counted.
    """
    name, beats = port.name, port.type.beats
    return f"""
// {name}: the next beat is offered once the last one has been taken.
if ({name}_tvalid && {name}_tready === 1'b1) begin
    moved = 1'b1;
    {_statements(on_transfer, 4)}
    {name}_beats = {name}_beats + 1;
end
random_state = next_random(random_state);
if (!{name}_tvalid || {name}_tready === 1'b1) begin
    {name}_tvalid <= 1'b0;
    {name}_tlast <= 1'b0;
    {name}_tdata <= 0;
    if ({name}_beats < {total} && !({pause})) begin
        {_statements(read, 8)}
        {name}_tvalid <= 1'b1;
        {name}_tlast <= {name}_beats % {beats} == {beats - 1};
        {name}_tdata <= {name}_word;
    end
end
"""


def sink(port: Port, *, pause: str, on_transfer: str) -> str:
    """Statements of a clocked block that take an output's beats.

    Uses `random_state`, `moved`, and ``{name}_beats``, which counts taken beats.

    Args:
        port: the output.
        pause: condition on `random_state` under which the next cycle's beat is not taken.
        on_transfer: statements for a beat that is being taken, before it is counted.
    """
    name = port.name
    return f"""
// {name}
if ({name}_tvalid === 1'b1 && {name}_tready) begin
    moved = 1'b1;
    {_statements(on_transfer, 4)}
    {name}_beats = {name}_beats + 1;
end
random_state = next_random(random_state);
{name}_tready <= !({pause});
"""


def is_last(port: Port) -> str:
    """Condition under which the beat that moves is the last of its tensor."""
    return f"{port.name}_beats % {port.type.beats} == {port.type.beats - 1}"


def _statements(text: str, spaces: int) -> str:
    """Lines to continue an indented line with."""
    return indent(text.strip(), " " * spaces).strip()
