"""Registers that multipliers of ECP5 take in: simulated in gates, and what is left alone."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
import pytest
from gate_level_ecp5 import synthesize_ecp5
from pyrtl import Input, Output, Register

from bitloom.arith import IntType
from bitloom.hw.fabric import ECP5
from bitloom.hw.multiply_accumulate import dot_products
from bitloom.hw.registers import delayed
from bitloom.hw.serial_multiply import LEFT_BITS, RIGHT_BITS, multiply_high


def registered(value, name):
    return delayed(value, 1, name)


def shared_operands():
    """Operands with other readers, of one and of both signednesses, and a product that is read twice."""
    a, b, c = Input(8, "a"), Input(11, "b"), Input(9, "c")
    kept_a, kept_b, kept_c = registered(a, "kept_a"), registered(b, "kept_b"), registered(c, "kept_c")
    first = registered(pyrtl.signed_mult(kept_a, kept_b), "first")
    second = registered(kept_b * kept_c, "second")
    third = pyrtl.signed_mult(kept_a, kept_c)
    twice, other = registered(third, "twice"), registered(third[4:] ^ 1, "other")
    for name, value in (("y0", first), ("y1", second), ("y2", twice), ("y3", other), ("y4", kept_b)):
        Output(value.bitwidth, name).__ilshift__(value)


def enabled_operand():
    """A register that keeps its value now and then does not go in; the product's does."""
    a, b, enable = Input(12, "a"), Input(12, "b"), Input(1, "enable")
    kept = Register(12, "kept")
    kept.next <<= pyrtl.select(enable, a, kept)
    Output(24, "y").__ilshift__(registered(pyrtl.signed_mult(kept, registered(b, "kept_b")), "product"))


def serial():
    """As softmax multiplies."""
    left, right, start = Input(LEFT_BITS, "left"), Input(RIGHT_BITS, "right"), Input(1, "start")
    Output(RIGHT_BITS, "y").__ilshift__(multiply_high("multiply", left, right, start))


def dot_product():
    """As layers multiply: three lanes, two outputs."""
    x, address = [Input(8, f"x{lane}") for lane in range(3)], Input(6, "address")
    weights = np.random.default_rng(1).integers(-128, 128, (64, 2, 3))
    weights[0] = -128
    terms, _ = dot_products("dot", x, IntType(8), weights, address, fabric=ECP5)
    for index, term in enumerate(terms):
        Output(term.value.bitwidth, f"y{index}").__ilshift__(term.value)


# Multipliers, and flip-flops that go: of operands that nothing else reads, and of products.
CIRCUITS = {
    shared_operands: (3, 8 + 9 + 19 + 20),
    enabled_operand: (1, 24),
    serial: (2, 16 + 15 + 16 + 32 + 31),
    dot_product: (6, 3 * 8 + 2 * 3 * (8 + 16)),
}


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_gates_do_what_the_circuit_does(circuit, tmp_path):
    pyrtl.reset_working_block()
    circuit()
    reset = Input(1, "rst")  # the bench has it; registers of data have none
    block = pyrtl.working_block()
    inputs = {wire.name: wire.bitwidth for wire in block.wirevector_subset(Input) if wire is not reset}
    outputs = {wire.name: wire.bitwidth for wire in block.wirevector_subset(Output)}
    random, simulation, steps, wanted = np.random.default_rng(0), pyrtl.FastSimulation(tracer=None), [], []
    for _ in range(300):
        corner = random.random() < 0.3
        steps.append(
            {
                n: int(random.choice([0, 1 << bits - 1, (1 << bits) - 1]) if corner else random.integers(1 << bits))
                for n, bits in inputs.items()
            }
        )
        simulation.step({**steps[-1], "rst": 0})
        wanted.append({name: simulation.inspect(name) for name in outputs})
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=False)
    outside = synthesize_ecp5(text.getvalue(), "toplevel", tmp_path, absorb=False)
    multipliers, absorbed = CIRCUITS[circuit]
    assert outside.cells["MULT18X18D"] == multipliers
    # Until the first values are through, registers hold what they held during reset.
    assert outside.run(inputs, outputs, steps)[8:] == wanted[8:]
    inside = synthesize_ecp5(text.getvalue(), "toplevel", tmp_path, absorb=True)
    assert inside.run(inputs, outputs, steps)[8:] == wanted[8:]
    assert outside.cells["TRELLIS_FF"] - inside.cells["TRELLIS_FF"] == absorbed
