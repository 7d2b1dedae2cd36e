"""Read-only memories whose contents are constants of the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from pyrtl import Const, Register, RomBlock, WireVector, select

from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.registers import delayed, named

# Look-up tables that synthesis takes rather than a block memory of 18 kbit; measured with Yosys 0.70 for xc7.
_LOGIC_PER_BLOCK = 128
_RAM_LOGIC_PER_BLOCK = 64


def pack_words(values: Sequence[int], bits: int) -> int:
    """One memory word from its fields, the first lowest, each as two's complement of `bits` bits."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (value & mask) << (position * bits)
    return word


def registered_rom(name: str, words: Sequence[int], bits: int, address: WireVector, registers: int = 0) -> WireVector:
    """The word at `address`, one cycle later, or as many more as there are registers behind the memory's own.

    The read data goes into a register without reset, the form that synthesis maps to block memories. Equal words
    need no memory and become a constant. Depths far from a power of two are cut (see `rom_parts`):

    ```
      address ─┬─ low bits ─▶ [2048 words] ─▶ [word] ─┐
               ├─ low bits ─▶ [256 words]  ─▶ [word] ─┴ mux ─▶ word
               └─ bit 11 ─────────────────▶ [part] ────┘
    ```

    Args:
        name: of the memory; the register is ``{name}_word``.
        words: contents, as non-negative integers.
        bits: width of a word.
        address: at least as wide as the number of words needs.
        registers: behind the memory; the first stands in front of the multiplexer, if there is one.

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
    if len(parts := rom_parts(len(words), bits)) > 1:
        first, bit = parts[0], (parts[0] - 1).bit_length()
        early = min(registers, 1)
        low = registered_rom(f"{name}_low", words[:first], bits, address[:bit], early)
        high = registered_rom(f"{name}_high", words[first:], bits, address[:bit], early)
        chosen = named(select(delayed(address[bit], 1 + early, f"{name}_part"), high, low), f"{name}_word")
        return delayed(chosen, registers - early, f"{name}_word")
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
    return delayed(word, registers, f"{name}_word")


@cache
def rom_size(words: int, bits: int, fabric: Fabric = XC7) -> tuple[int, int]:
    """What a memory made by `registered_rom` takes: (block memories of 18 kbit, look-up tables).

    >>> rom_size(100, 8), rom_size(512, 36), rom_size(576, 32)
    ((0, 16), (1, 0), (1, 64))
    """
    if len(parts := rom_parts(words, bits)) > 1:
        return _cut_size(parts, bits, fabric)
    return _part_size(words, bits, fabric)


def total_size(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """What several memories take together, in block memories and look-up tables.

    >>> total_size([rom_size(512, 36), ram_size(32, 12)])
    (1, 8)
    """
    blocks = logic = 0
    for size in sizes:
        blocks, logic = blocks + size[0], logic + size[1]
    return blocks, logic


@cache
def rom_parts(words: int, bits: int) -> tuple[int, ...]:
    """The words of each memory into which a deep one is cut, all but the last a power of two.

    The depth of a memory is rounded up to a power of two. Where that wastes more than a multiplexer costs, the rest
    becomes a memory of its own.

    >>> rom_parts(1000, 36), rom_parts(2304, 32)
    ((1000,), (2048, 256))
    """
    first = 1 << max(words - 1, 1).bit_length() - 1
    if words <= first:
        return (words,)
    cut = (first, *rom_parts(words - first, bits))
    blocks, logic = _cut_size(cut, bits, XC7)
    whole_blocks, whole_logic = _part_size(words, bits, XC7)
    saved = _LOGIC_PER_BLOCK * (whole_blocks - blocks) + whole_logic - logic
    return cut if saved > 0 else (words,)


def _cut_size(parts: Sequence[int], bits: int, fabric: Fabric) -> tuple[int, int]:
    """Of the parts of a memory, and the multiplexers behind them."""
    blocks, logic = total_size(_part_size(part, bits, fabric) for part in parts)
    return blocks, logic + (len(parts) - 1) * bits


def _part_size(words: int, bits: int, fabric: Fabric) -> tuple[int, int]:
    """Of one memory: synthesis takes logic where that is less."""
    depth = 1 << (words - 1).bit_length()
    blocks = fabric.ram_blocks(depth, bits)
    if depth * bits <= 64 * _LOGIC_PER_BLOCK * blocks:
        # Of few words many bits are equal. A table holds 64 words of a bit, and up to four meet in multiplexers beside
        # them (UG474, figure 2-20). Beyond that, and in depths between, multiplexers are tables too.
        bits = min(bits, 1 << min(words, 30))
        return 0, bits * (-(-words // 64) if depth <= 128 or words == 256 else -(-3 * words // 128) + (depth == 256))
    return blocks, 0


@cache
def ram_size(words: int, bits: int, fabric: Fabric = XC7, *, registered: bool = True) -> tuple[int, int]:
    """What a buffer with one port to read and one to write takes: (block memories of 18 kbit, look-up tables).

    Args:
        words: rounded up to a power of two.
        bits: of a word.
        fabric: of the chip.
        registered: whether the word read goes into a register, without which it is no block memory.

    >>> ram_size(32, 12), ram_size(64, 32), ram_size(128, 32), ram_size(128, 32, registered=False)
    ((0, 8), (0, 44), (1, 0), (0, 120))
    """
    depth = 1 << (words - 1).bit_length()
    # Four look-up tables hold 32 words of 6 bits, or 64 of 3 (UG474, table 2-3); deeper ones need a multiplexer.
    logic = 4 * -(-bits // 6) if depth <= 32 else 4 * -(-bits // 3) * -(-depth // 64) + (depth // 64 - 1) * bits
    blocks = fabric.ram_blocks(depth, bits)
    if not registered or logic <= _RAM_LOGIC_PER_BLOCK * blocks:
        return 0, logic
    return blocks, 0


def field(word: WireVector, index: int, bits: int) -> WireVector:
    """One field of a word made by `pack_words`; of a constant word, a constant."""
    if isinstance(word, Const):
        return Const((word.val >> (index * bits)) & ((1 << bits) - 1), bitwidth=bits)
    return word[index * bits : (index + 1) * bits]
