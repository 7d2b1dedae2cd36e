"""The matrix demo: a systolic array multiplies two matrices in PyRTL, with a waveform and the product to check."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.arith.types import IntType
from bitloom.errors import ExecutionError
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.multiply import SystolicProduct, systolic_cycles, systolic_multiply
from bitloom.hw.matrix.values import IntegerArray, integer_array
from bitloom.hw.waveform import render_waveform


@dataclass(frozen=True, eq=False)
class MatrixDemo:
    """A multiplication that has been simulated.

    Attributes:
        product: what the array computed, shape (rows, columns).
        expected: what NumPy computes.
        cycles: from the cycle in which the operands are taken to the one in which the product is valid.
        cells: multiply-accumulate cells of the array.
        types: the integer types, by part: ``a``, ``b``, ``product``.
        waveform: operands flowing in and sums growing, as text.
        verilog: the circuit, module ``systolic_multiply``; ports ``a_<i>_<k>``, ``b_<k>_<j>``, ``c_<i>_<j>`` with
            ``valid`` and ``ready`` for each, ``clk`` and a synchronous ``rst``.
    """

    product: IntegerArray
    expected: IntegerArray
    cycles: int
    cells: int
    types: dict[str, str]
    waveform: str
    verilog: str

    @property
    def equal(self) -> bool:
        """Whether the array's product is NumPy's in every element."""
        return bool((self.product == self.expected).all())


def run_matrix_demo(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_type: IntType | None = None,
    b_type: IntType | None = None,
    a_zero: int = 0,
    b_zero: int = 0,
    bias: npt.ArrayLike | None = None,
    ascii_only: bool = False,
    columns: int | None = None,
) -> MatrixDemo:
    """Build ``(a - a_zero) @ (b - b_zero) + bias`` as a systolic array, simulate it, and compare with NumPy.

    Args:
        a: integers, shape (rows, terms).
        b: integers, shape (terms, columns).
        a_type: the type of the ports for `a`; int8, or the narrowest that holds it if int8 does not.
        b_type: likewise for `b`.
        a_zero: the zero point of `a`.
        b_zero: the zero point of `b`.
        bias: added to the product; broadcasts to (rows, columns).
        ascii_only: draw the waveform with ASCII characters.
        columns: break the waveform into pieces of at most this width.

    Raises:
        HardwareError: the matrices are not integers, or their shapes do not fit together.
        InputError: a value does not fit the type given.

    >>> demo = run_matrix_demo([[1, 2, 3], [4, 5, 6]], [[7, 8], [9, 10], [11, 12]])
    >>> demo.product.tolist(), demo.equal, demo.cycles
    ([[58, 64], [139, 154]], True, 10)
    """
    left, right = integer_array(a, "a"), integer_array(b, "b")
    offset = None if bias is None else integer_array(bias, "bias")
    # A block of its own: the caller's working block stays as it is.
    with pyrtl.temp_working_block():
        a_channel = MatrixChannel.input("a", left.shape, a_type or _port_type(left))
        b_channel = MatrixChannel.input("b", right.shape, b_type or _port_type(right))
        built = systolic_multiply("mm", a_channel, b_channel, a_zero=a_zero, b_zero=b_zero, bias=offset)
        built.product.output("c")
        stimulus = a_channel.matrix.stimulus(left) | b_channel.matrix.stimulus(right)
        simulation, cycles = _simulate(stimulus, systolic_cycles(left.shape[0], left.shape[1], right.shape[1]))
        verilog = io.StringIO()
        pyrtl.output_to_verilog(verilog, add_reset=True, module_name="systolic_multiply")
    product = built.product.matrix
    # Python integers: NumPy's own would wrap where the array does not.
    exact = (left.astype(object) - a_zero) @ (right.astype(object) - b_zero) + (0 if offset is None else offset)
    return MatrixDemo(
        product=product.read(simulation),
        expected=exact if product.bits > 63 else exact.astype(np.int64),
        cycles=cycles,
        cells=product.size,
        types={"a": a_channel.matrix.type_name, "b": b_channel.matrix.type_name, "product": product.type_name},
        waveform=_waveform(simulation, built, ascii_only, columns),
        verilog=verilog.getvalue(),
    )


def _port_type(values: IntegerArray) -> IntType:
    low, high = int(values.min()), int(values.max())
    return IntType(8) if IntType(8).contains(low, high) else IntType.holding(low, high)


def _simulate(stimulus: dict[str, int], expected_cycles: int) -> tuple[pyrtl.Simulation, int]:
    """Offer the operands once and wait for the product: the simulation, and the cycle the product came in."""
    simulation = pyrtl.Simulation()
    for cycle in range(expected_cycles + 1):
        offered = int(cycle == 0)
        simulation.step(stimulus | {"a_valid": offered, "b_valid": offered, "c_ready": 1})
        if simulation.inspect("c_valid"):
            return simulation, cycle
    raise ExecutionError(f"no product after {expected_cycles} cycles", where="matrix demo")


def _waveform(simulation: pyrtl.Simulation, built: SystolicProduct, ascii_only: bool, columns: int | None) -> str:
    """What enters the array at its edges, the running sums, and the handshakes."""
    array = built.array
    shown = {"left": array.left[:, 0], "top": array.top[0], "sums": array.accumulators}
    # Small unsigned numbers among signed ones need a format of their own.
    formats = {wire.name: str for matrix in shown.values() if not matrix.signed for wire in matrix}
    names = [wire.name for matrix in shown.values() for wire in matrix]
    signals = ["a_valid", "mm_step", "mm_feeding", *names, "c_valid"]
    return render_waveform(
        simulation.tracer, signals, formats | {"mm_step": str}, signed=True, ascii_only=ascii_only, columns=columns
    )
