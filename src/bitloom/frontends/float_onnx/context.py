"""A node of a float ONNX file, and what its operands mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx.builder import FloatBuilder, Real
from bitloom.frontends.onnx.file import OnnxNode

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ErrorFunction:
    """``factor * (erf(x / sqrt(2)) + offset)``, times x or not: parts of GELU as older exporters write it.

    Attributes:
        x: the tensor.
        factor: of the whole.
        offset: of the error function.
        times_x: whether x has been multiplied.
    """

    x: Real
    factor: float = 1.0
    offset: float = 0.0
    times_x: bool = False

    @property
    def is_gelu(self) -> bool:
        """Whether it is ``x / 2 * (1 + erf(x / sqrt(2)))``."""
        return self.times_x and abs(self.factor - 0.5) < 1e-6 and abs(self.offset - 1.0) < 1e-6


@dataclass(frozen=True)
class Form:
    """What a tensor is of another one: ``factor * x + offset``, or parts of x times its hard sigmoid.

    The hard sigmoid is ``min(max(x / 6 + 1 / 2, 0), 1)``.

    Attributes:
        x: the other tensor.
        factor: of x, or of its hard sigmoid.
        offset: added.
        gate: whether of its hard sigmoid.
        times_x: whether the whole has been multiplied by x.
    """

    x: Real
    factor: float = 1.0
    offset: float = 0.0
    gate: bool = False
    times_x: bool = False

    @property
    def is_hard_swish(self) -> bool:
        """Whether it is x times its hard sigmoid."""
        return self.gate and self.times_x and abs(self.factor - 1.0) < 1e-6 and not self.offset


Meaning = Real | Array | ErrorFunction


@dataclass(frozen=True)
class FloatContext:
    """A node, and what its operands mean.

    Attributes:
        node: of the file.
        builder: of the graph.
        meanings: of names made before.
        opset: whose rules the file follows.
        forms: of tensors that are simple functions of others.
        expanded: for tensors that only repeat elements of another one, which.
    """

    node: OnnxNode
    builder: FloatBuilder
    meanings: Mapping[str, Meaning]
    opset: int
    forms: dict[Real, Form]
    expanded: dict[Real, Real]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Of the node."""
        return self.node.attributes

    @property
    def name(self) -> str:
        """Of the result."""
        return self.node.outputs[0]

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """An attribute."""
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def has(self, index: int) -> bool:
        """Whether an operand is there."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def operand(self, index: int) -> Meaning:
        """An operand that must be there."""
        if not self.has(index):
            raise ModelFormatError(f"lacks its operand {index}")
        name = self.node.inputs[index]
        if name not in self.meanings:
            raise ModelFormatError(f"reads '{name}' before anything makes it")
        return self.meanings[name]

    def real(self, index: int = 0) -> Real:
        """An operand that is computed."""
        found = self.operand(index)
        if isinstance(found, Real):
            return found
        if isinstance(found, ErrorFunction):
            raise UnsupportedError(
                f"reads '{self.node.inputs[index]}', an error function that is no part of GELU",
                remedy="replace it by Gelu, Tanh or Sigmoid",
            )
        raise UnsupportedError(
            f"computes with the constant '{self.node.inputs[index]}'", remedy="let its first operand be computed"
        )

    def array(self, index: int) -> Array:
        """A constant operand."""
        found = self.operand(index)
        if not isinstance(found, np.ndarray):
            raise UnsupportedError(f"has the computed operand '{self.node.inputs[index]}' where constants are needed")
        return found

    def scalar(self, index: int) -> float:
        """A constant of one element."""
        array = self.array(index)
        if array.size != 1:
            raise UnsupportedError(f"has '{self.node.inputs[index]}' of {array.size} elements where one is needed")
        return float(array.reshape(-1)[0])

    def integers(self, index: int, name: str) -> tuple[int, ...] | None:
        """Integers that older versions have as an attribute and newer ones as an operand; None where absent."""
        if self.has(index):
            return tuple(int(each) for each in self.array(index).reshape(-1))
        found = self.attributes.get(name)
        if isinstance(found, int):
            return (found,)
        return None if found is None else tuple(int(each) for each in found)

    def axes(self, given: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axes from 0.

        Raises:
            ModelFormatError: not of a tensor of this rank.
        """
        if not all(-rank <= axis < rank for axis in given):
            raise ModelFormatError(f"has the axes {list(given)} for {rank} axes")
        return tuple(axis % rank for axis in given)


Handler = Callable[[FloatContext], Meaning | tuple[Meaning, ...]]
"""Makes what a node's result means, or its results."""
