"""What circuits need to know about the chip they are made for.

A family differs from another in its multiplier slices and block memories. Circuits are the same logic everywhere; the
fabric decides how products are cut into slices, how many registers stand behind them, and whether two share one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fabric:
    """The arithmetic building blocks of an FPGA family.

    Attributes:
        name: the synthesis family, ``xc7`` or ``ecp5``.
        multiplicand_bits: signed width of a multiplier slice's wider operand.
        multiplier_bits: signed width of its narrower operand.
        product_registers: registers behind each multiplier of an array: one where slices have adders inside, two
            where products travel to adders in logic, so that neither way is long.
        memory_registers: registers that a word from a block memory passes before anything is computed with it, besides
            the one that makes the read synchronous: one where memories are slow to give their words.
        ram_widths: for each depth of a block memory of 18 kbit, in words, the bits a word may have.
    """

    name: str
    multiplicand_bits: int
    multiplier_bits: int
    product_registers: int
    memory_registers: int
    ram_widths: tuple[tuple[int, int], ...]

    @property
    def operand_registers(self) -> int:
        """Registers between a memory's own and a multiplier: as many as behind it, and those of slow memories."""
        return self.product_registers + self.memory_registers

    @property
    def packs_products(self) -> bool:
        """Whether a slice is wide enough for two int8 weights side by side, times one int8 activation."""
        # 8 bits of one weight above the 16 of the other's products, and at least one more for their sums.
        return self.multiplicand_bits >= 25

    def ram_blocks(self, words: int, bits: int) -> int:
        """Block memories of 18 kbit that a memory of one read and one write port takes."""
        return min(-(-bits // width) * -(-words // depth) for depth, width in self.ram_widths)


_RAM_WIDTHS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))

# 7 Series DSP48E1 Slice User Guide (UG479), figure 2-1; Memory Resources (UG473), table 1-8.
XC7 = Fabric("xc7", 25, 18, 1, 0, _RAM_WIDTHS)
# ECP5 sysDSP Usage Guide (FPGA-TN-02205), section 2; Memory Usage Guide (FPGA-TN-02204), table 2.1.
ECP5 = Fabric("ecp5", 18, 18, 2, 1, _RAM_WIDTHS)

FABRICS = (XC7, ECP5)


def fabric_named(name: str) -> Fabric:
    """The fabric of a synthesis family."""
    return next(fabric for fabric in FABRICS if fabric.name == name)
