"""Circuit to Verilog text: the core as PyRTL emits it, and a top module with the names buses expect."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import pyrtl
from pyrtl.importexport import _VerilogOutput

from bitloom.design import Circuit

# The clock and the active-low reset that AXI interfaces name (ARM IHI 0022, section A3.1).
CLOCK, RESET = "aclk", "aresetn"
_BLOCK_WORDS = 256


@dataclass(frozen=True)
class VerilogModule:
    """A design as text.

    Attributes:
        top: name of the top module.
        core: name of the module inside, whose signals are the ones of the PyRTL block.
        instance: name of that module's instance.
        text: both modules.
    """

    top: str
    core: str
    instance: str
    text: str


def to_verilog(circuit: Circuit) -> VerilogModule:
    """Write a circuit as Verilog-2005.

    The top module has `aclk`, `aresetn` and the AXI ports, with the attributes by which vendor tools recognise
    them. Memory contents are inline.
    """
    core = f"{circuit.name}_core"
    text = f"{_top(circuit, core)}\n{_core(circuit, core)}"
    return VerilogModule(circuit.name, core, "core", text)


class _Emitter(_VerilogOutput):  # type: ignore[misc]
    """PyRTL's emitter, which `pyrtl.output_to_verilog` calls, but for one rule.

    It writes a choice that is added to something into the sum, ``a + (c ? 8'd1 : 8'd2)``, whose constants Verilog then
    widens to the sum: right, but linters warn of every one. So choices among terms have wires of their own.
    """

    def _must_declare_wire(self, gate: pyrtl.Gate) -> bool:
        is_term = gate.op == "x" and any(reader.op in "+-*" for reader in gate.dests)
        return is_term or bool(super()._must_declare_wire(gate))


def _core(circuit: Circuit, name: str) -> str:
    buffer = io.StringIO()
    _Emitter(circuit.block, add_reset=False, module_name=name).output_to_verilog(buffer, initialize_registers=False)
    text = buffer.getvalue()
    # The emitter's own header tells how to synthesise this module as the top, which it is not.
    return _in_short_blocks(_renumbered(text[text.index(f"module {name}(") :]))


def _in_short_blocks(text: str) -> str:
    r"""Memory contents in several initial blocks: Yosys takes time by the square of the length of one.

    Measured on 16384 words of a byte: 41 s in one block, 4 s in blocks of 512 words or fewer.

    >>> print(_in_short_blocks("        rom[255] = 8'h1;\n        rom[256] = 8'h2;"))
            rom[255] = 8'h1;
        end
        initial begin
            rom[256] = 8'h2;
    """

    def begin_block(word: re.Match[str]) -> str:
        starts = int(word[1]) > 0 and int(word[1]) % _BLOCK_WORDS == 0
        return f"    end\n    initial begin\n{word[0]}" if starts else word[0]

    return re.sub(r"^        \w+\[(\d+)\] = (?=\d)", begin_block, text, flags=re.MULTILINE)


def _renumbered(text: str) -> str:
    """Unnamed wires and constants counted from 0: PyRTL counts on through the process, and equal designs would differ.

    >>> _renumbered("assign tmp812 = tmp90 & const_40_1;")
    'assign tmp0 = tmp1 & const_2_1;'
    """
    names: dict[str, str] = {}
    return re.sub(r"\b(tmp|const_)\d+", lambda found: names.setdefault(found[0], f"{found[1]}{len(names)}"), text)


def _top(circuit: Circuit, core: str) -> str:
    """The wrapper: bus names and attributes, reset inverted."""
    ports = sorted(
        (wire for wire in circuit.block.wirevector_subset((pyrtl.Input, pyrtl.Output)) if wire.name != "reset"),
        key=lambda wire: _port_order(wire.name),
    )
    interfaces = sorted({_interface(wire.name) for wire in ports})
    lines = [
        f"// {circuit.name}: a quantized neural network as logic, made by bitloom.",
        f"// One inference takes {sum(port.type.beats for port in circuit.inputs)} input beats and gives "
        f"{sum(port.type.beats for port in circuit.outputs)} output beats; see README.md beside this file.",
        "`default_nettype none",
        f"module {circuit.name} (",
        f'    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(interfaces)}, ASSOCIATED_RESET {RESET}" *)',
        f'    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 {CLOCK} CLK" *)',
        f"    input wire {CLOCK},",
        '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)',
        f'    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 {RESET} RST" *)',
        f"    input wire {RESET},",
    ]
    for index, wire in enumerate(ports):
        direction = "input" if isinstance(wire, pyrtl.Input) else "output"
        width = f" [{wire.bitwidth - 1}:0]" if wire.bitwidth > 1 else ""
        comma = "," if index + 1 < len(ports) else ""
        lines.append(f'    (* X_INTERFACE_INFO = "{_interface_info(wire.name)}" *)')
        lines.append(f"    {direction} wire{width} {wire.name}{comma}")
    connections = [f".clk({CLOCK})", f".reset(~{RESET})", *(f".{wire.name}({wire.name})" for wire in ports)]
    lines += [");", f"    {core} core (", ",\n".join(f"        {text}" for text in connections), "    );", "endmodule"]
    return "\n".join([*lines, "`default_nettype wire", ""])


def _interface(port: str) -> str:
    """The bus a port belongs to: everything before the last underscore."""
    return port.rsplit("_", 1)[0]


def _interface_info(port: str) -> str:
    bus, signal = port.rsplit("_", 1)
    kind = "aximm" if bus == "s_axi" else "axis"
    return f"xilinx.com:interface:{kind}:1.0 {bus} {signal.upper()}"


def _port_order(name: str) -> tuple[str, int, str]:
    signals = ("tdata", "tvalid", "tready", "tlast", "tkeep")
    bus, signal = name.rsplit("_", 1)
    return bus, signals.index(signal) if signal in signals else len(signals), signal
