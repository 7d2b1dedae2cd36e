"""Operators that exist in tests only: one that holds every kind of attribute, and one that can make any results."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import GraphError
from bitloom.ir import FLOAT32, Cost, ElementType, Example, Operator, Value
from bitloom.ir.operator import Array

INT8, ZERO = IntType(8), Interval(0, 0)


class Padding(enum.Enum):
    """Members that could be taken for other literals, or for one another."""

    SAME = 1
    VALID = 2
    NONE = 3
    true = 4
    INT8 = 5
    Same = 6


class Level(enum.IntEnum):
    """A member is an integer too."""

    LOW = 0
    HIGH = 7


class Shade(enum.StrEnum):
    """A member is a string too."""

    DARK = "dark"


@dataclass(frozen=True)
class EveryKind(Operator):
    """Its result is as its operand; its attributes are of every kind the text form knows."""

    name = "test_every_kind"

    count: int = 0
    factor: float = 0.0
    flag: bool = False
    label: str = ""
    absent: int | None = None
    table: tuple[int, ...] = ()
    pairs: tuple[tuple[str, float | None], ...] = ()
    fixed: tuple[int, bool] = (0, False)
    element: IntType = INT8
    any_element: ElementType = FLOAT32
    bounds: Interval = ZERO
    rescale: Rescale | None = None
    rounding: Rounding = Rounding.DOUBLE
    paddings: tuple[Padding, ...] = ()
    level: Level = Level.LOW
    shade: Shade | None = None

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        return ((inputs[0].type.shape, inputs[0].type.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0],)

    def cost(self, inputs: Sequence[Value]) -> Cost:
        return Cost(macs=self.count if 0 < self.count < 1000 else 0)

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:
        return (f"label\n{self.label}", 'a "quoted } note') if self.label else ()

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return ()


@dataclass(frozen=True)
class Scatter(Operator):
    """Makes results of the given shapes, full of zeros; takes any number of operands but refuses a negative limit."""

    name = "test_scatter"

    shapes: tuple[tuple[int, ...], ...]
    element: ElementType
    limit: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise GraphError(f"a limit is not negative, as {self.limit} is")

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        return tuple((shape, self.element) for shape in self.shapes)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(np.zeros((1, *shape), self.element.dtype) for shape in self.shapes)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return ()


@dataclass(frozen=True)
class Holder(Operator):
    """Holds something the text form cannot write."""

    name = "test_holder"

    held: object = None

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        return (((1,), IntType(8)),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.zeros((1, 1), np.int8),)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return ()


SAMPLES = (EveryKind, Scatter, Holder)
