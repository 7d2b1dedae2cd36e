"""The matrix demo: its product, its waveform, and Verilog that gives the same product."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.errors import HardwareError, InputError
from bitloom.hw.matrix.demo import run_matrix_demo


@settings(max_examples=15, deadline=None)
@given(
    m=st.integers(1, 4),
    k=st.integers(1, 4),
    n=st.integers(1, 4),
    bits=st.integers(2, 31),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_two_matrices(m, k, n, bits, seed):
    random = np.random.default_rng(seed)
    a, b = random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (m, k)), random.integers(0, 2**bits, (k, n))
    demo = run_matrix_demo(a, b, b_zero=3, bias=[7])
    assert demo.equal
    assert (demo.expected == a.astype(object) @ (b.astype(object) - 3) + 7).all()
    assert demo.cells == m * n


def test_waveform_shows_the_skewed_operands():
    demo = run_matrix_demo([[1, 2, 3], [4, -5, 6]], [[7, 8], [9, 10], [11, 12]], columns=60)
    lines = {line.split()[0]: line for line in demo.waveform.splitlines() if line.split() and "mm_left" in line}
    assert lines["mm_left_0_0"].index("1") < lines["mm_left_1_0"].index("4")
    assert "-5" in demo.waveform
    assert max(map(len, demo.waveform.splitlines())) <= 60
    assert demo.types == {"a": "int8", "b": "int8", "product": "int17"}
    assert run_matrix_demo([[1]], [[2]], ascii_only=True).waveform.isascii()


def test_the_callers_block_is_left_alone():
    pyrtl.reset_working_block()
    pyrtl.Input(3, "mine")
    run_matrix_demo([[1]], [[2]])
    assert {wire.name for wire in pyrtl.working_block().wirevector_set} == {"mine"}


def test_wrong_matrices_are_named():
    with pytest.raises(HardwareError, match="cannot multiply shapes"):
        run_matrix_demo([[1, 2]], [[1, 2]])
    with pytest.raises(HardwareError, match="not integers"):
        run_matrix_demo([[1.5]], [[1]])
    with pytest.raises(InputError, match="range of int4"):
        run_matrix_demo([[9]], [[1]], a_type=IntType(4))


def test_verilog_gives_the_same_product(tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed: the exported Verilog cannot be simulated")
    demo = run_matrix_demo([[1, -2], [3, 4]], [[-5, 6], [7, 8]])
    values = {"a_0_0": 1, "a_0_1": -2, "a_1_0": 3, "a_1_1": 4, "b_0_0": -5, "b_0_1": 6, "b_1_0": 7, "b_1_1": 8}
    bits = int(demo.types["product"].removeprefix("int")) - 1
    ports = [f"c_{i}_{j}" for i in range(2) for j in range(2)]
    connections = [f".{name}(8'd{value % 256})" for name, value in values.items()]
    connections += [f".{name}({name})" for name in ports]
    bench = f"""
    module bench;
      reg clk = 0, rst = 1;
      wire signed [{bits}:0] {", ".join(ports)};
      wire valid;
      always #5 clk = ~clk;
      systolic_multiply dut(.clk(clk), .rst(rst), {", ".join(connections)}, .a_valid(1'b1), .b_valid(1'b1),
                            .c_ready(1'b1), .a_ready(), .b_ready(), .c_valid(valid));
      initial begin
        #12 rst = 0;
        @(posedge valid) #1 $display("%0d %0d %0d %0d", {", ".join(ports)});
        $finish;
      end
    endmodule
    """
    (tmp_path / "bench.v").write_text(bench + demo.verilog)
    program = tmp_path / "bench.vvp"
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", program, tmp_path / "bench.v"], check=True)
    printed = subprocess.run(["vvp", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert [int(word) for word in printed.split()] == demo.product.ravel().tolist()
