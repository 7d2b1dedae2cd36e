"""Icarus Verilog: the exported Verilog with a generated bench that records inner streams by hierarchical name.

All four values are recorded, so that an undefined bit in any tensor is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import numpy as np

from bitloom.design import Circuit, Tap
from bitloom.errors import ExecutionError
from bitloom.export.bench import INSTANCE, RANDOM, instance, is_last, sink, source
from bitloom.export.verilog import CLOCK, RESET, VerilogModule
from bitloom.plan import Port
from bitloom.run.verilog.simulation import (
    Bytes,
    Pauses,
    Recorded,
    Simulation,
    beats_of,
    inner_streams,
    stored_words,
)
from bitloom.run.verilog.toolchain import Workspace, find_icarus, run_tool

_BENCH = "bitloom_bench"
_PAUSE = "{1'b0, random_state} < stall"
_WORD_BYTES = 4


@dataclass(frozen=True)
class IcarusDesign(Simulation):
    """A compiled design and bench.

    Attributes:
        workspace: holds the compiled design.
        simulator: the program that runs it.
    """

    workspace: Workspace
    simulator: str

    def command(self, pauses: Pauses) -> Sequence[str]:
        """The simulator, with the pauses as plusargs."""
        numbers = (("stall", pauses.stall), ("seed", pauses.seed), ("patience", pauses.patience))
        plusargs = [f"+{name}={value}" for name, value in numbers]
        return [self.simulator, "-n", str(self.workspace.path / "simulate.vvp"), *plusargs]

    def recorded(self, path: Path, stream: Recorded) -> Bytes:
        """The values of the recorded words, none undefined.

        Raises:
            ExecutionError: an element has undefined bits.
        """
        # As in the standard's s_vpi_vecval (IEEE 1800-2017, 38.15): a word of values, a word of what is x or z.
        planes = np.fromfile(path, np.uint8).reshape(-1, 2, _WORD_BYTES)
        values = beats_of(planes[:, 0].reshape(-1), stream.bits)
        undefined = beats_of(planes[:, 1].reshape(-1), stream.bits)
        significant = np.packbits(stream.significant, axis=1, bitorder="little")
        wrong = (undefined.reshape(-1, *significant.shape) & significant).any(axis=(1, 2))
        if wrong.any():
            raise ExecutionError(f"undefined bits in inference {int(wrong.argmax())}", where=f"stream '{stream.name}'")
        return values


def compile_with_icarus(circuit: Circuit, module: VerilogModule) -> IcarusDesign:
    """Compile the design with a bench.

    Raises:
        MissingToolError: Icarus Verilog is not installed.
        ExecutionError: it fails.
    """
    compiler, simulator = find_icarus()
    workspace = Workspace("icarus")
    (workspace.path / f"{module.top}.v").write_text(module.text)
    (workspace.path / "bench.v").write_text(_bench(circuit, module))
    command = [compiler, "-g2005", "-s", _BENCH, "-o", "simulate.vvp", "bench.v", f"{module.top}.v"]
    run_tool(command, "Icarus Verilog", folder=workspace.path)
    return IcarusDesign(workspace, simulator)


def _bench(circuit: Circuit, module: VerilogModule) -> str:
    """A module that plays the part of harness.cpp."""
    taps = inner_streams(circuit)
    clocked = "".join(
        [
            *(_source(index, port) for index, port in enumerate(circuit.inputs)),
            *(_tap(index, tap, f"{INSTANCE}.{module.instance}") for index, tap in enumerate(taps)),
            *(_sink(index, port) for index, port in enumerate(circuit.outputs)),
        ]
    )
    opened = [("source", "rb", len(circuit.inputs)), ("sink", "wb", len(circuit.outputs)), ("tap", "wb", len(taps))]
    files = [(f"{kind}{index}", "words", mode) for kind, mode, count in opened for index in range(count)]
    files += [(f"{kind}{index}", "cycles", "wb") for kind, _, count in opened[:2] for index in range(count)]
    streams = [port.name for port in (*circuit.inputs, *circuit.outputs)]
    streams += [f"tap{index}" for index in range(len(taps))]
    # Everywhere: beats that no output depends on, as those a slice leaves out, may come after the last output.
    finished = " && ".join(f"{name} == inferences * {beats}" for _, name, beats in _counted(circuit, taps))
    return f"""`timescale 1ns / 1ps
module {_BENCH};
{indent(instance(circuit, module), "    ")}
{indent(RANDOM, "    ")}
{indent(_declarations(circuit, streams, files), "    ")}

    initial begin
        if (!$value$plusargs("stall=%d", stall) || !$value$plusargs("seed=%d", random_state)
            || !$value$plusargs("patience=%d", patience)) begin
            $fdisplay(STANDARD_ERROR, "a plusarg is missing");
            $finish_and_return(1);
        end
        random_state = random_state * 32'd2654435761 | 32'd1;
        begin_job;
    end

    // Waits for a line with a number of inferences; the end of the input ends the simulation.
    task begin_job;
        if ($fscanf(STANDARD_INPUT, "%d", inferences) != 1) $finish;
        else begin
            idle = 0;
{indent(_each(streams, "{}_beats = 0;"), "            ")}
{indent(_lines(_open(*file) for file in files), "            ")}
        end
    endtask

    task end_job;
        begin
{indent(_each([f"{name}_{what}" for name, what, _ in files], "$fclose({});"), "            ")}
            $display("done");
            $fflush;
            begin_job;
        end
    endtask

    always @(posedge {CLOCK}) if ({RESET}) begin
        moved = 1'b0;
{indent(clocked, "        ")}
        cycle = cycle + 1;
        idle = moved ? 0 : idle + 1;
        if (idle >= patience) begin
{indent(_hang(circuit, taps), "            ")}
            $finish_and_return(1);
        end
        if ({finished}) end_job;
    end
endmodule
"""


def _declarations(circuit: Circuit, streams: Sequence[str], files: Sequence[tuple[str, str, str]]) -> str:
    return "\n".join(
        [
            "localparam STANDARD_INPUT = 32'h8000_0000;",
            "localparam STANDARD_ERROR = 32'h8000_0002;",
            "integer inferences, patience, status;",
            "integer idle = 0;",
            "reg [63:0] cycle = 0;",
            "reg [32:0] stall;",
            "reg [31:0] random_state;",
            "reg moved;",
            *(f"integer {name}_beats = 0;" for name in streams),
            *(f"integer {name}_{what};" for name, what, _ in files),
            *(f"reg [{stored_words(port.bus_bits) * 32 - 1}:0] {port.name}_word;" for port in circuit.inputs),
        ]
    )


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(texts)


def _each(names: Iterable[str], template: str) -> str:
    return _lines(template.format(name) for name in names)


def _open(name: str, what: str, mode: str) -> str:
    return f"""{name}_{what} = $fopen("{name}.{what}", "{mode}");
if ({name}_{what} == 0) begin
    $fdisplay(STANDARD_ERROR, "{name}.{what}: cannot be opened");
    $finish_and_return(1);
end"""


def _source(index: int, port: Port) -> str:
    first = f"if ({port.name}_beats % {port.type.beats} == 0) "
    return source(
        port,
        total=f"inferences * {port.type.beats}",
        read=f"""status = $fscanf(source{index}_words, "%u", {port.name}_word);
if (status != 1) begin
    $fdisplay(STANDARD_ERROR, "source{index}.words: ends too early");
    $finish_and_return(1);
end""",
        pause=_PAUSE,
        on_transfer=f'{first}$fwrite(source{index}_cycles, "%u", cycle);',
    )


def _sink(index: int, port: Port) -> str:
    return sink(
        port,
        pause=_PAUSE,
        on_transfer=f"""$fwrite(sink{index}_words, "%z", {port.name}_tdata);
if ({port.name}_tlast !== ({is_last(port)})) begin
    $fdisplay(STANDARD_ERROR, "{port.name}: 'last' is wrong on beat %0d of inference %0d",
        {port.name}_beats % {port.type.beats}, {port.name}_beats / {port.type.beats});
    $finish_and_return(1);
end
if ({is_last(port)}) $fwrite(sink{index}_cycles, "%u", cycle);""",
    )


def _tap(index: int, tap: Tap, scope: str) -> str:
    signal = f"{scope}.{tap.stream}"
    return f"""
// {tap.stream}
if ({signal}_valid === 1'b1 && {signal}_ready === 1'b1) begin
    moved = 1'b1;
    $fwrite(tap{index}_words, "%z", {signal}_data);
    tap{index}_beats = tap{index}_beats + 1;
end
"""


def _hang(circuit: Circuit, taps: Sequence[Tap]) -> str:
    """Say on one line how far every stream has come."""
    lines = ['$fwrite(STANDARD_ERROR, "no beat moved for %0d cycles until cycle %0d:", idle, cycle);']
    lines += [
        f'$fwrite(STANDARD_ERROR, " {name} %0d/%0d beats", {moved}, inferences * {beats});'
        for name, moved, beats in _counted(circuit, taps)
    ]
    return "\n".join([*lines, "$fdisplay(STANDARD_ERROR);"])


def _counted(circuit: Circuit, taps: Sequence[Tap]) -> list[tuple[str, str, int]]:
    """Name, variable that counts its beats, and beats per tensor of every stream."""
    streams = [(port.name, f"{port.name}_beats", port.type.beats) for port in circuit.inputs]
    streams += [(tap.stream, f"tap{index}_beats", tap.type.beats) for index, tap in enumerate(taps)]
    return streams + [(port.name, f"{port.name}_beats", port.type.beats) for port in circuit.outputs]
