"""Nodes of a graph made one after the other, with tensors brought into the layout that an operator needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.frontends.model import TensorView
from bitloom.frontends.onnx.values import CHANNELS_LAST, Bounds, Computed, Dequantized, Scale, Tensor
from bitloom.ir import Node, Operator, Quantization, TensorType, Value
from bitloom.ops.concatenation import Concatenation
from bitloom.ops.lookup import Lookup
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.requantize import Requantize
from bitloom.ops.strided_slice import StridedSlice
from bitloom.ops.transpose import Transpose

Array = npt.NDArray[Any]


class GraphBuilder:
    """The values and nodes so far.

    Attributes:
        values: by name.
        nodes: in order.
        views: for each value that is a tensor of the file, which, and how its elements lie.
        where: the place in the file that nodes come from.
    """

    def __init__(self, where: str) -> None:
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.views: dict[str, TensorView] = {}
        self.where = where
        self._made: dict[tuple[int, Scale], tuple[Computed, Tensor]] = {}

    def made(self, computed: Computed, scale: Scale, name: str) -> Tensor:
        """A result with a scale, computed once however many read it so."""
        key = (id(computed), scale)
        if key not in self._made:
            # The result itself is kept, so that no other gets its identity.
            self._made[key] = computed, computed.make(scale, computed.bounds, name)
        return self._made[key][1]

    def sums(self, computed: Computed, name: str) -> Tensor:
        """The integers of ConvInteger or MatMulInteger themselves."""
        return self.made(computed, Scale(computed.scale or 1.0, 0, IntType(32)), name)

    def add(self, value: Value) -> Value:
        """A value that no node makes."""
        self.values[value.name] = value
        return value

    def constant(self, name: str, data: Array, element: IntType, quantization: Quantization | None = None) -> Value:
        """A constant value."""
        lying = np.asarray(data).astype(element.dtype)
        return self.add(Value(self._free(name), TensorType(lying.shape, element, quantization), lying))

    def node(self, operator: Operator, operands: Sequence[Value], name: str, scale: Scale | None = None) -> Value:
        """A node and the value it makes."""
        ((shape, element),) = operator.infer(operands)
        quantization = scale.quantization if scale else None
        value = self.add(Value(self._free(name), TensorType(shape, element, quantization)))
        inputs = tuple(operand.name for operand in operands)
        node_name = f"{operator.name}_{len(self.nodes)}"
        self.nodes.append(Node(node_name, operator, inputs, (value.name,), source=self.where))
        return value

    def quantized(self, value: Value, quantization: Quantization) -> Value:
        """A value made before, with a scale."""
        return self.add(replace(value, type=replace(value.type, quantization=quantization)))

    def scaled(self, tensor: Tensor, scale: Scale) -> Tensor:
        """Integers whose scale is told only where they are read."""
        value = self.values.get(tensor.value.name)
        if value is None or value.type.quantization is not None:
            return tensor
        return replace(tensor, value=self.quantized(value, scale.quantization))

    def named(self, tensor: Tensor, name: str) -> Tensor:
        """The same, known to be the file's tensor of that name."""
        self.views.setdefault(tensor.value.name, TensorView(name, tensor.shape, tensor.factors, tensor.order))
        return tensor

    def plain(self, tensor: Tensor) -> Tensor:
        """With the elements in ONNX's order."""
        value = tensor.value
        if tensor.is_plain:
            return tensor
        if tensor.order != tuple(range(len(tensor.order))):
            lying = tuple(tensor.factors[axis] for axis in tensor.order)
            value = self._transposed(self.shaped(value, lying), tuple(np.argsort(tensor.order).tolist()))
        return Tensor.plain(self.shaped(value, tensor.shape))

    def permuted(self, tensor: Tensor) -> Tensor:
        """With a value that has ONNX's axes, in some order."""
        return tensor if tensor.permuted else self.plain(tensor)

    def arranged(self, tensor: Tensor, order: tuple[int, ...]) -> Tensor:
        """With ONNX's axes in an order."""
        tensor = self.permuted(tensor)
        if tensor.order == order:
            return tensor
        inverse = np.argsort(tensor.order).tolist()
        value = self._transposed(tensor.value, tuple(inverse[axis] for axis in order))
        return Tensor(value, tensor.shape, tensor.shape, order)

    def images(self, tensor: Tensor) -> Tensor:
        """With channels last.

        Raises:
            UnsupportedError: not four axes.
        """
        if len(tensor.shape) != 4:
            raise UnsupportedError(
                f"takes images of four axes, and these have shape {list(tensor.shape)}", where=self.where
            )
        return self.arranged(tensor, CHANNELS_LAST)

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        """ONNX's Reshape; where it flattens images, nothing moves, and the order is remembered."""
        flat = (tensor.shape[0], tensor.value.type.size // tensor.shape[0]) if tensor.shape else ()
        if shape == flat and len(tensor.order) > 1 and tensor.order[0] == 0 and tensor.factors[:1] == shape[:1]:
            return Tensor(self.shaped(tensor.value, shape, name), shape, tensor.factors, tensor.order)
        return Tensor.plain(self.shaped(self.plain(tensor).value, shape, name))

    def transposed(self, tensor: Tensor, permutation: tuple[int, ...]) -> Tensor:
        """ONNX's Transpose: nothing moves, the axes get other names."""
        tensor = self.permuted(tensor)
        shape = tuple(tensor.shape[axis] for axis in permutation)
        inverse = np.argsort(permutation).tolist()
        return Tensor(tensor.value, shape, shape, tuple(inverse[axis] for axis in tensor.order))

    def sliced(self, tensor: Tensor, parts: Mapping[int, range], name: str) -> Tensor:
        """Some indices along some of ONNX's axes.

        Raises:
            UnsupportedError: no element is left.
        """
        lying = self.permuted(tensor)
        chosen = [parts.get(axis, range(lying.shape[axis])) for axis in lying.order]
        size = tuple(len(part) for part in chosen)
        if min(size, default=1) < 1:
            raise UnsupportedError("makes a tensor without elements", where=self.where)
        shape = tuple(len(parts[axis]) if axis in parts else length for axis, length in enumerate(lying.shape))
        if shape == lying.shape and all(part.step == 1 for part in chosen):
            return lying
        operator = StridedSlice(tuple(part.start for part in chosen), size, tuple(part.step for part in chosen), size)
        return Tensor(self.like(operator, lying.value, name), shape, shape, lying.order)

    def concatenated(self, tensors: Sequence[Tensor], axis: int, name: str, made: Scale | None = None) -> Tensor:
        """One after the other along one of ONNX's axes."""
        order = tensors[0].order if tensors[0].permuted else tuple(range(len(tensors[0].shape)))
        arranged = [self.arranged(tensor, order) for tensor in tensors]
        operator = Concatenation(order.index(axis % len(order)))
        value = self.node(operator, [tensor.value for tensor in arranged], name, made)
        shape = tuple(np.array(value.type.shape)[np.argsort(order)].tolist())
        return Tensor(value, shape, shape, order)

    def table(self, given: Dequantized, made: Scale, name: str) -> Tensor:
        """Functions of each integer alone, or another scale: a table, filled as the format says."""
        if not given.functions and given.scale == made:
            return given.tensor
        element, tensor = given.tensor.value.type.integer, given.tensor
        if element.bits > 8 and not given.functions:
            rescale = Rescale((given.scale.scale / made.scale,), Rounding.HALF_EVEN)
            wide = Requantize(element, made.element, given.scale.zero_point, made.zero_point, rescale)
            return replace(tensor, value=self.node(wide, [tensor.value], name, made))
        if element.bits > 8:
            raise UnsupportedError(
                f"functions of {element}; supported: 8 bits", where=self.where, remedy="quantize it to int8 or uint8"
            )
        reals = given.scale.reals(np.arange(element.minimum, element.maximum + 1))
        with np.errstate(all="ignore"):
            for function in given.functions:
                reals = function(reals)
        if not np.isfinite(reals).all():
            raise UnsupportedError("a function that is not finite for every input integer", where=self.where)
        operator = Lookup(element, made.element, tuple(made.integers(reals.astype(np.float32)).tolist()))
        return replace(tensor, value=self.node(operator, [tensor.value], name, made))

    def clamped(self, tensor: Tensor, scale: Scale, bounds: Bounds, name: str) -> Tensor:
        """Behind operators that have no clamp of their own."""
        clamp = scale.clamp(bounds)
        if clamp.low <= scale.element.minimum and clamp.high >= scale.element.maximum:
            return tensor
        entries = np.arange(scale.element.minimum, scale.element.maximum + 1).clip(clamp.low, clamp.high)
        operator = Lookup(scale.element, scale.element, tuple(entries.tolist()))
        value = self.node(operator, [tensor.value], f"{name}_clamped", scale)
        return Tensor(value, tensor.shape, tensor.factors, tensor.order)

    def _transposed(self, value: Value, permutation: tuple[int, ...]) -> Value:
        shape = value.type.shape
        moving = [axis for axis in permutation if shape[axis] > 1]
        if moving == sorted(moving):
            return self.shaped(value, tuple(shape[axis] for axis in permutation))
        return self.like(Transpose(permutation), value, f"{value.name}_transposed")

    def shaped(self, value: Value, shape: tuple[int, ...], name: str | None = None) -> Value:
        """Elements in the same order in another shape."""
        return value if value.type.shape == shape else self.like(Reshape(shape), value, name or f"{value.name}_shaped")

    def like(self, operator: Operator, value: Value, name: str) -> Value:
        """A node whose result has its operand's scale."""
        quantization = value.type.quantization
        scale = Scale(quantization.scale, quantization.zero_point, value.type.integer) if quantization else None
        return self.node(operator, [value], name, scale)

    def _free(self, name: str) -> str:
        while name in self.values:
            name += "_"
        return name
