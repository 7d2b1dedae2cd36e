"""AXI4-Stream ports and AXI4-Lite registers, with the port names that tools infer buses from."""

from bitloom.hw.axi.lite import DECERR, OKAY, SLVERR, LiteRegisters, lite_registers
from bitloom.hw.axi.register_map import Access, Field, Register, RegisterMap
from bitloom.hw.axi.stream import AxiStream, stream_manager, stream_subordinate

__all__ = [
    "DECERR",
    "OKAY",
    "SLVERR",
    "Access",
    "AxiStream",
    "Field",
    "LiteRegisters",
    "Register",
    "RegisterMap",
    "lite_registers",
    "stream_manager",
    "stream_subordinate",
]
