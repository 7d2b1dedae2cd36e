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


def input_stream(port: Port, reset: WireVector) -> Stream:
    """Ports ``{name}_tdata``, ``_tvalid``, ``_tready``, ``_tlast``; elements taken out of their containers.

    While `reset` is high nothing is accepted.
    """
    data = Input(port.bus_bits, f"{port.name}_tdata")
    valid, last = Input(1, f"{port.name}_tvalid"), Input(1, f"{port.name}_tlast")
    ready = Output(1, f"{port.name}_tready")
    bits = port.type.element.bits
    elements = [data[lane * port.container : lane * port.container + bits] for lane in range(port.type.lanes)]
    arriving = Stream.declare(f"{port.name}_in", port.type)
    arriving.drive(pyrtl.concat_list(elements), valid & ~reset, last)
    connect(ready, arriving.ready & ~reset)
    return fifo(f"{port.name}_buffer", arriving, _PORT_DEPTH, reset)


def output_stream(port: Port, stream: Stream, reset: WireVector) -> Stream:
    """Ports ``{name}_tdata``, ``_tvalid``, ``_tready``, ``_tlast``, ``_tkeep``; elements extended to their containers.

    Returns:
        The stream as it leaves, for counters and registers to watch.
    """
    leaving = fifo(f"{port.name}_buffer", stream, _PORT_DEPTH, reset)
    element, lanes = port.type.element, port.type.lanes
    extended = [
        leaving.lane(lane).sign_extended(port.container)
        if element.signed
        else leaving.lane(lane).zero_extended(port.container)
        for lane in range(lanes)
    ]
    filled = port.type.row - (port.type.row_beats - 1) * lanes
    keep = [
        pyrtl.Const(1, 1) if lane < filled else ~leaving.last
        for lane in range(lanes)
        for _ in range(port.container // 8)
    ]
    connect(Output(port.bus_bits, f"{port.name}_tdata"), pyrtl.concat_list(extended))
    connect(Output(1, f"{port.name}_tvalid"), leaving.valid)
    connect(Output(1, f"{port.name}_tlast"), leaving.last)
    connect(Output(port.bus_bits // 8, f"{port.name}_tkeep"), pyrtl.concat_list(keep))
    leaving.accept(Input(1, f"{port.name}_tready"))
    return leaving
