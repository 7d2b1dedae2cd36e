"""AXI4-Stream ports, registered in both directions.

The rules are those of ARM IHI 0051 (AXI4-Stream), section 2.2: a beat moves in a cycle with TVALID and TREADY both
high; TVALID, once high, stays high and the payload holds still until then. Behind every port is a skid buffer
(`bitloom.hw.skid`), so that no port depends on another port within a cycle, and a beat can move in every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import Input, Output, WireVector

from bitloom.errors import HardwareError
from bitloom.hw.registers import connect
from bitloom.hw.skid import skid_buffer


@dataclass(frozen=True, eq=False)
class AxiStream:
    """A stream inside the design, behind its port.

    Attributes:
        data: TDATA, a whole number of bytes.
        last: TLAST, the end of a packet.
        keep: TKEEP, one bit per byte that belongs to the data, or None where all do.
        valid: driven by the producer.
        ready: driven by the consumer.
    """

    data: WireVector
    last: WireVector
    keep: WireVector | None
    valid: WireVector
    ready: WireVector

    @classmethod
    def declare(cls, name: str, bits: int, *, keep: bool = False) -> AxiStream:
        """Undriven wires ``<name>_data``, ``_last``, ``_keep``, ``_valid``, ``_ready``."""
        return cls(
            WireVector(bits, f"{name}_data"),
            WireVector(1, f"{name}_last"),
            WireVector(bits // 8, f"{name}_keep") if keep else None,
            WireVector(1, f"{name}_valid"),
            WireVector(1, f"{name}_ready"),
        )

    @property
    def transfer(self) -> WireVector:
        """High in cycles in which a beat moves."""
        return self.valid & self.ready

    @property
    def payload(self) -> WireVector:
        """Everything that belongs to a beat on one wire, the data lowest."""
        parts = [self.data, self.last] + ([] if self.keep is None else [self.keep])
        return pyrtl.concat_list(parts)


def stream_subordinate(
    bits: int, *, name: str = "s_axis", keep: bool = False, reset: WireVector | None = None
) -> AxiStream:
    """Ports that receive: ``<name>_tdata``, ``_tvalid``, ``_tready``, ``_tlast`` and, if asked for, ``_tkeep``.

    Args:
        bits: of TDATA, a multiple of 8.
        name: of the bus.
        keep: whether there is a TKEEP.
        reset: see `bitloom.hw.skid.skid_buffer`.

    Returns:
        The stream as the design sees it; drive its `ready`.

    Raises:
        HardwareError: `bits` is no whole number of bytes.

    >>> pyrtl.reset_working_block()
    >>> received = stream_subordinate(16)
    >>> stream_manager(received)
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(4):
    ...     beat = {"s_axis_tdata": 0x1234, "s_axis_tlast": 1, "s_axis_tvalid": int(cycle == 1)}
    ...     simulation.step(beat | {"m_axis_tready": 1})
    >>> hex(simulation.inspect("m_axis_tdata")), simulation.inspect("m_axis_tvalid"), simulation.inspect("m_axis_tlast")
    ('0x1234', 1, 1)
    """
    _check(bits, name)
    port = AxiStream(
        Input(bits, f"{name}_tdata"),
        Input(1, f"{name}_tlast"),
        Input(bits // 8, f"{name}_tkeep") if keep else None,
        Input(1, f"{name}_tvalid"),
        Output(1, f"{name}_tready"),
    )
    inner_ready = WireVector(1, f"{name}_inner_ready")
    buffer = skid_buffer(f"{name}_skid", port.payload, port.valid, inner_ready, reset)
    connect(port.ready, buffer.ready)
    return _split(buffer.payload, bits, keep, buffer.valid, inner_ready)


def stream_manager(stream: AxiStream, *, name: str = "m_axis", reset: WireVector | None = None) -> None:
    """Ports that send a stream: ``<name>_tdata``, ``_tvalid``, ``_tready``, ``_tlast`` and ``_tkeep`` if it has one.

    Args:
        stream: what to send; its `ready` gets driven.
        name: of the bus.
        reset: see `bitloom.hw.skid.skid_buffer`.

    Raises:
        HardwareError: the data is no whole number of bytes.
    """
    bits = len(stream.data)
    _check(bits, name)
    buffer = skid_buffer(f"{name}_skid", stream.payload, stream.valid, Input(1, f"{name}_tready"), reset)
    connect(stream.ready, buffer.ready)
    sent = _split(buffer.payload, bits, stream.keep is not None, buffer.valid, buffer.ready)
    connect(Output(bits, f"{name}_tdata"), sent.data)
    connect(Output(1, f"{name}_tlast"), sent.last)
    connect(Output(1, f"{name}_tvalid"), sent.valid)
    if sent.keep is not None:
        connect(Output(bits // 8, f"{name}_tkeep"), sent.keep)


def _split(payload: WireVector, bits: int, keep: bool, valid: WireVector, ready: WireVector) -> AxiStream:
    return AxiStream(payload[:bits], payload[bits], payload[bits + 1 :] if keep else None, valid, ready)


def _check(bits: int, name: str) -> None:
    if bits < 8 or bits % 8:
        raise HardwareError(f"TDATA of {bits} bits is no whole number of bytes", where=name, remedy="pad the elements")
