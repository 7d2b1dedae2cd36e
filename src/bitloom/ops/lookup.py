"""A function of one small integer that a model defines through real numbers: its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import Example, Graph, Node, Quantization, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.table import Int64Array, TableOperator

_LARGEST_BITS = 16


@register
@dataclass(frozen=True)
class Lookup(TableOperator):
    """``y = entries[x - minimum]``.

    Activations of formats that define them in floating point (ONNX: dequantize, a chain of functions, quantize) are
    known completely by their values at every integer, which the front end computes as the format says.

    Attributes:
        entries: the result for every value of the input type, ascending.
    """

    name = "lookup"
    summary = "any function of one integer of up to 16 bits (12 in hardware), as its table (activations of ONNX)"

    entries: tuple[int, ...]

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        if self.input.bits > _LARGEST_BITS or len(self.entries) != 1 << self.input.bits:
            raise GraphError(f"a table of {len(self.entries)} entries for {self.input}")
        if not self.output.contains(min(self.entries), max(self.entries)):
            raise GraphError(f"a table of {min(self.entries)} to {max(self.entries)} for results of {self.output}")
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """The entries."""
        return self._entries[values - self.input.minimum]

    @cached_property
    def _entries(self) -> Int64Array:
        return np.array(self.entries, np.int64)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Both signednesses."""
        int8, uint8 = IntType(8), IntType(8, signed=False)
        yield _example("folded", int8, int8, tuple(max(value, -value - 1) for value in range(-128, 128)))
        yield _example("halves", uint8, int8, tuple(value // 2 - 64 for value in range(256)))
        yield _example("wide", IntType(10), int8, tuple(value // 5 for value in range(-512, 512)))
        yield _example("narrow", IntType(3), IntType(2, signed=False), (3, 2, 0, 1, 1, 0, 2, 3))
        yield _example("squares", int8, uint8, tuple(value * value // 65 for value in range(-128, 128)))


def _example(name: str, given: IntType, made: IntType, entries: tuple[int, ...]) -> Example:
    x = Value("x", TensorType((1, 2, 5), given, Quantization((0.1,), (0,))))
    y = Value("y", TensorType((1, 2, 5), made, Quantization((0.2,), (0,))))
    node = Node("lookup_0", Lookup(given, made, entries), ("x",), ("y",))
    return Example(f"lookup_{name}", Graph(f"lookup_{name}", ("x",), ("y",), (x, y), (node,)))
