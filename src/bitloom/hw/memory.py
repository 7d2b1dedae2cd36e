"""Read-only memories whose contents are constants of the network."""

from __future__ import annotations

from collections.abc import Sequence

from pyrtl import Const, Register, RomBlock, WireVector


def pack_words(values: Sequence[int], bits: int) -> int:
    """One memory word from its fields, the first lowest, each as two's complement of `bits` bits."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (value & mask) << (position * bits)
    return word


def registered_rom(name: str, words: Sequence[int], bits: int, address: WireVector) -> WireVector:
    """The word at `address`, one cycle later.

    The read data goes into a register without reset, the form that synthesis maps to block memories. Equal words
    need no memory and become a constant.

    Args:
        name: of the memory; the register is ``{name}_word``.
        words: contents, as non-negative integers.
        bits: width of a word.
        address: at least as wide as the number of words needs.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> address, word = pyrtl.Input(2, "address"), pyrtl.Output(8, "word")
    >>> word <<= registered_rom("weights", [10, 20, 30], 8, address)
    >>> simulation = pyrtl.Simulation()
    >>> for value in (2, 0):
    ...     simulation.step({"address": value})
    >>> simulation.inspect("word")
    30
    """
    if len(set(words)) == 1:
        return Const(words[0], bitwidth=bits)
    address_bits = max(1, (len(words) - 1).bit_length())
    memory = RomBlock(
        bitwidth=bits,
        addrwidth=address_bits,
        romdata=list(words),
        name=f"{name}_rom",
        pad_with_zeros=True,
        max_read_ports=1,
        # The address may come through logic; the registered word makes the read synchronous all the same.
        asynchronous=True,
    )
    word = Register(bits, f"{name}_word")
    word.next <<= memory[address.truncate(address_bits)]
    return word


def field(word: WireVector, index: int, bits: int) -> WireVector:
    """One field of a word made by `pack_words`; of a constant word, a constant."""
    if isinstance(word, Const):
        return Const((word.val >> (index * bits)) & ((1 << bits) - 1), bitwidth=bits)
    return word[index * bits : (index + 1) * bits]
