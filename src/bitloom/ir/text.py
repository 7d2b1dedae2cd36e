"""Printing a graph as text, for people to read and for `bitloom.ir.parse` to read back unchanged.

    graph "two_layers" {  // macs 2772
      input %x: int8[1, 144] scale=0.0039 zero_point=-128
      const %w: int8[18, 144] scale=0.012 zero_point=0 = base64
          "..."
      %y: int8[1, 18] scale=0.1 zero_point=-5 = fully_connected @dense (%x, %w) {output_zero_point=-5, ...}
          // macs 2592; accumulator [-1234, 1234] int12
      output %y
    }

Everything between ``//`` and the end of a line is derived: the parser ignores it. The grammar stands in
`bitloom.ir.parse`.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale
from bitloom.errors import GraphError, UsageError
from bitloom.ir.graph import Graph, Node
from bitloom.ir.operator import Operator
from bitloom.ir.tokens import INTEGER_BITS, name, quote
from bitloom.ir.types import FloatType, Quantization, TensorType
from bitloom.ir.value import Value

INLINE_ELEMENTS = 16
"""Constants of up to this many elements are printed as a list of numbers."""

_WIDTH = 120
_BASE64_WIDTH = 100
_INDENT = "  "
_CONTINUED = "      "
# A chunk that no line break may divide: no space outside quotes.
_CHUNK = re.compile(r'(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^\s"])+')


def print_graph(graph: Graph, *, constants: Literal["inline", "digest"] = "inline", notes: bool = True) -> str:
    """The text form of a graph.

    Args:
        graph: to print.
        constants: ``inline`` writes large constants in base64; ``digest`` writes only their SHA-256, for a short
            text that needs the arrays beside it to be parsed.
        notes: whether to add what is derived from the graph (multiply-accumulates, ranges, widths) as comments.

    Raises:
        GraphError: an operator holds an attribute of a kind the text form does not know.
        UsageError: `constants` is something else.
    """
    if constants not in ("inline", "digest"):
        raise UsageError(f"constants are printed 'inline' or as 'digest', not {constants!r}")
    lines = [f"graph {quote(graph.name)} {{" + (f"  // macs {graph.macs}" if notes and graph.macs else "")]
    producers = {result: node for node in graph.nodes for result in node.outputs}
    for value in graph.values:
        node = producers.get(value.name)
        if value.data is not None:
            lines += _constant_lines(value, value.data, constants)
        elif node is None:
            lines += _wrapped(f"input {_typed(value)}")
        elif value.name == node.outputs[0]:
            lines += _node_lines(graph, node, notes)
    if graph.outputs:
        lines += _wrapped(f"output {_names(graph.outputs)}")
    return "\n".join([*lines, "}", ""])


def constant_bytes(data: npt.NDArray[Any]) -> bytes:
    """The elements as the text form encodes and digests them: little-endian, last index fastest."""
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def constant_digest(data: npt.NDArray[Any]) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of `constant_bytes`."""
    return "sha256:" + hashlib.sha256(constant_bytes(data)).hexdigest()


def type_text(tensor_type: TensorType) -> str:
    """A tensor type: ``int8[1, 18] scale=0.5 zero_point=-128``."""
    text = f"{tensor_type.element}[{', '.join(str(int(dimension)) for dimension in tensor_type.shape)}]"
    return f"{text} {_quantization(tensor_type.quantization)}" if tensor_type.quantization else text


def _quantization(quantization: Quantization) -> str:
    scales = [_float(scale) for scale in quantization.scales]
    if quantization.axis is None:
        return f"scale={scales[0]} zero_point={int(quantization.zero_points[0])}"
    distinct = set(quantization.zero_points)
    points = str(distinct.pop()) if len(distinct) == 1 else f"[{', '.join(map(str, quantization.zero_points))}]"
    return f"scale=[{', '.join(scales)}] zero_point={points} axis={quantization.axis}"


def _typed(value: Value) -> str:
    return f"{name('%', value.name)}: {type_text(value.type)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(name("%", each) for each in names)


def _constant_lines(value: Value, data: npt.NDArray[Any], constants: str) -> Iterator[str]:
    head = f"const {_typed(value)} ="
    if data.size <= INLINE_ELEMENTS and np.isfinite(data).all():
        yield from _wrapped(f"{head} {_nested(data.tolist())}")
    elif constants == "digest":
        yield from _wrapped(f'{head} digest "{constant_digest(data)}"')
    else:
        yield from _wrapped(f"{head} base64")
        encoded = base64.b64encode(constant_bytes(data)).decode("ascii")
        for start in range(0, len(encoded), _BASE64_WIDTH):
            yield f'{_CONTINUED}"{encoded[start : start + _BASE64_WIDTH]}"'


def _nested(elements: Any) -> str:
    if isinstance(elements, list):
        return f"[{', '.join(_nested(element) for element in elements)}]"
    return _literal(elements)


def _node_lines(graph: Graph, node: Node, notes: bool) -> Iterator[str]:
    results = ", ".join(_typed(value) for value in graph.results(node))
    text = f"{results} = {node.operator.name} {name('@', node.name)} ({_names(node.inputs)})"
    attributes = _attributes(node)
    *first, last = _wrapped(f"{text} {{{attributes}}}" if attributes else text)
    comments = list(_notes(graph, node)) if notes else []
    if not comments:
        yield from (*first, last)
        return
    remark = f"// {'; '.join(' '.join(comment.split()) for comment in comments)}"
    if len(last) + 2 + len(remark) <= _WIDTH:
        yield from (*first, f"{last}  {remark}")
    else:
        yield from (*first, last, f"{_CONTINUED}{remark}")


def _notes(graph: Graph, node: Node) -> Iterator[str]:
    operands = graph.operands(node)
    macs = node.operator.cost(operands).macs
    if macs:
        yield f"macs {macs}"
    yield from node.operator.notes(operands)


def _attributes(node: Node) -> str:
    written = []
    for field_name, value in operator_attributes(node.operator):
        try:
            written.append(f"{field_name}={_literal(value)}")
        except GraphError as error:
            raise GraphError(f"attribute '{field_name}': {error.what}", where=node.where) from error
    return ", ".join(written)


def operator_attributes(operator: Operator) -> Iterator[tuple[str, Any]]:
    """Name and value of each attribute that an operator is constructed from."""
    if is_dataclass(operator):
        for field in fields(operator):
            if field.init:
                yield field.name, getattr(operator, field.name)


def _literal(value: Any) -> str:
    """An attribute's value; enumerations first, because their members can be strings or integers too."""
    match value:
        case enum.Enum():
            return f"{type(value).__name__}.{_member(value)}"
        case None:
            return "none"
        case bool() | np.bool_():
            return "true" if value else "false"
        case int() | np.integer():
            return _integer(int(value))
        case float() | np.floating():
            return _float(float(value))
        case str():
            return quote(value)
        case tuple():
            return f"[{', '.join(_literal(element) for element in value)}]"
        case IntType() | FloatType():
            return str(value)
        case Interval():
            return f"{_integer(value.low)}..{_integer(value.high)}"
        case Rescale():
            return f"rescale({_member(value.rounding)}, [{', '.join(map(_float, value.multipliers))}])"
    raise GraphError(f"the text form has no way to write a {type(value).__name__}")


def _member(value: enum.Enum) -> str:
    """A member's name in lower case, unless that would name two members."""
    lowered = value.name.lower()
    return lowered if [member.lower() for member in type(value).__members__].count(lowered) == 1 else value.name


def _integer(value: int) -> str:
    if value.bit_length() > INTEGER_BITS:
        raise GraphError(f"an integer of {value.bit_length()} bits; the text form holds {INTEGER_BITS}")
    return str(value)


def _float(value: float) -> str:
    """The shortest decimal that reads back as the same binary64."""
    return repr(float(value))


def _wrapped(text: str) -> list[str]:
    """One statement on as few lines as fit, broken at spaces outside quotes."""
    lines: list[str] = []
    line = _INDENT.removesuffix(" ")
    for chunk in _CHUNK.findall(text):
        if len(line) + 1 + len(chunk) > _WIDTH and line.strip():
            lines.append(line)
            line = _CONTINUED.removesuffix(" ")
        line = f"{line} {chunk}"
    return [*lines, line]
