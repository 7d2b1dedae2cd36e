"""A folded matrix-vector unit: one layer of dot products, as wide or as narrow as wanted.

```
                    fold counters ─▶ weight memories
                         │                │
 in ─▶ [replay buffer] ─▶│ simd lanes ─▶ pe x simd multipliers ─▶ pe accumulators ─▶ [capture]
        (if needed)      │                                                             │ some per cycle
        start only if    │                                                             ▼
        room is reserved ◀── credits ── [output FIFO] ◀── clamp ◀── rescale ◀── serializer
 out ◀───────────────────────────────────────┘
```

A row of K inputs gives N outputs in ``ceil(N / pe)`` folds of ``ceil(K / simd)`` cycles. A convolution is the same for
every pixel, its rows being the windows; a grouped or depthwise convolution has several such rows for one row of the
result, one after another or side by side (see `bitloom.hw.dense_shape.DenseShape`). Everything between the
counters and the output FIFO runs freely, without enables: a fold begins its final cycle only when the FIFO has
room for all its results. So nothing ever has to be held back, the multipliers' registers stay plain, and stalls on
either side cannot change a result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, WireVector, select

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.dense_shape import DenseShape, accumulator_bits, channel_sums, fold_weights
from bitloom.hw.fifo import CreditFifo, credit_fifo
from bitloom.hw.logic_products import logic_accumulator, logic_latency, logic_products
from bitloom.hw.multiply_accumulate import accumulator, dot_products
from bitloom.hw.packed_products import packed_products
from bitloom.hw.registers import delayed, delayed_flag, named, wrapping_counter
from bitloom.hw.replay import replay
from bitloom.hw.rescale import RescaleConstants, rescale, rescale_latency
from bitloom.hw.serialize import serialize
from bitloom.hw.stream import Stream

__all__ = ["DenseShape", "accumulator_bits", "dense", "fold_weights"]


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
        weights: int64, shape (groups * N, K), zero points already subtracted.
        constants: bias (input zero point folded in) and narrowed rescale.
        output: the output's type.
        reset: returns the unit to its initial state in one cycle.

    Returns:
        The output stream, of type ``shape.output_type``.

    >>> import pyrtl
    >>> from bitloom.arith import Interval, Rescale, Rounding, dot_product_range, narrow
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
    element = IntType(stream.type.element.bits)
    if not stream.type.element.signed:
        constants = replace(constants, bias=constants.bias + (weights.sum(axis=1) << (element.bits - 1)))
    room = WireVector(1, f"{name}_room")
    beat = _take_beats(name, stream, shape, room, reset)
    array = _logic_array if shape.product_digits else _multiplier_array
    sums = array(name, beat, element, weights, shape, reset)
    constants = replace(constants, bias=constants.bias - sums.excess)
    serial = serialize(
        name,
        sums.accumulators,
        sums.done,
        reset,
        results=shape.results,
        block_beats=shape.block_beats,
        blocks=shape.blocks,
        rows=shape.rows,
    )
    results = rescale(
        f"{name}_rescale",
        serial.values,
        serial.group,
        constants,
        output,
        in_logic=shape.rescale_in_logic,
        fabric=shape.fabric,
    )
    reserve = select(beat.last_pass, Const(shape.last_fold_beats), Const(shape.serial_beats))
    buffer = credit_fifo(
        f"{name}_output",
        shape.output_type(output),
        shape.fifo_depth(shape.latency_after(sums.latency)),
        push=delayed_flag(serial.emit, rescale_latency(shape.fabric), f"{name}_push", reset),
        data=pyrtl.concat_list(results),
        last=delayed_flag(serial.ends, rescale_latency(shape.fabric), f"{name}_push_last", reset),
        reserved=select(beat.completes, reserve, Const(0, reserve.bitwidth)),
        reset=reset,
    )
    room <<= _room(buffer, shape, beat.last_pass)
    return buffer.output


@dataclass(frozen=True, eq=False)
class _Beat:
    """What enters the array in a cycle.

    Attributes:
        issue: a beat is taken in this cycle.
        first: it is the first of its fold.
        completes: it is taken and the last of its fold.
        last_pass: the fold is the last of its block.
        delay: cycles from `issue` until lanes and address are there.
        lanes: the inputs, signed.
        address: of the weights.
    """

    issue: WireVector
    first: WireVector
    completes: WireVector
    last_pass: WireVector
    delay: int
    lanes: list[WireVector]
    address: WireVector


def _take_beats(name: str, stream: Stream, shape: DenseShape, room: WireVector, reset: WireVector) -> _Beat:
    """Take the beats of each fold; the last one only while there is room for what the fold gives."""
    issue = WireVector(1, f"{name}_issue")
    beat, final_beat = wrapping_counter(f"{name}_beat", shape.fold_beats, issue, reset)
    completes = issue & final_beat
    _, last_pass = wrapping_counter(f"{name}_fold", shape.passes, completes, reset)
    allowed = named(~final_beat | room, f"{name}_allowed")
    if shape.passes > 1 and not shape.replayed:
        vector = replay(f"{name}_input", stream, shape.passes, issue, reset)
        issue <<= vector.available & allowed
        data, delay = vector.word, 1
    else:
        stream.accept(allowed)
        issue <<= stream.valid & allowed
        data, delay = stream.data, 0
    address, _ = wrapping_counter(f"{name}_address", shape.fold_beats * shape.folds, issue, reset)
    bits = stream.type.element.bits
    lanes = [data[lane * bits : (lane + 1) * bits] for lane in range(stream.type.lanes)]
    if not stream.type.element.signed:
        lanes = [pyrtl.concat(~lane[-1], lane[:-1]) if bits > 1 else ~lane for lane in lanes]
    return _Beat(issue, beat == 0, completes, last_pass, delay, lanes, delayed(address, delay, f"{name}_address"))


@dataclass(frozen=True, eq=False)
class _Sums:
    """The accumulators of the array.

    Attributes:
        accumulators: signed, one for each output of a fold.
        done: they hold a fold's sums, in this cycle only.
        excess: what the sum of each channel is too large, int64, shape (groups * outputs,).
        latency: cycles from `issue` to the sums of a beat.
    """

    accumulators: list[WireVector]
    done: WireVector
    excess: npt.NDArray[np.int64]
    latency: int


def _flags(name: str, beat: _Beat, latency: int, reset: WireVector) -> tuple[WireVector, WireVector, WireVector]:
    """Whether there is a beat's sum, whether it is the first of its fold, and whether the fold was complete before."""
    valid, first, final = (
        delayed_flag(named(wire, f"{name}_{flag}"), latency, f"{name}_{flag}", reset)
        for flag, wire in (("valid", beat.issue), ("first", beat.first), ("final", beat.completes))
    )
    return valid, first, delayed_flag(final, 1, f"{name}_done", reset)


def _multiplier_array(
    name: str, beat: _Beat, element: IntType, weights: npt.NDArray[np.int64], shape: DenseShape, reset: WireVector
) -> _Sums:
    """Sums of products made by multiplier slices."""
    common = (name, beat.lanes, element, fold_weights(weights, shape), beat.address)
    if shape.packed:
        terms, latency = packed_products(*common, groups=shape.parallel, fabric=shape.fabric)
    else:
        terms, latency = dot_products(*common, shape.fabric, shape.parallel)
    latency += beat.delay
    valid, first, done = _flags(name, beat, latency, reset)
    bits = accumulator_bits(weights, element)
    accumulators = [
        accumulator(f"{name}_accumulator{index}", term, valid, first, bits) for index, term in enumerate(terms)
    ]
    return _Sums(accumulators, done, np.zeros(len(weights), np.int64), latency)


def _logic_array(
    name: str, beat: _Beat, element: IntType, weights: npt.NDArray[np.int64], shape: DenseShape, reset: WireVector
) -> _Sums:
    """Sums of products made of logic, each less half its accumulator's range."""
    common = (name, beat.lanes, element, fold_weights(weights, shape), beat.address)
    products = logic_products(*common, groups=shape.parallel, fabric=shape.fabric)
    if products.latency != logic_latency(shape.simd, shape.product_digits, shape.fabric.product_registers):
        raise HardwareError(f"these weights do not have {shape.product_digits} digits each", where=name)
    latency = products.latency + beat.delay
    valid, first, done = _flags(name, beat, latency, reset)
    bits = max(1, int(channel_sums(products.largest, shape).max()).bit_length())
    accumulators = [
        logic_accumulator(f"{name}_accumulator{index}", term, valid, first, bits, beats=shape.fold_beats)
        for index, term in enumerate(products.sums)
    ]
    return _Sums(accumulators, done, channel_sums(products.excess, shape) - (1 << (bits - 1)), latency)


def _room(buffer: CreditFifo, shape: DenseShape, last_pass: WireVector) -> WireVector:
    if shape.passes == 1 or shape.last_fold_beats == shape.serial_beats:
        return buffer.room_for(shape.last_fold_beats)
    return select(last_pass, buffer.room_for(shape.last_fold_beats), buffer.room_for(shape.serial_beats))
