"""Float networks for tests of the quantizer, made node by node; LiteRT is asked for shapes, so none is said twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.ir.operator import Array


class FloatNetwork:
    """Nodes added one after the other; each method gives the name of what it makes."""

    def __init__(self, shape: Sequence[int], seed: int = 0, name: str = "float_network") -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.tensors = {"x": FloatTensor("x", tuple(shape))}
        self.nodes: list[FloatNode] = []

    def add(self, kind: str, shape: Sequence[int], *operands: str | Array, name: str = "", **attributes: Any) -> str:
        """Any node; arrays become constants."""
        made = name or f"{kind.lower()}_{len(self.nodes)}"
        names = [
            each if isinstance(each, str) else self.constant(f"{made}/{i}", each) for i, each in enumerate(operands)
        ]
        self.tensors[made] = FloatTensor(made, tuple(shape))
        self.nodes.append(FloatNode(kind, tuple(names), (made,), attributes))
        return made

    def constant(self, name: str, data: Array) -> str:
        """A constant, int32 or float32."""
        array = np.asarray(data)
        dtype = "int32" if array.dtype.kind == "i" else "float32"
        self.tensors[name] = FloatTensor(name, array.shape, array.astype(dtype), dtype)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor so far."""
        return self.tensors[name].shape

    def conv(self, x: str, outputs: int, kernel: int = 3, stride: int = 1, padding: str = "SAME", **more: Any) -> str:
        """A convolution of random weights and biases."""
        _, height, width, channels = self.shape(x)
        weights = self.rng.normal(0, (kernel * kernel * channels) ** -0.5, (outputs, kernel, kernel, channels))
        return self._windowed("CONV_2D", x, weights, outputs, (height, width), kernel, stride, padding, more)

    def depthwise(self, x: str, kernel: int = 3, stride: int = 1, padding: str = "SAME", **more: Any) -> str:
        """A depthwise convolution of random weights and biases."""
        _, height, width, channels = self.shape(x)
        weights = self.rng.normal(0, 1 / kernel, (1, kernel, kernel, channels))
        more = {"depth_multiplier": 1, **more}
        return self._windowed("DEPTHWISE_CONV_2D", x, weights, channels, (height, width), kernel, stride, padding, more)

    def _windowed(
        self,
        kind: str,
        x: str,
        weights: Array,
        outputs: int,
        size: tuple[int, int],
        kernel: int,
        stride: int,
        padding: str,
        more: dict[str, Any],
    ) -> str:
        bias = more.pop("bias", self.rng.normal(0, 0.2, outputs))
        spread = -(-size[0] // stride), -(-size[1] // stride)
        inner = tuple((length - kernel) // stride + 1 for length in size)
        attributes = {
            "padding": padding,
            "stride_h": stride,
            "stride_w": stride,
            "dilation_h_factor": 1,
            "dilation_w_factor": 1,
            "fused_activation_function": "NONE",
            **more,
        }
        shape = (1, *(spread if padding == "SAME" else inner), outputs)
        operands = (x, weights) if bias is None else (x, weights, bias)
        return self.add(kind, shape, *operands, **attributes)

    def dense(self, x: str, outputs: int, **more: Any) -> str:
        """A dense layer of random weights and biases."""
        size = int(np.prod(self.shape(x)))
        weights = self.rng.normal(0, size**-0.5, (outputs, size))
        bias = self.rng.normal(0, 0.2, outputs)
        attributes = {"fused_activation_function": "NONE", "keep_num_dims": False, **more}
        return self.add("FULLY_CONNECTED", (1, outputs), x, weights, bias, **attributes)

    def pool(self, kind: str, x: str, size: int = 2, padding: str = "VALID", activation: str = "NONE") -> str:
        """MAX or AVERAGE, windows side by side."""
        _, height, width, channels = self.shape(x)
        up = size - 1 if padding == "SAME" else 0
        return self.add(
            f"{kind}_POOL_2D",
            (1, (height + up) // size, (width + up) // size, channels),
            x,
            padding=padding,
            filter_height=size,
            filter_width=size,
            stride_h=size,
            stride_w=size,
            fused_activation_function=activation,
        )

    def same(self, kind: str, *operands: str | Array, **attributes: Any) -> str:
        """A node whose result has the shape of its first operand."""
        assert isinstance(operands[0], str)
        return self.add(kind, self.shape(operands[0]), *operands, **attributes)

    def pair(self, kind: str, *operands: str | Array, activation: str = "NONE") -> str:
        """ADD, SUB or MUL; its result has the larger shape."""
        shapes = [self.shape(each) if isinstance(each, str) else np.shape(each) for each in operands]
        return self.add(kind, np.broadcast_shapes(*shapes), *operands, fused_activation_function=activation)

    def flatten(self, x: str) -> str:
        """To a row."""
        size = int(np.prod(self.shape(x)))
        return self.add("RESHAPE", (1, size), x, np.array([1, size]), new_shape=(1, size))

    def global_mean(self, x: str) -> str:
        """Over rows and columns."""
        return self.add("MEAN", (1, self.shape(x)[-1]), x, np.array([1, 2]), keep_dims=False)

    def graph(self, *outputs: str) -> FloatGraph:
        """The network so far; the last result is the output if none is named."""
        ends = outputs or (self.nodes[-1].outputs[0],)
        return FloatGraph(self.name, ("x",), ends, tuple(self.tensors.values()), tuple(self.nodes))

    def samples(self, count: int, seed: int = 1) -> Array:
        """Inputs that are smooth and of different sizes, as real ones are."""
        rng = np.random.default_rng(seed)
        shape = self.shape("x")
        base = rng.normal(0, 1, (count, *shape))
        return (base * rng.uniform(0.3, 1.5, (count, *(1,) * len(shape)))).astype(np.float32)


def small_cnn(seed: int = 0) -> FloatNetwork:
    """Convolution, normalization, rectifier, pools, dense, softmax: 12x12 images of 2 channels."""
    net = FloatNetwork((1, 12, 12, 2), seed, "small_cnn")
    conv = net.conv("x", 6, padding="VALID")
    normal = net.pair("MUL", conv, net.rng.uniform(0.5, 2, 6))
    shifted = net.pair("ADD", normal, net.rng.normal(0, 0.3, 6))
    pooled = net.pool("MAX", net.same("RELU", shifted))
    second = net.conv(pooled, 8, fused_activation_function="RELU6")
    mean = net.pool("AVERAGE", second, 5)
    logits = net.dense(net.flatten(mean), 5)
    net.same("SOFTMAX", logits, beta=1.0)
    return net


def branches(seed: int = 0) -> FloatNetwork:
    """Residual sums, concatenations, gates and depthwise convolutions: 8x8 images of 3 channels."""
    net = FloatNetwork((1, 8, 8, 3), seed, "branches")
    stem = net.conv("x", 4, fused_activation_function="RELU")
    inner = net.depthwise(stem)
    swish = net.same("HARD_SWISH", net.conv(inner, 4, kernel=1))
    total = net.pair("ADD", stem, swish, activation="RELU")
    down = net.conv(total, 6, stride=2)
    leaky = net.same("LEAKY_RELU", down, alpha=0.1)
    sloped = net.same("PRELU", down, net.rng.uniform(0.05, 0.4, (1, 1, 6)))
    joined = net.add("CONCATENATION", (1, 4, 4, 12), leaky, sloped, axis=3, fused_activation_function="NONE")
    squeezed = net.add("MEAN", (1, 1, 1, 12), joined, np.array([1, 2]), keep_dims=True)
    gate = net.same("LOGISTIC", net.conv(squeezed, 12, kernel=1))
    gated = net.pair("MUL", joined, gate)
    tanh = net.same("TANH", net.conv(gated, 6, kernel=1))
    both = net.add("CONCATENATION", (1, 4, 4, 18), gated, tanh, axis=3, fused_activation_function="NONE")
    net.dense(net.global_mean(both), 4)
    return net
