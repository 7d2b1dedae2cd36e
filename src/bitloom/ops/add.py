"""ADD: the sum of two tensors, or of a tensor and a constant."""

from __future__ import annotations

from dataclasses import dataclass

from bitloom.ir import register
from bitloom.ops.shared.sums import SumOperator


@register
@dataclass(frozen=True)
class Add(SumOperator):
    """The sum; see `SumOperator`."""

    name = "add"
    tflite = ("ADD",)
    summary = "sum of tensors and constants, broadcast, fused activation"
    sign = 1
