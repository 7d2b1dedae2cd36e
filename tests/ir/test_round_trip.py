"""Any graph, printed and parsed, is the same graph."""

import pytest
from graph_strategies import graphs
from hypothesis import HealthCheck, given, settings

from bitloom.ir import parse_graph, print_graph

pytestmark = pytest.mark.usefixtures("sample_operators")
several = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@several
@given(graphs())
def test_printed_and_parsed(graph):
    text = print_graph(graph)
    assert parse_graph(text) == graph
    assert print_graph(parse_graph(text)) == text
    # Without notes there are no comments; and neither notes nor the way lines are broken matter.
    bare = print_graph(graph, notes=False)
    assert parse_graph(bare) == graph
    assert "//" not in "".join(line for line in bare.splitlines() if '"' not in line)
    assert parse_graph(bare.replace("\n", " // } comment\r\n\t")) == graph


@several
@given(graphs())
def test_constants_by_digest(graph):
    data = {value.name: value.data for value in graph.values if value.is_constant}
    text = print_graph(graph, constants="digest")
    assert parse_graph(text, data) == graph
    # ASCII is not promised, UTF-8 is; and a longer line holds one quoted name, which is not broken.
    assert all(len(line) <= 120 or '"' in line or "//" in line for line in text.encode("utf-8").decode().splitlines())
