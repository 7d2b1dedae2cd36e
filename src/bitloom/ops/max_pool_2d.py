"""MAX_POOL_2D: the largest element of each window of an image, in each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.hw.reduce import Reduction
from bitloom.ir import Example, register
from bitloom.ir.operator import Array
from bitloom.ops.shared.pooling import ExamplePools, PoolOperator


@register
@dataclass(frozen=True)
class MaxPool2d(PoolOperator):
    """``clamp(max)`` over the elements of a window that are not padding.

    Source: LiteRT's reference kernels.
    """

    name = "max_pool_2d"
    tflite = ("MAX_POOL_2D",)
    summary = "largest element of windows, fused activation"

    reduction = Reduction.MAXIMUM

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, batch, height, width, channels)."""
        images = inputs[0]
        largest = self.reduced(images, np.maximum, np.iinfo(images.dtype).min)
        return (np.clip(largest.astype(np.int64), self.activation.low, self.activation.high),)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """See `ExamplePools`."""
        yield from ExamplePools(cls)
