"""DEPTHWISE_CONV_2D: random geometries, types and scales against LiteRT; what its reference kernel refuses."""

from typing import Any

import numpy as np
import pytest
from convolutions import TYPES, random_convolution
from models import GraphBuilder, assert_litert_agrees, corner_inputs, quantized, random_inputs

from bitloom.arith import IntType
from bitloom.errors import BitloomError, UnsupportedError
from bitloom.ir import Quantization, TensorType, Value

INT8, INT16, INT32 = IntType(8), IntType(16), IntType(32)
ONE = Quantization((0.5,), (0,))


@pytest.mark.parametrize("types", [*TYPES.values(), ("int8", "int8", ""), ("int16", "int8", "")], ids=str)
def test_random_depthwise_convolutions(types: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(int.from_bytes("".join(types).encode()) % 2**32)
    agreed = 0
    for trial in range(120):
        try:
            graph = random_convolution("DEPTHWISE_CONV_2D", types, rng, trial)
        except UnsupportedError:  # some scales take accumulators out of the kernel's range
            continue
        assert_litert_agrees(graph, random_inputs(graph, 4, trial))
        agreed += 1
    assert agreed >= 90


def test_corners_of_depthwise_convolutions() -> None:
    rng = np.random.default_rng(8)
    for trial in range(20):
        graph = random_convolution("DEPTHWISE_CONV_2D", TYPES["int8"], rng, trial)
        assert_litert_agrees(graph, corner_inputs(graph))


def weights(element: IntType, quantization: Quantization, shape: tuple[int, ...] = (1, 2, 2, 4)) -> Value:
    return Value("w", TensorType(shape, element, quantization), np.ones(shape, int))


def bias(element: IntType = INT32, shape: tuple[int, ...] = (4,)) -> Value:
    return Value("b", TensorType(shape, element), np.zeros(shape, int))


def lowered(element: IntType, *values: Value | None, **options: Any) -> None:
    builder = GraphBuilder("node", quantized((1, 3, 3, 2), 0.02, 0, element))
    attributes = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    made = quantized((1, 3, 3, 4), 0.05, 0, element)
    builder.add("DEPTHWISE_CONV_2D", made, values, **attributes | {"depth_multiplier": 2} | options)
    builder.graph()


@pytest.mark.parametrize(
    ("element", "constants", "options", "said"),
    [
        (INT8, (weights(INT8, ONE), None), {}, "without bias, which LiteRT's reference kernel rejects"),
        (INT8, (weights(INT8, ONE), bias(shape=(1, 4))), {}, r"bias of shape \[1, 4\], which LiteRT"),
        (INT8, (weights(INT8, ONE), bias(shape=(2,))), {}, "2 biases for 4"),
        (INT8, (weights(INT8, ONE), bias(IntType(64))), {}, "bias of int64"),
        (INT8, (weights(INT8, ONE, (2, 2, 2, 4)), bias()), {}, "do not fit depthwise weights"),
        (INT8, (weights(INT8, ONE, (1, 2, 2, 3)), bias(shape=(3,))), {}, "do not fit depthwise weights"),
        (INT8, (weights(INT8, ONE, (1, 2, 4)), bias()), {}, "four dimensions"),
        (INT8, (weights(INT8, Quantization((0.5,) * 2, (0,) * 2, 1)), bias()), {}, "along axis 1, not 3"),
        (INT8, (weights(INT8, Quantization((0.5,), (1,))), bias()), {}, "zero point that is not 0"),
        (INT8, (Value("w", weights(INT8, ONE).type), bias()), {}, "that are computed"),
        (INT16, (weights(INT8, ONE), bias()), {}, "int16 with a bias of int32, which LiteRT"),
        (INT16, (weights(INT8, ONE), bias(IntType(64))), {"depth_multiplier": 1}, "channel multiplier 1"),
        (INT16, (weights(IntType(4), ONE), bias(IntType(64))), {}, "int4 weights"),
        (INT8, (weights(INT8, ONE), bias()), {"dilation_h_factor": 0}, "dilations"),
        (INT8, (weights(INT8, ONE), bias()), {"fused_activation_function": "SIGN_BIT"}, "SIGN_BIT"),
    ],
)
def test_what_is_refused(
    element: IntType, constants: tuple[Value | None, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BitloomError, match=said):
        lowered(element, *constants, **options)


def test_the_channel_multiplier_of_8_bits_comes_from_the_shapes() -> None:
    """As the kernel takes it, whatever the option says."""
    lowered(INT8, weights(INT8, ONE), bias(), depth_multiplier=7)


def test_scales_per_channel_are_for_signed_images() -> None:
    unsigned = IntType(8, signed=False)
    scales = Quantization((0.5,) * 4, (0,) * 4, 3)
    with pytest.raises(UnsupportedError, match="per channel, which LiteRT's reference kernel rejects"):
        lowered(unsigned, weights(unsigned, scales), bias())
    with pytest.raises(UnsupportedError, match="bias of scale 0"):
        lowered(unsigned, weights(unsigned, ONE), bias())
