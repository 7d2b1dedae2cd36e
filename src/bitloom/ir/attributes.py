"""Reading an operator's attributes: literals of the text form, checked against the fields of the operator's dataclass.

The grammar stands in `bitloom.ir.parse`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.ir.operator import Operator
from bitloom.ir.tokens import NUMBERS, Kind, Token, TokenReader
from bitloom.ir.types import FLOAT32, ElementType

MAXIMUM_DEPTH = 64
"""Brackets nest at most so deep: NumPy's own limit on dimensions, which also bounds recursion."""

_ELEMENT = re.compile(r"u?int([1-9]|[1-5]\d|6[0-4])")
_Member = TypeVar("_Member", bound=enum.Enum)


def element_named(text: str) -> ElementType | None:
    """The element type a word names, or None.

    >>> element_named("uint4"), element_named("int65")
    (IntType(bits=4, signed=False), None)
    """
    if text == str(FLOAT32):
        return FLOAT32
    return IntType.parse(text) if _ELEMENT.fullmatch(text) else None


def parse_operator(reader: TokenReader, kind: Token, operator: type[Operator]) -> Operator:
    """Read the attributes in braces, if there are any, and make the operator.

    Args:
        reader: stands behind the node's operands.
        kind: the operator's name, as the place of errors about the whole.
        operator: the class of that name.

    Raises:
        GraphError: an attribute is unknown, missing, given twice or of the wrong type.
        BitloomError: the operator refuses its attributes.
    """
    known: dict[str, Field[Any]] = {}
    if is_dataclass(operator):
        known = {field.name: field for field in fields(operator) if field.init}
    hints = get_type_hints(operator)
    attributes: dict[str, Any] = {}

    def attribute() -> None:
        token = reader.expect_kind(Kind.WORD)
        if token.text not in known:
            reader.fail(f"{kind.text} has no attribute '{token.text}'", token, f"it has: {', '.join(known) or 'none'}")
        if token.text in attributes:
            reader.fail(f"the attribute '{token.text}' is given twice", token)
        reader.expect("=")
        first = reader.peek()
        value = _parse_literal(reader, _enumerations(hints[token.text]))
        if not _fits(value, hints[token.text]):
            reader.fail(f"the attribute '{token.text}' of {kind.text} is {_declared(known[token.text])}", first)
        attributes[token.text] = value

    if reader.accept("{") and not reader.accept("}"):
        reader.separated(attribute)
        reader.expect("}")
    missing = [field.name for field in known.values() if field.name not in attributes and _is_required(field)]
    if missing:
        reader.fail(f"{kind.text} lacks {', '.join(missing)}", kind)
    with reader.placed(kind):
        return operator(**attributes)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _declared(field: Field[Any]) -> str:
    """A field's type as its class spells it."""
    return field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))


def _parse_literal(reader: TokenReader, enumerations: Mapping[str, type[enum.Enum]], depth: int = 0) -> Any:
    token = reader.peek()
    if reader.at("[") and depth < MAXIMUM_DEPTH:
        return tuple(reader.bracketed(lambda: _parse_literal(reader, enumerations, depth + 1)))
    if token.kind in NUMBERS:
        number = reader.expect_number()
        return number if isinstance(number, float) or not reader.accept("..") else _parse_interval(reader, number)
    if token.kind is Kind.STRING:
        return reader.take().text
    if token.kind is not Kind.WORD:
        reader.fail_expected("a value" if depth < MAXIMUM_DEPTH else f"at most {MAXIMUM_DEPTH} brackets")
    if token.text in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[reader.take().text]
    element = element_named(token.text)
    if element is not None:
        reader.take()
        return element
    if token.text == "rescale":
        return _parse_rescale(reader)
    enumeration, _, member = token.text.rpartition(".")
    if enumeration not in enumerations:
        reader.fail_expected("a value", *(f"'{each}.member'" for each in enumerations))
    return _parse_member(reader, enumerations[enumeration], member)


def _parse_interval(reader: TokenReader, low: int) -> Interval:
    token = reader.peek()
    with reader.placed(token):
        return Interval(low, reader.expect_integer())


def _parse_rescale(reader: TokenReader) -> Rescale:
    first = reader.expect("rescale")
    reader.expect("(")
    if reader.peek().kind is not Kind.WORD:
        reader.fail_expected("a rounding")
    rounding = _parse_member(reader, Rounding, reader.peek().text)
    reader.expect(",")
    multipliers = reader.bracketed(lambda: float(reader.expect_number()))
    reader.expect(")")
    with reader.placed(first):
        return Rescale(tuple(multipliers), rounding)


def _parse_member(reader: TokenReader, enumeration: type[_Member], text: str) -> _Member:
    """A member by its exact name, or by its name in lower case."""
    members = enumeration.__members__
    lowered = {each.lower(): member for each, member in members.items()}
    if text not in members and text not in lowered:
        reader.fail(f"'{text}' is none of {enumeration.__name__}: {', '.join(lowered)}", reader.peek())
    reader.take()
    return members[text] if text in members else lowered[text]


def _enumerations(hint: Any) -> dict[str, type[enum.Enum]]:
    """The enumerations in a type, by class name."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {hint.__name__: hint}
    return {name: found for part in get_args(hint) for name, found in _enumerations(part).items()}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a parsed value is of a declared type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_fits(element, arguments[0]) for element in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint is None or hint is NoneType:
        return value is None
    if hint in (int, float):
        # A bool is an int to Python, and an integer serves as a float.
        return type(value) is int or (hint is float and type(value) is float)
    return isinstance(hint, type) and isinstance(value, hint)
