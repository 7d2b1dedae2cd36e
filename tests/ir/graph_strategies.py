"""Random graphs for property tests."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sample_operators import EveryKind, Level, Padding, Scatter, Shade

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.ir import FLOAT32, Graph, Node, Quantization, TensorType, Value

plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,8}", fullmatch=True)
names = st.one_of(
    plain,
    st.text(max_size=12),
    st.sampled_from(["input", "%x", 'a"b', "model/dense:0", "", "\\", "é", "\ud800", "\U0001f9f6\n\t\x7f"]),
)
integers = st.one_of(st.integers(-300, 300), st.integers(-(2**64) + 1, 2**64 - 1))
numbers = st.floats(allow_nan=False)
scales = st.floats(1e-30, 1e30)
int_types = st.builds(IntType, st.integers(1, 64), st.booleans())
elements = st.one_of(st.just(IntType(8)), int_types, st.just(FLOAT32))
shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)
intervals = st.tuples(integers, integers).map(lambda ends: Interval(min(ends), max(ends)))
# Of 15 bits, a multiplier is less than 2**14.
rescales = st.sampled_from(Rounding).flatmap(
    lambda rounding: st.builds(
        Rescale,
        st.lists(st.floats(0, 16383 if rounding is Rounding.REDUCED else 1e6), min_size=1, max_size=20).map(tuple),
        st.just(rounding),
    )
)

every_kind = st.builds(
    EveryKind,
    count=integers,
    factor=numbers,
    flag=st.booleans(),
    label=st.text(max_size=20),
    absent=st.none() | integers,
    table=st.lists(integers, max_size=60).map(tuple),
    pairs=st.lists(st.tuples(names, st.none() | numbers), max_size=3).map(tuple),
    fixed=st.tuples(integers, st.booleans()),
    element=int_types,
    any_element=elements,
    bounds=intervals,
    rescale=st.none() | rescales,
    rounding=st.sampled_from(Rounding),
    paddings=st.lists(st.sampled_from(Padding), max_size=4).map(tuple),
    level=st.sampled_from(Level),
    shade=st.none() | st.sampled_from(Shade),
)


@st.composite
def tensor_types(draw, element=elements):
    shape = draw(shapes)
    choice = draw(st.sampled_from(["none", "tensor", "axis"]))
    quantization = None
    if choice == "tensor":
        quantization = Quantization((draw(scales),), (draw(st.integers(-1000, 1000)),))
    elif choice == "axis" and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        count = shape[axis]
        points = draw(st.one_of(st.just([0] * count), st.lists(st.integers(-9, 9), min_size=count, max_size=count)))
        many = draw(st.lists(scales, min_size=count, max_size=count))
        quantization = Quantization(tuple(many), tuple(points), axis)
    return TensorType(shape, draw(element), quantization)


@st.composite
def constants(draw, name):
    tensor_type = draw(tensor_types())
    element = tensor_type.element
    if isinstance(element, IntType):
        drawn = hnp.arrays(element.dtype, tensor_type.shape, elements=st.integers(element.minimum, element.maximum))
    else:
        drawn = hnp.arrays(np.float32, tensor_type.shape, elements=st.floats(width=32, allow_nan=False))
    return Value(name, tensor_type, draw(drawn))


@st.composite
def graphs(draw):
    """Any mixture of inputs, constants and nodes; values are listed in any order."""
    unused = iter(draw(st.lists(names, min_size=24, max_size=24, unique=True)))
    values = {}
    inputs = [Value(next(unused), draw(tensor_types())) for _ in range(draw(st.integers(0, 3)))]
    for value in (*inputs, *(draw(constants(next(unused))) for _ in range(draw(st.integers(0, 3))))):
        values[value.name] = value
    nodes = []
    for index in range(draw(st.integers(0, 3))):
        readable = sorted(values)
        if readable and draw(st.booleans()):
            operand = values[draw(st.sampled_from(readable))]
            operator, operands, results = draw(every_kind), [operand.name], [operand.type]
        else:
            results = [draw(tensor_types(st.just(IntType(8)))) for _ in range(draw(st.integers(1, 3)))]
            operator = Scatter(tuple(result.shape for result in results), IntType(8))
            operands = draw(st.lists(st.sampled_from(readable), max_size=3)) if readable else []
        made = [Value(next(unused), result) for result in results]
        values |= {value.name: value for value in made}
        label = f"{draw(names)}{index}"
        nodes.append(Node(label, operator, tuple(operands), tuple(value.name for value in made), source="elsewhere"))
    return Graph(
        name=draw(names),
        inputs=tuple(value.name for value in inputs),
        outputs=tuple(draw(st.lists(st.sampled_from(sorted(values)), max_size=3))) if values else (),
        values=tuple(draw(st.permutations(list(values.values())))),
        nodes=tuple(nodes),
    )
