"""Look-up tables of products made of logic (`bitloom.hw.logic_products`), by arithmetic alone."""

from __future__ import annotations

from bitloom.hw.logic_products import TABLE_INPUTS
from bitloom.hw.weight_code import Digit, WeightCode

# Of weights that never change, about so many are 0 and so many digits of the others are: they take nothing.
_FIXED_TERMS = 0.6


def tree_tables(code: WeightCode, activation_bits: int, lanes: int, *, fixed: bool = False) -> int:
    """Look-up tables of the sum of so many products, without its accumulator.

    Counted as Yosys 0.70 makes them for xc7: a choice is a table a bit, an adder another, and the choice of an adder's
    second operand is in the adder's table where that has inputs for it.

    Args:
        code: of the weights.
        activation_bits: of an activation.
        lanes: products.
        fixed: whether weights never change.
    """
    if fixed:
        count = max(1, round(lanes * len(code.digits) * _FIXED_TERMS))
        return _adders([activation_bits] * count)
    tables = 0
    widths = []
    for digit in code.digits:
        bits = activation_bits + digit.largest.bit_length() - 1
        tables += _first_level(digit, activation_bits, bits, lanes)
        tables += _adders(_after_first(digit, activation_bits, bits, lanes))
        widths.append(bits + (lanes - 1).bit_length())
    while len(widths) > 1:
        tables += sum(widths[1::2]) + len(widths) // 2
        widths = [width + 2 for width in widths[::2]]
    return tables


def _together(digit: Digit, activation_bits: int) -> int:
    """How many products one level of tables adds."""
    return max(2, TABLE_INPUTS // (activation_bits + len(digit.positions)))


def _fits_tables(digit: Digit, activation_bits: int) -> bool:
    return 2 * (activation_bits + len(digit.positions)) <= TABLE_INPUTS


def _first_level(digit: Digit, activation_bits: int, bits: int, lanes: int) -> int:
    choice = bits * _tables(digit.table_inputs)
    together = _together(digit, activation_bits)
    groups, rest = divmod(lanes, together)
    if _fits_tables(digit, activation_bits):
        return groups * (bits + (together - 1).bit_length()) + rest * choice
    # An adder's table sees one operand as made before, and the other's choice if it has inputs left.
    second = choice if digit.table_inputs + 1 > TABLE_INPUTS else 0
    return groups * (choice + second + bits + 1) + rest * choice


def _after_first(digit: Digit, activation_bits: int, bits: int, lanes: int) -> list[int]:
    together = _together(digit, activation_bits)
    return [bits + (together - 1).bit_length()] * -(-lanes // together)


def _adders(widths: list[int]) -> int:
    """Of adding numbers of so many bits up, those together in one step that one look-up table sees."""
    tables = 0
    while len(widths) > 1:
        width = widths[0]
        together = max(2, TABLE_INPUTS // width)
        grown = width + (together - 1).bit_length()
        tables += len(widths) // together * grown
        widths = [grown] * -(-len(widths) // together)
    return tables


def _tables(inputs: int) -> int:
    """Of one function of so many inputs that can be taken apart."""
    return max(1, -(-(inputs - 1) // (TABLE_INPUTS - 1)))
