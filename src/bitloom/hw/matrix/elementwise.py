"""Elementwise circuits: add, ReLU, saturate and rescale, from one matrix channel to another.

Add, ReLU and saturate are one register stage each (see `bitloom.hw.matrix.channel.pipeline_stage`) and take one
matrix a cycle; rescale takes a few elements a cycle. All may be stalled at any time. Each widens or narrows its
elements by range analysis: the sum of two int8 matrices is an int9 matrix, ReLU of it a uint8 one::

    x int8 ──▶┌─────┐ int9 ┌──────┐ uint8 ┌─────────┐ int8 ┌──────────┐ uint5
              │ add ├─────▶│ relu ├──────▶│ rescale ├─────▶│ saturate ├──────▶
    y int8 ──▶└─────┘      └──────┘       └─────────┘      └──────────┘

>>> from bitloom.arith import IntType
>>> pyrtl.reset_working_block()
>>> x = MatrixChannel.input("x", (2, 2), IntType(8))
>>> y = MatrixChannel.constant("y", [[10, 20], [-30, -40]])
>>> result = relu("positive", add("total", x, y))
>>> result.matrix
WireMatrix(positive: uint8[2, 2])
>>> result.output("out")
>>> simulation = pyrtl.Simulation()
>>> for cycle in range(3):
...     simulation.step(x.matrix.stimulus([[1, -100], [127, 41]]) | {"x_valid": int(cycle == 0), "out_ready": 1})
>>> simulation.inspect("out_valid"), result.matrix.read(simulation).tolist()
(1, [[11, 0], [97, 1]])
"""

from __future__ import annotations

import numpy as np
import pyrtl

from bitloom.arith.narrow import narrow
from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Rescale
from bitloom.arith.types import IntType
from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel, pipeline_stage
from bitloom.hw.matrix.integer import full_range, full_sum, less_than, resize, storage
from bitloom.hw.matrix.shift import shift_out
from bitloom.hw.matrix.systolic import delay_line
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import connect, constant
from bitloom.hw.rescale import RescaleConstants, rescale_latency
from bitloom.hw.rescale import rescale as rescale_lanes


def add(name: str, x: MatrixChannel, y: MatrixChannel) -> MatrixChannel:
    """``x + y``, exact, shapes broadcast as NumPy's; 1 cycle.

    Raises:
        HardwareError: the shapes do not broadcast to one shape.
    """

    def sums(one: WireMatrix, other: WireMatrix) -> WireMatrix:
        try:
            shape = np.broadcast_shapes(one.shape, other.shape)
        except ValueError as error:
            raise HardwareError(f"cannot add shapes {list(one.shape)} and {list(other.shape)}", where=name) from error
        pairs = zip(one.broadcast_to(shape), other.broadcast_to(shape), strict=True)
        interval = one.interval + other.interval
        bits, _ = storage(interval)
        return _from_flat(name, shape, interval, [full_sum(a, one.signed, b, other.signed, bits) for a, b in pairs])

    return pipeline_stage(name, (x, y), sums)


def relu(name: str, x: MatrixChannel) -> MatrixChannel:
    """``maximum(x, 0)``, unsigned; 1 cycle."""

    def positive(values: WireMatrix) -> WireMatrix:
        interval = Interval(max(0, values.interval.low), max(0, values.interval.high))
        return clamped(name, values, interval)

    return pipeline_stage(name, (x,), positive)


def saturate(name: str, x: MatrixChannel, limits: IntType | Interval) -> MatrixChannel:
    """``clip(x, limits.low, limits.high)``, or to the range of a type; 1 cycle.

    >>> pyrtl.reset_working_block()
    >>> saturate("s", MatrixChannel.constant("x", [-200, -1, 90, 300]), Interval(-4, 100)).matrix
    WireMatrix(s: int8[4])
    """

    def clipped(values: WireMatrix) -> WireMatrix:
        wanted = full_range(limits.bits, limits.signed) if isinstance(limits, IntType) else limits
        low = min(max(values.interval.low, wanted.low), wanted.high)
        high = max(min(values.interval.high, wanted.high), wanted.low)
        return clamped(name, values, Interval(low, high))

    return pipeline_stage(name, (x,), clipped)


def rescale(
    name: str,
    x: MatrixChannel,
    factor: Rescale,
    zero_point: int,
    limits: IntType | Interval,
    *,
    lanes: int | None = None,
) -> MatrixChannel:
    """``clip(round(x * factor) + zero_point, limits)``, with the factor's own rounding.

    Multipliers are dear, so the elements pass `lanes` at a time through the rescale pipeline of
    `bitloom.hw.rescale`, whose constants are the narrowest that give the same output for every value `x` can have::

        x ──▶ registers, shifted ──lanes──▶ × multiplier + offset, >>, clip ──lanes──▶ registers, shifted ──▶ result
              `lanes` a cycle               one set of constants per group             `lanes` a cycle

    The result is valid `rescale_cycles` after `x` was taken, and the next `x` is taken after the result was.
    ``ready`` comes from a register.

    Args:
        name: prefix of all names.
        x: the accumulators; with several multipliers, the last axis is the channel.
        factor: the real multiplier, or one per channel, and the rounding.
        zero_point: added after rounding.
        limits: the type, or interval, of the results.
        lanes: elements rescaled per cycle; all of them if None.

    Raises:
        HardwareError: the number of multipliers is not that of channels, or there is no lane.
        ArithmeticDomainError: the reference kernel is not defined on all values of `x` (int32 overflow).

    >>> from bitloom.arith import Rounding
    >>> pyrtl.reset_working_block()
    >>> x = MatrixChannel.input("x", (3,), IntType(12))
    >>> result = rescale("r", x, Rescale((0.1,), Rounding.HALF_UP), 3, IntType(8), lanes=2)
    >>> result.output("out")
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(1 + rescale_cycles(3, 2)):
    ...     simulation.step(x.matrix.stimulus([-1000, 104, 2000]) | {"x_valid": int(cycle == 0), "out_ready": 1})
    >>> simulation.inspect("out_valid"), result.matrix.read(simulation).tolist()
    (1, [-97, 13, 127])
    """
    matrix = x.matrix
    width = matrix.size if lanes is None else min(lanes, matrix.size)
    _check_rescale(name, matrix, factor, width)
    groups, stages = -(-matrix.size // width), rescale_latency()
    output = full_range(limits.bits, limits.signed) if isinstance(limits, IntType) else limits
    busy, valid = (pyrtl.Register(1, f"{name}_{part}", reset_value=0) for part in ("busy", "valid"))
    group = pyrtl.Register(groups.bit_length(), f"{name}_group", reset_value=0)
    ready = pyrtl.WireVector(1, f"{name}_ready")
    feeding = busy & (group != groups)
    arriving = delay_line(f"{name}_arriving", feeding, stages)[-1]
    complete = delay_line(f"{name}_complete", feeding & (group == groups - 1), stages)[-1]
    connect(x.ready, ~busy)
    group.next <<= pyrtl.select(x.transfer, 0, pyrtl.select(feeding, group + 1, group)[: len(group)])
    busy.next <<= x.transfer | (busy & ~(valid & ready))
    valid.next <<= complete | (valid & ~ready)

    values = shift_out(f"{name}_x", _in_groups(matrix, groups, width), x.transfer, feeding)
    constants = _rescale_constants(matrix, factor, zero_point, output)
    outputs = rescale_lanes(name, list(values), group, constants, IntType(*storage(output)))
    held = WireMatrix.registers(f"{name}_held", (groups, width), output)
    for g, lane in np.ndindex(groups, width):
        source = outputs[lane] if g == groups - 1 else held[g + 1, lane]
        held[g, lane].next <<= pyrtl.select(arriving, source, held[g, lane])
    result = WireMatrix.from_wires(name, held.array.ravel()[: matrix.size].reshape(matrix.shape), output)
    return MatrixChannel(result, valid, ready)


def rescale_cycles(size: int, lanes: int | None = None) -> int:
    """Cycles from the one in which `rescale` takes a matrix of `size` elements to the one in which the result is valid.

    >>> rescale_cycles(16), rescale_cycles(16, 4)
    (10, 13)
    """
    return -(-size // (lanes or size)) + rescale_latency() + 1


def _check_rescale(name: str, matrix: WireMatrix, factor: Rescale, lanes: int) -> None:
    if factor.channels > 1 and (not matrix.shape or matrix.shape[-1] != factor.channels):
        raise HardwareError(
            f"{factor.channels} multipliers for shape {list(matrix.shape)}",
            where=name,
            remedy="give one, or one for each element of the last axis",
        )
    if lanes < 1:
        raise HardwareError(f"{lanes} lanes rescale nothing", where=name, remedy="give at least one lane")


def _rescale_constants(matrix: WireMatrix, factor: Rescale, zero_point: int, output: Interval) -> RescaleConstants:
    """The narrowed rescale of every element; elements, not channels, are what the lanes count."""
    repeats = matrix.size // factor.channels if factor.channels > 1 else 1
    every = Rescale(factor.multipliers * repeats, factor.rounding)
    low, high = (np.full(matrix.size, end, np.int64) for end in (matrix.interval.low, matrix.interval.high))
    form = narrow(every, low[: every.channels], high[: every.channels], zero_point, output)
    return RescaleConstants(np.zeros(matrix.size, np.int64), form, low, high)


def _in_groups(matrix: WireMatrix, groups: int, lanes: int) -> WireMatrix:
    """The elements as signed numbers, `lanes` a row; what the last row lacks is zero."""
    bits = matrix.bits + (not matrix.signed)
    array = np.empty(groups * lanes, np.object_)
    wires = list(matrix)
    for position in range(len(array)):
        given = position < len(wires)
        array[position] = resize(wires[position], matrix.signed, bits) if given else constant(0, bits)
    interval = matrix.interval.union(Interval(0, 0))
    return WireMatrix(array.reshape(groups, lanes), bits, True, interval, matrix.name)


def _from_flat(
    name: str,
    shape: tuple[int, ...],
    interval: Interval,
    wires: list[pyrtl.WireVector],
) -> WireMatrix:
    """A matrix of existing wires, in row order, of the narrowest type that holds the interval."""
    array = np.empty(len(wires), np.object_)
    for position, wire in enumerate(wires):
        array[position] = wire
    return WireMatrix(array.reshape(shape), *storage(interval), interval, name)


def clamped(name: str, values: WireMatrix, limits: Interval) -> WireMatrix:
    """Every element limited to an interval; wires, no register."""
    bits, _ = storage(limits)
    return _from_flat(name, values.shape, limits, [_clamp(wire, values, limits, bits) for wire in values])


def _clamp(wire: pyrtl.WireVector, values: WireMatrix, limits: Interval, bits: int) -> pyrtl.WireVector:
    """Compare only with the limits that the values can pass."""
    result = resize(wire, values.signed, bits)
    for limit, below in ((limits.high, False), (limits.low, True)):
        if values.interval.low >= limits.low if below else values.interval.high <= limits.high:
            continue
        limit_bits, limit_signed = storage(Interval(limit, limit))
        edge = constant(limit, limit_bits)
        outside = (
            less_than(wire, values.signed, edge, limit_signed)
            if below
            else less_than(edge, limit_signed, wire, values.signed)
        )
        result = pyrtl.select(outside, constant(limit, bits), result)
    return result
