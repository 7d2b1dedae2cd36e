"""Networks that are no chains of layers: branches, several outputs, rows, reshapes; and random ones for hypothesis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from models import GraphBuilder, quantized, single

from bitloom.arith import IntType
from bitloom.ir import Graph, Quantization, TensorType, Value


class BranchingBuilder(GraphBuilder):
    """A `GraphBuilder` that can go back to an earlier value and end in several outputs."""

    def go_back_to(self, value: Value) -> None:
        """Let the next node read this value."""
        self.last = value

    def reshape(self, *shape: int) -> None:
        """Append a RESHAPE."""
        self.add("RESHAPE", replace(self.last.type, shape=shape), new_shape=shape)

    def softmax(self) -> None:
        """Append a SOFTMAX."""
        self.add("SOFTMAX", quantized(self.last.type.shape, 1 / 256, -128), beta=1.0)

    def tanh(self) -> None:
        """Append a TANH."""
        self.add("TANH", quantized(self.last.type.shape, 1 / 128, 0))

    def join(self, kind: str, made: TensorType, *others: Value, **attributes: object) -> None:
        """Append a node that reads the last result and other values that were made before."""
        known = list(self.values)
        self.add(kind, made, others, **attributes)
        self.values = [*known, self.last]

    def convolution(self, channels: int, kernel: int, rng: np.random.Generator, *, stride: int = 1) -> None:
        """Append a CONV_2D of random weights, padded so that a stride of 1 keeps the size."""
        position, x = len(self.nodes), self.last.type
        weight_scale, x_scale = single(0.01), x.required_quantization.scale
        shape = (channels, kernel, kernel, x.shape[-1])
        weights = Value(f"w{position}", quantized(shape, weight_scale, 0), rng.integers(-127, 128, shape))
        bias_type = TensorType((channels,), IntType(32), Quantization((single(x_scale * weight_scale),), (0,)))
        bias = Value(f"b{position}", bias_type, rng.integers(-2000, 2000, channels))
        size = tuple(-(-length // stride) for length in x.shape[1:3])
        spread = x_scale * weight_scale * 74 * 73 * (kernel**2 * x.shape[-1]) ** 0.5
        made = quantized((1, *size, channels), 3 * spread / 127, int(rng.integers(-20, 20)))
        strides = {"stride_h": stride, "stride_w": stride, "dilation_h_factor": 1, "dilation_w_factor": 1}
        self.add("CONV_2D", made, [weights, bias], padding="SAME", fused_activation_function="RELU", **strides)

    def addition(self, other: Value) -> None:
        """Append an ADD of the last result and another."""
        made = replace(self.last.type, quantization=Quantization((single(0.05),), (-11,)))
        self.join("ADD", made, other, fused_activation_function="NONE", pot_scale_int16=False)

    def concatenation(self, axis: int, *others: Value) -> None:
        """Append a CONCATENATION of the last result and others along an axis."""
        shape = list(self.last.type.shape)
        shape[axis] += sum(other.type.shape[axis] for other in others)
        self.join("CONCATENATION", replace(self.last.type, shape=tuple(shape)), *others, axis=axis)

    def transpose(self, *order: int) -> None:
        """Append a TRANSPOSE."""
        shape = tuple(self.last.type.shape[axis] for axis in order)
        operand = Value(f"order{len(self.nodes)}", TensorType((len(order),), IntType(32)), np.array(order))
        self.add("TRANSPOSE", replace(self.last.type, shape=shape), [operand])

    def relu(self) -> None:
        """Append a RELU, which keeps the quantization."""
        self.add("RELU", self.last.type)

    def graph_to(self, *outputs: Value) -> Graph:
        """The graph so far with these outputs."""
        names = tuple(value.name for value in outputs)
        return Graph(self.name, (self.x.name,), names, tuple(self.values), tuple(self.nodes))

    def graph_to_unread(self, *outputs: Value) -> Graph:
        """The graph so far, with every value that no node reads as an output, after those given."""
        read = {name for node in self.nodes for name in node.inputs}
        unread = [value for value in self.values if not value.is_constant and value.name not in read]
        return self.graph_to(*dict.fromkeys([*outputs, *unread]))


def builder(name: str, *shape: int) -> BranchingBuilder:
    """A builder of a network with int8 inputs."""
    return BranchingBuilder(name, quantized(shape, 1 / 255, -128))


def shared_value() -> Graph:
    """Two rows; the input is read by two nodes, an inner value by two nodes and an output; four outputs."""
    rng, network = np.random.default_rng(1), builder("shared_value", 2, 6)
    network.dense(5, rng, activation="RELU")
    shared = network.last
    network.tanh()
    network.go_back_to(shared)
    network.dense(3, rng)
    network.go_back_to(network.x)
    network.dense(4, rng, per_channel=True)
    return network.graph_to_unread(shared)


def reshaped_between() -> Graph:
    """Dense layers of three rows, one row and five rows, with reshapes between them."""
    rng, network = np.random.default_rng(2), builder("reshaped_between", 3, 4)
    network.dense(6, rng)
    network.reshape(1, 18)
    network.dense(5, rng)
    network.reshape(5, 1)
    network.dense(4, rng)
    return network.graph()


def reshape_alone() -> Graph:
    """A network that moves elements and does nothing to them."""
    network = builder("reshape_alone", 3, 4)
    network.reshape(12)
    return network.graph()


def reshaped_outputs() -> Graph:
    """Reshapes of a reshape, of the input and of an output, everything an output, even the input."""
    rng, network = np.random.default_rng(3), builder("reshaped_outputs", 3, 4)
    network.reshape(12)
    network.reshape(1, 12)
    network.dense(3, rng)
    network.reshape(3, 1)
    return network.graph_to(*(value for value in network.values if not value.is_constant))


def output_twice() -> Graph:
    """One value as two outputs."""
    network = builder("output_twice", 1, 7)
    network.dense(3, np.random.default_rng(4))
    return network.graph_to(network.last, network.last)


def rows_to_softmax() -> Graph:
    """Three dense layers of four rows, with odd sizes, and a softmax of each row."""
    rng, network = np.random.default_rng(5), builder("rows_to_softmax", 4, 7)
    network.dense(5, rng, activation="RELU", per_channel=True)
    network.dense(9, rng, activation="RELU")
    network.dense(3, rng)
    network.softmax()
    return network.graph()


BRANCHING = {
    make.__name__: make
    for make in (shared_value, reshaped_between, reshape_alone, reshaped_outputs, output_twice, rows_to_softmax)
}


def joined_behind_a_whole_tensor() -> Graph:
    """One branch turns the image, for which it needs all of it; the other waits."""
    network = builder("joined_behind_a_whole_tensor", 1, 4, 4, 3)
    network.transpose(0, 2, 1, 3)
    network.concatenation(3, network.x)
    return network.graph()


def joined_in_turn() -> Graph:
    """Along the first axis: all of one branch before anything of the other, which has a circuit of its own."""
    network = builder("joined_in_turn", 1, 5, 2, 2)
    network.relu()
    turned = network.last
    network.go_back_to(network.x)
    network.concatenation(1, turned)
    return network.graph()


def joined_twice() -> Graph:
    """A join whose branches hold a join, and an input that reaches it past both; three operands."""
    network = builder("joined_twice", 1, 3, 4, 2)
    network.relu()
    first = network.last
    network.transpose(0, 2, 1, 3)
    network.reshape(1, 3, 4, 2)
    network.concatenation(3, first)
    inner = network.last
    network.relu()
    network.concatenation(3, inner, network.x)
    return network.graph()


def joined_with_itself() -> Graph:
    """One value as both operands."""
    network = builder("joined_with_itself", 1, 6)
    network.relu()
    network.concatenation(1, network.last)
    return network.graph()


def joined_rows() -> Graph:
    """Dense rows beside the rows they are computed from."""
    rng, network = np.random.default_rng(6), builder("joined_rows", 4, 6)
    network.dense(6, rng)
    network.add("QUANTIZE", network.x.type)
    network.concatenation(1, network.x)
    return network.graph()


def residual() -> Graph:
    """Two convolutions, and their input added to their result."""
    rng, network = np.random.default_rng(7), builder("residual", 1, 5, 4, 2)
    network.convolution(3, 1, rng)
    shared = network.last
    network.convolution(4, 3, rng)
    network.convolution(3, 3, rng)
    network.addition(shared)
    return network.graph()


def residual_with_a_stride() -> Graph:
    """A convolution in each branch, both of stride 2, and an addition of an image to itself behind."""
    rng, network = np.random.default_rng(8), builder("residual_with_a_stride", 1, 6, 5, 2)
    network.convolution(4, 3, rng, stride=2)
    network.convolution(3, 3, rng)
    long = network.last
    network.go_back_to(network.x)
    network.convolution(3, 1, rng, stride=2)
    network.addition(long)
    network.addition(network.last)
    return network.graph()


JOINING = {
    make.__name__: make
    for make in (
        residual,
        residual_with_a_stride,
        joined_behind_a_whole_tensor,
        joined_in_turn,
        joined_twice,
        joined_with_itself,
        joined_rows,
    )
}


@st.composite
def random_networks(draw: st.DrawFn, *, most_layers: int = 3, largest: int = 16, branches: bool = True) -> Graph:
    """One to a few dense layers of any sizes and rows, with tables and reshapes between them, and branches."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    network = builder("random_network", draw(st.sampled_from((1, 1, 2, 3))), draw(st.integers(1, largest)))
    kept = []
    for _ in range(draw(st.integers(1, most_layers))):
        if draw(st.booleans()):
            network.tanh()
        if draw(st.booleans()):
            size = network.last.type.size
            row = draw(st.sampled_from([row for row in range(1, size + 1) if size % row == 0]))
            network.reshape(size // row, row)
        network.dense(draw(st.integers(1, largest)), rng, per_channel=draw(st.booleans()))
        if branches and draw(st.booleans()):
            kept.append(network.last)
        if branches and draw(st.integers(0, 4)) == 0:
            network.go_back_to(network.x)
    return network.graph_to_unread(*kept)
