"""Functions of two integers, element by element, after the shapes have been broadcast to one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType
from bitloom.circuits.exact_pairs import ExactCircuit
from bitloom.circuits.pairs import SingleTableCircuit
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.exact_pairs import ExactProduct, ExactSum
from bitloom.ir import Cost, Example, Quantization, SourceNode, TensorType, Value
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, random_integers, require_element

Int64Array = npt.NDArray[np.int64]

_LARGEST_RANK = 6
_TABLE_BITS = 8


@dataclass(frozen=True)
class PairOperator(StreamingOperator):
    """``z = f(x, y)`` for each pair of elements alone; shapes broadcast as NumPy's.

    Attributes:
        left: the type of x.
        right: the type of y.
        output: the type of z.
        constant: which operand is constant, 0 or 1; None if neither is.
    """

    left: IntType
    right: IntType
    output: IntType
    constant: int | None

    @abstractmethod
    def function(self, left: Int64Array, right: Int64Array) -> Int64Array:
        """f, for values of the operands' types, of shapes that broadcast; the results are values of the output type."""

    @property
    def types(self) -> tuple[IntType, IntType]:
        """Of the operands."""
        return self.left, self.right

    @cached_property
    def pairs(self) -> Int64Array:
        """f of every pair of values of up to 8 bits, int64, both axes in ascending order."""
        return self.function(every_value(self.left)[:, None], every_value(self.right))

    @cached_property
    def _lookup(self) -> Array:
        """f of every pair, at the address made of both bytes, the left one on top; what is no value is never read."""
        patterns = np.arange(256, dtype=np.uint8)
        order = [
            np.clip(patterns.view(type.dtype).astype(np.int64) - type.minimum, 0, (1 << type.bits) - 1)
            for type in self.types
        ]
        return self.pairs[np.ix_(*order)].astype(self.output.dtype).reshape(-1)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The shape that both broadcast to, the output type."""
        if len(inputs) != 2:
            raise GraphError(f"{self.name} has two operands, not {len(inputs)}")
        for value, element in zip(inputs, self.types, strict=True):
            require_element(value, element)
        constants = [position for position, value in enumerate(inputs) if value.is_constant]
        if constants != ([] if self.constant is None else [self.constant]):
            raise GraphError(f"{self.name} was made for constant operands {self.constant}, these are {constants}")
        return ((broadcast_shape([value.type for value in inputs]), self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape), y likewise, a constant operand without the axis of inferences."""
        ranks = [array.ndim - (position != self.constant) for position, array in enumerate(inputs)]
        left = _aligned(inputs[0], ranks[0], max(ranks)).astype(self.left.dtype, copy=False)
        right = _aligned(inputs[1], ranks[1], max(ranks)).astype(self.right.dtype, copy=False)
        if max(self.left.bits, self.right.bits) > _TABLE_BITS:
            return (self.function(left.astype(np.int64), right.astype(np.int64)).astype(self.output.dtype),)
        address = (left.view(np.uint8).astype(np.uint16) << np.uint16(8)) | right.view(np.uint8)
        return (self._lookup[address],)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """A table where the constant is one number; integer arithmetic where it is that; else what is for 8-bit pairs.

        Raises:
            UnsupportedError: operands wider than 8 bits, of what is not integer arithmetic.
        """
        left, right = operands
        exact = self.exact_numbers()
        wide = max(self.left.bits, self.right.bits) > _TABLE_BITS
        if wide and exact is None:
            raise UnsupportedError(
                f"{self.name} of {self.left} has no hardware: {_TABLE_BITS} bits are the limit",
                remedy="quantize the model to int8 activations",
            )
        if not wide and self.constant is not None and len(np.unique(operands[self.constant].constant)) == 1:
            number = operands[self.constant].constant.reshape(-1)[:1]
            rest = every_value(self.types[1 - self.constant])
            table = self.function(rest, number) if self.constant == 1 else self.function(number, rest)
            return SingleTableCircuit((left, right), results[0].type.shape, self.output, table)
        if exact is not None:
            return ExactCircuit((left, right), results[0].type.shape, self.output, exact)
        return self.pair_circuit(left, right, results[0].type.shape)

    def exact_numbers(self) -> ExactSum | ExactProduct | None:
        """The operator as integers that are scaled by integers, added or multiplied, and rounded once; None if not."""
        return None

    @abstractmethod
    def pair_circuit(self, left: Value, right: Value, shape: tuple[int, ...]) -> StreamingCircuit:
        """The circuit for 8-bit operands and a result of this shape."""

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """Constants; what multiplies says so itself."""
        return Cost(parameters=sum(value.type.size for value in inputs if value.is_constant))


def _aligned(array: Array, rank: int, wanted: int) -> Array:
    """With ones between the axis of inferences (of which constants have none) and the `rank` axes of the shape."""
    inferences = array.shape[: array.ndim - rank] or (1,)
    return array.reshape(*inferences, *(1,) * (wanted - rank), *array.shape[array.ndim - rank :])


def occurring(value: Value) -> Int64Array:
    """The values that an operand can have, ascending: those of a constant, or all of its type."""
    return np.unique(value.constant) if value.is_constant else every_value(value.type.integer)


def spread(values: Int64Array, entries: Int64Array, element: IntType) -> Int64Array:
    """A table for every value of a type, of entries for some values."""
    table = np.zeros(1 << element.bits, np.int64)
    table[values - element.minimum] = entries
    return table


def every_value(element: IntType) -> Int64Array:
    """All values of a type, ascending."""
    return np.arange(element.minimum, element.maximum + 1, dtype=np.int64)


def product_range(left: IntType, left_zero_point: int, right: IntType, right_zero_point: int) -> Interval:
    """Of ``(x - zx) * (y - zy)``."""
    ends = [
        (x - left_zero_point) * (y - right_zero_point)
        for x in (left.minimum, left.maximum)
        for y in (right.minimum, right.maximum)
    ]
    return Interval(min(ends), max(ends))


def broadcast_shape(operands: Sequence[TensorType]) -> tuple[int, ...]:
    """The shape that all operands broadcast to.

    Raises:
        GraphError: there is none.
        UnsupportedError: it has more dimensions than the reference kernels take.
    """
    shapes = [operand.shape for operand in operands]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise GraphError(f"shapes {' and '.join(str(list(each)) for each in shapes)} do not broadcast") from error
    if len(shape) > _LARGEST_RANK and len(set(shapes)) > 1:
        raise UnsupportedError(
            f"broadcasting to {len(shape)} dimensions; the reference kernel has at most {_LARGEST_RANK}"
        )
    return tuple(shape)


def pair_operands(source: SourceNode, kinds: Sequence[str]) -> tuple[Value, Value, int | None]:
    """Both operands of a node whose operands and result have one type, and which of them is constant.

    Raises:
        UnsupportedError: other types, or types that differ.
    """
    left, right = source.operand(0), source.operand(1)
    found = [str(value.type.element) for value in (left, right, source.outputs[0])]
    if len(set(found)) > 1 or found[0] not in kinds:
        raise UnsupportedError(
            f"{source.kind} of {found[0]} and {found[1]} to {found[2]}; supported: {', '.join(kinds)}, all of one type",
            where=source.where,
        )
    if found[0] == "int16" and any(
        value.type.required_quantization.zero_point for value in (left, right, source.outputs[0])
    ):
        raise UnsupportedError(f"{source.kind} of int16 with a zero point that is not 0", where=source.where)
    constants = [position for position, value in enumerate((left, right)) if value.is_constant]
    return left, right, constants[0] if len(constants) == 1 else None


def pair_example(
    operator: type[PairOperator],
    name: str,
    left: tuple[tuple[int, ...], tuple[float, int]],
    right: tuple[tuple[int, ...], tuple[float, int]] | None,
    made: tuple[float, int],
    *,
    constant: int | None = None,
    activation: str = "NONE",
    element: IntType = IntType(8),  # noqa: B008 - immutable
) -> Example:
    """One node.

    Args:
        operator: the operator shown.
        name: of the example.
        left: shape, and scale and zero point, of the first operand.
        right: of the second; None to use the first twice.
        made: scale and zero point of the result.
        constant: which operand is constant.
        activation: fused.
        element: of all three.
    """
    operands: list[Value] = []
    for position, given in enumerate((left, right)):
        if given is None:
            operands.append(operands[0])
            continue
        shape, (scale, zero_point) = given
        data = random_integers(shape, element.minimum, element.maximum, 21) if position == constant else None
        operands.append(Value("xy"[position], _quantized(shape, element, scale, zero_point), data))
    shape = broadcast_shape([value.type for value in operands])
    # Options that an operator lacks are ignored by its lowering.
    attributes = {"fused_activation_function": activation, "pot_scale_int16": False}
    result = Value("z", _quantized(shape, element, *made))
    return example_graph(operator, name, operator.tflite[0], operands, result, attributes)


def _quantized(shape: tuple[int, ...], element: IntType, scale: float, zero_point: int) -> TensorType:
    return TensorType(shape, element, Quantization((scale,), (zero_point,)))
