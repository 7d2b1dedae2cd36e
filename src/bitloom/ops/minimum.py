"""MINIMUM with one number: the smaller of it and each element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitloom.ir import register
from bitloom.ops.shared.bound import BoundOperator
from bitloom.ops.shared.table import Int64Array


@register
@dataclass(frozen=True)
class Minimum(BoundOperator):
    """``minimum(x, bound)``.

    Source: LiteRT's reference kernel of MINIMUM.
    """

    name = "minimum"
    tflite = ("MINIMUM",)
    summary = "the smaller of each element and one number, a table of 256 entries"

    def function(self, values: Int64Array) -> Int64Array:
        """The smaller of the two."""
        return np.minimum(values, self.bound)
