"""MAXIMUM with one number: the larger of it and each element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitloom.ir import register
from bitloom.ops.shared.bound import BoundOperator
from bitloom.ops.shared.table import Int64Array


@register
@dataclass(frozen=True)
class Maximum(BoundOperator):
    """``maximum(x, bound)``.

    Source: LiteRT's reference kernel of MAXIMUM.
    """

    name = "maximum"
    tflite = ("MAXIMUM",)
    summary = "the larger of each element and one number, a table of 256 entries"

    def function(self, values: Int64Array) -> Int64Array:
        """The larger of the two."""
        return np.maximum(values, self.bound)
