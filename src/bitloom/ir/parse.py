r"""Reading the text form of a graph, as `bitloom.ir.text` prints it.

    graph     = "graph" STRING "{" { input | constant | node | output } "}"
    input     = "input" TENSOR ":" type
    constant  = "const" TENSOR ":" type "=" ( list | "base64" STRING { STRING } | "digest" STRING )
    node      = TENSOR ":" type { "," TENSOR ":" type } "=" WORD NODE "(" [ TENSOR { "," TENSOR } ] ")"
                [ "{" [ WORD "=" literal { "," WORD "=" literal } ] "}" ]
    output    = "output" TENSOR { "," TENSOR }
    type      = WORD "[" [ INTEGER { "," INTEGER } ] "]"
                [ "scale" "=" list "zero_point" "=" list [ "axis" "=" INTEGER ] ]
    list      = number | "[" [ list { "," list } ] "]"
    literal   = number | STRING | "true" | "false" | "none" | INTEGER ".." INTEGER | "[" [ literal { "," literal } ] "]"
              | "int8" or another element type | "rescale" "(" WORD "," list ")" | "Enumeration.member"

    TENSOR    = "%" followed by a plain identifier or a quoted name; NODE = "@" followed by one
    STRING    = "..." with \" \\ \n \r \t \uXXXX \UXXXXXXXX

Line breaks are spaces, and ``//`` starts a comment. The operator's name is looked up in the registry, and its
attributes are the fields of its dataclass, which also say what type each must have. An attribute that has a
default may be left out. One zero point serves all scales.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.ir.attributes import MAXIMUM_DEPTH, element_named, parse_operator
from bitloom.ir.graph import Graph, Node
from bitloom.ir.operator import operators
from bitloom.ir.text import constant_digest
from bitloom.ir.tokens import NUMBERS, Kind, Token, TokenReader
from bitloom.ir.types import ElementType, Quantization, TensorType
from bitloom.ir.value import Value

Constants = Mapping[str, npt.NDArray[Any]]
_Item = TypeVar("_Item")


def parse_graph(text: str, constants: Constants | None = None, name: str = "<text>") -> Graph:
    """Read a graph from its text form.

    Args:
        text: as `bitloom.ir.text.print_graph` writes it, or written by hand.
        constants: arrays by tensor name, for constants the text gives only the digest of.
        name: of the text in error messages and in the nodes' source: a file, for example.

    Raises:
        GraphError: the text does not parse (with line, column and what was expected) or the graph is not well formed.
        BitloomError: an operator refuses its attributes or operands.

    >>> graph = parse_graph('graph "wire" { input %x: int8[4]  output %x }')
    >>> graph.type("x").shape
    (4,)
    """
    return _GraphParser(TokenReader(text, name), constants or {}).graph()


class _GraphParser:
    """Statements of one graph, collected until the closing brace."""

    def __init__(self, reader: TokenReader, constants: Constants) -> None:
        self._reader = reader
        self._constants = constants
        self._operators = operators()
        self._values: dict[str, Value] = {}
        self._nodes: dict[str, Node] = {}
        self._inputs: list[str] = []
        self._outputs: list[Token] = []

    def graph(self) -> Graph:
        reader = self._reader
        reader.expect("graph")
        title = reader.expect_kind(Kind.STRING)
        reader.expect("{")
        while not reader.accept("}"):
            self._statement()
        if reader.peek().kind is not Kind.END:
            reader.fail_expected(Kind.END.value)
        for token in self._outputs:
            if token.text not in self._values:
                reader.fail(f"the output '{token.text}' is not defined", token)
        with reader.placed(title):
            return Graph(
                name=title.text,
                inputs=tuple(self._inputs),
                outputs=tuple(token.text for token in self._outputs),
                values=tuple(self._values.values()),
                nodes=tuple(self._nodes.values()),
            )

    def _statement(self) -> None:
        reader = self._reader
        if reader.accept("input"):
            self._inputs.append(self._result())
        elif reader.accept("const"):
            self._constant()
        elif reader.accept("output"):
            self._outputs += reader.separated(lambda: reader.expect_kind(Kind.TENSOR))
        elif reader.peek().kind is Kind.TENSOR:
            self._node()
        else:
            reader.fail_expected("'input'", "'const'", "'output'", "a tensor name such as %x", "'}'")

    def _result(self) -> str:
        """A tensor that is no constant: its name and type."""
        token = self._reader.expect_kind(Kind.TENSOR)
        self._reader.expect(":")
        return self._define(token, Value(token.text, _parse_type(self._reader)))

    def _define(self, token: Token, value: Value) -> str:
        if value.name in self._values:
            self._reader.fail(f"the tensor '{value.name}' is defined twice", token)
        self._values[value.name] = value
        return value.name

    def _constant(self) -> None:
        reader = self._reader
        token = reader.expect_kind(Kind.TENSOR)
        reader.expect(":")
        tensor_type = _parse_type(reader)
        reader.expect("=")
        first = reader.peek()
        if reader.accept("base64"):
            data = _parse_base64(reader, tensor_type)
        elif reader.accept("digest"):
            data = self._digested(token.text, tensor_type)
        else:
            data = _parse_elements(reader, tensor_type)
        with reader.placed(first):
            self._define(token, Value(token.text, tensor_type, data))

    def _digested(self, name: str, tensor_type: TensorType) -> npt.NDArray[Any]:
        token = self._reader.expect_kind(Kind.STRING)
        data = self._constants.get(name)
        if data is None:
            self._reader.fail(
                f"the text gives only the digest of '{name}'", token, "pass its elements in parse_graph(constants=...)"
            )
        with self._reader.placed(token):
            data = cast(npt.NDArray[Any], Value(name, tensor_type, data).data)
        if constant_digest(data) != token.text:
            self._reader.fail(f"the elements given for '{name}' have another digest, {constant_digest(data)}", token)
        return data

    def _node(self) -> None:
        reader = self._reader
        first = reader.peek()
        outputs = reader.separated(self._result)
        reader.expect("=")
        kind = reader.expect_kind(Kind.WORD)
        if kind.text not in self._operators:
            reader.fail(f"there is no operator '{kind.text}'", kind, f"known: {', '.join(self._operators)}")
        label = reader.expect_kind(Kind.NODE)
        if label.text in self._nodes:
            reader.fail(f"two nodes are named '{label.text}'", label)
        reader.expect("(")
        inputs: list[Token] = []
        if not reader.accept(")"):
            inputs = reader.separated(lambda: reader.expect_kind(Kind.TENSOR))
            reader.expect(")")
        operator = parse_operator(reader, kind, self._operators[kind.text])
        names = tuple(token.text for token in inputs)
        self._nodes[label.text] = Node(label.text, operator, names, tuple(outputs), source=reader.where(first))


def _parse_type(reader: TokenReader) -> TensorType:
    first = reader.peek()
    element = _parse_element(reader)
    shape = reader.bracketed(reader.expect_integer)
    if len(shape) > MAXIMUM_DEPTH:
        reader.fail(f"a tensor has at most {MAXIMUM_DEPTH} dimensions, not {len(shape)}", first)
    with reader.placed(first):
        return TensorType(tuple(shape), element, _parse_quantization(reader))


def _parse_element(reader: TokenReader) -> ElementType:
    token = reader.peek()
    element = element_named(token.text) if token.kind is Kind.WORD else None
    if element is None:
        reader.fail_expected("an element type such as int8, uint4 or float32")
    reader.take()
    return element


def _parse_quantization(reader: TokenReader) -> Quantization | None:
    if not reader.accept("scale"):
        return None
    reader.expect("=")
    scales = _parse_vector(reader, lambda: float(reader.expect_number()))
    reader.expect("zero_point")
    reader.expect("=")
    zero_points = _parse_vector(reader, reader.expect_integer)
    axis = None
    if reader.accept("axis"):
        reader.expect("=")
        axis = reader.expect_integer()
    if axis is not None and len(zero_points) == 1:
        zero_points *= len(scales)
    return Quantization(tuple(scales), tuple(zero_points), axis)


def _parse_vector(reader: TokenReader, item: Callable[[], _Item]) -> list[_Item]:
    """One item, or a list of them in brackets."""
    return reader.bracketed(item) if reader.at("[") else [item()]


def _parse_elements(reader: TokenReader, tensor_type: TensorType) -> npt.NDArray[Any]:
    """A constant's elements as nested lists, which must have the shape of its type."""
    first = reader.peek()
    flat: list[int | float] = []

    def nested(dimensions: tuple[int, ...]) -> None:
        token = reader.peek()
        if not dimensions:
            flat.append(_parse_element_of(reader, tensor_type.element))
            return
        count = len(reader.bracketed(lambda: nested(dimensions[1:])))
        if count != dimensions[0]:
            reader.fail(f"{count} elements where the shape {list(tensor_type.shape)} has {dimensions[0]}", token)

    if first.kind not in NUMBERS and not reader.at("["):
        reader.fail_expected("elements in [...]", "'base64'", "'digest'")
    nested(tensor_type.shape)
    return np.array(flat, tensor_type.element.dtype).reshape(tensor_type.shape)


def _parse_element_of(reader: TokenReader, element: ElementType) -> int | float:
    token = reader.peek()
    number = reader.expect_number()
    if isinstance(element, IntType):
        if isinstance(number, float):
            reader.fail(f"{token.text} is not an integer, and the elements are {element}", token)
        if not element.contains(number, number):
            reader.fail(f"{number} is not within {element}, {element.minimum} to {element.maximum}", token)
    elif abs(number) > float(np.finfo(np.float32).max):
        reader.fail(f"{number} is not within {element}", token)
    return number


def _parse_base64(reader: TokenReader, tensor_type: TensorType) -> npt.NDArray[Any]:
    first = reader.expect_kind(Kind.STRING)
    encoded = [first.text]
    while reader.peek().kind is Kind.STRING:
        encoded.append(reader.take().text)
    try:
        data = base64.b64decode("".join(encoded), validate=True)
    except (binascii.Error, ValueError) as error:
        reader.fail(f"not base64: {error}", first)
    dtype = tensor_type.element.dtype
    if len(data) != tensor_type.size * dtype.itemsize:
        reader.fail(
            f"{len(data)} bytes of base64 where {tensor_type.element}{list(tensor_type.shape)} takes "
            f"{tensor_type.size * dtype.itemsize}",
            first,
        )
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(tensor_type.shape)
