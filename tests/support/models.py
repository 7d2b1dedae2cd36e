"""Graphs and inputs for tests, and the comparison that every test of exactness ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bitloom.arith import IntType
from bitloom.frontends import Model
from bitloom.ir import FLOAT32, FloatType, Graph, Node, Operator, Quantization, SourceNode, TensorType, Value
from bitloom.ir.operator import Array, spelled
from bitloom.run import RunResult, create_executor

INT8 = IntType(8)


def single(value: float) -> float:
    """A scale as files hold it."""
    return float(np.float32(value))


def quantized(shape: Sequence[int], scale: float, zero_point: int, element: IntType = INT8) -> TensorType:
    """A tensor type quantized per tensor."""
    return TensorType(tuple(shape), element, Quantization((single(scale),), (zero_point,)))


class GraphBuilder:
    """Nodes added one after the other, each lowered from its TFLite spelling as the front end does."""

    def __init__(self, name: str, x: TensorType) -> None:
        self.name = name
        self.x = Value("x", x)
        self.values = [self.x]
        self.nodes: list[Node] = []
        self.last = self.x

    def add(self, kind: str, made: TensorType, constants: Sequence[Value | None] = (), **attributes: object) -> None:
        """Append a node that reads the last result and the constants."""
        operator = spelled(kind, lambda candidate: candidate.tflite)
        assert operator is not None, kind
        result = Value(f"t{len(self.nodes)}", made)
        lowered = operator.lower(SourceNode(kind, attributes, (self.last, *constants), (result,), self.name))
        read = [value for value in constants if value is not None and value.name in lowered.inputs]
        self.values += [*read, result]
        name = f"{lowered.operator.name}_{len(self.nodes)}"
        self.nodes.append(Node(name, lowered.operator, lowered.inputs, (result.name,)))
        self.last = result

    def dense(
        self,
        outputs: int,
        rng: np.random.Generator,
        *,
        activation: str = "NONE",
        per_channel: bool = False,
        bias: bool = True,
        element: IntType = INT8,
    ) -> None:
        """Append a dense layer of random weights whose outputs use most of their range."""
        position = len(self.nodes)
        x = self.last.type
        depth = x.shape[-1]
        scales = tuple(single(s) for s in rng.uniform(0.003, 0.03, outputs if per_channel else 1))
        axis = 0 if per_channel else None
        weights = rng.integers(-127, 127, (outputs, depth), endpoint=True)
        constants: list[Value | None] = [
            Value(
                f"w{position}",
                TensorType(weights.shape, INT8, Quantization(scales, (0,) * len(scales), axis)),
                weights,
            )
        ]
        x_scale = x.required_quantization.scale
        if bias:
            bias_scales = tuple(single(x_scale * scale) for scale in scales)
            bias_type = TensorType((outputs,), IntType(32), Quantization(bias_scales, (0,) * len(scales), axis))
            constants.append(Value(f"b{position}", bias_type, rng.integers(-4000, 4000, outputs)))
        spread = x_scale * 74 * float(np.mean(scales)) * 73 * depth**0.5
        made = quantized((x.size // depth, outputs), 3 * spread / 127, int(rng.integers(-20, 20)), element)
        self.add("FULLY_CONNECTED", made, constants, fused_activation_function=activation)

    def graph(self) -> Graph:
        """The graph so far."""
        return Graph(self.name, (self.x.name,), (self.last.name,), tuple(self.values), tuple(self.nodes))


def dense_network(sizes: Sequence[int], seed: int, *, tail: str = "", per_channel: bool = False) -> Graph:
    """Dense layers with rectifiers between them.

    Args:
        sizes: inputs, then the outputs of each layer.
        seed: of weights, biases and scales.
        tail: ``softmax`` or ``arg_max`` to append it.
        per_channel: whether the weights have a scale per output.
    """
    rng = np.random.default_rng(seed)
    builder = GraphBuilder("dense_network", quantized((1, sizes[0]), 1 / 255, -128))
    for position, outputs in enumerate(sizes[1:]):
        activation = "RELU" if position < len(sizes) - 2 else "NONE"
        builder.dense(outputs, rng, activation=activation, per_channel=per_channel)
    if tail == "softmax":
        builder.add("SOFTMAX", quantized((1, sizes[-1]), 1 / 256, -128), beta=1.0)
    if tail == "arg_max":
        axis = Value("axis", TensorType((), IntType(32)), np.array(-1))
        builder.add("ARG_MAX", TensorType((1,), IntType(32)), [axis], output_type="INT32")
    return builder.graph()


def every_operator_network(seed: int) -> Graph:
    """From float to float through every operator that keeps an 8-bit tensor, one node each at least."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder("every_operator", TensorType((1, 4, 6), FLOAT32))
    builder.add("QUANTIZE", quantized((1, 4, 6), 0.03, 5))
    builder.add("RESHAPE", quantized((1, 24), 0.03, 5), new_shape=(1, -1))
    builder.dense(20, rng, activation="RELU6")
    builder.add("QUANTIZE", quantized((1, 20), 0.05, -9))
    builder.add("TANH", quantized((1, 20), 1 / 128, 0))
    builder.dense(16, rng, per_channel=True, bias=False)
    builder.add("RELU", quantized((1, 16), 0.02, -128))
    builder.add("LOGISTIC", quantized((1, 16), 1 / 256, -128))
    builder.dense(10, rng)
    builder.add("SOFTMAX", quantized((1, 10), 1 / 256, -128), beta=1.0)
    builder.add("DEQUANTIZE", TensorType((1, 10), FLOAT32))
    return builder.graph()


def elementwise_graph(kind: str, x: TensorType, y: TensorType, **attributes: object) -> Graph:
    """One node without constants."""
    builder = GraphBuilder(kind.lower(), x)
    builder.add(kind, y, **attributes)
    return builder.graph()


def random_inputs(graph: Graph, inferences: int, seed: int) -> dict[str, Array]:
    """Uniform integers over the whole type; floats over somewhat more than what quantizing keeps."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for name in graph.inputs:
        element, shape = graph.type(name).element, (inferences, *graph.type(name).shape)
        if isinstance(element, FloatType):
            arrays[name] = (rng.standard_normal(shape) * float_range(graph, name)).astype(np.float32)
        else:
            arrays[name] = rng.integers(element.minimum, element.maximum, shape, element.dtype, endpoint=True)
    return arrays


def corner_inputs(graph: Graph, every: int = 1) -> dict[str, Array]:
    """Inferences in which every element of every input takes each of 256 values, or one in ``every``, then all ends.

    The values are all there are of 8 bits; the ends, the middle and some between of wider types; exact halves of
    a step of floats. The last three inferences are all lowest, all highest, and both in turn.
    """
    arrays: dict[str, Array] = {}
    for name in graph.inputs:
        tensor_type = graph.type(name)
        values = corner_values(graph, name)
        positions = np.arange(tensor_type.size)
        rolled = values[(np.arange(0, len(values), every)[:, None] + positions) % len(values)]
        ends = np.stack([np.full(tensor_type.size, values.min()), np.full(tensor_type.size, values.max())])
        turns = np.where(positions % 2, values.min(), values.max())[None]
        stacked = np.concatenate([rolled, ends, turns])
        arrays[name] = stacked.reshape(len(stacked), *tensor_type.shape)
    return arrays


def corner_values(graph: Graph, name: str) -> Array:
    """256 values of an input's type, ends included."""
    element = graph.type(name).element
    if isinstance(element, FloatType):
        steps = np.arange(-128, 128) + 0.5
        return (steps * float_range(graph, name) / 128).astype(np.float32)
    low, high = element.minimum, element.maximum
    if element.bits <= 8:
        return np.arange(256).astype(np.uint8).view(element.dtype) if element.bits == 8 else np.arange(low, high + 1)
    spread = np.linspace(low, high, 192).astype(np.int64)
    return np.concatenate([spread, np.arange(-32, 32).clip(low, high)]).astype(element.dtype)


def float_range(graph: Graph, name: str) -> float:
    """The largest float that the quantization reading an input keeps, so that 128 steps fill it."""
    made = [graph.type(result).quantization for node in graph.consumers(name) for result in node.outputs]
    return 128 * made[0].scale if made and made[0] else 1.0


def joined(*parts: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same_tensors(left: RunResult, right: RunResult) -> None:
    """Every tensor equal, in every element, shape and type."""
    assert left.tensors.keys() == right.tensors.keys()
    for name, one in left.tensors.items():
        other = right.tensors[name]
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
        different = np.flatnonzero(one != other)
        assert not different.size, (
            f"{name}: {different.size} of {one.size} elements differ, the first at {different[0]}: "
            f"{left.executor} {one.flat[different[0]]}, {right.executor} {other.flat[different[0]]}"
        )


def assert_litert_agrees(graph: Graph, inputs: Mapping[str, Array]) -> None:
    """NumPy computes what LiteRT's reference kernels compute, in every tensor."""
    model = Model(graph, graph.name)
    assert_same_tensors(create_executor("numpy", model).run(inputs), create_executor("litert", model).run(inputs))


def operator_examples(operator: type[Operator]) -> list[tuple[str, Graph]]:
    """Names and graphs of an operator's examples."""
    return [(example.name, example.graph) for example in operator.examples()]
