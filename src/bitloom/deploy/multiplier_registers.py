"""The registers around a multiplier, put into its slice: for ECP5, where synthesis leaves them outside.

```
   before:   ──▶ [FF] ──▶ MULT18X18D ──▶ [FF] ──▶          after:   ──▶ MULT18X18D with registers ──▶
```

Slices stand in a few rows of the chip, far from most flip-flops. A register inside the slice gives the ways to it and
from it a cycle each, and the product another. Yosys has no pass for it, but place and route takes a slice whose
parameters say which registers are used.

A register is only taken in where the slice's own one does the same: no enable, no reset, zero at the start, one clock.
Inputs are taken in together or not at all, because that is how place and route knows the times of a slice. A register
in front stays as well where something else reads it. Enable and reset of a slice's registers are pins that must be
driven. Each slice gets look-up tables of its own for them: one constant net to all slices of a full chip would be the
hardest of all to route.

Source: ECP5 and ECP5-5G sysDSP Usage Guide (FPGA-TN-02205), section 5.1.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_SLICE, _REGISTER = "MULT18X18D", "TRELLIS_FF"
_OPERAND_BITS, _PRODUCT_BITS = 18, 36

Bit = int | str
"""A net by number, or a constant: ``0``, ``1``, ``x``."""
Cell = dict[str, Any]


def absorb_registers(module: dict[str, Any]) -> int:
    """Change a netlist so that multipliers use their own registers.

    Args:
        module: of a netlist that Yosys wrote as JSON; changed in place.

    Returns:
        How many flip-flops are gone.

    >>> def register(data, result):
    ...     return {"type": "TRELLIS_FF", "parameters": {"CEMUX": "1 ", "LSRMUX": "LSR", "REGSET": "RESET"},
    ...             "port_directions": {"CLK": "input", "LSR": "input", "DI": "input", "Q": "output"},
    ...             "connections": {"CLK": [2], "LSR": ["0"], "DI": [data], "Q": [result]}}
    >>> operands = {f"{operand}{bit}": [21 if operand == "A" else 22] for operand in "AB" for bit in range(18)}
    >>> multiplier = {"type": "MULT18X18D", "parameters": {}, "connections": {**operands, "P0": [30]},
    ...               "port_directions": {**dict.fromkeys(operands, "input"), "P0": "output"}}
    >>> module = {"ports": {"y": {"bits": [31]}}, "cells": {
    ...     "a": register(11, 21), "b": register(12, 22), "times": multiplier, "y": register(30, 31)}}
    >>> absorb_registers(module)
    3
    >>> list(module["cells"]), multiplier["connections"]["A17"], multiplier["connections"]["P0"]
    (['times', 'times_ce', 'times_rst'], [11], [31])
    >>> {name: value for name, value in multiplier["parameters"].items() if "CLK" in name}
    {'REG_INPUTA_CLK': 'CLK0', 'REG_INPUTB_CLK': 'CLK0', 'REG_OUTPUT_CLK': 'CLK0'}
    """
    cells: dict[str, Cell] = module["cells"]
    readers = _readers(module)
    registers = {name: cell for name, cell in cells.items() if _is_plain(cell)}
    makes = {_bit(cell, "Q"): name for name, cell in registers.items()}
    takes = {_bit(cell, "DI"): name for name, cell in registers.items()}
    unused = itertools.count(1 + max(bit for bit in _nets(module) if isinstance(bit, int)))
    absorbed = len(registers)
    for name, multiplier in [(name, cell) for name, cell in cells.items() if cell["type"] == _SLICE]:
        clocks = {_bit(registers[name], "CLK") for name in _around(multiplier, makes, takes)}
        if len(clocks) != 1 or "CLK0" in multiplier["connections"]:
            continue
        taken = _take_inputs(multiplier, registers, makes, readers)
        taken |= _take_output(multiplier, cells, takes, readers)
        if taken:
            added = {"CLK0": clocks.pop(), "CE0": next(unused), "RST0": next(unused)}
            multiplier["connections"] |= {port: [bit] for port, bit in added.items()}
            multiplier["port_directions"] |= dict.fromkeys(added, "input")
            multiplier["parameters"] |= {"GSR": "DISABLED", "RESETMODE": "SYNC"}
            cells |= {f"{name}_ce": _constant(1, added["CE0"]), f"{name}_rst": _constant(0, added["RST0"])}
    for name, cell in registers.items():
        if name in cells and not readers[_bit(cell, "Q")]:
            del cells[name]
    return absorbed - sum(name in cells for name in registers)


def _constant(value: int, net: Bit) -> Cell:
    """A look-up table that is no constant to place and route."""
    inputs = "ABCD"
    return {
        "type": "LUT4",
        "parameters": {"INIT": str(value) * 16},
        "attributes": {},
        "port_directions": {**dict.fromkeys(inputs, "input"), "Z": "output"},
        "connections": {**{port: ["0"] for port in inputs}, "Z": [net]},
    }


def _nets(module: Mapping[str, Any]) -> Iterator[Bit]:
    """Everything that something is connected to."""
    for port in module["ports"].values():
        yield from port["bits"]
    for cell in module["cells"].values():
        for bits in cell["connections"].values():
            yield from bits


def _readers(module: Mapping[str, Any]) -> Counter[Bit]:
    """How many inputs of cells and ports of the module read each net."""
    found: Counter[Bit] = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                found.update(bits)
    return found


def _is_plain(cell: Cell) -> bool:
    """Whether it is a register that takes what comes in every cycle, and is zero at the start."""
    if cell["type"] != _REGISTER:
        return False
    # Yosys writes a string that could be a number with a space behind it.
    set_to = {name: str(value).strip() for name, value in cell["parameters"].items()}
    never_reset = set_to.get("LSRMUX", "LSR") == "LSR" and cell["connections"].get("LSR", ["0"]) == ["0"]
    rising, always = set_to.get("CLKMUX", "CLK") == "CLK", set_to.get("CEMUX", "CE") == "1"
    zero = set_to.get("REGSET", "RESET") == "RESET"
    return never_reset and rising and always and zero and "DI" in cell["connections"]


def _bit(cell: Cell, port: str) -> Bit:
    (bit,) = cell["connections"][port]
    assert isinstance(bit, int | str)
    return bit


def _ports(multiplier: Cell, group: str, count: int) -> Iterator[tuple[str, Bit]]:
    for position in range(count):
        port = f"{group}{position}"
        if port in multiplier["connections"]:
            yield port, _bit(multiplier, port)


def _operands(multiplier: Cell) -> list[tuple[str, Bit]]:
    """Ports and nets of both operands; zeros need no register."""
    both = [*_ports(multiplier, "A", _OPERAND_BITS), *_ports(multiplier, "B", _OPERAND_BITS)]
    return [(port, bit) for port, bit in both if bit != "0"]


def _around(multiplier: Cell, makes: Mapping[Bit, str], takes: Mapping[Bit, str]) -> set[str]:
    """The registers in front of and behind a multiplier."""
    found = {makes[bit] for _, bit in _operands(multiplier) if bit in makes}
    return found | {takes[bit] for _, bit in _ports(multiplier, "P", _PRODUCT_BITS) if bit in takes}


def _take_inputs(
    multiplier: Cell, registers: Mapping[str, Cell], makes: Mapping[Bit, str], readers: Counter[Bit]
) -> bool:
    """Read what the registers of both operands read."""
    operands = _operands(multiplier)
    if not all(bit in makes for _, bit in operands):
        return False
    for port, bit in operands:
        source = _bit(registers[makes[bit]], "DI")
        multiplier["connections"][port] = [source]
        readers[bit] -= 1
        readers[source] += 1
    multiplier["parameters"] |= {"REG_INPUTA_CLK": "CLK0", "REG_INPUTB_CLK": "CLK0"}
    return True


def _take_output(multiplier: Cell, cells: dict[str, Cell], takes: Mapping[Bit, str], readers: Counter[Bit]) -> bool:
    """Drive what the registers of the product drive; these are gone."""
    product = [(port, bit) for port, bit in _ports(multiplier, "P", _PRODUCT_BITS) if readers[bit]]
    if not product or not all(bit in takes and readers[bit] == 1 for _, bit in product):
        return False
    for port, bit in product:
        multiplier["connections"][port] = cells.pop(takes[bit])["connections"]["Q"]
        readers[bit] -= 1
    multiplier["parameters"]["REG_OUTPUT_CLK"] = "CLK0"
    return True
