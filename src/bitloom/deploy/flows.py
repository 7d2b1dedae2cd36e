"""What synthesis of each FPGA family runs, and how its cells are counted. A new family is a new entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Family:
    """An FPGA family in Yosys.

    Attributes:
        name: as given to ``--family``.
        title: for people.
        synthesis: the Yosys command, without the top module.
        counts: for each reported resource, how much of it each kind of cell takes. In the order look-up tables,
            flip-flops, multipliers, block memories.
    """

    name: str
    title: str
    synthesis: str
    counts: Mapping[str, Mapping[str, float]]

    def used(self, cells: Mapping[str, int]) -> dict[str, float]:
        """Resources taken by so many cells of each kind."""
        return {
            resource: _whole(sum(cells.get(cell, 0) * share for cell, share in shares.items()))
            for resource, shares in self.counts.items()
        }


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


# Memories and shift registers made of look-up tables take whole ones: UG474, tables 2-3 and 2-4. Yosys emits INV where
# a look-up table of one input would do. Carry chains and the multiplexers F7 and F8 sit beside look-up tables.
_XC7_LUTS = {
    **{f"LUT{inputs}": 1.0 for inputs in range(1, 7)},
    "INV": 1.0,
    "SRL16E": 1.0,
    "SRLC16E": 1.0,
    "SRLC32E": 1.0,
    "RAM16X1D": 2.0,
    "RAM32X1S": 1.0,
    "RAM32X1D": 2.0,
    "RAM32M": 4.0,
    "RAM64X1S": 1.0,
    "RAM64X1D": 2.0,
    "RAM64M": 4.0,
    "RAM128X1S": 2.0,
    "RAM128X1D": 4.0,
    "RAM256X1S": 4.0,
}

# A carry cell is two look-up tables, a memory of 16 words of 4 bits is four: what nextpnr packs them into. PFUMX and
# L6MUX21 sit beside look-up tables.
_ECP5_LUTS = {"LUT4": 1.0, "CCU2C": 2.0, "TRELLIS_DPR16X4": 4.0}

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family(
                "xc7",
                "Xilinx 7 series",
                "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
                {
                    "lut": _XC7_LUTS,
                    "ff": dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1.0),
                    "dsp": {"DSP48E1": 1.0},
                    "bram36": {"RAMB36E1": 1.0, "RAMB18E1": 0.5},
                },
            ),
            Family(
                "ecp5",
                "Lattice ECP5",
                # No circuit uses a word that was read while it was being written, so nothing need be added for that.
                "synth_ecp5 -no-rw-check",
                {
                    "lut4": _ECP5_LUTS,
                    "ff": {"TRELLIS_FF": 1.0},
                    "mult18x18d": {"MULT18X18D": 1.0},
                    "dp16kd": {"DP16KD": 1.0},
                },
            ),
        )
    }
)


def yosys_script(family: str, top: str) -> str:
    """Commands that read and synthesise ``<top>.v``."""
    return f"read_verilog {top}.v; {FAMILIES[family].synthesis} -top {top}"
