"""`WireMatrix`: a matrix of any number of dimensions whose elements are PyRTL wires.

It is what every circuit of this package takes and gives. It knows its shape, its element type and the interval
its values lie in; it knows nothing of clocks and handshakes (see `bitloom.hw.matrix.channel` for those).

Element (1, 0) of a matrix ``a`` is the wire ``a_1_0``: the same name in PyRTL, in waveforms and in Verilog. The
packed form is one wire with the first element in the lowest bits, row by row::

    a (2, 2), int4                     packed, 16 bits
    ┌           ┐                bit 15        11         7         3        0
    │ a_0_0 a_0_1 │                 ┌─────────┬─────────┬─────────┬─────────┐
    │ a_1_0 a_1_1 │      ───▶       │  a_1_1  │  a_1_0  │  a_0_1  │  a_0_0  │
    └           ┘                   └─────────┴─────────┴─────────┴─────────┘
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.arith.ranges import Interval
from bitloom.arith.types import IntType
from bitloom.errors import HardwareError, InputError
from bitloom.hw import registers
from bitloom.hw.matrix.integer import full_range, resize, storage
from bitloom.hw.matrix.values import IntegerArray, integer_array, to_array


@dataclass(frozen=True, eq=False, repr=False)
class WireMatrix:
    """Wires in an array of any number of dimensions, all of one integer type.

    Make one with `input`, `wires`, `registers`, `constant`, `from_wires` or `from_packed`. Indexing, slicing,
    `reshape` and `transpose` give views: they share wires and cost no hardware.

    Attributes:
        array: the wires, a NumPy object array of the matrix's shape.
        bits: the width of every element.
        signed: whether elements are two's complement.
        interval: what the values are known to lie in; the whole type if nothing better is known.
        name: prefix of the elements' names.

    >>> pyrtl.reset_working_block()
    >>> a = WireMatrix.input("a", (2, 3), IntType(8))
    >>> b = WireMatrix.constant("b", [[1, 2, 3], [4, 5, 6]])
    >>> a, b.transpose(), a[:, 1:], a[1, 2].name
    (WireMatrix(a: int8[2, 3]), WireMatrix(b: uint3[3, 2]), WireMatrix(a: int8[2, 2]), 'a_1_2')
    >>> a.transpose().output("at")
    >>> simulation = pyrtl.Simulation()
    >>> simulation.step(a.stimulus([[1, -2, 3], [-4, 5, -6]]))
    >>> WireMatrix.read_named(simulation, "at", (3, 2), IntType(8)).tolist()
    [[1, -4], [-2, 5], [3, -6]]
    """

    array: npt.NDArray[np.object_]
    bits: int
    signed: bool
    interval: Interval
    name: str

    # ---- construction -------------------------------------------------------------------------------------------

    @classmethod
    def input(cls, name: str, shape: tuple[int, ...], element: IntType) -> WireMatrix:
        """A matrix of input ports, one per element."""
        return cls._build(name, shape, element, lambda port: pyrtl.Input(element.bits, name=port))

    @classmethod
    def wires(cls, name: str, shape: tuple[int, ...], element: IntType | Interval) -> WireMatrix:
        """Wires without a driver; `drive` them later."""
        bits, _ = _element_storage(element)
        return cls._build(name, shape, element, lambda wire: pyrtl.WireVector(bits, wire))

    @classmethod
    def registers(
        cls, name: str, shape: tuple[int, ...], element: IntType | Interval, *, reset_value: int | None = None
    ) -> WireMatrix:
        """Registers without a driver; `drive` sets what they hold after the next clock edge."""
        bits, _ = _element_storage(element)
        return cls._build(name, shape, element, lambda wire: pyrtl.Register(bits, wire, reset_value=reset_value))

    @classmethod
    def constant(cls, name: str, values: npt.ArrayLike, element: IntType | None = None) -> WireMatrix:
        """Constants; without `element`, of the narrowest type that holds them all.

        Raises:
            HardwareError: the values are not integers, there are none, or one does not fit `element`.
        """
        numbers = integer_array(values, name)
        if not numbers.size:
            raise HardwareError("a matrix needs at least one element", where=name)
        known = Interval(int(numbers.min()), int(numbers.max()))
        bits, signed = storage(known) if element is None else (element.bits, element.signed)
        _check_fits(known, full_range(bits, signed), name, f"constants lie in {known}")
        array = np.empty(numbers.shape, np.object_)
        for index in np.ndindex(numbers.shape):
            # A named wire in front of the constant: PyRTL shows constants neither in waveforms nor by name.
            wire = pyrtl.WireVector(bits, _element_name(name, index))
            wire <<= registers.constant(int(numbers[index]), bits)
            array[index] = wire
        return cls(array, bits, signed, known, name)

    @classmethod
    def from_wires(cls, name: str, wires: Any, element: IntType | Interval) -> WireMatrix:
        """Named wires driven by existing ones.

        Args:
            name: prefix of the new wires' names.
            wires: nested sequences of wires, or a NumPy object array of them; the nesting is the shape.
            element: type of the elements, or the interval they lie in.

        Raises:
            HardwareError: ragged nesting, or a wire whose width is not the element's.
        """
        source = _object_array(wires, name)
        result = cls.wires(name, source.shape, element)
        for index in np.ndindex(source.shape):
            if len(source[index]) != result.bits:
                raise HardwareError(
                    f"element {list(index)} has {len(source[index])} bits, not the {result.bits} of {result.type_name}",
                    where=name,
                    remedy="extend it, or give the type it has",
                )
            result.array[index] <<= source[index]
        return result

    @classmethod
    def from_packed(
        cls, name: str, packed: pyrtl.WireVector, shape: tuple[int, ...], element: IntType | Interval
    ) -> WireMatrix:
        """Named slices of one wire; the first element in its lowest bits, row by row.

        Raises:
            HardwareError: the wire has not exactly the matrix's number of bits.
        """
        result = cls.wires(name, shape, element)
        if len(packed) != result.size * result.bits:
            raise HardwareError(
                f"{len(packed)} bits cannot be {result.type_name}{list(shape)}, of {result.size * result.bits} bits",
                where=name,
                remedy="check shape and element type",
            )
        for position, wire in enumerate(result):
            wire <<= packed[position * result.bits : (position + 1) * result.bits]
        return result

    @classmethod
    def _build(
        cls,
        name: str,
        shape: tuple[int, ...],
        element: IntType | Interval,
        make: Callable[[str], pyrtl.WireVector],
    ) -> WireMatrix:
        check_shape(shape, name)
        bits, signed = _element_storage(element)
        known = element if isinstance(element, Interval) else full_range(bits, signed)
        array = np.empty(shape, np.object_)
        for index in np.ndindex(shape):
            array[index] = make(_element_name(name, index))
        return cls(array, bits, signed, known, name)

    # ---- shape --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return tuple(int(length) for length in self.array.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.array.size)

    @property
    def type_name(self) -> str:
        """The element type as text, such as ``int8``; any width."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def element(self) -> IntType:
        """The element type.

        Raises:
            ArithmeticDomainError: elements are wider than 64 bits.
        """
        return IntType(self.bits, self.signed)

    def __iter__(self) -> Iterator[pyrtl.WireVector]:
        """The elements, row by row."""
        return iter(self.array.flat)

    def __getitem__(self, key: Any) -> Any:
        """One element's wire for a full index; otherwise a view, by NumPy's basic indexing rules.

        Raises:
            HardwareError: the index is outside the matrix.
        """
        try:
            picked = self.array[key]
        except IndexError as error:
            raise HardwareError(f"no element {key} in shape {list(self.shape)}", where=self.name) from error
        return self._view(picked) if isinstance(picked, np.ndarray) else picked

    def reshape(self, *shape: int) -> WireMatrix:
        """The same elements, row by row, in another shape; one length may be -1.

        Raises:
            HardwareError: the shapes do not have the same number of elements.
        """
        try:
            return self._view(self.array.reshape(shape))
        except ValueError as error:
            raise HardwareError(
                f"cannot reshape {list(self.shape)} to {list(shape)}", where=self.name, remedy="keep the element count"
            ) from error

    def transpose(self, *axes: int) -> WireMatrix:
        """The axes in another order; reversed if none are given.

        Raises:
            HardwareError: `axes` is not a permutation of the axes.
        """
        try:
            return self._view(self.array.transpose(axes or None))
        except ValueError as error:
            raise HardwareError(
                f"{list(axes)} does not order the {self.array.ndim} axes", where=self.name, remedy="name each axis once"
            ) from error

    def broadcast_to(self, shape: tuple[int, ...]) -> WireMatrix:
        """Repeat elements along new or one-long axes, by NumPy's rules; the repetitions share wires.

        Raises:
            HardwareError: the shape does not broadcast to it.
        """
        try:
            return self._view(np.broadcast_to(self.array, shape))
        except ValueError as error:
            raise HardwareError(
                f"shape {list(self.shape)} does not broadcast to {list(shape)}", where=self.name
            ) from error

    def _view(self, array: npt.NDArray[np.object_]) -> WireMatrix:
        check_shape(array.shape, self.name)
        return WireMatrix(array, self.bits, self.signed, self.interval, self.name)

    @functools.cached_property
    def packed(self) -> pyrtl.WireVector:
        """All elements on one wire, the first in the lowest bits."""
        return pyrtl.concat_list(list(self))

    def with_interval(self, interval: Interval) -> WireMatrix:
        """The same wires, known to lie in a narrower interval.

        Raises:
            HardwareError: the interval leaves the element type.
        """
        _check_fits(interval, full_range(self.bits, self.signed), self.name, f"values lie in {interval}")
        return replace(self, interval=interval)

    # ---- connection ---------------------------------------------------------------------------------------------

    def drive(self, source: WireMatrix, enable: pyrtl.WireVector | None = None) -> None:
        """Connect a source to these wires or registers, extending its elements to this width.

        Args:
            source: same shape, values that fit this element type.
            enable: for registers, keep the old value while this bit is 0.

        Raises:
            HardwareError: shapes differ, values may not fit, or `enable` is given for wires.
        """
        if self.shape != source.shape:
            raise HardwareError(
                f"cannot connect shape {list(source.shape)} to shape {list(self.shape)}",
                where=f"{source.name} to {self.name}",
                remedy="slice, reshape or transpose one of them",
            )
        _check_fits(
            source.interval,
            full_range(self.bits, self.signed),
            f"{source.name} to {self.name}",
            f"values of {source.type_name} lie in {source.interval}",
        )
        for target, wire in zip(self, source, strict=True):
            value = resize(wire, source.signed, self.bits)
            if isinstance(target, pyrtl.Register):
                target.next <<= value if enable is None else pyrtl.select(enable, value, target)
            elif enable is None:
                target <<= value
            else:
                raise HardwareError("only registers can be enabled", where=self.name)

    def registered(self, name: str, enable: pyrtl.WireVector | None = None) -> WireMatrix:
        """Registers that take these values at each clock edge (at which `enable` is 1)."""
        result = WireMatrix.registers(name, self.shape, self.element_or_interval)
        result.drive(self, enable)
        return WireMatrix(result.array, self.bits, self.signed, self.interval, name)

    def output(self, name: str | None = None) -> None:
        """Make output ports, one per element, named after `name`; without it, ``<matrix name>_out``."""
        prefix = name or f"{self.name}_out"
        for index in np.ndindex(self.shape):
            port = pyrtl.Output(self.bits, name=_element_name(prefix, index))
            port <<= self.array[index]

    @property
    def element_or_interval(self) -> IntType | Interval:
        """The element type, or beyond 64 bits the full interval of it."""
        return self.element if self.bits <= 64 else full_range(self.bits, self.signed)

    # ---- simulation ---------------------------------------------------------------------------------------------

    def stimulus(self, values: npt.ArrayLike) -> dict[str, int]:
        """What to give ``simulation.step`` so that these input ports carry `values`.

        Raises:
            InputError: the shape differs, or a value does not fit the element type.
        """
        numbers = integer_array(values, self.name)
        if numbers.shape != self.shape:
            raise InputError(f"values have shape {list(numbers.shape)}, not {list(self.shape)}", where=self.name)
        limits = full_range(self.bits, self.signed)
        if numbers.min() < limits.low or numbers.max() > limits.high:
            raise InputError(f"values leave {limits}, the range of {self.type_name}", where=self.name)
        mask = (1 << self.bits) - 1
        return {wire.name: int(value) & mask for wire, value in zip(self, numbers.flat, strict=True)}

    def read(self, simulation: Any) -> IntegerArray:
        """The values in the simulation's last step: int64, or Python integers (object) beyond 64 bits.

        Any PyRTL simulator; FastSimulation and CompiledSimulation keep only what they trace, so read outputs there.
        """
        raw = [simulation.inspect(wire.name) for wire in self]
        return to_array(raw, self.shape, self.bits, self.signed)

    @staticmethod
    def read_named(simulation: Any, name: str, shape: tuple[int, ...], element: IntType) -> IntegerArray:
        """Like `read`, for ports known by name only, such as those `output` made."""
        raw = [simulation.inspect(_element_name(name, index)) for index in np.ndindex(shape)]
        return to_array(raw, shape, element.bits, element.signed)

    def __repr__(self) -> str:
        return f"WireMatrix({self.name}: {self.type_name}{list(self.shape)})"


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse shapes without elements.

    Raises:
        HardwareError: a length is below 1.
    """
    if any(length < 1 for length in shape):
        raise HardwareError(f"shape {list(shape)} has no elements", where=name, remedy="make every length at least 1")


def _element_storage(element: IntType | Interval) -> tuple[int, bool]:
    return (element.bits, element.signed) if isinstance(element, IntType) else storage(element)


def _element_name(name: str, index: tuple[int, ...]) -> str:
    return "_".join([name, *map(str, index)])


def _object_array(wires: Any, name: str) -> npt.NDArray[np.object_]:
    """Nested sequences of wires as an object array; NumPy itself would take a wire for a sequence of its bits."""
    if isinstance(wires, np.ndarray) and wires.dtype == np.object_:
        return wires
    shape: list[int] = []
    level = wires
    while not isinstance(level, pyrtl.WireVector):
        shape.append(len(level))
        check_shape(tuple(shape), name)
        level = level[0]
    array = np.empty(shape, np.object_)

    def fill(nested: Any, index: tuple[int, ...]) -> None:
        if len(index) == len(shape):
            array[index] = nested
            return
        if isinstance(nested, pyrtl.WireVector) or len(nested) != shape[len(index)]:
            raise HardwareError("rows of different lengths are no matrix", where=name)
        for position, part in enumerate(nested):
            fill(part, (*index, position))

    fill(wires, ())
    return array


def _check_fits(values: Interval, limits: Interval, where: str, what: str) -> None:
    if values.low < limits.low or values.high > limits.high:
        raise HardwareError(f"{what}, outside {limits}", where=where, remedy="use a wider type, or saturate first")
