"""The operator registry: every name and spelling once."""

import pytest
from sample_operators import EveryKind

import bitloom.ir.operator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import SourceNode, TensorType, Value, operators, register
from bitloom.ir.graph import Graph
from bitloom.ir.operator import spelled
from bitloom.ir.types import FLOAT32


@pytest.fixture
def empty_registry(monkeypatch):
    monkeypatch.setattr(bitloom.ir.operator, "_REGISTRY", {})


def named(name, *spellings):
    return type(name.title(), (EveryKind,), {"name": name, "tflite": spellings})


@pytest.mark.usefixtures("empty_registry")
class TestRegister:
    def test_by_name_in_order(self):
        later, sooner = register(named("zeta")), register(named("alpha"))
        assert list(operators().items()) == [("alpha", sooner), ("zeta", later)]

    def test_a_name_is_taken_once(self):
        register(named("alpha"))
        with pytest.raises(GraphError, match=r"'alpha' is registered twice \(also by Alpha\)"):
            register(named("alpha"))

    def test_a_spelling_is_taken_once(self):
        register(named("alpha", "ADD", "SUB"))
        with pytest.raises(GraphError, match=r"'beta' is registered twice \(also by Alpha\)"):
            register(named("beta", "MUL", "SUB"))
        assert list(operators()) == ["alpha"]

    def test_look_up_by_spelling(self):
        adding = register(named("alpha", "ADD", "SUB"))
        assert spelled("SUB", lambda operator: operator.tflite) is adding
        assert spelled("MUL", lambda operator: operator.tflite) is None

    def test_the_mapping_is_a_copy(self):
        register(named("alpha"))
        operators().clear()
        assert list(operators()) == ["alpha"]


def test_operands_of_a_source_node():
    x = Value("x", TensorType((1,), FLOAT32))
    source = SourceNode("ADD", {}, (x, None), (), "model.tflite: operator 0")
    assert source.operand(0) is x
    assert source.optional(0) is x
    assert source.optional(1) is None
    assert source.optional(2) is None
    for index in (1, 2):
        with pytest.raises(GraphError, match=f"operator 0: ADD lacks its operand {index}"):
            source.operand(index)


def test_an_operator_without_a_lowering_cannot_be_read():
    with pytest.raises(UnsupportedError, match="here: ADD cannot be read"):
        EveryKind.lower(SourceNode("ADD", {}, (), (), "here"))


def test_a_graph_is_a_value():
    assert Graph("g", (), (), (), ()) == Graph("g", (), (), (), ())
