"""Where streams enter and leave a design: AXI4-Stream ports, registered in both directions."""

from __future__ import annotations

import pyrtl
from pyrtl import Input, Output, WireVector

from bitloom.hw.fifo import fifo
from bitloom.hw.registers import connect
from bitloom.hw.stream import Stream
from bitloom.plan import Port

# Beats a port buffers: two keep full speed with registered handshakes, a few more ride out short stalls.
_PORT_DEPTH = 4


def input_stream(port: Port, reset: WireVector) -> tuple[Stream, Stream]:
    """Ports ``{name}_tdata``, ``_tvalid``, ``_tready``, ``_tlast``; elements taken out of their containers.

    While `reset` is high nothing is accepted.

    Returns:
        The buffered stream, and the stream as it crosses the port, for counters to watch.
    """
    data = Input(port.bus_bits, f"{port.name}_tdata")
    valid, last = Input(1, f"{port.name}_tvalid"), Input(1, f"{port.name}_tlast")
    ready = Output(1, f"{port.name}_tready")
    bits = port.type.element.bits
    elements = [data[lane * port.container : lane * port.container + bits] for lane in range(port.type.lanes)]
    arriving = Stream.declare(f"{port.name}_in", port.type)
    arriving.drive(pyrtl.concat_list(elements), valid & ~reset, last)
    connect(ready, arriving.ready & ~reset)
    return fifo(f"{port.name}_buffer", arriving, _PORT_DEPTH, reset), arriving


def output_buffer(port: Port, stream: Stream, reset: WireVector, closed: WireVector) -> Stream:
    """The buffer in front of an output port; while `closed` is high nothing leaves it."""
    buffered = fifo(f"{port.name}_buffer", stream, _PORT_DEPTH, reset)
    leaving = Stream.declare(f"{port.name}_leaving", port.type)
    leaving.drive(buffered.data, buffered.valid & ~closed, buffered.last)
    buffered.accept(leaving.ready & ~closed)
    return leaving


def output_port(port: Port, leaving: Stream) -> None:
    """Ports ``{name}_tdata``, ``_tvalid``, ``_tready``, ``_tlast``, ``_tkeep``; elements extended to containers."""
    lanes = port.type.lanes
    extended = extend_elements(leaving, port.container)
    filled = port.type.row - (port.type.row_beats - 1) * lanes
    keep = [
        pyrtl.Const(1, 1) if lane < filled else ~leaving.last
        for lane in range(lanes)
        for _ in range(port.container // 8)
    ]
    connect(Output(port.bus_bits, f"{port.name}_tdata"), extended)
    connect(Output(1, f"{port.name}_tvalid"), leaving.valid)
    connect(Output(1, f"{port.name}_tlast"), leaving.last)
    connect(Output(port.bus_bits // 8, f"{port.name}_tkeep"), pyrtl.concat_list(keep))
    leaving.accept(Input(1, f"{port.name}_tready"))


def extend_elements(stream: Stream, container: int) -> WireVector:
    """A beat with each element extended to its container on the bus."""
    signed = stream.type.element.signed
    lanes = [stream.lane(lane) for lane in range(stream.type.lanes)]
    return pyrtl.concat_list(
        [lane.sign_extended(container) if signed else lane.zero_extended(container) for lane in lanes]
    )
