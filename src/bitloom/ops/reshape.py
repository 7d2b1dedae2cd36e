"""RESHAPE: the same elements in the same order, in another shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.streaming import WiringOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph


@register
@dataclass(frozen=True)
class Reshape(WiringOperator):
    """The operand's elements, last index fastest, in another shape.

    Attributes:
        shape: of the result, of the operand's size.
    """

    name = "reshape"
    tflite = ("RESHAPE",)
    summary = "another shape, no arithmetic"

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The given shape, the operand's type."""
        given = inputs[0].type
        if math.prod(self.shape) != given.size or any(dimension < 1 for dimension in self.shape):
            raise GraphError(f"{given.size} elements of shape {list(given.shape)} do not fit shape {list(self.shape)}")
        return ((self.shape, given.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        return (inputs[0].reshape(inputs[0].shape[0], *self.shape),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the shape both as an option and as a constant operand, as converters write it."""
        operands = tuple(inputs)
        if self.shape:
            shape_type = TensorType((len(self.shape),), IntType(32))
            operands += (Value("shape", shape_type, np.array(self.shape, np.int32)),)
        return SourceNode("RESHAPE", {"new_shape": self.shape}, operands, tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; one dimension may be -1, for what is left."""
        x, shape = source.operand(0), source.optional(1)
        if shape is not None and not shape.is_constant:
            raise UnsupportedError(f"{source.kind} to a shape that is computed", where=source.where)
        if shape is not None and shape.type.element == IntType(32) and len(shape.type.shape) == 1:
            wanted = [int(dimension) for dimension in shape.constant]
        else:
            wanted = [int(dimension) for dimension in source.attributes.get("new_shape", ())]
            wanted = [] if wanted == [0] else wanted  # how old files say that the result is a scalar
        if wanted.count(-1) == 1:
            rest = math.prod(dimension for dimension in wanted if dimension != -1)
            wanted[wanted.index(-1)] = x.type.size // rest if rest else 0
        return Lowered(cls(tuple(wanted)), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Flattened, unflattened, through an option, to a scalar."""
        yield _example("flatten", (1, 3, 4, 2), (1, 24), (1, -1))
        yield _example("unflatten", (1, 24), (2, 3, 4), (2, 3, 4))
        yield _example("by_option", (2, 6), (3, 4), None)
        yield _example("scalar", (1, 1), (), None)


def _example(name: str, given: tuple[int, ...], made: tuple[int, ...], operand: tuple[int, ...] | None) -> Example:
    quantization = Quantization((0.1,), (3,))
    operands: list[Value | None] = [Value("x", TensorType(given, IntType(8), quantization))]
    if operand is not None:
        shape_type = TensorType((len(operand),), IntType(32))
        operands.append(Value("shape", shape_type, np.array(operand, np.int32)))
    y = Value("y", TensorType(made, IntType(8), quantization))
    attributes = {} if operand is not None else {"new_shape": made or (0,)}
    return example_graph(Reshape, f"reshape_{name}", "RESHAPE", operands, y, attributes)
