"""CONV_2D: random geometries, types and scales against LiteRT; what its reference kernel refuses, or overflows in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from convolutions import TYPES, random_convolution
from models import GraphBuilder, assert_litert_agrees, corner_inputs, joined, quantized, random_inputs, single

from bitloom.arith import IntType
from bitloom.errors import BitloomError, GraphError, UnsupportedError
from bitloom.ir import Graph, Quantization, TensorType, Value

INT8, INT32 = IntType(8), IntType(32)


@pytest.mark.parametrize("types", [*TYPES.values(), ("int16", "int8", "int32"), ("int16", "int4", "int64")], ids=str)
def test_random_convolutions(types: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(int.from_bytes("".join(types).encode()) % 2**32)
    agreed = 0
    for trial in range(120):
        try:
            graph = random_convolution("CONV_2D", types, rng, trial)
        except UnsupportedError:  # some scales take accumulators out of the kernel's range
            continue
        assert_litert_agrees(graph, joined(random_inputs(graph, 4, trial)))
        agreed += 1
    assert agreed >= 90


def test_corners_of_larger_convolutions() -> None:
    rng = np.random.default_rng(7)
    for trial in range(20):
        graph = random_convolution("CONV_2D", TYPES["int8"], rng, trial)
        assert_litert_agrees(graph, corner_inputs(graph))


def convolution(
    bias: Sequence[int],
    *,
    weights: np.ndarray | None = None,
    x: TensorType | None = None,
    y_scale: float = 0.05,
    weight_scales: Sequence[float] = (0.01,),
    **options: Any,
) -> Graph:
    """Two channels of 3 x 3 images to as many channels as there are biases."""
    x = x or quantized((1, 3, 3, 2), 0.02, 4)
    values = np.full((len(bias), 2, 2, 2), 100) if weights is None else weights
    scales = tuple(single(scale) for scale in weight_scales)
    weight_type = TensorType(
        values.shape, INT8, Quantization(scales, (0,) * len(scales), 0 if len(scales) > 1 else None)
    )
    constants = [
        Value("w", weight_type, values),
        Value("b", TensorType((len(bias),), INT32), np.array(bias)),
    ]
    builder = GraphBuilder("convolution", x)
    attributes = {
        "padding": "SAME",
        "stride_h": 1,
        "stride_w": 1,
        "dilation_h_factor": 1,
        "dilation_w_factor": 1,
        "fused_activation_function": "NONE",
    }
    builder.add("CONV_2D", quantized((1, 3, 3, len(bias)), y_scale, 3), constants, **attributes | options)
    return builder.graph()


def test_dead_channels_with_huge_biases() -> None:
    """As converters leave them: weights of zero, a bias near 2**30 and a tiny scale."""
    weights = np.full((4, 2, 2, 2), 3)
    weights[1:] = 0
    graph = convolution(
        [5, 2**30 - 1, -(2**30), 2**31 - 1],
        weights=weights,
        weight_scales=(0.01, 1.3e-11, 1.3e-11, 1e-13),
        y_scale=0.01,
    )
    assert_litert_agrees(graph, corner_inputs(graph))


def test_accumulators_at_the_ends_of_int32() -> None:
    """A bias at which the largest sum of products just fits, and one more."""
    reach = 8 * 100 * (127 - 4)
    for fits, bias in ((True, 2**31 - 1 - reach), (False, 2**31 - reach)):
        if fits:
            graph = convolution([bias])
            assert_litert_agrees(graph, corner_inputs(graph))
        else:
            with pytest.raises(UnsupportedError, match="beyond int32"):
                convolution([bias])
    lowest = 8 * 100 * (128 + 4)
    graph = convolution([-(2**31) + lowest])
    assert_litert_agrees(graph, corner_inputs(graph))
    with pytest.raises(UnsupportedError, match="beyond int32"):
        convolution([-(2**31) + lowest - 1])


def test_left_shifts_stay_in_int32() -> None:
    """A multiplier of 2**k shifts the accumulator left by k + 1 bits first."""
    ones = np.zeros((1, 2, 2, 2), int)
    ones[0, 0, 0, 0] = 1
    for exponent in (0, 5, 20):
        y_scale = 0.02 * 0.01 / 2.0**exponent * (1 - 2.0**-10)
        largest = 2 ** (31 - exponent - 1) - 1 - (127 - 4)
        graph = convolution([largest], weights=ones, y_scale=y_scale)
        assert_litert_agrees(graph, corner_inputs(graph))
        with pytest.raises(UnsupportedError, match="beyond int32"):
            convolution([largest + 1], weights=ones, y_scale=y_scale)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stride_h": 0}, "strides"),
        ({"stride_w": 2**15}, "strides"),
        ({"dilation_w_factor": -1}, "dilations"),
        ({"padding": "number 7"}, "padding number 7"),
        ({"fused_activation_function": "TANH"}, "TANH"),
        ({"padding": "VALID", "dilation_h_factor": 3}, "does not fit an image"),
        ({"padding": "VALID"}, "the graph says"),
        ({"x": quantized((1, 3, 6), 0.02, 0)}, "four dimensions"),
        ({"x": quantized((1, 3, 3, 3), 0.02, 0)}, "3 channels do not fit"),
        ({"x": quantized((1, 3, 3, 4), 0.02, 0)}, "4 channels do not fit"),
        ({"weights": np.ones((3, 2, 8), int)}, "four dimensions"),
        ({"weights": np.ones((2, 2, 2, 2), int)}, "3 biases for 2"),
        ({"x": quantized((1, 3, 3, 2), 0.02, 0, IntType(8, signed=False))}, "of uint8 with int8 weights"),
        ({"x": quantized((1, 3, 3, 2), 0.02, 0, INT32)}, "of int32"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((UnsupportedError, GraphError), match=said):
        convolution([1, 2, 3], **options)


def lowered(kind: str, *values: Value | None, **options: Any) -> None:
    """Lower a node that reads x and these."""
    builder = GraphBuilder("node", quantized((1, 3, 3, 2), 0.02, 0))
    attributes = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    builder.add(kind, quantized((1, 3, 3, 2), 0.05, 0), values, **attributes | options)


def weights(element: IntType, quantization: Quantization, shape: tuple[int, ...] = (2, 2, 2, 2)) -> Value:
    return Value("w", TensorType(shape, element, quantization), np.ones(shape, int))


BIAS = Value("b", TensorType((2,), INT32), np.zeros(2, int))
ONE = Quantization((0.5,), (0,))


@pytest.mark.parametrize(
    ("constants", "said"),
    [
        ((weights(INT8, ONE),), "lacks its operand 2|without bias, which LiteRT's reference kernel rejects"),
        ((weights(INT8, ONE), None), "without bias, which LiteRT's reference kernel rejects"),
        ((Value("w", TensorType((2, 2, 2, 2), INT8, ONE)), BIAS), "that are computed"),
        ((weights(INT8, ONE), Value("b", BIAS.type)), "that are computed"),
        ((weights(INT8, Quantization((0.5,), (3,))), BIAS), "zero point that is not 0"),
        ((weights(INT8, Quantization((0.5, 0.5), (0, 1), 0)), BIAS), "zero point that is not 0"),
        ((weights(INT8, Quantization((0.5, 0.5), (0, 0), 3)), BIAS), "along axis 3, not 0"),
        ((weights(IntType(16), ONE), BIAS), "int16 weights"),
        ((weights(INT8, ONE), Value("b", TensorType((2,), IntType(64)), np.zeros(2, int))), "bias of int64"),
        (
            (weights(INT8, ONE), Value("b", TensorType((2,), INT32, Quantization((0.01,), (1,))), np.zeros(2, int))),
            "bias whose zero point is not 0",
        ),
    ],
)
def test_operands_that_are_refused(constants: tuple[Value | None, ...], said: str) -> None:
    with pytest.raises(BitloomError, match=said):
        lowered("CONV_2D", *constants)


def test_wide_biases_of_int16_images() -> None:
    """The kernel's 64-bit products are defined up to 48 bits; a bias it would read as something else is refused."""

    def wide(bias: int, element: IntType, *, declared: str = "FLOAT32") -> Graph:
        builder = GraphBuilder("wide", quantized((1, 2, 2, 1), 2.0**-15, 0, IntType(16)))
        constants = [
            Value("w", TensorType((1, 1, 1, 1), INT8, Quantization((2.0**-7,), (0,))), np.full((1, 1, 1, 1), 127)),
            Value("b", TensorType((1,), element), np.array([bias])),
        ]
        attributes = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        made = quantized((1, 2, 2, 1), 2.0**-2, 0, IntType(16))
        builder.add("CONV_2D", made, constants, quantized_bias_type=declared, **attributes)
        return builder.graph()

    reach = 127 * 32767
    graph = wide(2**47 - 1 - reach, IntType(64))
    assert_litert_agrees(graph, corner_inputs(graph))
    with pytest.raises(UnsupportedError, match="beyond 48 bits"):
        wide(2**47 - reach, IntType(64))
    with pytest.raises(UnsupportedError, match="reads int64"):
        wide(5, INT32)
    with pytest.raises(UnsupportedError, match="reads int32"):
        wide(5, IntType(64), declared="INT32")
    graph = wide(2**31 - 1 - reach, INT32, declared="INT32")
    assert_litert_agrees(graph, corner_inputs(graph))
