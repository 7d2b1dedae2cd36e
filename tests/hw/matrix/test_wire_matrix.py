"""`WireMatrix`: shapes, views, packing, connections, and the errors that say what does not fit."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import Interval, IntType
from bitloom.errors import BitloomError, HardwareError, InputError
from bitloom.hw.matrix.values import pack_values
from bitloom.hw.matrix.wire_matrix import WireMatrix

INT8 = IntType(8)


@pytest.fixture(autouse=True)
def _empty_block():
    pyrtl.reset_working_block()


def run_once(stimulus):
    simulation = pyrtl.Simulation()
    simulation.step(stimulus)
    return simulation


@given(
    shape=st.lists(st.integers(1, 3), max_size=4).map(tuple),
    bits=st.integers(1, 32),
    signed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_passes_through_wires_packing_and_ports(shape, bits, signed, seed):
    pyrtl.reset_working_block()
    element = IntType(bits, signed)
    values = np.random.default_rng(seed).integers(element.minimum, element.maximum, shape, endpoint=True)
    source = WireMatrix.input("a", shape, element)
    again = WireMatrix.from_packed("b", source.packed, shape, element)
    again.output("out")
    simulation = run_once(source.stimulus(values))
    assert (again.read(simulation) == values).all()
    assert (WireMatrix.read_named(simulation, "out", shape, element) == values).all()
    assert source.read(simulation).shape == shape


def test_packed_has_the_first_element_lowest():
    matrix = WireMatrix.input("a", (2, 2), IntType(4))
    packed = pyrtl.Output(16, "packed")
    packed <<= matrix.packed
    simulation = run_once(matrix.stimulus([[1, 2], [-1, 3]]))
    assert simulation.inspect("packed") == 0x3F21 == pack_values([1, 2, -1, 3], 4)


@pytest.mark.parametrize(
    "view",
    [
        lambda m: m[1],
        lambda m: m[:, 1:],
        lambda m: m[..., ::-1],
        lambda m: m[0, :, 2],
        lambda m: m[:, None],
        lambda m: m.transpose(),
        lambda m: m.transpose(2, 0, 1),
        lambda m: m.reshape(4, -1),
        lambda m: m.reshape(24),
    ],
)
def test_views_follow_numpy_and_share_wires(view):
    values = np.arange(24).reshape(2, 3, 4) - 12
    matrix = WireMatrix.input("a", values.shape, INT8)
    picked = view(matrix)
    expected = view(values) if not isinstance(view(values), np.integer) else np.array(view(values))
    assert (picked.read(run_once(matrix.stimulus(values))) == expected).all()
    assert set(map(id, picked)) <= set(map(id, matrix))


def test_full_index_is_the_named_wire():
    matrix = WireMatrix.input("a", (2, 3), INT8)
    assert matrix[1, 2].name == "a_1_2"
    assert WireMatrix.input("scalar", (), INT8)[()].name == "scalar"


def test_broadcast_repeats_wires():
    row = WireMatrix.constant("r", [1, 2, 3])
    assert (row.broadcast_to((2, 3)).read(run_once({})) == [[1, 2, 3]] * 2).all()


def test_from_wires_takes_nested_lists_of_wires():
    ports = [[pyrtl.Input(8, f"p{i}{j}") for j in range(3)] for i in range(2)]
    matrix = WireMatrix.from_wires("m", ports, INT8)
    simulation = run_once({f"p{i}{j}": 10 * i + j for i in range(2) for j in range(3)})
    assert matrix.read(simulation).tolist() == [[0, 1, 2], [10, 11, 12]]


def test_constants_take_the_narrowest_type_that_holds_them():
    assert WireMatrix.constant("c", [[0, 5], [7, 1]]).type_name == "uint3"
    assert WireMatrix.constant("d", [-9, 3]).type_name == "int5"
    assert WireMatrix.constant("e", [1, 2], INT8).interval == Interval(1, 2)
    wide = WireMatrix.constant("f", np.array([2**70, -1], object))
    assert wide.type_name == "int72"
    assert wide.read(run_once({})).tolist() == [2**70, -1]


def test_connecting_extends_each_element_by_its_sign():
    narrow = WireMatrix.input("n", (2,), IntType(4))
    wide = WireMatrix.wires("w", (2,), IntType(9))
    wide.drive(narrow)
    assert wide.read(run_once(narrow.stimulus([-8, 7]))).tolist() == [-8, 7]


def test_registers_load_when_enabled():
    matrix, enable = WireMatrix.input("a", (2,), INT8), pyrtl.Input(1, "enable")
    held = matrix.registered("held", enable)
    simulation = pyrtl.Simulation()
    seen = []
    for values, enabled in (([1, 2], 1), ([3, 4], 0), ([5, 6], 1), ([7, 8], 0)):
        simulation.step(matrix.stimulus(values) | {"enable": enabled})
        seen.append(held.read(simulation).tolist())
    assert seen == [[0, 0], [1, 2], [1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: a[2, 0], "no element"),
        (lambda a: a.reshape(5), "reshape"),
        (lambda a: a.transpose(0, 0), "axes"),
        (lambda a: a.broadcast_to((2, 4)), "broadcast"),
        (lambda a: WireMatrix.input("x", (0, 2), INT8), "no elements"),
        (lambda a: WireMatrix.constant("x", [[1, 2], [3]]), "different lengths"),
        (lambda a: WireMatrix.constant("x", [1.5]), "not integers"),
        (lambda a: WireMatrix.constant("x", []), "elements"),
        (lambda a: WireMatrix.constant("x", [200], INT8), "outside"),
        (lambda a: WireMatrix.from_wires("x", [[a[0, 0]], [a[0, 0], a[0, 1]]], INT8), "different lengths"),
        (lambda a: WireMatrix.from_wires("x", [a[0, 0]], IntType(9)), "8 bits, not the 9"),
        (lambda a: WireMatrix.from_packed("x", a.packed, (2, 2), INT8), "48 bits"),
        (lambda a: WireMatrix.wires("x", (3, 2), INT8).drive(a), r"shape \[2, 3\] to shape \[3, 2\]"),
        (lambda a: WireMatrix.wires("x", (2, 3), IntType(7)).drive(a), "outside"),
        (lambda a: WireMatrix.wires("x", (2, 3), IntType(8, signed=False)).drive(a), "outside"),
        (lambda a: WireMatrix.wires("x", (2, 3), INT8).drive(a, a[0, 0][0]), "only registers"),
        (lambda a: a.with_interval(Interval(-1, 128)), "outside"),
        (lambda a: a.stimulus([[1, 2, 3]]), "shape"),
        (lambda a: a.stimulus(np.full((2, 3), 128)), "range of int8"),
    ],
)
def test_misuse_names_the_place_and_the_problem(make, message):
    matrix = WireMatrix.input("a", (2, 3), INT8)
    with pytest.raises(BitloomError, match=message) as caught:
        make(matrix)
    assert isinstance(caught.value, HardwareError | InputError)
    assert caught.value.where
