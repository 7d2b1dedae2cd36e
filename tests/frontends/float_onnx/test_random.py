"""Random float ONNX networks that mix layers, reshapes and transposes: whatever order tensors lie in, it is right."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from float_models import assert_agrees
from onnx_models import OnnxBuilder

Shape = tuple[int, ...]
_MOST_AXES = 5


class Networks:
    """Draws a network: each step takes a tensor made before, and gives another one and its shape."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        shape = (1, *self.rng.choice([1, 2, 3, 4, 6], self.rng.choice([1, 2, 3, 3, 3])).tolist())
        self.builder = OnnxBuilder(shape, opset=17)
        self.tensors: list[tuple[str, Shape]] = [("x", shape)]
        self.steps: list[Callable[[str, Shape], Shape]] = [
            *(self.convolution, self.convolution, self.reshape, self.reshape, self.transpose, self.function),
            *(self.product, self.with_constant, self.pair, self.concatenation, self.mean, self.cut, self.softmax),
            *(self.pool, self.normalization),
        ]

    def draw(self) -> bytes:
        for _ in range(int(self.rng.integers(3, 14))):
            last = self.rng.random() < 0.7
            name, shape = self.tensors[-1 if last else self.rng.integers(len(self.tensors))]
            step = self.steps[self.rng.integers(len(self.steps))]
            made = step(name, shape)
            if 1 <= len(made) <= _MOST_AXES:
                self.tensors.append((self.builder.last, made))
        return self.builder.content(*dict.fromkeys(name for name, _ in self.tensors[-2:] if name != "x"))

    def constant(self, *shape: int) -> str:
        return self.builder.constant(self.rng.standard_normal(shape).astype(np.float32))

    def integers(self, *numbers: int) -> str:
        return self.builder.constant(np.array(numbers))

    def function(self, name: str, shape: Shape) -> Shape:
        self.builder.node(str(self.rng.choice(["Relu", "Tanh", "Sigmoid"])), name)
        return shape

    def convolution(self, name: str, shape: Shape) -> Shape:
        if len(shape) not in (3, 4):
            return self.function(name, shape)
        outputs, taps = (
            int(self.rng.integers(1, 5)),
            [int(self.rng.integers(1, min(3, size) + 1)) for size in shape[2:]],
        )
        self.builder.node("Conv", name, self.constant(outputs, shape[1], *taps), self.constant(outputs))
        return (shape[0], outputs, *(size - tap + 1 for size, tap in zip(shape[2:], taps, strict=True)))

    def reshape(self, name: str, shape: Shape) -> Shape:
        left, made = math.prod(shape), []
        for _ in range(self.rng.integers(0, 4)):
            made.append(int(self.rng.choice([size for size in range(1, left + 1) if left % size == 0])))
            left //= made[-1]
        self.builder.node("Reshape", name, self.integers(1, *made, left))
        return (1, *made, left)

    def transpose(self, name: str, shape: Shape) -> Shape:
        permutation = self.rng.permutation(len(shape)).tolist()
        self.builder.node("Transpose", name, perm=permutation)
        return tuple(shape[axis] for axis in permutation)

    def product(self, name: str, shape: Shape) -> Shape:
        outputs = int(self.rng.integers(1, 5))
        self.builder.node("MatMul", name, self.constant(shape[-1], outputs))
        return (*shape[:-1], outputs)

    def with_constant(self, name: str, shape: Shape) -> Shape:
        rank = int(self.rng.integers(0, len(shape) + 1))
        other = [size if self.rng.random() < 0.6 else 1 for size in shape[len(shape) - rank :]]
        self.builder.node(str(self.rng.choice(["Add", "Mul", "Sub"])), name, self.constant(*other))
        return shape

    def pair(self, name: str, shape: Shape) -> Shape:
        others = [other for other, its in self.tensors if its == shape]
        kind = str(self.rng.choice(["Add", "Mul", "Sub"]))
        self.builder.node(kind, name, others[self.rng.integers(len(others))])
        return shape

    def concatenation(self, name: str, shape: Shape) -> Shape:
        axis = int(self.rng.integers(len(shape)))
        others = [
            (other, its)
            for other, its in self.tensors
            if len(its) == len(shape) and all(its[each] == shape[each] for each in range(len(shape)) if each != axis)
        ]
        other, its = others[self.rng.integers(len(others))]
        self.builder.node("Concat", name, other, axis=axis)
        return tuple(size + (its[each] if each == axis else 0) for each, size in enumerate(shape))

    def mean(self, name: str, shape: Shape) -> Shape:
        axis, keep = int(self.rng.integers(len(shape))), int(self.rng.integers(2))
        self.builder.node("ReduceMean", name, axes=[axis], keepdims=keep)
        return tuple(1 if each == axis else size for each, size in enumerate(shape) if keep or each != axis)

    def cut(self, name: str, shape: Shape) -> Shape:
        axis = int(self.rng.integers(len(shape)))
        start = int(self.rng.integers(shape[axis]))
        end = int(self.rng.integers(start, shape[axis])) + 1
        self.builder.node("Slice", name, *(self.integers(each) for each in (start, end, axis)))
        return tuple(end - start if each == axis else size for each, size in enumerate(shape))

    def softmax(self, name: str, shape: Shape) -> Shape:
        self.builder.node("Softmax", name, axis=int(self.rng.integers(len(shape))))
        return shape

    def pool(self, name: str, shape: Shape) -> Shape:
        if len(shape) not in (3, 4):
            return self.function(name, shape)
        taps = [min(2, size) for size in shape[2:]]
        self.builder.node(str(self.rng.choice(["MaxPool", "AveragePool"])), name, kernel_shape=taps)
        return (*shape[:2], *(size - tap + 1 for size, tap in zip(shape[2:], taps, strict=True)))

    def normalization(self, name: str, shape: Shape) -> Shape:
        if len(shape) < 2:
            return self.function(name, shape)
        numbers = [self.builder.constant(np.abs(self.rng.standard_normal(shape[1])).astype(np.float32) + 0.1)] * 4
        self.builder.node("BatchNormalization", name, *numbers)
        return shape


@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed: int) -> None:
    assert_agrees(Networks(seed).draw(), tolerance=1e-4)
