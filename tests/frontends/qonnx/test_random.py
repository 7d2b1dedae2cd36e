"""Random QONNX networks, judged by the reference evaluator in every tensor, and in hardware."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from qonnx_models import QonnxBuilder, assert_hardware_equal, assert_judged_equal

from bitloom.frontends.qonnx.rules import ROUNDINGS


class Chance(QonnxBuilder):
    """Draws what is built."""

    def number(self, low: float, high: float) -> str:
        return self.constant(np.float32(self.rng.uniform(low, high)))

    def channels(self, count: int, low: float, high: float, rank: int) -> str:
        shape = (count, *(1,) * (rank - 2)) if self.rng.integers(2) else (1, count, *(1,) * (rank - 2))
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def scale(self) -> float:
        """A power of two, so that binary32 adds without rounding, and a sum that is zero is zero."""
        return float(2.0 ** -self.rng.integers(0, 6))

    def quantizer(self, x: str, *, positive: bool = False) -> tuple[str, float]:
        """Any of the three, and its scale."""
        scale = self.scale()
        if self.rng.integers(6) == 0 and not positive:
            return self.bipolar(x, scale), scale
        signed = int(self.rng.integers(2))
        bits = int(self.rng.integers(2, 7))
        made = self.quant(
            x,
            scale,
            bits,
            signed=signed,
            narrow=int(self.rng.integers(2)),
            rounding=str(self.rng.choice(list(ROUNDINGS))),
            zero_point=int(self.rng.integers(0, 4)) if self.rng.integers(3) == 0 else 0,
        )
        return made, scale

    def steps(self, x: str, channels: int, rank: int, reach: float) -> str:
        """Some functions of each element alone."""
        for _ in range(self.rng.integers(0, 5)):
            match self.rng.integers(9):
                case 0:
                    x = self.normalized(x, channels, reach)
                case 1:
                    x = self.node("Relu", x)
                case 2:
                    x = self.node("Add", x, self.channels(channels, -reach, reach, rank))
                case 3:
                    x = self.node("Mul", self.number(-1.5, 1.5), x)
                case 4:
                    x = self.node("Sub", self.number(-reach, reach), x)
                case 5:
                    x = self.node("Div", x, self.channels(channels, 0.5, 3, rank))
                case 6:
                    x = self.node("Clip", x, self.number(-reach, 0), self.number(0, reach))
                case 7:
                    x = self.node("LeakyRelu", x, alpha=0.125)
                case _:
                    x = self.node(str(self.rng.choice(["Abs", "HardSigmoid"])), x)
        return x


def dense_network(seed: int) -> Chance:
    chance = Chance((1, int(np.random.default_rng(seed).integers(3, 20))), seed=seed)
    depth = chance.inputs[0].type.tensor_type.shape.dim[1].dim_value
    x, scale = chance.quantizer("x")
    for _ in range(chance.rng.integers(1, 4)):
        outputs = int(chance.rng.integers(1, 9))
        bits = int(chance.rng.integers(2, 6))
        factor = chance.scale() if chance.rng.integers(2) else np.array([chance.scale() for _ in range(outputs)])
        w = chance.weights((depth, outputs), bits, factor)
        reach = scale * float(np.max(factor)) * depth**0.5 * 2.0**bits
        x = chance.steps(chance.node("MatMul", x, w), outputs, 2, reach)
        x, scale = chance.quantizer(x)
        depth = outputs
    return chance


def image_network(seed: int) -> Chance:
    chance = Chance((1, 2, 7, 6), seed=seed)
    channels = 2
    x, scale = chance.quantizer("x")
    for _ in range(chance.rng.integers(1, 3)):
        outputs = channels if chance.rng.integers(3) == 0 else int(chance.rng.integers(1, 6))
        groups = channels if outputs == channels and channels > 1 else 1
        factor = np.array([chance.scale() for _ in range(outputs)]).reshape(-1, 1, 1, 1)
        w = chance.weights((outputs, channels // groups, 2, 2), 3, factor)
        operands = [x, w]
        reach = scale * float(factor.max()) * 16
        if chance.rng.integers(2):
            operands.append(chance.constant(chance.rng.normal(0, reach / 4, outputs).astype(np.float32)))
        x = chance.steps(chance.node("Conv", *operands, group=groups), outputs, 4, reach)
        if chance.rng.integers(3) == 0:
            x = chance.node("Transpose", chance.node("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
        x, scale = chance.quantizer(x)
        channels = outputs
    match chance.rng.integers(3):
        case 0:
            x = chance.node("MaxPool", x, kernel_shape=[2, 2])
        case 1:
            x = chance.node("GlobalAveragePool", x)
    chance.quantizer(chance.node("Flatten", x))
    return chance


@pytest.mark.parametrize("seed", range(60))
def test_dense_networks(seed: int) -> None:
    assert_judged_equal(dense_network(seed).load(), 25)


@pytest.mark.parametrize("seed", range(60))
def test_image_networks(seed: int) -> None:
    assert_judged_equal(image_network(seed).load(), 10)


@pytest.mark.parametrize("seed", range(6))
def test_hardware(seed: int) -> None:
    assert_hardware_equal(dense_network(seed).load(), 3)
    assert_hardware_equal(image_network(seed).load(), 2)
