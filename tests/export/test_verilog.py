"""The Verilog text: what tools say of it, what names are in it."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from conv_networks import CONVOLUTIONAL
from models import dense_network, every_operator_network

from bitloom.design import Circuit, design
from bitloom.export.verilog import to_verilog
from bitloom.ir import Graph
from bitloom.passes import split_float_edges
from bitloom.plan import Bus, Target, make_plan
from bitloom.run.verilog.toolchain import find_verilator

NETWORKS = {
    "axi": (dense_network([23, 11, 7, 5], 1, per_channel=True), Target(interval=30), Bus.AXI),
    "stream": (dense_network([17, 6, 3], 2), Target(interval=9), Bus.STREAM),
    "small": (dense_network([20, 5], 3, tail="arg_max"), Target(dsp=2), Bus.AXI),
    "everything": (every_operator_network(4), Target(interval=200), Bus.AXI),
    **{name: (make(), Target(dsp=60), Bus.STREAM) for name, make in CONVOLUTIONAL.items()},
}


def circuit(graph: Graph, target: Target, bus: Bus) -> Circuit:
    return design(make_plan(split_float_edges(graph).core, target, bus))


@pytest.fixture(scope="module", params=NETWORKS)
def module(request):
    return to_verilog(circuit(*NETWORKS[request.param]))


def test_verilator_has_nothing_to_warn_of(module, tmp_path):
    file = tmp_path / f"{module.top}.v"
    file.write_text(module.text)
    verilator = find_verilator()
    command = [verilator.program, "--lint-only", "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL"]
    result = subprocess.run(
        [*command, "--top-module", module.top, file], env=verilator.environment, capture_output=True, text=True
    )
    assert "%Warning" not in result.stderr, result.stderr
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed")
@pytest.mark.parametrize("standard", ["-g2001", "-g2005", "-g2012"])
def test_icarus_has_nothing_to_warn_of(module, standard, tmp_path):
    file = tmp_path / f"{module.top}.v"
    file.write_text(module.text)
    command = ["iverilog", "-Wall", standard, "-s", module.top, "-o", tmp_path / "out.vvp", file]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr + result.stdout) == (0, "")


def test_memories_are_inline_and_nothing_waits(module):
    assert not re.search(r"\$readmem|#\s*\d|\$fopen", module.text)


def test_ports_are_those_of_the_buses(module):
    header = module.text[: module.text.index(");")]
    ports = re.findall(r"(?:input|output) wire (?:\[\d+:0\] )?(\w+)", header)
    assert ports[:2] == ["aclk", "aresetn"]
    # Several streams of a kind are numbered.
    kinds = {re.sub(r"^([sm]_axis)\d+_", r"\1_", port) for port in ports[2:]}
    assert {"s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast"} <= kinds
    assert {"m_axis_tdata", "m_axis_tvalid", "m_axis_tready", "m_axis_tlast", "m_axis_tkeep"} <= kinds
    assert all(port.startswith(("s_axis_", "m_axis_", "s_axi_")) for port in kinds)
    # Every port says to which bus it belongs, and the clock which buses it clocks.
    assert len(re.findall(r"X_INTERFACE_INFO", header)) == len(ports)
    buses = re.search(r"ASSOCIATED_BUSIF ([\w:]+), ASSOCIATED_RESET aresetn", header).group(1).split(":")
    assert set(buses) == {port.rsplit("_", 1)[0] for port in ports[2:]}


@pytest.mark.parametrize("bus", list(Bus))
def test_registers_come_with_the_axi_bus_only(bus):
    text = to_verilog(circuit(dense_network([5, 3], 0), Target(interval=20), bus)).text
    assert ("s_axi_awaddr" in text) == (bus is Bus.AXI)


def test_inner_streams_keep_their_names():
    made = circuit(*NETWORKS["axi"])
    text = to_verilog(made).text
    for tap in made.taps:
        for signal, bits in (("data", tap.type.bits), ("valid", 1), ("ready", 1)):
            width = rf"\[{bits - 1}:0\]" if bits > 1 else ""
            assert re.search(rf"wire{width} {tap.stream}_{signal};", text), f"{tap.stream}_{signal}"


@pytest.mark.parametrize(("name", "top"), [("my net/1:0", "my_net_1_0"), ("3x3", "n3x3"), ("wire", "n_wire")])
def test_any_network_name_becomes_an_identifier(name, top):
    graph = replace(dense_network([4, 2], 0), name=name)
    module = to_verilog(circuit(graph, Target(interval=20), Bus.STREAM))
    assert (module.top, module.core) == (top, f"{top}_core")
    assert f"module {top} (" in module.text
    assert f"    {module.core} {module.instance} (" in module.text


def test_the_same_network_gives_the_same_text():
    """But for the numbers of unnamed wires, which run on within a process."""

    def numbered_anew() -> str:
        text = to_verilog(circuit(*NETWORKS["stream"])).text
        numbers: dict[str, str] = {}
        return re.sub(r"\b(tmp|const_)\w*\d\w*", lambda found: numbers.setdefault(found[0], f"n{len(numbers)}"), text)

    assert numbered_anew() == numbered_anew()
