"""Operators that reduce axes of a tensor as it streams by: how axes become stages, their foldings, costs, circuit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pyrtl import WireVector

from bitloom.arith import Interval, IntType, Rescale, narrow
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import (
    Estimate,
    Folding,
    StreamingCircuit,
    accumulator_facts,
    lane_counts,
    product_logic,
)
from bitloom.hw.fifo import credit_fifo_size
from bitloom.hw.memory import ram_size, total_size
from bitloom.hw.reduce import Finish, ReduceShape, Reduction, reduce, reduce_fifo_depth, reduce_latency
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.rescale_form import whole_form
from bitloom.hw.stream import Stream, StreamType


@dataclass(frozen=True)
class Result:
    """What becomes of the reduced elements.

    Attributes:
        output: the result's type.
        clamp: in output integers.
        rescale: from a sum to the output, if the reduction is a sum.
        bias: added to the sum.
        zero_point: added to what is rescaled.
    """

    output: IntType
    clamp: Interval
    rescale: Rescale | None = None
    bias: int = 0
    zero_point: int = 0


def reduction_stages(shape: Sequence[int], axes: Iterable[int]) -> tuple[ReduceShape, ...]:
    """Neighbouring axes reduced together, the last ones first; each stage sees what the one before it leaves.

    >>> for stage in reduction_stages((1, 8, 7, 16), (1, 2)):
    ...     print(stage.outer, stage.reduced, stage.inner)
    1 56 16
    >>> for stage in reduction_stages((2, 3, 4, 5), (1, 3)):
    ...     print(stage.outer, stage.reduced, stage.inner)
    24 5 1
    2 3 4
    """
    reduced = set(axes)
    groups: list[tuple[int, bool]] = []
    for axis, size in enumerate(shape):
        if size > 1 and groups and groups[-1][1] == (axis in reduced):
            groups[-1] = (groups[-1][0] * size, groups[-1][1])
        elif size > 1:
            groups.append((size, axis in reduced))
    stages, inner = [], 1
    for position in reversed(range(len(groups))):
        size, gone = groups[position]
        if gone:
            stages.append(ReduceShape(math.prod(before for before, _ in groups[:position]), size, inner))
        else:
            inner *= size
    return tuple(stages) or (ReduceShape(1, 1, inner),)


@dataclass(frozen=True)
class ReductionCircuit(StreamingCircuit):
    """One reduction unit per group of neighbouring axes.

    Attributes:
        element: the operand's type.
        stages: with one lane each.
        reduction: sum or maximum.
        result: what becomes of it.
    """

    element: IntType
    stages: tuple[ReduceShape, ...]
    reduction: Reduction
    result: Result

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide the axis along which beats lie; the rescale with slices or without."""
        for lanes in lane_counts(self.stages[0].along):
            results = self._shapes(lanes)[-1].result_lanes
            yield Folding(simd=lanes, results=results, rescale_in_logic=True)
            if RescaledLane.of(self._constants, Folding()).slices:
                yield Folding(simd=lanes, results=results)

    def estimate(self, folding: Folding) -> Estimate:
        """One cycle per input beat."""
        shapes, results = self._shapes(folding.simd), folding.results
        depth = reduce_fifo_depth(shapes[-1], self._finish(folding))
        memories = [credit_fifo_size(depth, self.result.output.bits * results + 1, folding.fabric)]
        logic = 0
        for shape, bits in zip(shapes, self._bits, strict=True):
            if shape.words > 1:
                memories.append(ram_size(shape.words, bits * shape.result_lanes, folding.fabric))
            logic += stage_logic(shape, bits, self.reduction)
        blocks, kept = total_size(memories)
        rescaled = RescaledLane.of(self._constants, folding)
        return Estimate(
            cycles=shapes[0].cycles,
            other_multipliers=results * rescaled.slices,
            ram_blocks=blocks,
            logic=logic + kept + results * rescaled.logic,
        )

    def facts(self) -> Mapping[str, int]:
        """Range and width of what is reduced, before a rescale."""
        return accumulator_facts(self._sums)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of the axis along which beats lie."""
        return (self._shapes(folding.simd)[0].input_type(self.element),)

    def output_type(self, folding: Folding) -> StreamType:
        """See `bitloom.hw.reduce.ReduceShape`."""
        return self._shapes(folding.simd)[-1].output_type(self.result.output)

    def schedule(self, folding: Folding) -> Schedule:
        """Each result waits for its last element."""
        shapes = self._shapes(folding.simd)
        needed = results_needed(shapes[-1])
        for shape in reversed(shapes[:-1]):
            needed = results_needed(shape)[needed - 1]
        finishes = self._finishes(folding)
        latency = sum(reduce_latency(shape, finish) for shape, finish in zip(shapes, finishes, strict=True))
        return Schedule((needed,), latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.reduce.reduce`."""
        (stream,) = streams
        shapes = self._shapes(folding.simd)
        reached = Interval(self.element.minimum, self.element.maximum)
        for index, (shape, finish) in enumerate(zip(shapes, self._finishes(folding), strict=True)):
            stage = f"{name}_stage{index}" if len(shapes) > 1 else name
            stream = reduce(stage, stream, shape, self.reduction, finish, reset, elements=reached)
            reached = self.reduction.bounds(reached, shape.reduced)
        return stream

    def _shapes(self, lanes: int) -> tuple[ReduceShape, ...]:
        """The stages with lanes; one that reduces nothing keeps no partial results."""
        shapes = []
        for stage in self.stages:
            if stage.reduced == 1:
                shapes.append(ReduceShape(stage.outer * stage.inner // lanes, 1, lanes, lanes))
            else:
                shapes.append(ReduceShape(stage.outer, stage.reduced, stage.inner, lanes))
            lanes = shapes[-1].result_lanes
        return tuple(shapes)

    @cached_property
    def _bits(self) -> tuple[int, ...]:
        """Signed width of each stage's results."""
        reached, bits = Interval(self.element.minimum, self.element.maximum), []
        for stage in self.stages:
            reached = self.reduction.bounds(reached, stage.reduced)
            bits.append(reached.signed_bits)
        return tuple(bits)

    @property
    def _sums(self) -> Interval:
        count = math.prod(stage.reduced for stage in self.stages)
        return self.reduction.bounds(Interval(self.element.minimum, self.element.maximum), count)

    @cached_property
    def _constants(self) -> RescaleConstants | None:
        """Of one lane."""
        result = self.result
        if result.rescale is None:
            return None
        low, high = (np.array([end + result.bias]) for end in (self._sums.low, self._sums.high))
        narrowed = narrow(result.rescale, low, high, result.zero_point, result.clamp)
        return RescaleConstants(np.array([result.bias]), narrowed, low, high)

    def _finish(self, folding: Folding) -> Finish:
        """Of the last stage."""
        result = self.result
        if self._constants is not None:
            constants = self._constants.of_channels([0] * folding.results)
            return Finish(result.output, None, constants, folding.rescale_in_logic, folding.fabric)
        whole = Interval(result.output.minimum, result.output.maximum)
        bounds = None if result.clamp == whole else result.clamp
        return Finish(result.output, bounds=bounds, binary32=self._binary32)

    @property
    def _binary32(self) -> bool:
        return self.reduction is Reduction.BINARY32_SUM

    def _finishes(self, folding: Folding) -> tuple[Finish, ...]:
        before = (Finish(IntType(bits), binary32=self._binary32) for bits in self._bits[:-1])
        return (*before, self._finish(folding))


@dataclass(frozen=True)
class RescaledLane:
    """What rescaling one lane costs.

    Attributes:
        slices: multiplier slices.
        logic: look-up tables.
    """

    slices: int = 0
    logic: int = 0

    @classmethod
    def of(cls, constants: RescaleConstants | None, folding: Folding) -> RescaledLane:
        """With or without slices, as the folding says; nothing where nothing is rescaled."""
        if constants is None:
            return cls()
        form = whole_form(constants, folding.fabric, in_logic=folding.rescale_in_logic)
        adders = product_logic(form.bits, form.multipliers) if folding.rescale_in_logic else 0
        return cls(form.slices, form.logic + adders)


def stage_logic(shape: ReduceShape, bits: int, reduction: Reduction) -> int:
    """Look-up tables of a reduction but those of its memory: counters, and the adders or comparisons of its lanes.

    Fitted to Yosys 0.70 on xc7: an adder is a table per bit, a maximum takes half as many for its comparison, rounding
    to 24 bits twice as many.
    """
    tree = (shape.lanes - 1) * (bits + shape.tree_levels) if shape.inner == 1 else 0
    tables = tree + shape.reduced_lanes * bits
    quarters = {Reduction.SUM: 4, Reduction.MAXIMUM: 7, Reduction.BINARY32_SUM: 12}
    return 30 + tables * quarters[reduction] // 4


def results_needed(shape: ReduceShape) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each output beat of a reduction, how many input beats it waits for."""
    outer, word = np.divmod(np.arange(shape.outer * shape.words, dtype=np.int64), shape.words)
    needed: np.ndarray[tuple[int], np.dtype[np.int64]] = (
        (outer + 1) * shape.steps * shape.words - shape.words + word + 1
    )
    return needed
