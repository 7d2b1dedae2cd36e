"""Names of signals: always identifiers, never shared, and none that a circuit or PyRTL could give to another."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import assert_same_tensors, dense_network, random_inputs
from networks import BRANCHING
from signal_names import assert_signals_begin_with_their_node

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.design import design
from bitloom.design.names import _KEYWORDS, _OWN_SIGNALS, identifier, unique_identifiers
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Target, make_plan
from bitloom.run import ExecutorOptions, create_executor

# Few letters, so that names meet; those that are cleaned away among them.
AWKWARD = st.text("aA1_/ é", max_size=5) | st.sampled_from(["wire", "a_out", "a_output", "m_axis", "tmp1", "last"])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("dense_1", "dense_1"),
        ("functional_1/dense/BiasAdd;x:0", "functional_1_dense_BiasAdd_x_0"),
        ("__a__b__", "a_b"),
        ("9", "n9"),
        ("Reg", "n_Reg"),
        ("endmodule", "n_endmodule"),
        ("", "network"),
        ("--", "network"),
        ("été", "t"),
    ],
)
def test_identifier(name: str, wanted: str) -> None:
    assert identifier(name) == wanted


@given(st.text() | AWKWARD)
def test_identifiers_are_identifiers(name: str) -> None:
    made = identifier(name)
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_]*", made)
    assert "__" not in made
    assert made.lower() not in _KEYWORDS
    assert identifier(made) == made


@given(st.lists(AWKWARD, unique=True, max_size=12))
def test_no_two_prefixes_can_make_one_signal(names: list[str]) -> None:
    made = unique_identifiers(names)
    assert list(made) == names
    prefixes = [f"{identifier.lower()}_" for identifier in made.values()]
    for position, one in enumerate(prefixes):
        assert re.fullmatch("[a-z][a-z0-9_]*", one)
        assert not _OWN_SIGNALS.match(one)
        for other in prefixes[:position]:
            shorter, longer = sorted((one, other), key=len)
            assert longer != shorter
            assert not (longer.startswith(shorter) and longer[len(shorter)].isalpha())


def test_names_that_do_not_meet_are_kept() -> None:
    names = ["fully_connected_0", "fully_connected_1", "fully_connected_10", "dense", "dense_1", "tanh_2", "inputs"]
    assert unique_identifiers(names) == {name: name for name in names}


def named(graph: Graph, *names: str) -> Graph:
    nodes = tuple(replace(node, name=name) for node, name in zip(graph.nodes, names, strict=True))
    return Graph(graph.name, graph.inputs, graph.outputs, graph.values, nodes)


# Each pair once made two signals of one name: of two nodes, or of a node and the design.
COLLISIONS = [
    ("a", "a_output"),
    ("a_out", "a"),
    ("a", "A"),
    ("a/b", "a b"),
    ("m_axis", "s_axis"),
    ("m_axis_buffer", "input"),
    ("result", "inference"),
    ("s_axi", "csr"),
    ("tmp1", "const_2"),
    ("wire", "n_wire"),
]


@pytest.mark.parametrize("names", COLLISIONS, ids=" ".join)
def test_nodes_may_have_any_names(names: tuple[str, str]) -> None:
    graph = named(dense_network([6, 5, 4], 1), *names)
    inputs, model = random_inputs(graph, 3, 0), Model(graph, graph.name)
    seen = create_executor("pyrtl", model, ExecutorOptions(target=Target(interval=10))).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), seen)


@pytest.mark.parametrize("target", [Target(interval=100_000), Target()], ids=["small", "fast"])
@pytest.mark.parametrize("name", BRANCHING)
def test_signals_begin_with_their_node_or_are_the_designs_own(name: str, target: Target) -> None:
    """Of networks; test_verilog_conformance.py holds every operator to it."""
    assert_signals_begin_with_their_node(design(make_plan(BRANCHING[name](), target, Bus.AXI)))


@settings(max_examples=5, deadline=None)
@given(st.text(max_size=8))
def test_any_network_name_names_the_circuit(name: str) -> None:
    graph = replace(dense_network([3, 2], 0), name=name)
    assert design(make_plan(graph)).name == identifier(name)
