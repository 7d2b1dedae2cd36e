"""NNgen's hello example stated with `bitloom.define`: two convolutions, a max pool, two dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np

import bitloom as bl


def hello_network(
    dtype: str = "int8", side: int = 32, channels: int = 64, hidden: int = 256, shift: int = 14, seed: int = 0
) -> bl.Graph:
    """Random weights, the same on every machine; scales of 7 bits for each output of a layer.

    Args:
        dtype: of activations and weights.
        side: rows and columns of the images of 3 channels.
        channels: of both convolutions.
        hidden: outputs of the first dense layer.
        shift: to the right, of every layer.
        seed: of weights, biases and scales.
    """
    define, random = bl.define, np.random.Generator(np.random.PCG64(seed))

    def filled(name: str, shape: tuple[int, ...], kind: str, low: int, high: int) -> bl.define.Variable:
        return define.variable(shape, kind, name).set_value(random.integers(low, high, shape, endpoint=True))

    def layer(number: int, *shape: int) -> dict[str, Any]:
        limit = define.variable((), dtype).element.maximum
        return {
            "weights": filled(f"w{number}", shape, dtype, -limit, limit),
            "bias": filled(f"b{number}", shape[:1], "int32", -(2**14), 2**14),
            "scale": filled(f"s{number}", shape[:1], "int8", 40, 127),
            "shift": shift,
            "accumulator": "int32" if limit < 2**8 else "int48",
        }

    x = define.placeholder((1, side, side, 3), dtype, name="input_layer")
    a0 = define.conv2d(x, **layer(0, channels, 3, 3, 3), activation=define.relu, name="a0")
    a0p = define.max_pool(a0, 2, name="a0p")
    a1 = define.conv2d(a0p, **layer(1, channels, 3, 3, channels), activation=define.relu, name="a1")
    a1r = define.reshape(a1, (1, -1))
    a2 = define.matmul(a1r, **layer(2, hidden, a1r.shape[1]), activation=define.relu, name="a2")
    output = define.matmul(a2, **layer(3, 10, hidden), name="output_layer")
    return define.graph(output, name="hello")
