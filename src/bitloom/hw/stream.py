"""Streams: tensors moving through hardware, some elements per clock cycle.

```
            ┌──────────┐ data[lanes*bits] ┌──────────┐
            │          ├─────────────────▶│          │
            │ producer ├── valid, last ──▶│ consumer │
            │          │◀──── ready ──────┤          │
            └──────────┘                  └──────────┘
```

A beat moves in every cycle in which `valid` and `ready` are both high. While `valid` waits for `ready`, the payload
holds still. Element 0 of a beat is in the lowest bits. The elements of a tensor come in row-major order; a tensor is
a number of rows of equal length, each row starts a new beat, so that the last beat of a row may be partly filled
(its upper lanes are ignored). `last` is high on the final beat of a tensor.

The names and the rules are those of AXI4-Stream (ARM IHI 0051, sections 2.2 and 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.registers import connect


@dataclass(frozen=True)
class StreamType:
    """How a tensor moves.

    Attributes:
        element: the type of one element.
        row: elements per row.
        rows: rows per tensor.
        lanes: elements per beat.
    """

    element: IntType
    row: int
    rows: int = 1
    lanes: int = 1

    def __post_init__(self) -> None:
        if min(self.row, self.rows, self.lanes) < 1:
            raise HardwareError(f"a stream of {self.rows} rows of {self.row} elements in {self.lanes} lanes")

    @property
    def row_beats(self) -> int:
        """Beats per row."""
        return -(-self.row // self.lanes)

    @property
    def beats(self) -> int:
        """Beats per tensor."""
        return self.row_beats * self.rows

    @property
    def size(self) -> int:
        """Elements per tensor."""
        return self.row * self.rows

    @property
    def bits(self) -> int:
        """Width of the data wire."""
        return self.lanes * self.element.bits

    @property
    def has_partial_beats(self) -> bool:
        """Whether the last beat of each row is partly filled."""
        return self.row % self.lanes != 0

    def __str__(self) -> str:
        return f"{self.rows}x{self.row} {self.element}, {self.lanes} a beat"


@dataclass(frozen=True, eq=False)
class Stream:
    """The wires of one stream.

    Attributes:
        name: prefix of the wires' names.
        type: what moves.
        data: `type.bits` bits, element 0 lowest.
        valid: the producer offers a beat.
        last: this beat ends the tensor.
        ready: the consumer takes a beat.
    """

    name: str
    type: StreamType
    data: WireVector
    valid: WireVector
    last: WireVector
    ready: WireVector

    @classmethod
    def declare(cls, name: str, stream_type: StreamType) -> Stream:
        """Undriven wires ``{name}_data``, ``{name}_valid``, ``{name}_last``, ``{name}_ready``."""
        return cls(
            name,
            stream_type,
            WireVector(stream_type.bits, f"{name}_data"),
            WireVector(1, f"{name}_valid"),
            WireVector(1, f"{name}_last"),
            WireVector(1, f"{name}_ready"),
        )

    @classmethod
    def input_ports(cls, name: str, stream_type: StreamType) -> Stream:
        """Ports of a circuit that consumes the stream."""
        return cls(
            name,
            stream_type,
            pyrtl.Input(stream_type.bits, f"{name}_data"),
            pyrtl.Input(1, f"{name}_valid"),
            pyrtl.Input(1, f"{name}_last"),
            _output(1, f"{name}_ready"),
        )

    @classmethod
    def output_ports(cls, name: str, stream_type: StreamType) -> Stream:
        """Ports of a circuit that produces the stream."""
        return cls(
            name,
            stream_type,
            _output(stream_type.bits, f"{name}_data"),
            _output(1, f"{name}_valid"),
            _output(1, f"{name}_last"),
            pyrtl.Input(1, f"{name}_ready"),
        )

    @property
    def transfer(self) -> WireVector:
        """High in cycles in which a beat moves."""
        return self.valid & self.ready

    def lane(self, index: int) -> WireVector:
        """One element of the beat."""
        bits = self.type.element.bits
        return self.data[index * bits : (index + 1) * bits]

    def retyped(self, stream_type: StreamType) -> Stream:
        """The same beats cut into rows, or tensors, elsewhere; `last` stays where it was."""
        return Stream(self.name, stream_type, self.data, self.valid, self.last, self.ready)

    def drive(self, data: WireVector, valid: WireVector, last: WireVector) -> None:
        """Connect a producer's wires."""
        connect(self.data, data)
        connect(self.valid, valid)
        connect(self.last, last)

    def feed(self, consumer: Stream) -> None:
        """Connect this stream to another of the same type, wire to wire.

        Raises:
            HardwareError: the types differ.
        """
        if self.type != consumer.type:
            raise HardwareError(f"{self.name} carries {self.type}, {consumer.name} takes {consumer.type}")
        consumer.drive(self.data, self.valid, self.last)
        self.accept(consumer.ready)

    def accept(self, ready: WireVector) -> None:
        """Connect a consumer's `ready`."""
        connect(self.ready, ready)


def _output(bits: int, name: str) -> WireVector:
    """A wire that drives an output port: PyRTL lets nothing read a port itself."""
    wire = WireVector(bits)
    connect(pyrtl.Output(bits, name), wire)
    return wire
