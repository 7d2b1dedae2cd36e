"""The frozen graph of tensors that were stated in Python."""

from __future__ import annotations

from collections.abc import Sequence

from bitloom.frontends.define.tensor import Tensor, graph_of
from bitloom.ir import Graph


def graph(outputs: Tensor | Sequence[Tensor], name: str = "network") -> Graph:
    """The frozen graph of everything that outputs are made of, with the values that variables have now.

    Every executor runs it, `bitloom.verify` compares them, and `bitloom.build` makes hardware of it. Names of tensors
    become names of values; where none was given, values are named after their operators.

    Args:
        outputs: the results; a tensor that nothing computes is none.
        name: of the graph.

    Raises:
        InputError: a variable has no value.
        GraphError: a name is given twice, an accumulator is too narrow, or an output is not computed.
        BitloomError: an operator refuses the values.
    """
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    made, _ = graph_of(wanted, name)
    return made
