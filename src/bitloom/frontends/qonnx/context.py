"""A node of a QONNX file, what its operands mean, and constants seen along one axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.file import OnnxNode
from bitloom.frontends.onnx.values import Tensor
from bitloom.frontends.qonnx.values import Known, Meaning, Reals, Step
from bitloom.ops.dequantize_steps import SOFTMAX


@dataclass(frozen=True)
class QonnxContext:
    """A node, and what its operands mean.

    Attributes:
        node: of the file.
        builder: of the graph.
        meanings: of everything read so far.
        opset: version of ONNX's own operators.
        ends: names of the file's outputs, which are reals.
    """

    node: OnnxNode
    builder: GraphBuilder
    meanings: Mapping[str, Meaning]
    opset: int
    ends: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Of the result."""
        return self.node.outputs[0]

    @property
    def label(self) -> str:
        """Of the integers that the result is made of: the reals of an output have the file's name."""
        return f"{self.name}_integers" if self.name in self.ends else self.name

    def text(self, name: str, default: str) -> str:
        """An attribute that is text."""
        found = self.node.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        return int(self.node.attributes.get(name, default))

    def optional(self, index: int) -> Meaning | None:
        """An operand that may be absent."""
        if index >= len(self.node.inputs) or not self.node.inputs[index]:
            return None
        if self.node.inputs[index] not in self.meanings:
            raise ModelFormatError(f"reads '{self.node.inputs[index]}' before anything makes it")
        return self.meanings[self.node.inputs[index]]

    def operand(self, index: int) -> Meaning:
        """An operand that must be there."""
        found = self.optional(index)
        if found is None:
            raise ModelFormatError(f"lacks its operand {index}")
        return found

    def reals(self, index: int = 0) -> Reals:
        """An operand that is computed."""
        found = self.operand(index)
        if not isinstance(found, Reals):
            what = "a constant" if isinstance(found, Known) else "integers"
            raise UnsupportedError(f"reads {what} as its operand '{self.node.inputs[index]}'")
        if any(step.kind == SOFTMAX for step in found.steps):
            raise UnsupportedError(
                f"reads '{self.node.inputs[index]}' behind a Softmax, which software computes, where a network ends",
                remedy="end the model in front of the Softmax; the index of the largest is the same there",
            )
        return found

    def array(self, index: int) -> npt.NDArray[Any]:
        """A constant operand."""
        found = self.operand(index)
        if not isinstance(found, Known):
            raise UnsupportedError(
                f"has the computed operand '{self.node.inputs[index]}', which depends on data",
                remedy="export the model again with constants there",
            )
        return found.array

    def attribute_or_array(self, name: str, index: int) -> npt.NDArray[Any] | None:
        """What older operator sets have as an attribute, and newer ones as an operand."""
        if name in self.node.attributes:
            return np.asarray(self.node.attributes[name])
        return None if self.optional(index) is None else self.array(index)

    def along(self, x: Reals, array: npt.NDArray[Any], what: str) -> tuple[Reals, npt.NDArray[Any]]:
        """A constant broadcast to a tensor, as one number or one number per channel.

        Args:
            x: the tensor.
            array: the constant.
            what: it is, for messages.

        Returns:
            The tensor, whose channels run along the axis that the constant varies along; the constant, one-dimensional.

        Raises:
            UnsupportedError: it varies along several axes, or another one than the tensor's channels.
        """
        if array.ndim > len(x.shape):
            if any(size != 1 for size in array.shape[: array.ndim - len(x.shape)]):
                raise UnsupportedError(f"has the {what} of shape {list(array.shape)} for a tensor {list(x.shape)}")
            array = array.reshape(array.shape[array.ndim - len(x.shape) :])
        array = array.reshape((1,) * (len(x.shape) - array.ndim) + array.shape)
        if any(size not in (1, wanted) for size, wanted in zip(array.shape, x.shape, strict=True)):
            raise UnsupportedError(f"has the {what} of shape {list(array.shape)} for a tensor {list(x.shape)}")
        for axis, size in enumerate(array.shape):
            if size > 1 and (array == array.take([0], axis)).all():
                array = array.take([0], axis)
        varying = [axis for axis, size in enumerate(array.shape) if size > 1]
        if not varying:
            return x, array.reshape(1)
        if len(varying) > 1 or x.axis not in (None, varying[0]):
            raise UnsupportedError(
                f"has the {what} of shape {list(array.shape)}, which varies along other axes than the channels'",
                remedy="use one number per channel",
            )
        if x.has_moved:
            raise UnsupportedError(
                f"has the {what} of shape {list(array.shape)} behind a reshape of what is not quantized yet",
                remedy="quantize in front of the reshape",
            )
        return replace(x, axis=varying[0]), array.reshape(-1)

    def step(self, x: Reals, kind: str, constant: npt.NDArray[Any]) -> Reals:
        """An operation of binary32 with a constant.

        Raises:
            UnsupportedError: the constant does not fit, or the step decreases where elements wait to be selected.
        """
        x, numbers = self.along(x, constant.astype(np.float32), "constant")
        return self.then(x, Step(kind, numbers.astype(np.float32)))

    def then(self, x: Reals, step: Step) -> Reals:
        """With a step more."""
        direction = step.direction(x.channels)
        if x.increasing and (direction is None or (direction < 0).any()):
            raise UnsupportedError(
                "decreases behind a pool of maxima that waits for its quantizer", remedy="quantize in front of the pool"
            )
        return x.then(step)


def plain_integers(tensor: Tensor) -> Tensor:
    """Without the scale, which a moved tensor's value need not have."""
    bare = replace(tensor.value, type=replace(tensor.value.type, quantization=None))
    return replace(tensor, value=bare)
