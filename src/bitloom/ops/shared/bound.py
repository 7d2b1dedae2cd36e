"""What MAXIMUM and MINIMUM with one number share: each element compared with it, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value
from bitloom.ops.shared.support import example_graph, require_kinds
from bitloom.ops.shared.table import TableOperator


@dataclass(frozen=True)
class BoundOperator(TableOperator):
    """Every element or a number, whichever an operator takes of the two.

    The kernels compare the integers as they are, whatever their scales; converters give all of them one scale.

    Attributes:
        bound: the number.
    """

    bound: int

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the number as a constant operand."""
        bound = Value("bound", replace(inputs[0].type, shape=()), np.array(self.bound))
        return SourceNode(self.tflite[0], {}, (*inputs, bound), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node, of which either operand is constant.

        Raises:
            UnsupportedError: two tensors, a constant of several numbers, or one of more elements than the tensor.
        """
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8"), ("int16", "int16")])
        operands = [source.operand(0), source.operand(1)]
        moving = [value for value in operands if not value.is_constant]
        numbers = [np.unique(value.constant) for value in operands if value.is_constant]
        if len(moving) != 1 or len(numbers[0]) != 1:
            raise UnsupportedError(
                f"{source.kind} of a tensor and one number is supported, not of two tensors or several numbers",
                where=source.where,
            )
        x, result = moving[0], source.outputs[0]
        if x.type.shape != result.type.shape:
            raise UnsupportedError(f"{source.kind} with a constant larger than the tensor", where=source.where)
        return Lowered(cls(x.type.integer, result.type.integer, int(numbers[0][0])), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Bounds inside and at an end, either operand constant, a constant of equal numbers."""
        int8 = IntType(8)
        yield _example(cls, "inside", int8, np.array(-17), 0)
        yield _example(cls, "end", int8, np.array([127]), 0)
        yield _example(cls, "constant_first", int8, np.array([[[30]]]), 1)
        yield _example(cls, "equal_numbers", int8, np.full(5, 9), 0)
        yield _example(cls, "uint8", IntType(8, signed=False), np.array(200), 0)


def _example(operator: type[BoundOperator], name: str, element: IntType, number: np.ndarray, position: int) -> Example:
    quantization = Quantization((0.04,), (5,))
    x = Value("x", TensorType((1, 3, 5), element, quantization))
    y = Value("y", TensorType((1, 3, 5), element, quantization))
    bound = Value("bound", TensorType(number.shape, element, quantization), number)
    operands = [bound, x] if position else [x, bound]
    return example_graph(operator, f"{operator.name}_{name}", operator.tflite[0], operands, y)
