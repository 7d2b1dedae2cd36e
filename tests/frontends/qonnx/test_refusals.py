"""QONNX models that cannot be read: one clear error each, that names the node and what to do."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")

from qonnx_models import DOMAIN, QonnxBuilder

from bitloom.errors import BitloomError, ExecutionError, ModelFormatError, UnsupportedError, UsageError
from bitloom.frontends import load_onnx
from bitloom.run.executor import create_executor, default_executors


class Small(QonnxBuilder):
    """A quantized input of six elements, and what is done to it."""

    def __init__(self, shape: tuple[int | str, ...] = (1, 6)) -> None:
        super().__init__(shape)
        self.x = self.quant("x", 0.25, 4)

    def numbers(self, *numbers: float) -> str:
        """A constant of one number or several."""
        return self.constant(np.array(numbers if len(numbers) > 1 else numbers[0], np.float32))

    def multiplied(self, x: str, weights: str) -> None:
        """By a matrix, and quantized."""
        self.quant(self.node("MatMul", x, weights), 0.5, 4)


def width(bits: float) -> Callable[[Small], None]:
    return lambda builder: builder.quant(builder.x, 0.5, bits) and None


def quantizer(scale: float, **options: object) -> Callable[[Small], None]:
    return lambda builder: builder.quant(builder.x, scale, 3, **options) and None  # type: ignore[arg-type]


def scale_of_data(builder: Small) -> None:
    scale = builder.node("Abs", builder.x)
    builder.node("Quant", builder.x, scale, builder.numbers(0), builder.numbers(4), domain=DOMAIN)


def width_of_data(builder: Small) -> None:
    builder.node("Quant", builder.x, builder.numbers(1), builder.numbers(0), builder.x, domain=DOMAIN)


def several_widths(builder: Small) -> None:
    builder.quant(builder.x, 0.5, [1, 2, 3, 4, 5, 6])


def lacking(builder: Small) -> None:
    builder.node("Quant", builder.x, builder.numbers(1), domain=DOMAIN)


def float_weights(builder: Small) -> None:
    builder.multiplied(builder.x, builder.constant(builder.rng.standard_normal((6, 3)).astype(np.float32)))


def weights_of_input_scales(builder: Small) -> None:
    builder.multiplied(builder.x, builder.weights((6, 3), 3, np.linspace(0.1, 1, 6).reshape(6, 1)))


def computed_weights(builder: Small) -> None:
    builder.multiplied(builder.x, builder.node("Transpose", builder.x))


def float_between(builder: Small) -> None:
    x = builder.node("Add", builder.node("MatMul", builder.x, builder.weights((6, 6), 3)), builder.numbers(0.1))
    builder.multiplied(x, builder.weights((6, 3), 3))


def product_of_tensors(builder: Small) -> None:
    builder.quant(builder.node("Mul", builder.x, builder.quant(builder.x, 0.5, 3)), 0.5, 3)


def unknown_operator(builder: Small) -> None:
    builder.quant(builder.node("Det", builder.x), 0.5, 3)


def unrelated_scales(builder: Small) -> None:
    builder.quant(builder.node("Add", builder.x, builder.quant(builder.x, 0.1, 4)), 0.5, 3)


def scales_that_are_summed(builder: Small) -> None:
    builder.multiplied(builder.quant(builder.x, np.linspace(0.1, 1, 6).reshape(1, 6), 4), builder.weights((6, 3), 3))


def constant_of_two_axes(builder: Small) -> None:
    y = builder.node("Reshape", builder.x, builder.constant(np.array([1, 2, 3])))
    builder.quant(builder.node("Add", y, builder.constant(np.arange(6, dtype=np.float32).reshape(1, 2, 3))), 0.5, 3)


def division_by_zero(builder: Small) -> None:
    builder.quant(builder.node("Div", builder.x, builder.numbers(0)), 0.5, 3)


def reciprocal(builder: Small) -> None:
    builder.quant(builder.node("Div", builder.numbers(2), builder.x), 0.5, 3)


def not_a_number(builder: Small) -> None:
    builder.quant(builder.node("Sqrt", builder.x), 0.5, 3)


def negative_variance(builder: Small) -> None:
    constants = [builder.numbers(*row) for row in ([1.0] * 6, [0.0] * 6, [0.0] * 6, [-1.0] * 6)]
    builder.quant(builder.node("BatchNormalization", builder.x, *constants), 0.5, 3)


def sigmoid_at_the_end(builder: Small) -> None:
    builder.node("Sigmoid", builder.x)


def softmax_inside(builder: Small) -> None:
    builder.quant(builder.node("Softmax", builder.x), 0.0625, 4)


def float_input(builder: Small) -> None:
    builder.multiplied("x", builder.weights((6, 3), 3))


def function_of_the_input(builder: Small) -> None:
    builder.quant(builder.node("Sigmoid", "x"), 0.25, 3)


def wide_input(builder: Small) -> None:
    builder.quant(builder.node("Mul", "x", builder.numbers(3)), 0.25, 20)


def endless_steps(builder: Small) -> None:
    x = builder.node("MatMul", builder.quant("x", 0.5, 16), builder.weights((6, 3), 16, 2.0**-10))
    builder.quant(x, 2.0**-11, 32)


def constant_output(builder: Small) -> None:
    builder.quant(builder.numbers(1), 0.5, 3)


def several_largest(builder: Small) -> None:
    builder.node("TopK", builder.x, builder.constant(np.array([2])))


def other_axis(builder: Small) -> None:
    builder.node("ArgMax", builder.x, axis=0)


REFUSED: dict[str, tuple[Callable[[Small], object], str]] = {
    "fractional_width": (width(3.5), r"node 1 qonnx.custom_op.general.Quant .*bit width 3.5; supported: whole numbers"),
    "width_of_33": (width(33), "from 1 to 32"),
    "width_of_0": (width(0), "from 1 to 32"),
    "several_widths": (several_widths, "has 6 bit widths, not one"),
    "negative_scale": (quantizer(-0.25), "scales that are not positive: -0.25"),
    "no_scale": (quantizer(0), "scales that are not positive"),
    "scale_not_a_number": (quantizer(np.nan), "holds values that are not finite"),
    "fractional_zero_point": (quantizer(0.5, zero_point=0.5), "zero point 0.5, and a whole number is needed"),
    "unknown_rounding": (quantizer(0.5, rounding="STOCHASTIC"), "'STOCHASTIC'; supported: ROUND, HALF_EVEN, CEIL"),
    "scale_of_data": (scale_of_data, "computed operand 'abs_1', which depends on data; export"),
    "width_of_data": (width_of_data, "computed operand 'quant_0', which depends on data"),
    "lacking": (lacking, "lacks its operand 3"),
    "float_weights": (float_weights, "weights that are not quantized; put a Quant behind them"),
    "weights_of_input_scales": (weights_of_input_scales, "scales vary along their inputs; quantize them with one"),
    "computed_weights": (computed_weights, "two computed tensors; supported: constant weights"),
    "float_between": (float_between, "reads 'add_3' in floating point, and integers are needed; put a Quant"),
    "product_of_tensors": (product_of_tensors, "multiplies or divides two computed tensors"),
    "unknown_operator": (unknown_operator, "Det is not supported in QONNX models; supported: Abs, Add"),
    "unrelated_scales": (unrelated_scales, "scales 0.25 and 0.1, which no small whole numbers relate; quantize both"),
    "scales_that_are_summed": (scales_that_are_summed, "channels whose scales or zero points differ; quantize its"),
    "constant_of_two_axes": (constant_of_two_axes, r"shape \[1, 2, 3\], which varies along other axes"),
    "division_by_zero": (division_by_zero, "divides by zero; check"),
    "reciprocal": (reciprocal, "divides a constant by what is computed"),
    "not_a_number": (not_a_number, "not a number for some operands; check"),
    "negative_variance": (negative_variance, "variance that is not positive; check"),
    "sigmoid_at_the_end": (sigmoid_at_the_end, "output 'sigmoid_1': ends in Sigmoid, .*; put a Quant behind it"),
    "softmax_inside": (softmax_inside, "behind a Softmax, .*; end the model in front of"),
    "float_input": (float_input, "reads 'x' in floating point"),
    "function_of_the_input": (function_of_the_input, "not known to be monotone; .*quantize its operand first"),
    "wide_input": (wide_input, "quantizes an input to 20 bits behind other nodes.*; quantize it to at most 16"),
    "endless_steps": (endless_steps, "different steps of its operand; up to .* quantize to fewer bits"),
    "constant_output": (constant_output, "is a constant"),
    "several_largest": (several_largest, "supported: k = 1"),
    "other_axis": (other_axis, "is over axis 0 of 2; supported: the last"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    change, message = REFUSED[case]
    builder = Small()
    change(builder)
    with pytest.raises((UnsupportedError, ModelFormatError), match=message) as caught:
        builder.load()
    assert str(caught.value).startswith("test.onnx: ")


def images(change: Callable[[Small], object]) -> Small:
    builder = Small((1, 2, 4, 4))
    change(builder)
    return builder


def padding_that_no_integer_is(builder: Small) -> None:
    x = builder.quant(builder.x, 0.25, 4, zero_point=99)
    builder.quant(builder.node("Conv", x, builder.weights((3, 2, 3, 3), 3), pads=[1] * 4), 0.5, 3)


def wrong_groups(builder: Small) -> None:
    builder.quant(builder.node("Conv", builder.x, builder.weights((3, 1, 3, 3), 3), group=3), 0.5, 3)


def falling_behind_a_pool(builder: Small) -> None:
    pooled = builder.node("MaxPool", builder.node("Neg", builder.x), kernel_shape=[2, 2])
    builder.quant(builder.node("Mul", pooled, builder.numbers(-1)), 0.5, 3)


def uncounted_padding(builder: Small) -> None:
    builder.quant(builder.node("AveragePool", builder.x, kernel_shape=[2, 2], pads=[1] * 4), 0.5, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (padding_that_no_integer_is, "pads with zeros, which int4 with the zero point 99 cannot say; quantize"),
        (wrong_groups, r"weights of shape \[3, 1, 3, 3\] in 3 groups for a tensor \[1, 2, 4, 4\]"),
        (falling_behind_a_pool, "decreases behind a pool of maxima that waits for its quantizer; quantize in front"),
        (uncounted_padding, "padding does not count; set count_include_pad"),
    ],
)
def test_images_refused(change: Callable[[Small], object], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        images(change).load()


def test_dynamic_axes_are_refused_and_a_dynamic_batch_is_one() -> None:
    with pytest.raises(UnsupportedError, match=r"input 'x': has the dynamic axis 1 \('m'\); fix it"):
        Small(("n", "m")).load()
    assert Small(("n", 6)).load().graph.type("x").shape == (1, 6)


def test_old_operator_sets() -> None:
    builder = Small()
    builder.opset = 8
    with pytest.raises(UnsupportedError, match="operator set 8, and 9 or newer is needed"):
        builder.load()


def test_the_judge_is_named() -> None:
    model = Small().load()
    assert default_executors(model) == ("onnx-reference", "numpy", "pyrtl", "verilog")
    with pytest.raises(UsageError, match="does not know the quantizers of QONNX files; choose onnx-reference"):
        create_executor("onnxruntime", model)


def test_a_file_that_the_reference_refuses() -> None:
    model = Small().load()
    assert model.onnx is not None
    broken = type(model)(
        model.graph, "test", onnx=type(model.onnx)(model.onnx.content.replace(b"Quant", b"Quunt"), model.onnx.views)
    )
    with pytest.raises(ExecutionError, match="the reference refuses the model"):
        create_executor("onnx-reference", broken)


def test_corrupt_files_give_errors_of_bitloom() -> None:
    builder = Small()
    x = builder.node("Gemm", builder.x, builder.weights((5, 6), 3), transB=1)
    builder.quant(builder.normalized(x, 5, 2.0), 0.5, 3)
    content, chance = builder.content(), random.Random(5)
    for _ in range(250):
        broken = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        broken = broken[: chance.randrange(len(broken))] if chance.random() < 0.3 else broken
        with contextlib.suppress(BitloomError):  # any other error, or a crash, fails
            load_onnx(bytes(broken), "broken")


@pytest.mark.parametrize("seed", range(3))
def test_attributes_and_operands_that_make_no_sense(seed: int) -> None:
    """Nodes whose operands are exchanged, left out or doubled."""
    chance = random.Random(seed)
    for _ in range(40):
        builder = Small((1, 2, 4, 4))
        x = builder.node("Conv", builder.x, builder.weights((3, 2, 2, 2), 3))
        x = builder.node("MaxPool", builder.normalized(x, 3, 2.0), kernel_shape=[2, 2])
        x = builder.node("Reshape", x, builder.constant(np.array([1, -1])))
        builder.quant(builder.node("Clip", x, builder.numbers(-1), builder.numbers(1)), 0.25, 3)
        node = chance.choice(builder.nodes)
        names = list(node.input)
        match chance.randrange(3):
            case 0:
                chance.shuffle(names)
            case 1:
                names.pop(chance.randrange(len(names)))
            case _:
                names[chance.randrange(len(names))] = chance.choice([each.input[0] for each in builder.nodes])
        del node.input[:]
        node.input.extend(names)
        with contextlib.suppress(BitloomError):
            builder.load()


def test_messages_are_single_lines() -> None:
    for change, _ in REFUSED.values():
        builder = Small()
        change(builder)
        with pytest.raises(BitloomError) as caught:
            builder.load()
        assert not re.search(r"\n", str(caught.value))
