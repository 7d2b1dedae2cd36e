"""What operator files share to state their examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.ir import Example, Graph, Node, Operator, SourceNode, Value


def random_integers(shape: tuple[int, ...], low: int, high: int, seed: int) -> npt.NDArray[np.int64]:
    """Integers from `low` to `high`, both included, the same for the same seed on every machine."""
    return np.random.Generator(np.random.PCG64(seed)).integers(low, high, shape, endpoint=True)


def example_graph(
    operator: type[Operator],
    name: str,
    kind: str,
    operands: Sequence[Value | None],
    result: Value,
    attributes: Mapping[str, Any] | None = None,
) -> Example:
    """A graph of one node, lowered from a format's spelling as a front end would.

    Args:
        operator: the operator shown.
        name: of the example.
        kind: the spelling to lower from.
        operands: variable operands (they become the graph's inputs) and constants; None where absent.
        result: the value it makes.
        attributes: options by the format's names.
    """
    lowered = operator.lower(SourceNode(kind, attributes or {}, tuple(operands), (result,), name))
    present = tuple(value for value in operands if value is not None)
    node = Node(f"{operator.name}_0", lowered.operator, lowered.inputs, (result.name,))
    return Example(
        name,
        Graph(
            name=name,
            inputs=tuple(value.name for value in present if not value.is_constant),
            outputs=(result.name,),
            values=(*present, result),
            nodes=(node,),
        ),
    )
