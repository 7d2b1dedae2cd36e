"""Random float networks of all operators that join well, quantized in random ways: LiteRT and circuits judge."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork

import bitloom as bl
from bitloom.quantize import QuantizeOptions, Widths, quantize

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


class RandomNetwork:
    """Operators appended to one of the last three tensors, some joining others."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        side, channels = int(self.rng.integers(4, 9)), int(self.rng.integers(1, 5))
        self.net = FloatNetwork((1, side, side, channels), seed)
        self.made = ["x"]
        for _ in range(int(self.rng.integers(3, 12))):
            self.append()
        if len(self.made) == 1 or self.rng.random() < 0.5:
            self.net.dense(self.made[-1], 4)

    def choice(self, *options: str | int) -> str:
        return str(self.rng.choice([str(option) for option in options]))

    def append(self) -> None:
        kinds = (self.convolution, self.convolution, self.depthwise, self.pool, self.function, self.constant)
        made = (*kinds, self.pair, self.pair, self.join, self.moved)[int(self.rng.integers(10))](
            self.made[max(0, len(self.made) - int(self.rng.integers(1, 4)))]
        )
        self.made.append(made)

    def convolution(self, x: str) -> str:
        kernel, stride = int(self.choice(1, 3)), int(self.choice(1, 2))
        outputs = int(self.rng.integers(1, 7))
        return self.net.conv(x, outputs, kernel, stride, fused_activation_function=self.choice(*ACTIVATIONS))

    def depthwise(self, x: str) -> str:
        return self.net.depthwise(x, 3, int(self.choice(1, 2)), fused_activation_function=self.choice(*ACTIVATIONS))

    def pool(self, x: str) -> str:
        if self.rng.random() < 0.5:
            return self.net.pool("MAX", x, padding="SAME", activation=self.choice(*ACTIVATIONS))
        return self.net.pool("AVERAGE", x, padding="SAME")

    def function(self, x: str) -> str:
        kind = self.choice("RELU", "RELU6", "HARD_SWISH", "TANH", "LOGISTIC", "ABS", "LEAKY_RELU", "PRELU", "SOFTMAX")
        if kind == "PRELU":
            return self.net.same(kind, x, self.rng.uniform(0, 0.5, (1, 1, self.net.shape(x)[-1])))
        attributes = {"LEAKY_RELU": {"alpha": 0.2}, "SOFTMAX": {"beta": 1.0}}.get(kind, {})
        return self.net.same(kind, x, **attributes)

    def constant(self, x: str) -> str:
        numbers = self.rng.uniform(0.2, 2, self.net.shape(x)[-1])
        if self.rng.random() < 0.2:
            return self.net.same("MINIMUM", x, np.array(0.5))
        return self.net.pair(self.choice("MUL", "ADD", "SUB"), x, numbers, activation=self.choice(*ACTIVATIONS))

    def pair(self, x: str) -> str:
        others = [name for name in self.made if self.net.shape(name) == self.net.shape(x)]
        return self.net.pair(
            self.choice("ADD", "SUB", "MUL"), x, self.choice(*others), activation=self.choice(*ACTIVATIONS)
        )

    def join(self, x: str) -> str:
        shape = self.net.shape(x)
        other = self.choice(*(name for name in self.made if self.net.shape(name)[:3] == shape[:3]))
        joined = (*shape[:3], shape[3] + self.net.shape(other)[3])
        return self.net.add("CONCATENATION", joined, x, other, axis=3, fused_activation_function="NONE")

    def moved(self, x: str) -> str:
        _, height, width, channels = self.net.shape(x)
        if self.rng.random() < 0.5:
            return self.net.add("TRANSPOSE", (1, width, height, channels), x, np.array([0, 2, 1, 3]))
        around = np.array([(0, 0), (1, 0), (0, 2), (0, 0)])
        return self.net.add("PAD", (1, height + 1, width + 2, channels), x, around)

    def options(self, bits: tuple[int, ...]) -> QuantizeOptions:
        return QuantizeOptions(
            widths=Widths(int(self.choice(3, 4, 8, 8)), int(self.choice(*bits))),
            per_channel=bool(self.rng.random() < 0.7),
            ranges=self.choice("mse", "min-max", "percentile", "entropy"),
            symmetric=bool(self.rng.random() < 0.2),
            power_of_two=bool(self.rng.random() < 0.2),
            float_io=bool(self.rng.random() < 0.3),
            dead_channels="keep",  # x - x is a network, too
        )


@pytest.mark.parametrize("seed", range(60))
def test_litert_agrees(seed: int) -> None:
    random = RandomNetwork(seed)
    graph = quantize(random.net.graph(), random.net.samples(20), random.options((8, 8, 16))).graph
    outcome = bl.verify(graph, bl.random_inputs(graph, 6), ["litert", "numpy"])
    assert outcome.equal, [tensor for tensor in outcome.tensors if not tensor.equal]


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_circuits_agree(seed: int) -> None:
    random = RandomNetwork(seed)
    graph = quantize(random.net.graph(), random.net.samples(20), random.options((4, 5, 8))).graph
    assert bl.verify(graph, bl.random_inputs(graph, 2), ["numpy", "pyrtl"], stalls=True).equal
