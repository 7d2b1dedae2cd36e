"""CONCATENATION and PACK: random shapes as LiteRT and in hardware, branches that join, unequal scales refused."""

from __future__ import annotations

import numpy as np
import pytest
from models import INT8, assert_litert_agrees, assert_same_tensors, quantized, random_inputs
from moving import assert_moves, moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError, UnsupportedError
from bitloom.frontends import Model
from bitloom.ir import Graph, Node, SourceNode, TensorType, Value
from bitloom.ir.operator import spelled
from bitloom.ops.concatenation import Concatenation
from bitloom.ops.pack import Pack
from bitloom.ops.reshape import Reshape
from bitloom.plan import Bus
from bitloom.run import ExecutorOptions, create_executor


@pytest.mark.parametrize("seed", range(16))
def test_random_concatenations(seed):
    rng = np.random.default_rng(seed)
    rank, count = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    shape = rng.integers(1, 5, rank)
    axis = int(rng.integers(rank))
    shapes = []
    for _ in range(count):
        shape[axis] = rng.integers(1, 5)
        shapes.append(tuple(shape.tolist()))
    signed = axis - rank * int(rng.integers(2))
    assert_moves(moving_graph("CONCATENATION", shapes, attributes={"axis": signed}), seed)


@pytest.mark.parametrize("seed", range(8))
def test_random_packs(seed):
    rng = np.random.default_rng(seed)
    rank, count = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    shape, axis = tuple(rng.integers(1, 4, rank).tolist()), int(rng.integers(-rank - 1, rank + 1))
    assert_moves(moving_graph("PACK", [shape] * count, attributes={"axis": axis, "values_count": count}), seed)


@pytest.mark.parametrize("element", [IntType(8, signed=False), IntType(16), IntType(32), IntType(64)])
def test_other_types(element):
    assert_moves(moving_graph("CONCATENATION", [(2, 3), (2, 1)], attributes={"axis": 1}, element=element))
    attributes = {"axis": 1, "values_count": 2}
    assert_moves(moving_graph("PACK", [(2, 3), (2, 3)], attributes=attributes, element=element))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_constants_between(axis, position):
    shape = [2, 3, 4]
    shape[axis] = 2
    data = np.arange(-8, 16)[: np.prod(shape)].reshape(shape)
    operands = [Value(name, quantized(shape, 0.1, 3)) for name in "ab"]
    operands.insert(position, Value("c", quantized(shape, 0.1, 3), data))
    made = list(shape)
    made[axis] = 6
    node = Node("node", Concatenation(axis), tuple(value.name for value in operands), ("y",))
    graph = Graph("constants", ("a", "b"), ("y",), (*operands, Value("y", quantized(made, 0.1, 3))), (node,))
    assert_moves(graph, position)


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_branches_of_one_tensor(axis, stalls):
    """A rectified copy beside the tensor itself: along the height, all of the second waits for all of the first."""
    x = Value("x", quantized((1, 4, 3, 2), 0.1, 3))
    kind = spelled("RELU", lambda candidate: candidate.tflite)
    assert kind is not None
    rectified = Value("r", quantized((1, 4, 3, 2), 0.1, 3))
    relu = kind.lower(SourceNode("RELU", {}, (x,), (rectified,), "here"))
    made = [1, 4, 3, 2]
    made[axis] *= 2
    for first, second in (("r", "x"), ("x", "r")):
        nodes = (
            Node("relu", relu.operator, relu.inputs, ("r",)),
            Node("join", Concatenation(axis), (first, second), ("y",)),
        )
        values = (x, rectified, Value("y", quantized(made, 0.1, 3)))
        graph = Graph("branches", ("x",), ("y",), values, nodes)
        inputs = random_inputs(graph, 5, axis)
        assert_litert_agrees(graph, inputs)
        model = Model(graph, graph.name)
        seen = create_executor("pyrtl", model, ExecutorOptions(bus=Bus.STREAM, stalls=stalls, seed=1)).run(inputs)
        assert_same_tensors(create_executor("numpy", model).run(inputs), seen)


def lowered(kind, types, made, **attributes):
    operands = tuple(Value(f"x{index}", each) for index, each in enumerate(types))
    operator = Concatenation if kind == "CONCATENATION" else Pack
    return operator.lower(SourceNode(kind, attributes, operands, (Value("y", made),), "here"))


@pytest.mark.parametrize("element", [INT8, IntType(8, signed=False)])
@pytest.mark.parametrize("kind", ["CONCATENATION", "PACK"])
def test_unequal_scales_are_refused(kind, element):
    types = [quantized((2, 3), 0.1, 3, element), quantized((2, 3), 0.2, 3, element)]
    with pytest.raises(UnsupportedError, match=r"scale 0\.2, zero point 3.*takes only equal ones"):
        lowered(kind, types, quantized((4, 3), 0.1, 3, element), axis=0, values_count=2)


def test_what_the_kernel_refuses():
    two = [quantized((2, 3), 0.1, 3)] * 2
    with pytest.raises(UnsupportedError, match="with an activation"):
        lowered("CONCATENATION", two, quantized((4, 3), 0.1, 3), axis=0, fused_activation_function="RELU")
    wide = [quantized((2, 3), 0.1, 3, IntType(16))] * 2
    with pytest.raises(UnsupportedError, match="int16 with zero points"):
        lowered("CONCATENATION", wide, quantized((4, 3), 0.1, 3, IntType(16)), axis=0)
    with pytest.raises(UnsupportedError, match="of uint16"):
        lowered("PACK", [TensorType((2,), IntType(16, signed=False))] * 2, TensorType((4,), INT8), axis=0)
    with pytest.raises(BitloomError, match="says another number"):
        lowered("PACK", two, quantized((2, 2, 3), 0.1, 3), axis=0, values_count=3)
    with pytest.raises(BitloomError, match="along axis 2 of 2"):
        lowered("CONCATENATION", two, quantized((4, 3), 0.1, 3), axis=2)


@pytest.mark.parametrize(("operator", "shapes"), [(Concatenation(0), [(2, 3), (2, 4)]), (Pack(0), [(2,), (3,)])])
def test_shapes_that_do_not_fit(operator, shapes):
    with pytest.raises(BitloomError, match="of shapes"):
        operator.infer([Value(f"x{index}", quantized(shape, 0.1, 3)) for index, shape in enumerate(shapes)])


def test_one_operand_is_a_reshape():
    one = [quantized((2, 3), 0.1, 3)]
    assert lowered("CONCATENATION", one, one[0], axis=0).operator == Reshape((2, 3))
    made = quantized((2, 1, 3), 0.1, 3)
    assert lowered("PACK", one, made, axis=1, values_count=1).operator == Reshape((2, 1, 3))
