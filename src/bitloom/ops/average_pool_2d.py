"""AVERAGE_POOL_2D: the mean of each window of an image, in each channel, padding not counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Rescale
from bitloom.arith.division import Division, divide
from bitloom.errors import UnsupportedError
from bitloom.hw.reduce import Reduction
from bitloom.ir import Example, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.pooling import ExamplePools, PoolOperator


@register
@dataclass(frozen=True)
class AveragePool2d(PoolOperator):
    """``clamp(round(sum / n))`` over the n elements of a window that are not padding, halves away from zero.

    Source: LiteRT's reference kernels: ``(sum + n / 2) / n`` for a positive sum, ``(sum - n / 2) / n`` otherwise, both
    divisions cutting off, which for every n is rounding to nearest with halves away from zero.
    """

    name = "average_pool_2d"
    tflite = ("AVERAGE_POOL_2D",)
    summary = "mean of windows, padding not counted, fused activation"

    reduction = Reduction.SUM

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """See `PoolOperator.infer`."""
        inferred = super().infer(inputs)
        element = inputs[0].type.integer
        height, width = self.windows(inputs[0].type.shape)
        terms = int(height.counts.max() * width.counts.max())
        if terms * max(-element.minimum, element.maximum) + terms // 2 >= 2**31:
            raise UnsupportedError(f"sums of {terms} elements of {element} leave int32, as in the reference kernel")
        return inferred

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, batch, height, width, channels)."""
        height, width = self.windows(inputs[0].shape[1:])
        counts = np.outer(height.counts, width.counts).astype(np.int32)[..., None]
        sums = self.reduced(inputs[0].astype(np.int32), np.add, 0)
        return (np.clip(divide(sums, counts), self.activation.low, self.activation.high),)

    def rescale(self, counts: Sequence[int]) -> Rescale | None:
        """Division; none where windows have one element."""
        return Division.by(*counts) if max(counts) > 1 else None

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """See `ExamplePools`."""
        yield from ExamplePools(cls)
