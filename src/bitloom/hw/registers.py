"""Registers with and without reset.

Only state that decides what happens next is reset (counters, flags, pointers). Registers that hold data are not:
what they hold before the first valid beat is never looked at, and synthesis can then put them into the registers
inside DSP slices and block memories, which have none of their own reset to spare.
"""

from __future__ import annotations

import pyrtl
from pyrtl import Const, Register, WireVector, select


def state(name: str, bits: int, initial: int = 0) -> Register:
    """A register that `follow` will reset to `initial`."""
    return Register(bitwidth=bits, name=name, reset_value=initial)


def follow(register: Register, value: WireVector, reset: WireVector) -> None:
    """Give a state register its next value; a high `reset` returns it to its initial value."""
    initial = Const(register.reset_value or 0, bitwidth=register.bitwidth)
    register.next <<= select(reset, initial, value.truncate(register.bitwidth) if value is not register else value)


def delayed(value: WireVector, cycles: int, name: str) -> WireVector:
    """`value` a number of cycles later, through data registers ``name_d1``, ``name_d2``, ...; constants stay as is."""
    if isinstance(value, Const):
        return value
    for cycle in range(1, cycles + 1):
        register = Register(bitwidth=value.bitwidth, name=f"{name}_d{cycle}")
        register.next <<= value
        value = register
    return value


def delayed_flag(value: WireVector, cycles: int, name: str, reset: WireVector) -> WireVector:
    """A one-bit flag a number of cycles later, low after reset."""
    for cycle in range(1, cycles + 1):
        register = state(f"{name}_d{cycle}", 1)
        follow(register, value, reset)
        value = register
    return value


def connect(wire: WireVector, value: WireVector) -> None:
    """Drive `wire` with `value`; the function form of ``<<=`` for wires that are fields of frozen values."""
    wire <<= value


def named(value: WireVector, name: str) -> WireVector:
    """`value` on a wire of that name, so that a waveform shows it."""
    wire = WireVector(bitwidth=value.bitwidth, name=name)
    wire <<= value
    return wire


def wrapping_counter(name: str, length: int, enable: WireVector, reset: WireVector) -> tuple[WireVector, WireVector]:
    """Counts 0 .. length-1 and again, one step per cycle with `enable` high.

    Returns:
        The count, and whether it is at its last value.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> enable, reset = pyrtl.Input(1, "enable"), pyrtl.Input(1, "reset")
    >>> count, at_end = wrapping_counter("beat", 3, enable, reset)
    >>> simulation = pyrtl.Simulation()
    >>> seen = []
    >>> for enabled in (1, 1, 0, 1, 1):
    ...     simulation.step({"enable": enabled, "reset": 0})
    ...     seen.append((simulation.inspect("beat"), simulation.inspect("beat_at_end")))
    >>> seen
    [(0, 0), (1, 0), (2, 1), (2, 1), (0, 0)]
    """
    bits = max(1, (length - 1).bit_length())
    count = state(name, bits)
    at_end = named(count == length - 1, f"{name}_at_end")
    follow(count, counted(count, at_end, enable), reset)
    return count, at_end


def counted(count: WireVector, at_end: WireVector, enable: WireVector) -> WireVector:
    """The next value of a count made by `wrapping_counter`, if no reset comes."""
    bits = count.bitwidth
    return select(enable, select(at_end, Const(0, bits), (count + 1).truncate(bits)), count)


def signed_sum(left: WireVector, right: WireVector, bits: int) -> WireVector:
    """Two's complement sum, of a width that is known to hold it."""
    return (resized(left, bits) + resized(right, bits)).truncate(bits)


def resized(value: WireVector, bits: int) -> WireVector:
    """A signed number in as many bits, the highest ones cut off or the sign repeated."""
    return value.truncate(bits) if value.bitwidth >= bits else value.sign_extended(bits)


def constant(value: int, bits: int) -> Const:
    """A two's complement constant."""
    return pyrtl.Const(value & ((1 << bits) - 1), bitwidth=bits)
