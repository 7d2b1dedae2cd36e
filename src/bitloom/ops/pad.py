"""PAD and PADV2: a constant around a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.movement import (
    chosen_beats,
    dense_stream,
    in_beats,
    lane_foldings,
    merged,
    together,
    walk_logic,
)
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator, fifo_logic
from bitloom.errors import GraphError
from bitloom.hw.slice import LATENCY, Axis, insert
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.moving import (
    INT8,
    constant_integers,
    index_value,
    moved_example,
    require_moved,
    require_rank,
    require_same_quantization,
)

_ELEMENTS = ("int8", "uint8", "int16", "int32", "int64")
_MOST_AXES = 5


@register
@dataclass(frozen=True)
class Pad(StreamingOperator):
    """The operand with elements of one value before and after it along each axis.

    Attributes:
        before: how many indices along each axis.
        after: how many.
        value: of the elements put there: the result's zero point, unless the file says another.
    """

    name = "pad"
    tflite = ("PAD", "PADV2")
    summary = "a constant around a tensor"

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape and what is around it, the operand's type."""
        x = inputs[0].type
        if not len(self.before) == len(self.after) == len(x.shape) or min((*self.before, *self.after), default=0) < 0:
            raise GraphError(f"pad of shape {list(x.shape)} by {list(self.before)} and {list(self.after)}")
        if not x.integer.contains(self.value, self.value):
            raise GraphError(f"pad of {x.element} with {self.value}")
        shape = (length + low + high for length, low, high in zip(x.shape, self.before, self.after, strict=True))
        return ((tuple(shape), x.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        widths = ((0, 0), *zip(self.before, self.after, strict=True))
        return (np.pad(inputs[0], widths, constant_values=self.value),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """Beats of the constant between those of the operand."""
        x, y = operands[0].type, results[0].type
        axes = (
            Axis(made, range(low, low + given)) for given, made, low in zip(x.shape, y.shape, self.before, strict=True)
        )
        return PadCircuit(x.integer, x.shape, y.shape, merged(axes), self.value)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """As PAD if the value is the result's zero point, else as PADV2 with the value as a constant operand."""
        y = outputs[0].type
        operands = (*inputs, index_value("paddings", list(zip(self.before, self.after, strict=True))))
        if self.value == _zero_point(y):
            return SourceNode("PAD", {}, operands, tuple(outputs), self.name)
        value = Value("value", TensorType((), y.element, y.quantization), np.array(self.value, y.integer.dtype))
        return SourceNode("PADV2", {}, (*operands, value), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; what is put around must be constant."""
        x, y = source.operand(0), source.outputs[0]
        require_moved(source, x, y, _ELEMENTS)
        rank = len(x.type.shape)
        require_rank(source, x, _MOST_AXES, least=1)
        widths = constant_integers(source, 1, "paddings", length=2 * rank, elements=("int8", "int16", "int32", "int64"))
        value = _zero_point(y.type)
        given = source.optional(2)
        if given is not None:
            require_moved(source, x, given)
            (value,) = constant_integers(source, 2, "value", length=1, elements=_ELEMENTS)
            if x.type.integer.bits <= 16:
                require_same_quantization(source, given, y)
        return Lowered(cls(widths[::2], widths[1::2], value), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Images, channels, other values and types."""
        yield _example("image", (1, 3, 4, 2), [(0, 0), (1, 1), (1, 1), (0, 0)])
        yield _example("one_side", (1, 3, 4, 2), [(0, 0), (0, 1), (2, 0), (0, 0)])
        yield _example("channels", (1, 2, 3, 4), [(0, 0), (0, 0), (0, 0), (4, 8)])
        yield _example("every_axis", (2, 3, 2), [(1, 0), (0, 2), (3, 1)])
        yield _example("int32", (1, 5), [(0, 0), (2, 1)], element=IntType(32))
        yield _example("value", (1, 3, 2, 3), [(0, 0), (1, 2), (1, 1), (0, 0)], value=-128)
        yield _example("nothing", (1, 3, 2), [(0, 0), (0, 0), (0, 0)])


def _zero_point(tensor: TensorType) -> int:
    """As the kernel sees it: 0 without quantization, and for wide types, whatever that says."""
    quantization = tensor.quantization
    wide = tensor.integer.bits > 16
    return 0 if quantization is None or len(quantization.zero_points) != 1 or wide else quantization.zero_point


@dataclass(frozen=True)
class PadCircuit(StreamingCircuit):
    """Putting beats in.

    Attributes:
        element: what moves.
        given: shape of the operand.
        made: shape of the result.
        axes: a walk over the result; what it chooses comes from the operand.
        value: of the other elements.
    """

    element: IntType
    given: tuple[int, ...]
    made: tuple[int, ...]
    axes: tuple[Axis, ...]
    value: int

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide what moves together: the channels, where they are not padded."""
        return lane_foldings(together(self.axes))

    def estimate(self, folding: Folding) -> Estimate:
        """A beat in every cycle; counters and a FIFO."""
        bits = folding.simd * self.element.bits
        logic = walk_logic(in_beats(self.axes, folding.simd)) + fifo_logic(bits) + bits
        return Estimate(cycles=math.prod(self.made) // folding.simd, logic=logic)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of the operand's last axis."""
        return (dense_stream(self.element, self.given, folding.simd),)

    def output_type(self, folding: Folding) -> StreamType:
        """Rows of the result's last axis."""
        return dense_stream(self.element, self.made, folding.simd)

    def schedule(self, folding: Folding) -> Schedule:
        """A beat of the operand waits for itself, one of the constant for those before it and at least one."""
        taken = np.zeros(self.output_type(folding).beats, np.int64)
        taken[chosen_beats(in_beats(self.axes, folding.simd))] = 1
        return Schedule((np.maximum(np.cumsum(taken), 1),), LATENCY, on_demand=True)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.slice.insert`."""
        axes = in_beats(self.axes, folding.simd)
        return insert(name, streams[0], axes, self.value, self.output_type(folding), reset)


def _example(
    name: str,
    given: tuple[int, ...],
    widths: Sequence[tuple[int, int]],
    *,
    value: int | None = None,
    element: IntType = INT8,
) -> Example:
    made = tuple(length + low + high for length, (low, high) in zip(given, widths, strict=True))
    constants = [index_value("paddings", widths)]
    if value is not None:
        quantization = Quantization((0.1,), (3,))
        constants.append(Value("value", TensorType((), element, quantization), np.array(value, element.dtype)))
    kind = "PAD" if value is None else "PADV2"
    return moved_example(Pad, f"pad_{name}", kind, given, made, constants, element=element)
