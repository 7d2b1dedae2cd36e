"""Values are frozen and equal by content; a graph that is not well formed cannot be made."""

import dataclasses

import numpy as np
import pytest
from sample_operators import EveryKind, Scatter

from bitloom.arith import IntType
from bitloom.errors import ArithmeticDomainError, GraphError
from bitloom.ir import FLOAT32, Graph, Node, Quantization, TensorType, Value

INT8 = IntType(8)
PAIR = TensorType((2,), INT8)


def value(name, data=None, tensor_type=PAIR):
    return Value(name, tensor_type, data)


def copy(name, read, made, **attributes):
    return Node(name, EveryKind(**attributes), (read,), (made,))


class TestValue:
    def test_equality_is_by_name_type_and_elements(self):
        base = value("c", [1, 2])
        assert base == value("c", np.array([1, 2], np.int64))
        assert hash(base) == hash(value("c", [1, 2]))
        assert base != value("d", [1, 2])
        assert base != value("c", [1, 3])
        assert base != value("c")
        assert value("c") == value("c")
        assert base != Value("c", TensorType((2,), IntType(7)), [1, 2])
        assert base != Value("c", TensorType((2,), INT8, Quantization((1.0,), (0,))), [1, 2])
        assert base != "c"

    def test_elements_are_copied_and_read_only(self):
        given = np.array([1, 2])
        constant = value("c", given)
        given[0] = 9
        assert constant.data.tolist() == [1, 2]
        with pytest.raises(ValueError, match="read-only"):
            constant.data[0] = 5
        with pytest.raises(dataclasses.FrozenInstanceError):
            constant.name = "d"

    def test_elements_take_the_container_of_the_type(self):
        constant = Value("c", TensorType((2, 1), IntType(12, signed=False)), np.array([[4095, 0]]).T)
        assert constant.data.dtype == np.uint16
        assert constant.data.flags.c_contiguous
        assert constant.constant.dtype == np.int64

    @pytest.mark.parametrize(
        ("element", "data", "message"),
        [
            (INT8, [1, 128], "1 to 128, its type says int8"),
            (INT8, [-129, 0], "-129 to 0"),
            (IntType(4), np.array([7, 8], np.int8), "7 to 8, its type says int4"),
            (IntType(8, signed=False), [0, -1], "-1 to 0"),
            (IntType(1), [True, False], "0 to 1"),
            (INT8, [0.0, 1.0], "float64 elements"),
            (INT8, ["a", "b"], "elements"),
            (IntType(64), np.array([2**63, 0], np.uint64), "9223372036854775808"),
            (IntType(64, signed=False), np.array([2**64, 0]), "object elements"),
            (INT8, [1, 2, 3], r"shape \[3\], its type says \[2\]"),
            (INT8, [[1, 2]], r"shape \[1, 2\]"),
            (FLOAT32, [1.0], r"shape \[1\]"),
        ],
    )
    def test_elements_outside_the_type_are_refused(self, element, data, message):
        with pytest.raises(GraphError, match=message) as caught:
            Value("c", TensorType((2,), element), data)
        assert caught.value.where == "tensor 'c'"

    def test_all_64_bits_are_held(self):
        widest = Value("c", TensorType((2,), IntType(64, signed=False)), np.array([2**64 - 1, 0], np.uint64))
        assert widest.data.tolist() == [2**64 - 1, 0]

    def test_constant_needs_elements(self):
        assert not value("x").is_constant
        with pytest.raises(GraphError, match="a constant is needed"):
            _ = value("x").constant


class TestWellFormed:
    @pytest.mark.parametrize(
        ("inputs", "outputs", "values", "nodes", "message"),
        [
            ("x", "x", "x x", [], "two tensors are named 'x'"),
            ("x", "z", "x y z", [copy("n", "x", "y"), copy("n", "y", "z")], "two nodes are named 'n'"),
            ("x x", "x", "x", [], "two inputs are named 'x'"),
            ("a", "x", "x", [], "unknown tensor 'a'"),
            ("x", "a", "x", [], "unknown tensor 'a'"),
            ("x", "x", "x y", [], "nothing makes the tensor 'y'"),
            ("x", "y", "x y", [], "nothing makes the tensor 'y'"),
            ("x", "y", "x y", [copy("n", "a", "y")], "node 'n': reads 'a' before anything makes it"),
            ("x", "y", "x y z", [copy("n", "z", "y"), copy("m", "x", "z")], "node 'n': reads 'z' before"),
            ("x", "y", "x y", [copy("n", "y", "y")], "reads 'y' before"),
            ("x", "y", "x y", [copy("n", "x", "x")], "makes 'x', which is unknown or made already"),
            ("x", "y", "x y", [copy("n", "x", "y"), copy("m", "x", "y")], "node 'm': makes 'y'"),
            ("x", "x", "x", [copy("n", "x", "a")], "makes 'a', which is unknown"),
            ("x", "x", "x", [Node("n", Scatter((), INT8), ("x",), ())], "node 'n': makes no tensor"),
            ("x", "y", "x y", [Node("n", EveryKind(), (), ("y",))], "does not take these operands"),
            (
                "x",
                "y",
                "x y",
                [Node("n", Scatter(((3,),), INT8), (), ("y",))],
                r"makes int8\[3\], the graph says int8\[2\]",
            ),
            ("x", "y", "x y", [Node("n", Scatter(((2,),), IntType(4)), (), ("y",))], r"makes int4\[2\]"),
            ("x", "y", "x y", [Node("n", Scatter(((2,), (2,)), INT8), (), ("y",))], r"makes int8\[2\], int8\[2\], the"),
            ("x", "y", "x y z", [Node("n", Scatter(((2,),), INT8), (), ("y", "z"))], r"the graph says int8\[2\], int8"),
        ],
    )
    def test_refused(self, inputs, outputs, values, nodes, message):
        with pytest.raises(GraphError, match=message):
            Graph("g", tuple(inputs.split()), tuple(outputs.split()), tuple(map(value, values.split())), tuple(nodes))

    def test_an_input_is_not_constant(self):
        with pytest.raises(GraphError, match="the input 'c' is a constant"):
            Graph("g", ("c",), (), (value("c", [1, 2]),), ())

    def test_a_constant_is_not_made(self):
        with pytest.raises(GraphError, match="makes 'c'"):
            Graph("g", ("x",), (), (value("x"), value("c", [1, 2])), (copy("n", "x", "c"),))

    def test_an_error_of_the_operator_keeps_its_kind_and_gets_a_place(self):
        class Refusing(EveryKind):
            def infer(self, inputs):
                raise ArithmeticDomainError("too wide", remedy="narrow it")

        node = Node("n", Refusing(), ("x",), ("y",), source="model.tflite: operator 3")
        with pytest.raises(ArithmeticDomainError) as caught:
            Graph("g", ("x",), ("y",), (value("x"), value("y")), (node,))
        assert str(caught.value) == "node 'n' (model.tflite: operator 3): too wide; narrow it"


@pytest.fixture
def diamond():
    """x -> a -> y, with a constant that the second node reads, and one that nothing reads."""
    nodes = (
        copy("first", "x", "a", count=5),
        Node("second", Scatter(((2,), (2,)), INT8), ("a", "c", "x"), ("y", "z")),
    )
    values = [value("z"), value("unread", [0, 0]), value("c", [1, 2]), value("y"), value("a"), value("x")]
    return Graph("g", ("x",), ("y",), tuple(values), nodes)


class TestGraph:
    def test_values_stand_in_reading_order(self, diamond):
        assert [each.name for each in diamond.values] == ["x", "a", "c", "y", "z", "unread"]

    def test_the_order_values_are_given_in_does_not_matter(self, diamond):
        again = dataclasses.replace(diamond, values=diamond.values[::-1])
        assert again == diamond
        assert hash(again) == hash(diamond)

    def test_the_source_of_a_node_does_not_matter(self, diamond):
        nodes = tuple(dataclasses.replace(node, source="elsewhere") for node in diamond.nodes)
        assert dataclasses.replace(diamond, nodes=nodes) == diamond
        assert dataclasses.replace(diamond, name="h") != diamond

    def test_look_ups(self, diamond):
        first, second = diamond.nodes
        assert diamond.value("c").is_constant
        assert diamond.type("y") == PAIR
        assert [each.name for each in diamond.operands(second)] == ["a", "c", "x"]
        assert [each.name for each in diamond.results(second)] == ["y", "z"]
        assert diamond.producer("z") is second
        assert diamond.producer("x") is None
        assert diamond.producer("c") is None
        assert diamond.consumers("x") == (first, second)
        assert diamond.consumers("y") == ()
        assert diamond.computed == ("a", "y", "z")
        assert diamond.macs == 5

    def test_evaluate_gives_every_tensor_in_its_own_dtype(self, diamond):
        x = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
        tensors = diamond.evaluate({"x": x})
        assert set(tensors) == {"x", "a", "y", "z"}
        assert np.array_equal(tensors["a"], x)
        assert all(tensor.dtype == np.int8 for tensor in tensors.values())
