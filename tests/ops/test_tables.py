"""What hardware takes from the operators: tables at their addresses, and the integers of softmax."""

import numpy as np
import pytest
from models import elementwise_graph, quantized

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.hw.lookup import LARGEST_BITS
from bitloom.ir import Graph, operators
from bitloom.ops.shared.table import TableOperator
from bitloom.ops.softmax import LARGEST_DEPTH, Softmax

GRAPHS = [
    example.graph
    for operator in operators().values()
    if issubclass(operator, TableOperator)
    for example in operator.examples()
]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_tables_are_indexed_by_the_bit_pattern(graph: Graph) -> None:
    operator = graph.nodes[0].operator
    assert isinstance(operator, TableOperator)
    bits = operator.input.bits
    if bits > LARGEST_BITS:
        with pytest.raises(GraphError, match="has no table"):
            operator.table()
        return
    table = operator.table()
    assert table.shape == (1 << bits,)
    assert table.dtype == np.int64
    assert operator.output.contains(int(table.min()), int(table.max()))
    values = np.arange(operator.input.minimum, operator.input.maximum + 1)
    assert (table[values & ((1 << bits) - 1)] == operator.function(values)).all()
    assert (operator.evaluate([values.astype(operator.input.dtype)])[0] == operator.function(values)).all()


def test_narrow_inputs_are_looked_up_too() -> None:
    """Four bits: sixteen entries, whatever the rest of the byte holds."""
    graph = elementwise_graph("QUANTIZE", quantized((1, 4), 0.5, 0), quantized((1, 4), 0.25, 3))
    requantize = graph.nodes[0].operator
    narrow = type(requantize)(
        IntType(4), IntType(8), input_zero_point=0, output_zero_point=3, rescale=requantize.rescale
    )
    assert narrow.table().tolist() == [*range(3, 19, 2), *range(-13, 3, 2)]
    assert narrow.evaluate([np.array([-8, -1, 0, 7], np.int8)])[0].tolist() == [-13, 1, 3, 17]


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 0.01, 0.1, 1.0, 30.0, 1e5])
def test_softmax_integers_stay_within_their_formats(scale: float) -> None:
    softmax = Softmax(IntType(8), IntType(8), scale)
    exponentials, summands = softmax.exp_table(), softmax.exp_sum_table()
    assert exponentials.shape == summands.shape == (256,)
    assert exponentials[0] == 2**31 - 1
    assert summands[0] == 2**19
    assert exponentials.min() >= 0
    assert (np.diff(summands) <= 0).all()
    cut = -softmax.diff_min
    assert (exponentials[cut + 1 :] == 0).all()


def test_softmax_reciprocals_stay_within_their_format() -> None:
    sums = np.unique(
        np.concatenate(
            [
                np.linspace(2**19, LARGEST_DEPTH * 2**19, 100_000).astype(np.int64),
                *(np.arange(-3, 4) + 2**power for power in range(20, 28)),
            ]
        )
    )
    mantissa, bits = Softmax(IntType(8), IntType(8), 0.1).reciprocal(sums)
    assert mantissa.min() >= 2**30
    assert mantissa.max() <= 2**31 - 1
    assert bits.min() == 0
    assert bits.max() == 8
    error = mantissa / 2.0 ** (31 + bits) * (sums / 2**19) - 1
    assert np.abs(error).max() < 2e-8
