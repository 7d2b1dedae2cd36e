"""Damaged texts: a graph or a BitloomError, nothing else, and soon."""

import random

import pytest
from graph_strategies import graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.errors import BitloomError
from bitloom.ir import Graph, operators, parse_graph, print_graph

pytestmark = pytest.mark.usefixtures("sample_operators")
# The deadline, in milliseconds, is far above what any of these short texts needs: only a hang exceeds it.
several = settings(max_examples=200, deadline=20_000, suppress_health_check=[HealthCheck.too_slow])

REAL = [print_graph(next(iter(operator.examples())).graph) for operator in operators().values()]
PIECES = (
    '{ } ( ) [ ] , : = .. . " \\ % @ // - 0 1 2 -1 128 0.5 1e999 nan inf 99999999999999999999 true none int8 uint64 '
    "float32 rescale rescale(single, graph input const output base64 digest scale= zero_point= axis=0 axis=-1 "
    '"" "x" %x @n % é \n \0'
).split(" ")


def parses_or_refuses(text):
    try:
        result = parse_graph(text)
    except BitloomError as error:
        result = error
    assert isinstance(result, Graph) or "\n" not in str(result)


def damaged(text, seed):
    """The text with a few spans cut, doubled, moved, or replaced by pieces of the language."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.choice([0, 1, 1, 2, 5, 20, 200]))
        span = text[start:end]
        other = chance.randint(0, len(text))
        replacement = chance.choice(
            ["", span * 2, text[other : other + 10], chance.choice(PIECES), chance.choice(PIECES)]
        )
        text = text[:start] + replacement + text[end:]
    return text


@pytest.mark.parametrize("text", REAL, ids=list(operators()))
def test_damaged_texts_of_the_real_operators(text):
    for seed in range(250):
        parses_or_refuses(damaged(text, seed))


@several
@given(graphs().map(print_graph), st.integers(0, 2**32))
def test_damaged_texts_of_any_graph(text, seed):
    parses_or_refuses(damaged(text, seed))


@pytest.mark.parametrize("text", REAL[:3])
def test_every_text_cut_short(text):
    for end in range(len(text) - 2):
        with pytest.raises(BitloomError):
            parse_graph(text[:end])


@several
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_words_of_the_language_in_any_order(text):
    parses_or_refuses(text)
    parses_or_refuses(f'graph "g" {{ {text} }}')


@settings(max_examples=300, deadline=20_000)
@given(st.text())
def test_any_text(text):
    parses_or_refuses(text)
    parses_or_refuses(f'graph "g" {{ input %x: int8[{text}] }}')


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '"' * 100_001, "\\" * 100_000, '"' + "\\" * 100_001, "-" * 100_000, "%" * 100_000, "/" * 100_000],
)
def test_long_runs_are_refused_at_once(text):
    for before in ("", 'graph "g" { const %c: int8[2] = ', 'graph "g" { %y: int8[1] = reshape @n () {shape='):
        with pytest.raises(BitloomError):
            parse_graph(before + text)
