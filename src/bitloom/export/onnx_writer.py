"""ONNX tensors for the values of a graph, in the axes that operators want, with and without their scale.

A value is a tensor of integers in the file. What computes with it reads it through DequantizeLinear, and what computes
it ends in QuantizeLinear. Images are channels last in the graph and channels first in the file: a value is kept in the
order in which it was made, and transposed only where an operator wants the other one, each time once.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType
from bitloom.errors import MissingExtraError, UnsupportedError
from bitloom.frontends.model import TensorView
from bitloom.ir import FloatType, Graph, Quantization, Value

Array = npt.NDArray[Any]

OPSET = 21
"""The operator set of the file: the first one with int4 and int16 in QuantizeLinear and DequantizeLinear."""

IR_VERSION = 10
"""The file format's version, which belongs to that operator set."""

TO_FIRST = (0, 3, 1, 2)
"""Axes of images, channels last, in the order of channels first."""

TO_LAST = (0, 2, 3, 1)
"""Axes of images, channels first, in the order of channels last."""

Label = str | Value
"""What something in the file is called: like a text, or as the value of the graph that it is."""

_WIDTHS = (4, 8, 16, 32)


def import_onnx() -> ModuleType:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtraError(
            "writing ONNX files needs the package onnx, which is not installed", remedy="pip install 'bitloom[onnx]'"
        ) from error


def container(element: IntType, *, constant: bool = False) -> IntType:
    """The narrowest type that ONNX has for integers of a type; only constants have 4 bits.

    Raises:
        UnsupportedError: more than 32 bits.
    """
    least = 4 if constant else 8
    for width in _WIDTHS:
        if width >= max(element.bits, least) and (width < 32 or element.signed):
            return IntType(width, element.signed)
    raise UnsupportedError(f"ONNX quantizes no {element}", remedy="quantize to at most 16 bits, or to int32")


class Writer:
    """The file so far.

    Attributes:
        onnx: the package.
        graph: that is written.
        nodes: of the file.
        constants: of the file.
        views: for each value of the graph, the tensor of the file it is, and how its elements lie there.
    """

    def __init__(self, graph: Graph) -> None:
        self.onnx = import_onnx()
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.views: dict[str, TensorView] = {}
        self.where = f"graph '{graph.name}'"
        self._taken = {value.name for value in graph.values}
        self._unclaimed = self._taken - set(graph.inputs)
        # Names of tensors by value and whether channels come first.
        self._integers: dict[tuple[str, bool], str] = {}
        self._reals: dict[tuple[str, bool, float], str] = {}
        # Shapes (images, height, width, channels) of values that are flattened images, by name.
        self._flattened: dict[str, tuple[int, ...]] = {}
        for name in graph.inputs:
            self.made(graph.value(name), name, first=False)

    def node(self, kind: str, inputs: Sequence[str], made: Label, **attributes: Any) -> str:
        """A node and its result's name."""
        name = self.free(made)
        node = self.onnx.helper.make_node(kind, list(inputs), [name], name=f"{kind}_{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        return name

    def constant(self, array: npt.ArrayLike, name: Label) -> str:
        """A constant of NumPy's own type."""
        held = self.free(name)
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array), held))
        return held

    def typed(self, array: Array, element: IntType, name: Label) -> str:
        """A constant of integers, of a type that ONNX has."""
        held = self.free(name)
        kind = getattr(self.onnx.TensorProto, str(element).upper())
        if element.bits >= 8:
            tensor = self.onnx.numpy_helper.from_array(array.astype(element.dtype), held)
        else:
            tensor = self.onnx.helper.make_tensor(held, kind, array.shape, array.reshape(-1).tolist())
        self.constants.append(tensor)
        return held

    def free(self, name: Label) -> str:
        """A name that nothing has: a value's own the first time it is asked for, else one like it."""
        if isinstance(name, Value):
            if name.name in self._unclaimed:
                self._unclaimed.remove(name.name)
                return name.name
            name = name.name
        made, number = name, 0
        while made in self._taken:
            number += 1
            made = f"{name}_{number}"
        self._taken.add(made)
        return made

    def quantization(self, value: Value) -> Quantization:
        """A value's scale and zero point.

        Raises:
            UnsupportedError: it has none, or several scales.
        """
        quantization = value.type.quantization
        if quantization is None or len(quantization.scales) != 1:
            raise UnsupportedError(
                f"tensor '{value.name}' has no scale, and ONNX computes with real numbers",
                where=self.where,
                remedy="give it one, or write a .bitloom file",
            )
        return quantization

    def is_first(self, value: Value) -> bool:
        """Whether it lies with channels first, and not also last."""
        return (value.name, True) in self._integers and (value.name, False) not in self._integers

    def flattened(self, value: Value) -> tuple[int, ...] | None:
        """The images, channels last, that a value is, flattened with channels first; None if it is none."""
        return self._flattened.get(value.name) if self.is_first(value) else None

    def integers(self, value: Value, *, first: bool = False) -> str:
        """The tensor of a value's integers, its images with channels first or last."""
        key = (value.name, first)
        if key not in self._integers:
            self._integers[key] = self._arranged(value, first=first)
        return self._integers[key]

    def _arranged(self, value: Value, *, first: bool) -> str:
        if value.is_constant:
            data = value.constant.transpose(TO_FIRST) if first else value.constant
            return self.typed(data, container(value.type.integer, constant=True), value)
        given = self._integers[value.name, not first]
        name: Label = f"{value.name}/channels_{'first' if first else 'last'}"
        if not first and value.name in self.graph.outputs:
            name = value
        if value.name not in self._flattened:
            return self.node("Transpose", [given], name, perm=TO_FIRST if first else TO_LAST)
        batch, height, width, channels = self._flattened[value.name]
        images = self.reshaped(given, (batch, channels, height, width), f"{value.name}/images")
        moved = self.node("Transpose", [images], f"{value.name}/images_last", perm=TO_LAST)
        return self.reshaped(moved, value.type.shape, name)

    def reshaped(self, given: str, shape: Sequence[int], name: Label) -> str:
        """A tensor in another shape."""
        return self.node("Reshape", [given, self.constant(np.array(shape, np.int64), f"{label(name)}/shape")], name)

    def reals(self, value: Value, *, first: bool = False, scale: float | None = None) -> str:
        """The tensor of a value's real numbers.

        Args:
            value: integers with a scale.
            first: whether images have their channels first.
            scale: another scale for them.
        """
        quantization = self.quantization(value)
        used = quantization.scale if scale is None else scale
        key = (value.name, first, used)
        if key not in self._reals:
            integers = self.integers(value, first=first)
            element = container(value.type.integer, constant=value.is_constant)
            self._reals[key] = self.dequantized(integers, [used], [quantization.zero_point], element)
        return self._reals[key]

    def dequantized(
        self, given: str, scales: Sequence[float], zero_points: Sequence[int], element: IntType, axis: int | None = None
    ) -> str:
        """Integers as real numbers, with one scale or one per index of an axis."""
        name = f"{given}/real"
        shaped = np.array(scales, np.float32) if axis is not None else np.float32(scales[0])
        points = np.array(zero_points, np.int64) if axis is not None else np.array(zero_points[0], np.int64)
        if not np.all(np.isfinite(shaped)) or not np.all(shaped > 0):
            raise UnsupportedError("a scale that is no positive binary32 number", where=self.where)
        operands = [given, self.constant(shaped, f"{given}/scale"), self.typed(points, element, f"{given}/zero_point")]
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", operands, name, **attributes)

    def give(self, value: Value, real: str, *, first: bool = False, clamp: Interval | None = None) -> None:
        """Round a tensor of real numbers to a value's integers.

        Args:
            value: what the node of the graph makes.
            real: the tensor.
            first: whether images have their channels first.
            clamp: of the integers; the type's range if None.
        """
        quantization, element = self.quantization(value), value.type.integer
        real = self.clamped(real, clamp or Interval(element.minimum, element.maximum), value)
        made = container(element)
        if made.bits > 16:
            raise UnsupportedError(f"ONNX's QuantizeLinear makes no {element}", where=self.where)
        name = self.name_of(value, first=first)
        operands = [
            real,
            self.constant(np.float32(quantization.scale), f"{value.name}/scale"),
            self.typed(np.array(quantization.zero_point), made, f"{value.name}/zero_point"),
        ]
        self.made(value, self.node("QuantizeLinear", operands, name), first=first)

    def clamped(self, real: str, clamp: Interval, value: Value) -> str:
        """Clipped to the reals of a range of integers, where that is narrower than what is saturated to anyway."""
        quantization, made = self.quantization(value), container(value.type.integer)
        low = None if clamp.low <= made.minimum else clamp.low
        high = None if clamp.high >= made.maximum else clamp.high
        if low is None and high is None:
            return real
        if low == quantization.zero_point and high is None:
            return self.node("Relu", [real], f"{value.name}/relu")
        ends = [
            ""
            if end is None
            else self.constant(
                np.float32((end - quantization.zero_point) * quantization.scale), f"{value.name}/clip_{side}"
            )
            for side, end in (("low", low), ("high", high))
        ]
        return self.node("Clip", [real, *ends] if high is not None else [real, ends[0]], f"{value.name}/clip")

    def name_of(self, value: Value, *, first: bool) -> Label:
        """Of the tensor that a value is made as: the value's own, unless an output has it that is transposed."""
        return f"{value.name}/channels_first" if first and value.name in self.graph.outputs else value

    def made(self, value: Value, name: str, *, first: bool = False, flattened: tuple[int, ...] | None = None) -> None:
        """Say that a tensor is a value.

        Args:
            value: of the graph.
            name: of the tensor.
            first: whether its channels are first.
            flattened: the images' shape, channels last, where they are flattened.
        """
        self._integers[value.name, first] = name
        shape = value.type.shape
        if flattened is not None:
            self._flattened[value.name] = flattened
            factors = tuple(flattened[axis] for axis in TO_FIRST)
            self.views[value.name] = TensorView(name, shape, factors, TO_LAST)
        elif first:
            lying = tuple(shape[axis] for axis in TO_FIRST)
            self.views[value.name] = TensorView(name, lying, lying, TO_LAST)
        else:
            self.views[value.name] = TensorView(name, shape, shape, tuple(range(len(shape))))

    def content(self) -> bytes:
        """The file."""
        helper, graph = self.onnx.helper, self.graph
        for name in graph.outputs:
            self.integers(graph.value(name))
        inputs, outputs = (
            [
                helper.make_tensor_value_info(name, self._kind(graph.value(name)), graph.type(name).shape)
                for name in ends
            ]
            for ends in (graph.inputs, graph.outputs)
        )
        made = helper.make_graph(self.nodes, graph.name, inputs, outputs, self.constants)
        model = helper.make_model(
            made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="bitloom"
        )
        written: bytes = model.SerializeToString(deterministic=True)
        return written

    def _kind(self, value: Value) -> int:
        """TensorProto's number of an input's or output's type."""
        element = value.type.element
        if isinstance(element, FloatType):
            return int(self.onnx.TensorProto.FLOAT)
        name = str(element if element.bits in (32, 64) else container(element)).upper()
        return int(getattr(self.onnx.TensorProto, name))


def label(name: Label) -> str:
    """As a text, for names of what belongs to it."""
    return name.name if isinstance(name, Value) else name


def images(value: Value) -> bool:
    """Whether a value has the four axes of images."""
    return len(value.type.shape) == 4


def elements(shape: Sequence[int]) -> int:
    """How many."""
    return math.prod(shape)
