"""Random convolutions for tests: any geometry, element types, scales that make ties, saturation or neither."""

from __future__ import annotations

import numpy as np
from models import GraphBuilder, quantized, single

from bitloom.arith import IntType
from bitloom.circuits.convolution_geometry import Axis, Geometry
from bitloom.ir import Graph, Quantization, TensorType, Value

INT32, INT64 = IntType(32), IntType(64)
# Images, weights, bias; one that has none is "".
TYPES = {
    "int8": ("int8", "int8", "int32"),
    "int4": ("int8", "int4", "int32"),
    "uint8": ("uint8", "uint8", "int32"),
    "int16": ("int16", "int8", "int64"),
}


def random_geometry(rng: np.random.Generator, option: str) -> tuple[tuple[int, int], Geometry]:
    """Height and width of an image, and a geometry that fits it."""
    while True:
        height, width, *kernel = (int(n) for n in rng.integers(1, 8, 4))
        strides = tuple(int(n) for n in rng.choice([1, 1, 2, 3], 2))
        dilations = tuple(int(n) for n in rng.choice([1, 1, 1, 2, 4], 2))
        geometry = Geometry.of(option, (height, width), (kernel[0], kernel[1]), strides, dilations)
        if min(axis.outputs for axis in geometry.axes((height, width))) >= 1:
            return (height, width), geometry


def random_convolution(kind: str, types: tuple[str, str, str], rng: np.random.Generator, trial: int) -> Graph:
    """A graph of one CONV_2D or DEPTHWISE_CONV_2D."""
    element, weight_element = IntType.parse(types[0]), IntType.parse(types[1])
    option = ("SAME", "VALID")[trial % 2]
    (height, width), geometry = random_geometry(rng, option)
    groups = int(rng.integers(1, 4)) if trial % 3 == 0 else 1
    depth, multiple, batch = int(rng.integers(1, 5)), int(rng.integers(1, 5)), 2 if trial % 11 == 0 else 1
    if kind == "CONV_2D":
        channels, outputs, axis = groups * depth, groups * multiple, 0
        shape: tuple[int, ...] = (outputs, *geometry.kernel, depth)
    else:
        channels, outputs, axis = depth, depth * multiple, 3
        shape = (1, *geometry.kernel, outputs)
    ties, per_channel = trial % 5 == 0, trial % 4 < 2 and types[0] != "uint8"
    x_scale = 2.0**-6 if ties else single(10 ** rng.uniform(-4, 0))
    scales = [single(2.0**-5 if ties else 10 ** rng.uniform(-3, 0)) for _ in range(outputs if per_channel else 1)]
    weight_zero_point = int(rng.integers(0, 256)) if types[0] == "uint8" else 0
    low, high = (weight_element.minimum, weight_element.maximum)
    weights = Value(
        "w",
        TensorType(
            shape,
            weight_element,
            Quantization(tuple(scales), (weight_zero_point,) * len(scales), axis if len(scales) > 1 else None),
        ),
        rng.integers(low, high, shape, endpoint=True),
    )
    constants = [weights]
    if types[2]:
        reach = (100, 2**14, 2**24)[trial % 3]
        quantization = Quantization(
            tuple(single(x_scale * scale) for scale in scales), (0,) * len(scales), 0 if len(scales) > 1 else None
        )
        bias_type = TensorType((outputs,), IntType.parse(types[2]), quantization)
        constants.append(Value("b", bias_type, rng.integers(-reach, reach, outputs)))
    zero_points = rng.integers(element.minimum, element.maximum, 2, endpoint=True) if element.bits == 8 else (0, 0)
    x = quantized((batch, height, width, channels), x_scale, int(zero_points[0]), element)
    terms = float(np.sqrt(np.prod(shape) / outputs)) * weight_element.maximum * (256 if element.bits == 16 else 1)
    wide = 2.0 ** rng.integers(0, 10) if ties else terms * 10 ** rng.uniform(-1, 0.5)
    made = (batch, *geometry.output((height, width)), outputs)
    builder = GraphBuilder(kind.lower(), x)
    options: dict[str, object] = {
        "padding": option,
        "fused_activation_function": ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[trial % 7 % 4],
    }
    for name, values in (("stride_{}", geometry.strides), ("dilation_{}_factor", geometry.dilations)):
        options |= {name.format("h"): values[0], name.format("w"): values[1]}
    if axis == 3:
        options["depth_multiplier"] = multiple
    elif types[0] == "int16" and types[2] == "int32":
        options["quantized_bias_type"] = "INT32"
    y = quantized(made, x_scale * max(scales) * wide, int(zero_points[1]), element)
    builder.add(kind, y, constants, **options)
    return builder.graph()


def taps_inside(axis: Axis) -> list[list[tuple[int, int]]]:
    """For each window the taps on the image and where they lie, one by one."""
    return [
        [
            (tap, position)
            for tap in range(axis.taps)
            if 0 <= (position := window * axis.stride - axis.before + tap * axis.dilation) < axis.size
        ]
        for window in range(axis.outputs)
    ]
