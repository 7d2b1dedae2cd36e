"""A value of a graph: a named tensor, and the elements of a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Value:
    """A named tensor: computed by a node, given as an input, or constant.

    Attributes:
        name: unique in its graph.
        type: shape, element type, quantization.
        data: the elements of a constant, within the type (copied to its dtype, read-only), else None.

    Raises:
        GraphError: the elements do not have the type's shape or leave its range.
    """

    name: str
    type: TensorType
    data: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.data is None:
            return
        _verify_elements(np.asarray(self.data), self.type, f"tensor '{self.name}'")
        data = np.array(self.data, dtype=self.type.element.dtype, order="C")
        data.setflags(write=False)
        object.__setattr__(self, "data", data)

    @property
    def is_constant(self) -> bool:
        """Whether the elements are known."""
        return self.data is not None

    @property
    def constant(self) -> npt.NDArray[np.int64]:
        """The elements of a constant, widened to int64.

        Raises:
            GraphError: the value is not constant.
        """
        if self.data is None:
            raise GraphError("a constant is needed here", where=f"tensor '{self.name}'")
        return self.data.astype(np.int64)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        same_data = (
            np.array_equal(self.data, other.data)
            if self.data is not None and other.data is not None
            else self.data is other.data
        )
        return self.name == other.name and self.type == other.type and same_data

    def __hash__(self) -> int:
        return hash((self.name, self.type))


def _verify_elements(data: npt.NDArray[Any], tensor_type: TensorType, where: str) -> None:
    """Check the elements given for a constant: converting would wrap or cut them silently."""
    if data.shape != tensor_type.shape:
        raise GraphError(f"constant has shape {list(data.shape)}, its type says {list(tensor_type.shape)}", where=where)
    element = tensor_type.element
    if not isinstance(element, IntType):
        return
    if data.dtype.kind not in "iub":
        raise GraphError(f"constant holds {data.dtype} elements, its type says {element}", where=where)
    low, high = int(data.min()), int(data.max())
    if not element.contains(low, high):
        raise GraphError(f"constant holds {low} to {high}, its type says {element}", where=where)
