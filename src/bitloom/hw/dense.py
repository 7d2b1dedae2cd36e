"""A folded matrix-vector unit: one dense layer, as wide or as narrow as wanted.

```
                    fold counters ─▶ weight memories
                         │                │
 in ─▶ [replay buffer] ─▶│ simd lanes ─▶ pe x simd multipliers ─▶ pe accumulators ─▶ [capture]
        (if folds > 1)   │                                                             │ some per cycle
        start only if    │                                                             ▼
        room is reserved ◀── credits ── [output FIFO] ◀── clamp ◀── rescale ◀── serializer
 out ◀───────────────────────────────────────┘
```

A row of K inputs gives N outputs in ``ceil(N / pe)`` folds of ``ceil(K / simd)`` cycles. Everything between the
counters and the output FIFO runs freely, without enables: a fold begins its final cycle only when the FIFO has
room for all its results. So nothing ever has to be held back, the multipliers' registers stay plain, and stalls on
either side cannot change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, Register, WireVector, select

from bitloom.arith import Interval, IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import CreditFifo, credit_fifo
from bitloom.hw.multiply_accumulate import accumulator, dot_latency, dot_products
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.replay import replay
from bitloom.hw.rescale import LATENCY as RESCALE_LATENCY
from bitloom.hw.rescale import RescaleConstants, rescale
from bitloom.hw.stream import Stream, StreamType


@dataclass(frozen=True)
class DenseShape:
    """Sizes and folding of a dense layer; everything about its timing follows from them.

    Attributes:
        depth: K, inputs per row.
        outputs: N, outputs per row.
        rows: rows per tensor.
        pe: outputs computed at the same time.
        simd: inputs taken at the same time.
        results: outputs rescaled per cycle: the lanes of the output stream.
        rescale_in_logic: whether the rescale multiplies by adders instead of multiplier slices.
        product_registers: registers behind each multiplier: one where slices have adders inside (xc7), two where the
            adders are logic (ecp5).
    """

    depth: int
    outputs: int
    rows: int
    pe: int
    simd: int
    results: int
    rescale_in_logic: bool = False
    product_registers: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.pe <= self.outputs and 1 <= self.simd <= self.depth):
            raise HardwareError(f"pe={self.pe} simd={self.simd} for {self.outputs} outputs of {self.depth} inputs")
        if self.results > self.pe or (self.folds > 1 and self.pe % self.results):
            raise HardwareError(f"{self.results} results per cycle do not divide pe={self.pe}")
        if self.serial_beats > self.fold_beats:
            raise HardwareError(
                f"{self.results} results per cycle are too few: a fold of {self.fold_beats} cycles makes {self.pe}"
            )

    @property
    def fold_beats(self) -> int:
        """Cycles per fold."""
        return -(-self.depth // self.simd)

    @property
    def folds(self) -> int:
        """Folds per row."""
        return -(-self.outputs // self.pe)

    @property
    def serial_beats(self) -> int:
        """Output beats per full fold."""
        return -(-self.pe // self.results)

    @property
    def last_fold_beats(self) -> int:
        """Output beats of the last fold of a row."""
        return -(-(self.outputs - (self.folds - 1) * self.pe) // self.results)

    @property
    def cycles(self) -> int:
        """Cycles per tensor without stalls."""
        return self.fold_beats * self.folds * self.rows

    @property
    def multipliers(self) -> int:
        """Multipliers of the array (those of the rescale not counted)."""
        return self.pe * self.simd

    @property
    def latency(self) -> int:
        """Cycles from the start of a fold's last beat until its last result is in the FIFO."""
        return dot_latency(self.simd, self.product_registers) + 2 + self.serial_beats + RESCALE_LATENCY

    @property
    def fifo_depth(self) -> int:
        """Output beats that keep the array busy while results are on their way, a power of two."""
        folds_in_flight = -(-(self.latency + 2) // self.fold_beats) + 1
        return max(2, 1 << (folds_in_flight * self.serial_beats - 1).bit_length())

    def input_type(self, element: IntType) -> StreamType:
        """What the unit takes."""
        return StreamType(element, self.depth, self.rows, self.simd)

    def output_type(self, element: IntType) -> StreamType:
        """What the unit gives."""
        return StreamType(element, self.outputs, self.rows, self.results)


def dense(
    name: str,
    stream: Stream,
    shape: DenseShape,
    weights: npt.NDArray[np.int64],
    constants: RescaleConstants,
    output: IntType,
    reset: WireVector,
) -> Stream:
    """Build a dense layer.

    Unsigned elements are multiplied as ``x - 2**(bits - 1)``, which is their top bit turned over, and the bias makes up
    for it: multiplier slices are signed, and synthesis gets a chain of them wrong where it knows an operand to be
    positive.

    Args:
        name: prefix of the signals.
        stream: of type ``shape.input_type``; its `ready` gets driven.
        shape: sizes and folding.
        weights: int64, shape (N, K), zero points already subtracted.
        constants: bias (input zero point folded in) and narrowed rescale.
        output: the output's type.
        reset: returns the unit to its initial state in one cycle.

    Returns:
        The output stream, of type ``shape.output_type``.

    >>> import pyrtl
    >>> from bitloom.arith import Rescale, Rounding, dot_product_range, narrow
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> weights, bias = np.array([[1, -2, 3, 4, 5], [9, 8, -7, 6, 5], [0, 0, 1, 0, 0]]), np.array([100, 200, 300])
    >>> low, high = dot_product_range(weights, bias, Interval(-128, 127))
    >>> reference = Rescale((0.05,), Rounding.FLOAT64)
    >>> constants = RescaleConstants(bias, narrow(reference, low, high, 0, Interval(-128, 127)), low, high)
    >>> shape = DenseShape(depth=5, outputs=3, rows=1, pe=2, simd=2, results=1)
    >>> source = Stream.input_ports("source", shape.input_type(IntType(8)))
    >>> sink = Stream.output_ports("sink", shape.output_type(IntType(8)))
    >>> dense("layer", source, shape, weights, constants, IntType(8), pyrtl.Input(1, "reset")).feed(sink)
    >>> inputs = np.array([[1, 2, 3, 4, 5], [-100, 100, 50, 20, 9]])
    >>> simulate_stream(inputs, source, sink).tensors.tolist()
    [[7, 13, 15], [4, -4, 18]]
    >>> reference.apply(inputs @ weights.T + bias).tolist()
    [[7, 13, 15], [4, -4, 18]]
    """
    credit = pyrtl.WireVector(1, f"{name}_room")
    beat, final_beat = wrapping_counter(
        f"{name}_beat", shape.fold_beats, issue := WireVector(1, f"{name}_issue"), reset
    )
    _, last_fold = wrapping_counter(f"{name}_fold", shape.folds, issue & final_beat, reset)
    allowed = named(~final_beat | credit, f"{name}_allowed")
    if shape.folds > 1:
        vector = replay(f"{name}_input", stream, shape.folds, issue, reset)
        issue <<= vector.available & allowed
        data, ahead = vector.word, 1
    else:
        stream.accept(allowed)
        issue <<= stream.valid & allowed
        data, ahead = stream.data, 0
    bits = stream.type.element.bits
    lanes = [data[lane * bits : (lane + 1) * bits] for lane in range(shape.simd)]
    element = IntType(bits)
    if not stream.type.element.signed:
        lanes = [pyrtl.concat(~lane[-1], lane[:-1]) if bits > 1 else ~lane for lane in lanes]
        constants = replace(constants, bias=constants.bias + (weights.sum(axis=1) << (bits - 1)))
    address, _ = wrapping_counter(f"{name}_address", shape.fold_beats * shape.folds, issue, reset)
    sums, latency = dot_products(
        name,
        lanes,
        element,
        fold_weights(weights, shape),
        delayed(address, ahead, f"{name}_address"),
        shape.product_registers,
    )
    latency += ahead
    flags = {
        flag: delayed_flag(named(wire, f"{name}_{flag}"), latency, f"{name}_{flag}", reset)
        for flag, wire in (("valid", issue), ("first", beat == 0), ("final", issue & final_beat))
    }
    sum_bits = accumulator_bits(weights, element)
    accumulators = [
        accumulator(f"{name}_accumulator{index}", term, flags["valid"], flags["first"], sum_bits)
        for index, term in enumerate(sums)
    ]
    done = delayed_flag(flags["final"], 1, f"{name}_done", reset)
    values, group, emit, ends = _serialize(name, shape, accumulators, done, reset)
    results = rescale(f"{name}_rescale", values, group, constants, output, in_logic=shape.rescale_in_logic)
    reserve = select(last_fold, Const(shape.last_fold_beats), Const(shape.serial_beats))
    buffer = credit_fifo(
        f"{name}_output",
        shape.output_type(output),
        shape.fifo_depth,
        push=delayed_flag(emit, RESCALE_LATENCY, f"{name}_push", reset),
        data=pyrtl.concat_list(results),
        last=delayed_flag(ends, RESCALE_LATENCY, f"{name}_push_last", reset),
        reserved=select(issue & final_beat, reserve, Const(0, reserve.bitwidth)),
        reset=reset,
    )
    credit <<= _room(buffer, shape, last_fold)
    return buffer.output


def _room(buffer: CreditFifo, shape: DenseShape, last_fold: WireVector) -> WireVector:
    if shape.folds == 1 or shape.last_fold_beats == shape.serial_beats:
        return buffer.room_for(shape.last_fold_beats)
    return select(last_fold, buffer.room_for(shape.last_fold_beats), buffer.room_for(shape.serial_beats))


def fold_weights(weights: npt.NDArray[np.int64], shape: DenseShape) -> npt.NDArray[np.int64]:
    """Weights in the order in which the unit reads them: shape (folds * fold_beats, pe, simd), zero where padded."""
    padded = np.zeros((shape.folds * shape.pe, shape.fold_beats * shape.simd), np.int64)
    padded[: shape.outputs, : shape.depth] = weights
    by_fold = padded.reshape(shape.folds, shape.pe, shape.fold_beats, shape.simd)
    return by_fold.transpose(0, 2, 1, 3).reshape(-1, shape.pe, shape.simd)


def accumulator_bits(weights: npt.NDArray[np.int64], element: IntType) -> int:
    """Signed width that holds every partial sum of every row, without bias."""
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    low = (positive * element.minimum + negative * element.maximum).min()
    high = (positive * element.maximum + negative * element.minimum).max()
    return Interval(min(int(low), 0), max(int(high), 0)).signed_bits


def _serialize(
    name: str, shape: DenseShape, accumulators: Sequence[WireVector], done: WireVector, reset: WireVector
) -> tuple[list[WireVector], WireVector, WireVector, WireVector]:
    """Hand the accumulators of a finished fold to the rescale, `results` per cycle.

    Returns:
        The values, which group of channels they are, whether they are there, and whether they end the tensor.
    """
    row_beats = shape.output_type(IntType(1)).row_beats
    emit = WireVector(1, f"{name}_emit")
    group, row_end = wrapping_counter(f"{name}_group", row_beats, emit, reset)
    _, last_row = wrapping_counter(f"{name}_row", shape.rows, emit & row_end, reset)
    if shape.serial_beats == 1:
        emit <<= done
        return list(accumulators), group, emit, row_end & last_row
    captured = []
    for index, value in enumerate(accumulators):
        register = Register(value.bitwidth, f"{name}_captured{index}")
        register.next <<= select(done, value, register)
        captured.append(register)
    active = state(f"{name}_serial_active", 1)
    bits = (shape.serial_beats - 1).bit_length()
    position = state(f"{name}_serial", bits)
    emit <<= active
    ends = row_end | (position == shape.serial_beats - 1)
    follow(active, done | (active & ~ends), reset)
    follow(position, select(done, Const(0, bits), (position + 1).truncate(bits)), reset)
    values = []
    for lane in range(shape.results):
        choices = captured[lane :: shape.results]
        values.append(
            pyrtl.mux(position, *choices, default=choices[-1])
            if len(choices) < 1 << bits
            else (pyrtl.mux(position, *choices))
        )
    return values, group, emit, row_end & last_row
