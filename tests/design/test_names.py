"""Names of signals: always identifiers, never shared, and none that a circuit or PyRTL could give to another."""

import re
from dataclasses import replace

import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import assert_same_tensors, dense_network, random_inputs
from networks import BRANCHING

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.design import Circuit, design
from bitloom.design.names import _KEYWORDS, _OWN_SIGNALS, identifier, unique_identifiers
from bitloom.errors import UnsupportedError
from bitloom.frontends import Model
from bitloom.ir import Graph, operators
from bitloom.passes import split_float_edges
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


def circuits() -> list[Circuit]:
    """Every operator and every arrangement."""
    targets = Target(interval=100_000), Target()
    cases = [(make(), target) for make in BRANCHING.values() for target in targets]
    examples = [example for kind in operators().values() for example in kind.examples()]
    # Operators have several examples, which take the targets in turn.
    cases += [(split_float_edges(each.graph).core, targets[index % 2]) for index, each in enumerate(examples)]
    made = []
    for graph, target in cases:
        try:
            made.append(design(make_plan(graph, target, Bus.AXI)))
        except UnsupportedError:
            continue
    return made


def test_signals_begin_with_their_node_or_are_the_designs_own() -> None:
    """What `unique_identifiers` relies on."""
    seen = circuits()
    assert len(seen) > 40
    for circuit in seen:
        nodes = "|".join(unique_identifiers(node.name for node in circuit.plan.graph.nodes).values())
        wires = [wire.name for wire in circuit.block.wirevector_set if not isinstance(wire, pyrtl.Const)]
        wires += [memory.name for memory in circuit.block.memblock_by_name.values()]
        for name in wires:
            assert name == "reset" or _OWN_SIGNALS.match(name) or re.match(rf"({nodes})_[a-z]", name), name


@settings(max_examples=5, deadline=None)
@given(st.text(max_size=8))
def test_any_network_name_names_the_circuit(name: str) -> None:
    graph = replace(dense_network([3, 2], 0), name=name)
    assert design(make_plan(graph)).name == identifier(name)
