"""Slices: random indices, masks and directions as LiteRT, and each spelling of files, with one result or several."""

from __future__ import annotations

import numpy as np
import pytest
from models import INT8, assert_litert_agrees, assert_same_tensors, quantized, random_inputs
from moving import assert_moves, moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model
from bitloom.frontends import load_tflite
from bitloom.ir import SourceNode, TensorType, Value, parse_graph, print_graph
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import index_value
from bitloom.ops.strided_slice import StridedSlice
from bitloom.run import create_executor


def sliced(shape, begin, end, strides, element=INT8, **options):
    constants = [index_value("begin", begin), index_value("end", end), index_value("strides", strides)]
    return moving_graph("STRIDED_SLICE", [shape], constants, options, element)


def random_slice(rng):
    """A slice that may have no elements or no sense, as files may hold it."""
    rank = int(rng.integers(1, 6))
    shape = tuple(rng.integers(1, 7, rank).tolist())
    count = int(rng.integers(1, rank + 2))
    begin, end = rng.integers(-8, 8, (2, count)).tolist()
    strides = rng.choice([1, 1, 1, 2, 3, -1, -2], count).tolist()
    likely = {"begin_mask": 0.4, "end_mask": 0.5, "ellipsis_mask": 0.1, "new_axis_mask": 0.1, "shrink_axis_mask": 0.15}
    masks = {name: sum(1 << bit for bit in range(count) if rng.random() < p) for name, p in likely.items()}
    masks["ellipsis_mask"] &= -masks["ellipsis_mask"]  # at most one
    return shape, begin, end, strides, masks


@pytest.mark.parametrize("seed", range(8))
def test_random_slices(seed):
    rng = np.random.default_rng(seed)
    compared = 0
    while compared < 25:
        shape, begin, end, strides, masks = random_slice(rng)
        try:
            graph = sliced(shape, begin, end, strides, **masks)
        except BitloomError:
            continue
        assert_same_as_raw_file(shape, begin, end, strides, masks)
        if compared % 5 == 0:
            assert_moves(graph, compared)
        compared += 1


def assert_same_as_raw_file(shape, begin, end, strides, masks):
    """The file as a converter would write it, not as the graph is written: masks and all."""
    graph = sliced(shape, begin, end, strides, **masks)
    quantization = {"scales": (0.1,), "zero_points": (3,)}
    tensors = [
        TensorSpec("x", shape, np.int8, **quantization),
        *(
            TensorSpec(name, (len(values),), np.int32, data=np.array(values, np.int32))
            for name, values in (("begin", begin), ("end", end), ("strides", strides))
        ),
        TensorSpec("y", graph.type("y").shape, np.int8, **quantization),
    ]
    content = write_model(tensors, [OperatorSpec("STRIDED_SLICE", (0, 1, 2, 3), (4,), masks)], [0], [4])
    model = load_tflite(content, "slice")
    inputs = random_inputs(model.graph, 2, 0)
    assert_same_tensors(create_executor("numpy", model).run(inputs), create_executor("litert", model).run(inputs))


@pytest.mark.parametrize("element", [IntType(8, signed=False), IntType(16), IntType(32), IntType(64)])
def test_other_types(element):
    assert_moves(sliced((3, 4, 2), (2, 1, 0), (0, 4, 2), (-1, 2, 1), element))


def test_ends_that_count_from_the_begins():
    assert_moves(sliced((6, 4), (1, -3), (2, 2), (1, 1), offset=True))
    with pytest.raises(UnsupportedError, match="reads beyond"):
        sliced((6, 4), (1,), (2,), (1,), offset=True)


def test_what_keeps_all_is_a_reshape():
    graph = sliced((1, 3, 4), (0, 0, 0), (1, 3, 4), (1, 1, 1), shrink_axis_mask=1)
    assert graph.nodes[0].operator == Reshape((3, 4))
    assert_moves(graph)


@pytest.mark.parametrize(
    ("indices", "options", "message"),
    [
        (((0, 0), (2, 2), (0, 1)), {}, "steps of 0"),
        (((3, 0), (3, 2), (1, 1)), {}, "a slice"),
        (((4, 0), (5, 2), (1, 1)), {"shrink_axis_mask": 1}, "writes nothing"),
        (((1, 0), (0, 2), (-1, 1)), {"shrink_axis_mask": 1}, "writes nothing"),
        (((0, 0, 0), (1, 1, 1), (1, 1, 1)), {}, "3 indices of shape"),
        (((0, 0), (1, 1), (1, 1)), {"ellipsis_mask": 3}, "2 ellipses"),
    ],
)
def test_what_makes_no_sense(indices, options, message):
    with pytest.raises(BitloomError, match=message):
        sliced((4, 3), *indices, **options)


@pytest.mark.parametrize(
    "attributes",
    [
        {"begin": (0,), "size": (5,), "stride": (1,), "shape": (5,)},
        {"begin": (2,), "size": (2,), "stride": (3,), "shape": (2,)},
        {"begin": (0,), "size": (2,), "stride": (1,), "shape": (3,)},
        {"begin": (0, 0), "size": (2, 1), "stride": (1, 1), "shape": (2,)},
    ],
)
def test_attributes_that_make_no_sense(attributes):
    with pytest.raises(BitloomError, match="a slice"):
        StridedSlice(**attributes).infer([Value("x", quantized((4,), 0.1, 0))])


@pytest.mark.parametrize("seed", range(6))
def test_slice(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 6, int(rng.integers(1, 6)))
    begin = rng.integers(0, shape)
    size = rng.integers(begin + 1, shape + 1) - begin
    given = np.where(rng.random(len(shape)) < 0.3, -1, size).tolist()
    constants = [index_value("begin", begin.tolist()), index_value("size", given)]
    assert_moves(moving_graph("SLICE", [tuple(shape.tolist())], constants), seed)


def file_of(kind, shape, results, constants, order, options, read):
    """A model of one node with several results, each rectified if it is to be read."""
    quantization = {"scales": (0.1,), "zero_points": (3,)}
    tensors = [TensorSpec("x", shape, np.int8, **quantization)]
    tensors += [TensorSpec(f"c{k}", np.shape(c), np.int32, data=np.array(c, np.int32)) for k, c in enumerate(constants)]
    first = len(tensors)
    tensors += [TensorSpec(f"part{k}", result, np.int8, **quantization) for k, result in enumerate(results)]
    parts = tuple(range(first, first + len(results)))
    operators, outputs = [OperatorSpec(kind, order, parts, options)], []
    for part in read:
        tensors.append(TensorSpec(f"rectified{part}", results[part], np.int8, **quantization))
        operators.append(OperatorSpec("RELU", (parts[part],), (len(tensors) - 1,), {}))
        outputs.append(len(tensors) - 1)
    return write_model(tensors, operators, [0], outputs)


SEVERAL = [
    ("SPLIT", (2, 6, 3), [(2, 2, 3)] * 3, [-2], (1, 0), {"num_splits": 3}),
    ("SPLIT_V", (2, 6), [(2, 1), (2, 3), (2, 2)], [(1, -1, 2), 1], (0, 1, 2), {"num_splits": 3}),
    ("UNPACK", (2, 3, 4), [(2, 4)] * 3, [], (0,), {"axis": -2, "num": 3}),
]


@pytest.mark.parametrize("read", [(0, 1, 2), (2,), (1, 0), (0,)])
@pytest.mark.parametrize("case", SEVERAL, ids=lambda case: case[0])
def test_several_results(case, read):
    """Each result that is read is a node and a tensor that is compared; the others vanish."""
    model = load_tflite(file_of(*case, read), "parts")
    parts = [node for node in model.graph.nodes if node.operator.name == "strided_slice"]
    assert sorted(node.outputs[0] for node in parts) == sorted(f"part{part}" for part in read)
    inputs = random_inputs(model.graph, 3, 0)
    expected = create_executor("litert", model).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), expected)
    assert set(expected.tensors) == {f"{name}{part}" for name in ("part", "rectified") for part in read}
    assert_litert_agrees(model.graph, inputs)
    assert parse_graph(print_graph(model.graph)) == model.graph


@pytest.mark.parametrize(
    ("position", "changed"),
    [(5, {"num_splits": 2}), (1, (2, 7, 3)), (3, [3])],
)
def test_splits_that_make_no_sense(position, changed):
    case = [*SEVERAL[0], (0, 1, 2)]
    case[position] = changed
    with pytest.raises(ModelFormatError, match="SPLIT"):
        load_tflite(file_of(*case), "parts")


def test_one_result_of_several_is_not_enough():
    x, y, z = (Value(name, quantized((2,) if name == "x" else (1,), 0.1, 3)) for name in "xyz")
    with pytest.raises(UnsupportedError, match="2 results"):
        StridedSlice.lower(SourceNode("SPLIT", {"num_splits": 2}, (index_value("axis", 0), x), (y, z), "here"))


def test_parts_of_another_scale_are_refused():
    x, y = Value("x", quantized((1, 2), 0.1, 3)), Value("y", TensorType((2,), INT8))
    with pytest.raises(UnsupportedError, match="takes only equal ones"):
        StridedSlice.lower(SourceNode("UNPACK", {"axis": 0, "num": 1}, (x,), (y,), "here"))
