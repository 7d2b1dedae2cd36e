"""Register maps as data: what software sees at which address, shared by the circuit, its drivers and its documents."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bitloom.errors import HardwareError

WORD_BITS, WORD_BYTES = 32, 4
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Access(enum.Enum):
    """What software can do with a register.

    - ``READ_ONLY``: reads what the circuit drives; a write answers SLVERR.
    - ``READ_WRITE``: software's own value, which the circuit reads.
    - ``WRITE_ONE_TO_CLEAR``: bits that the circuit sets and software clears by writing ones; an event in the cycle
      of the write is not lost.
    - ``PULSE``: writing a one gives the circuit a one for one cycle; reads zero.
    """

    READ_ONLY = "ro"
    READ_WRITE = "rw"
    WRITE_ONE_TO_CLEAR = "w1c"
    PULSE = "pulse"


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Attributes:
        name: lower-case identifier.
        bits: how many.
        lowest: position of the lowest bit.
        reset: the value after reset, for registers that hold one (READ_WRITE).
        description: for people.
    """

    name: str
    bits: int = 1
    lowest: int = 0
    reset: int = 0
    description: str = ""

    @property
    def mask(self) -> int:
        """The field's bits within the word."""
        return ((1 << self.bits) - 1) << self.lowest


@dataclass(frozen=True)
class Register:
    """One 32-bit word of the map.

    Attributes:
        name: lower-case identifier.
        offset: byte address, a multiple of 4.
        access: what software can do.
        fields: without overlap; bits of no field read zero and ignore writes.
        description: for people.
    """

    name: str
    offset: int
    access: Access
    fields: tuple[Field, ...]
    description: str = ""

    @classmethod
    def word(cls, name: str, offset: int, access: Access, *, bits: int = WORD_BITS, description: str = "") -> Register:
        """A register that is one field, named ``value``."""
        return cls(name, offset, access, (Field("value", bits),), description)


@dataclass(frozen=True)
class RegisterMap:
    """All registers of one AXI4-Lite subordinate.

    Attributes:
        registers: in any order, no two at one offset.
        address_bits: width of the address ports; everything in it but the registers answers DECERR.

    >>> status = Register("status", 4, Access.READ_ONLY, (Field("busy"), Field("count", bits=8, lowest=8)))
    >>> control = Register("control", 0, Access.PULSE, (Field("start", description="begin"),))
    >>> print(RegisterMap((status, control)).table())
    offset  register  access  bits  field  reset  description
    0x000   control   pulse   0     start  0      begin
    0x004   status    ro      0     busy   0
    0x004   status    ro      15:8  count  0
    """

    registers: tuple[Register, ...]
    address_bits: int = 12

    def __post_init__(self) -> None:
        if not self.registers:
            raise HardwareError("a register map needs at least one register")
        for register in self.registers:
            _check_register(register, self.address_bits)
        for what in ("name", "offset"):
            values = [str(getattr(register, what)) for register in self.registers]
            doubled = sorted({value for value in values if values.count(value) > 1})
            if doubled:
                raise HardwareError(f"two registers share the {what} {', '.join(doubled)}", where="register map")

    def __getitem__(self, name: str) -> Register:
        """The register of that name.

        Raises:
            HardwareError: there is none.
        """
        for register in self.registers:
            if register.name == name:
                return register
        names = ", ".join(register.name for register in self.registers)
        raise HardwareError(f"no register is named {name}", where="register map", remedy=f"the names are {names}")

    def fields(self) -> Iterator[tuple[Register, Field]]:
        """Every field with its register, by address and then from the lowest bit."""
        for register in sorted(self.registers, key=lambda register: register.offset):
            for field in sorted(register.fields, key=lambda field: field.lowest):
                yield register, field

    def table(self) -> str:
        """The map as text, a line per field."""
        rows = [("offset", "register", "access", "bits", "field", "reset", "description")]
        for register, field in self.fields():
            highest = field.lowest + field.bits - 1
            bits = str(field.lowest) if field.bits == 1 else f"{highest}:{field.lowest}"
            place = (f"0x{register.offset:03x}", register.name, register.access.value, bits)
            rows.append((*place, field.name, str(field.reset), field.description or register.description))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _check_register(register: Register, address_bits: int) -> None:
    where = f"register {register.name}"
    if register.offset % WORD_BYTES or not 0 <= register.offset < 1 << address_bits:
        raise HardwareError(
            f"offset {register.offset} is no multiple of {WORD_BYTES} within {address_bits} address bits",
            where=where,
            remedy="move the register or widen the address",
        )
    if not register.fields:
        raise HardwareError("it has no field", where=where)
    used = 0
    for field in register.fields:
        if field.bits < 1 or field.lowest < 0 or field.lowest + field.bits > WORD_BITS:
            raise HardwareError(f"field {field.name} leaves the {WORD_BITS}-bit word", where=where)
        if used & field.mask:
            raise HardwareError(f"field {field.name} overlaps another", where=where)
        if not 0 <= field.reset < 1 << field.bits or (field.reset and register.access is not Access.READ_WRITE):
            raise HardwareError(
                f"field {field.name} cannot reset to {field.reset}",
                where=where,
                remedy="only read-write fields have a reset value, of no more bits than the field",
            )
        used |= field.mask
    for name in (register.name, *(field.name for field in register.fields)):
        if not _NAME.match(name):
            raise HardwareError(f"'{name}' is no lower-case identifier", where=where)
    names = [field.name for field in register.fields]
    if len(set(names)) < len(names):
        raise HardwareError("two fields share a name", where=where)
