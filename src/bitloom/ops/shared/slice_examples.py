"""Examples of slices, in each spelling of TFLite files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bitloom.arith import IntType
from bitloom.ir import Example, Graph, Node, Operator, Quantization, SourceNode, TensorType, Value
from bitloom.ops.shared.moving import index_value, moved_example
from bitloom.ops.shared.support import single_precision


def slice_examples(operator: type[Operator]) -> Iterable[Example]:
    """Crops, steps, both directions, masks, each spelling."""
    yield from _strided_slices(operator)
    yield moved_example(
        operator, "slice_crop", "SLICE", (1, 5, 6, 2), (1, 3, 2, 2), [index_value("b", (0, 1, 3, 0)), _SIZE]
    )
    quarter = [index_value("axis", 2), None]
    yield _several(operator, "split_channels", "SPLIT", (2, 3, 8), [(2, 3, 2)] * 4, quarter, {"num_splits": 4})
    rows = [None, index_value("sizes", (1, -1)), index_value("axis", -2)]
    yield _several(operator, "split_v_rows", "SPLIT_V", (1, 5, 3), [(1, 1, 3), (1, 4, 3)], rows, {"num_splits": 2})
    yield _several(operator, "unpack", "UNPACK", (1, 3, 4), [(1, 4)] * 3, [None], {"axis": 1, "num": 3})


_SIZE = index_value("size", (1, 3, 2, -1))


def _strided_slices(operator: type[Operator]) -> Iterator[Example]:
    def made(
        name: str,
        given: tuple[int, ...],
        result: tuple[int, ...],
        triples: Sequence[tuple[int, int, int]],
        element: IntType | None = None,
        **masks: int,
    ) -> Example:
        columns = zip(("begin", "end", "strides"), np.array(triples).T.tolist(), strict=True)
        constants = [index_value(column, values) for column, values in columns]
        attributes = {f"{mask}_mask": value for mask, value in masks.items()}
        name = f"strided_slice_{name}"
        kind = "STRIDED_SLICE"
        return moved_example(operator, name, kind, given, result, constants, attributes, element or IntType(8))

    yield made("crop", (1, 6, 5, 4), (1, 3, 2, 4), [(0, 1, 1), (2, 5, 1), (1, 3, 1), (0, 4, 1)])
    yield made("steps", (1, 7, 6, 3), (1, 3, 3, 3), [(0, 1, 1), (1, 7, 2), (0, 6, 2), (0, 3, 1)])
    yield made("channels", (2, 3, 8), (2, 3, 3), [(0, 0, 1), (0, 0, 1), (4, -1, 1)], begin=3, end=3)
    yield made("backwards", (2, 3, 4), (2, 3, 4), [(0, 2, 1), (-1, -9, -1), (0, 4, 1)])
    yield made("backwards_steps", (3, 7), (2, 3), [(2, 0, -1), (-2, 0, -2)], element=IntType(16))
    yield made("one_row", (2, 4, 3), (2, 3), [(0, 0, 1), (-1, 0, 1)], begin=1, end=1, shrink_axis=2)
    yield made(
        "ellipsis", (2, 3, 4), (2, 1, 3, 2), [(0, 2, 1), (0, 0, 1), (0, 0, 1), (1, 3, 1)], ellipsis=4, new_axis=2
    )


def _several(
    operator: type[Operator],
    name: str,
    kind: str,
    given: tuple[int, ...],
    made: Sequence[tuple[int, ...]],
    operands: Sequence[Value | None],
    attributes: dict[str, Any],
) -> Example:
    """A node with several results, which become a node each; the operand without a value is the one that is cut."""
    quantization = Quantization((single_precision(0.1),), (3,))
    x = Value("x", TensorType(given, IntType(8), quantization))
    results = tuple(Value(f"y{index}", TensorType(shape, IntType(8), quantization)) for index, shape in enumerate(made))
    read = tuple(x if operand is None else operand for operand in operands)
    lowered = operator.lower_results(SourceNode(kind, attributes, read, results, name))
    nodes = tuple(
        Node(f"{each.operator.name}_{index}", each.operator, each.inputs, (result.name,))
        for index, (each, result) in enumerate(zip(lowered, results, strict=True))
    )
    return Example(name, Graph(name, ("x",), tuple(value.name for value in results), (x, *results), nodes))
