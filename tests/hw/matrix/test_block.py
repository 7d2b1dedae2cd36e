"""Block multiplication: tiles that do not fit evenly, memories that change, consumers that pause."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.matrix.block import block_interval, block_multiply, store_product
from bitloom.hw.matrix.panels import PanelMemory

INT8 = IntType(8)


def collect(built, products, pause, seed, ready=None):
    """The segments of some products, each with its row, column, address and last flag; and the cycles of each."""
    random = np.random.default_rng(seed)
    simulation = pyrtl.Simulation()
    segments, cycles = [], []
    for cycle in range(20_000):
        is_ready = int(random.random() >= pause)
        simulation.step({"start": 1, "out_ready": is_ready})
        if is_ready and simulation.inspect("out_valid"):
            place = [simulation.inspect(f"out_{part}") for part in ("row", "column", "address", "last")]
            segments.append((place, built.channel.matrix.read(simulation)))
            cycles.append(cycle)
            if len(segments) == products * built.shape[0] * built.segments:
                return segments, cycles
    raise AssertionError("the product never ends")


def with_ports(built):
    built.channel.output("out")
    for part in ("row", "column", "address", "last"):
        source = getattr(built, part)
        port = pyrtl.Output(len(source), f"out_{part}")
        port <<= source
    return built


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 7)),
    lanes=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    a_type=st.sampled_from([IntType(8), IntType(5, signed=False), IntType(1, signed=False)]),
    b_type=st.sampled_from([IntType(8), IntType(3)]),
    bias=st.sampled_from([None, "all", "columns", "rows", "full"]),
    pause=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_product_from_any_array(shape, lanes, a_type, b_type, bias, pause, seed):
    pyrtl.reset_working_block()
    m, k, n = shape
    random = np.random.default_rng(seed)
    left = random.integers(a_type.minimum, a_type.maximum, (m, k), endpoint=True)
    right = random.integers(b_type.minimum, b_type.maximum, (k, n), endpoint=True)
    bias_shape = {None: (), "all": (), "columns": (n,), "rows": (m, 1), "full": (m, n)}[bias]
    offset = random.integers(-5000, 5000, bias_shape) if bias else None
    a = PanelMemory.rom("a", left, lanes[0], a_type)
    b = PanelMemory.rom("b", right.T, lanes[1], b_type)
    built = with_ports(
        block_multiply("mm", a, b, pyrtl.Input(1, "start"), a_zero=3, b_zero=a_type.minimum, bias=offset)
    )
    segments, _ = collect(built, 2, pause, seed)
    expected = (left - 3) @ (right - a_type.minimum) + (0 if offset is None else offset)
    half = len(segments) // 2
    for product in (segments[:half], segments[half:]):
        assert (built.assemble([values for _, values in product]) == expected).all()
        assert [place[3] for place, _ in product] == [0] * (half - 1) + [1]
        for (row, column, address, _), values in product:
            assert address == row * built.segments + column
            wanted = expected[row, column * lanes[1] : (column + 1) * lanes[1]]
            assert (values[: len(wanted)] == wanted).all()


@pytest.mark.parametrize(
    ("k", "rows", "columns", "bias"), [(20, 2, 3, None), (3, 2, 3, None), (7, 2, 4, 1), (1, 1, 1, 1)]
)
def test_tiles_follow_each_other_as_the_formula_says(k, rows, columns, bias):
    pyrtl.reset_working_block()
    m, n = 2 * rows, 2 * columns
    a = PanelMemory.rom("a", np.ones((m, k), int), rows)
    b = PanelMemory.rom("b", np.ones((n, k), int), columns)
    offset = None if bias is None else np.array(bias)
    built = with_ports(block_multiply("mm", a, b, pyrtl.Input(1, "start"), bias=offset))
    _, cycles = collect(built, 3, 0.0, 0)
    starts = cycles[::rows]
    assert set(np.diff(starts)) == {block_interval(k, rows, columns, bias=bias is not None)}


def test_memories_may_be_rewritten_between_products():
    pyrtl.reset_working_block()
    a, b = PanelMemory.ram("a", (3, 4), 2, INT8), PanelMemory.rom("b", np.arange(20).reshape(5, 4) - 10, 2)
    write_address, word, write = pyrtl.Input(3, "write_address"), pyrtl.Input(16, "word"), pyrtl.Input(1, "write")
    a.memory[write_address] <<= pyrtl.MemBlock.EnabledWrite(word, enable=write)
    built = block_multiply("mm", a, b, pyrtl.Input(1, "start"))
    idle = pyrtl.Output(1, "idle")
    idle <<= built.idle
    stored = store_product("c", built)
    finished = pyrtl.Output(1, "finished")
    finished <<= stored.done
    random = np.random.default_rng(3)
    first = random.integers(-128, 128, (3, 4))
    simulation = pyrtl.Simulation(memory_value_map={a.memory: a.contents(first)})
    quiet = {"write": 0, "write_address": 0, "word": 0}
    for left in (first, random.integers(-128, 128, (3, 4))):
        assert left is first or simulation.inspect("idle")
        for address, packed in a.contents(left).items() if left is not first else ():
            simulation.step({"start": 0, "write": 1, "write_address": address, "word": packed})
        simulation.step(quiet | {"start": 1})
        while not simulation.inspect("finished"):
            simulation.step(quiet | {"start": 0})
        simulation.step(quiet | {"start": 0})
        assert (stored.read(simulation) == left @ (np.arange(20).reshape(5, 4) - 10).T).all()


def test_layout_is_the_documented_one():
    words = PanelMemory.pack(np.arange(15).reshape(5, 3), lanes=2, bits=4)
    assert [hex(word) for word in words] == ["0x30", "0x41", "0x52", "0x96", "0xa7", "0xb8", "0xc", "0xd", "0xe"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda start: block_multiply("mm", _memory("a", 3, 4), _memory("b", 3, 5), start), "inner dimensions differ"),
        (
            lambda start: block_multiply("mm", _memory("a", 3, 4), _memory("b", 3, 4), start, bias=np.zeros(4, int)),
            "does not broadcast",
        ),
        (lambda _: PanelMemory.rom("a", np.zeros((2, 2), int), 0), "panels of 0 rows"),
        (lambda _: PanelMemory.rom("a", np.zeros(4, int), 2), "cannot be cut"),
        (lambda _: PanelMemory.rom("a", [[300]], 2, INT8), "outside int8"),
        (lambda _: PanelMemory.ram("a", (2, 2), 2, INT8).contents([[1, 2]]), "are no int8"),
    ],
)
def test_misuse_is_named(build, message):
    pyrtl.reset_working_block()
    with pytest.raises(HardwareError, match=message):
        build(pyrtl.Input(1, "start"))


def _memory(name, rows, length):
    return PanelMemory.rom(name, np.ones((rows, length), int), 2)
