"""Small convolutional networks with the wiring of real ones, as converters spell them.

Each is a few layers of a well-known network: what joins, skips, splits, gates or leaves out in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from models import INT8, single
from networks import BranchingBuilder

from bitloom.arith import IntType
from bitloom.ir import Graph, Node, Quantization, SourceNode, TensorType, Value
from bitloom.ir.operator import spelled

# Of nearly all tensors, so that they can be joined without rescaling: -7 to 9, of which rectifiers leave 0 to 6.
COMMON = Quantization((single(1 / 16),), (-20,))
SIGMOID = Quantization((single(1 / 256),), (-128,))
INT32 = IntType(32)


class ConvolutionalBuilder(BranchingBuilder):
    """Appends layers to any earlier value; shapes follow from the operators."""

    def __init__(self, name: str, *shape: int) -> None:
        super().__init__(name, TensorType(shape, INT8, COMMON))
        self.rng = np.random.default_rng(len(name))
        self.made = 0

    def put(
        self, kind: str, *operands: Value | None, quantization: Quantization = COMMON, **attributes: object
    ) -> Value:
        """Append a node that reads these values, constants and variables."""
        operator = spelled(kind, lambda candidate: candidate.tflite)
        assert operator is not None, kind
        read = [value for value in operands if value is not None]

        def source(result: Value) -> SourceNode:
            return SourceNode(kind, attributes, operands, (result,), self.name)

        first = operator.lower(source(Value("provisional", TensorType(read[0].type.shape, INT8, quantization))))
        kept = [next(value for value in read if value.name == name) for name in first.inputs]
        ((shape, _),) = first.operator.infer(kept)
        result = Value(f"t{len(self.nodes)}", TensorType(shape, INT8, quantization))
        lowered = operator.lower(source(result))
        name = f"{lowered.operator.name}_{len(self.nodes)}"
        self.nodes.append(Node(name, lowered.operator, lowered.inputs, (result.name,)))
        known = {value.name for value in self.values}
        self.values += [value for value in {each.name: each for each in kept}.values() if value.name not in known]
        self.values.append(result)
        self.last = result
        return result

    def constant(self, data: object, element: IntType = INT32, quantization: Quantization | None = None) -> Value:
        """A constant operand."""
        self.made += 1
        array = np.array(data)
        return Value(f"c{self.made}", TensorType(array.shape, element, quantization), array)

    def reals(self, data: Sequence[float] | float) -> Value:
        """An int8 constant of the numbers, as near as its scale allows."""
        scale = single(max(np.abs(data).max(), 1e-3) / 127)
        return self.constant(np.rint(np.array(data) / scale).astype(int), INT8, Quantization((scale,), (0,)))

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: str = "SAME",
        activation: str = "RELU",
        dilation: int = 1,
        groups: int = 1,
    ) -> Value:
        """A convolution with a scale for each output channel, whose outputs use most of the range."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        depth = x.type.shape[-1] // groups
        weights = self._weights((channels, height, width, depth), 0, height * width * depth)
        return self._convolution("CONV_2D", x, weights, channels, stride, padding, activation, dilation)

    def depthwise(
        self,
        x: Value,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: str = "SAME",
        activation: str = "RELU6",
        multiplier: int = 1,
    ) -> Value:
        """A convolution of each channel alone."""
        channels = x.type.shape[-1] * multiplier
        weights = self._weights((1, kernel, kernel, channels), 3, kernel**2)
        return self._convolution(
            "DEPTHWISE_CONV_2D", x, weights, channels, stride, padding, activation, 1, depth_multiplier=multiplier
        )

    def _weights(self, shape: tuple[int, ...], axis: int, terms: int) -> Value:
        spread = 50 / (74 * 73 * terms**0.5)
        scales = tuple(single(spread * factor) for factor in self.rng.uniform(0.5, 1.5, shape[axis]))
        data = self.rng.integers(-127, 127, shape, endpoint=True)
        return self.constant(data, INT8, Quantization(scales, (0,) * len(scales), axis))

    def _convolution(
        self,
        kind: str,
        x: Value,
        weights: Value,
        channels: int,
        stride: int,
        padding: str,
        activation: str,
        dilation: int,
        **options: object,
    ) -> Value:
        assert weights.type.quantization is not None
        scales = tuple(single(COMMON.scale * scale) for scale in weights.type.quantization.scales)
        bias = self.constant(self.rng.integers(-2000, 2000, channels), INT32, Quantization(scales, (0,) * channels, 0))
        # A dimension as short as the kernel's is passed once, whatever the step.
        height, width = (1 if x.type.shape[axis] == 1 else 2 for axis in (1, 2))
        both = {1: (1, 1), 2: (height, width)}
        factor = (1 if x.type.shape[1] == 1 else dilation, dilation)
        strides = both.get(stride, (stride, stride))
        return self.put(
            kind,
            x,
            weights,
            bias,
            padding=padding,
            fused_activation_function=activation,
            stride_h=strides[0],
            stride_w=strides[1],
            dilation_h_factor=factor[0],
            dilation_w_factor=factor[1],
            **options,
        )

    def pool(self, kind: str, x: Value, size: int, stride: int, padding: str = "VALID") -> Value:
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        window = {"filter_height": size, "filter_width": size, "stride_h": stride, "stride_w": stride}
        return self.put(kind, x, padding=padding, fused_activation_function="NONE", **window)

    def join_channels(self, *operands: Value, axis: int = 3) -> Value:
        """A CONCATENATION."""
        return self.put("CONCATENATION", *operands, axis=axis, fused_activation_function="NONE")

    def sum(self, x: Value, y: Value, activation: str = "NONE") -> Value:
        """An ADD."""
        return self.put("ADD", x, y, fused_activation_function=activation)

    def product(self, x: Value, y: Value, quantization: Quantization = COMMON) -> Value:
        """A MUL."""
        return self.put("MUL", x, y, fused_activation_function="NONE", quantization=quantization)

    def mean(self, x: Value, *axes: int, keep: bool = False) -> Value:
        """A MEAN; of height and width if no axes are given."""
        return self.put("MEAN", x, self.constant(axes or (1, 2)), keep_dims=keep)

    def shaped(self, x: Value, *shape: int) -> Value:
        """A RESHAPE."""
        return self.put("RESHAPE", x, self.constant(shape), quantization=_quantization(x))

    def turned(self, x: Value, *order: int) -> Value:
        """A TRANSPOSE."""
        return self.put("TRANSPOSE", x, self.constant(order))

    def twice_as_large(self, x: Value) -> Value:
        """A RESIZE_NEAREST_NEIGHBOR to twice the size."""
        size = self.constant([2 * length for length in x.type.shape[1:3]])
        return self.put("RESIZE_NEAREST_NEIGHBOR", x, size, half_pixel_centers=True)

    def padded(self, x: Value, *widths: tuple[int, int]) -> Value:
        """A PAD."""
        return self.put("PAD", x, self.constant(widths))

    def part(self, x: Value, *ranges: tuple[int, int]) -> Value:
        """A STRIDED_SLICE in steps of 1."""
        begin, end = zip(*ranges, strict=True)
        operands = (self.constant(begin), self.constant(end), self.constant([1] * len(ranges)))
        return self.put("STRIDED_SLICE", x, *operands, quantization=_quantization(x))

    def sigmoid(self, x: Value) -> Value:
        """A LOGISTIC."""
        return self.put("LOGISTIC", x, quantization=SIGMOID)


def _quantization(x: Value) -> Quantization:
    return x.type.required_quantization


def inverted_residual() -> Graph:
    """MobileNetV2: widened, each channel alone, narrowed without a rectifier, and added; then with a stride."""
    network = ConvolutionalBuilder("inverted_residual", 1, 6, 6, 4)
    x = network.conv(network.depthwise(network.conv(network.x, 12, activation="RELU6")), 4, activation="NONE")
    x = network.sum(network.x, x)
    wide = network.padded(network.conv(x, 8, activation="RELU6"), (0, 0), (0, 1), (0, 1), (0, 0))
    network.conv(network.depthwise(wide, stride=2, padding="VALID"), 6, activation="NONE")
    return network.graph()


def squeeze_and_excite() -> Graph:
    """MobileNetV3: every channel times a gate computed from the means of all, with hard swish and hard sigmoid."""
    network = ConvolutionalBuilder("squeeze_and_excite", 1, 5, 5, 3)
    x = network.put("HARD_SWISH", network.conv(network.x, 8, 3, stride=2, activation="NONE"))
    gate = network.conv(network.conv(network.mean(x, keep=True), 4), 8, activation="NONE")
    gate = network.sum(gate, network.reals(3.0), "RELU6")
    gate = network.product(gate, network.reals(1 / 6), SIGMOID)
    x = network.product(x, gate)
    network.put("SOFTMAX", network.mean(x), beta=1.0, quantization=SIGMOID)
    return network.graph()


def fire_module() -> Graph:
    """SqueezeNet: pixels and windows of the same few channels, side by side."""
    network = ConvolutionalBuilder("fire_module", 1, 9, 9, 3)
    x = network.pool("MAX_POOL_2D", network.conv(network.x, 6, 3, padding="VALID"), 3, 2)
    x = network.conv(x, 3)
    x = network.join_channels(network.conv(x, 5), network.conv(x, 4, 3))
    network.mean(network.conv(x, 4))
    return network.graph()


def dense_block() -> Graph:
    """DenseNet: joins of joins, normalisations that stay because a rectifier follows, a mean of tiles."""
    network = ConvolutionalBuilder("dense_block", 1, 6, 6, 3)
    x = network.x
    for _ in range(2):
        scale, offset = network.rng.uniform(0.5, 1.5, (2, x.type.shape[-1]))
        y = network.sum(network.product(x, network.reals(list(scale))), network.reals(list(offset - 1)), "RELU")
        x = network.join_channels(x, network.conv(network.conv(y, 6), 3, 3, activation="NONE"))
    network.pool("AVERAGE_POOL_2D", network.conv(x, 4), 2, 2)
    return network.graph()


def inception_block() -> Graph:
    """Inception: four branches that need different numbers of rows, one of them a mean of windows that are cut."""
    network = ConvolutionalBuilder("inception_block", 1, 7, 7, 3)
    x = network.x
    branches = [
        network.conv(x, 3),
        network.conv(network.conv(x, 2), 4, 3),
        network.conv(network.conv(network.conv(x, 2), 3, (1, 5)), 3, (5, 1)),
        network.conv(network.pool("AVERAGE_POOL_2D", x, 3, 1, "SAME"), 2),
    ]
    x = network.join_channels(*branches)
    network.join_channels(network.conv(x, 4, 3, stride=2, padding="VALID"), network.pool("MAX_POOL_2D", x, 3, 2))
    return network.graph()


def pre_activation() -> Graph:
    """ResNet v2: padding and a stride in the long branch, a strided convolution of pixels in the short one."""
    network = ConvolutionalBuilder("pre_activation", 1, 8, 8, 4)
    x = network.put("RELU", network.x)
    short = network.conv(x, 8, stride=2, activation="NONE")
    x = network.padded(network.conv(x, 3), (0, 0), (1, 1), (1, 1), (0, 0))
    x = network.conv(network.conv(x, 3, 3, stride=2, padding="VALID"), 8, activation="NONE")
    x = network.sum(short, x)
    network.mean(network.sum(x, network.conv(x, 8, 3), "RELU"))
    return network.graph()


def encoder_decoder() -> Graph:
    """U-Net: images halved and doubled again, beside which the large ones wait, one inside the other."""
    network = ConvolutionalBuilder("encoder_decoder", 1, 8, 8, 2)
    large = network.conv(network.x, 3, 3)
    middle = network.conv(network.pool("MAX_POOL_2D", large, 2, 2), 4, 3)
    small = network.conv(network.pool("MAX_POOL_2D", middle, 2, 2), 5, 3)
    x = network.conv(network.join_channels(network.twice_as_large(small), middle), 4, 3)
    x = network.conv(network.join_channels(network.twice_as_large(x), large), 3, 3)
    network.conv(x, 2, activation="NONE")
    return network.graph()


def channel_shuffle() -> Graph:
    """ShuffleNet: half of the channels computed, joined with the others and mixed; grouped convolutions."""
    network = ConvolutionalBuilder("channel_shuffle", 1, 6, 6, 8)
    x = network.x
    for _ in range(2):
        left, right = (network.part(x, (0, 1), (0, 6), (0, 6), half) for half in ((0, 4), (4, 8)))
        right = network.conv(network.depthwise(network.conv(right, 4), activation="NONE"), 4)
        x = network.shaped(network.join_channels(left, right), 1, 6, 6, 2, 4)
        x = network.shaped(network.turned(x, 0, 1, 2, 4, 3), 1, 6, 6, 8)
    network.conv(x, 6, 3, groups=2)
    return network.graph()


def temporal() -> Graph:
    """A temporal network: images of one row, padded in front, with growing dilations; only the last step goes on."""
    network = ConvolutionalBuilder("temporal", 1, 12, 3)
    x = network.shaped(network.x, 1, 1, 12, 3)
    for dilation in (1, 2):
        y = network.padded(x, (0, 0), (0, 0), (2 * dilation, 0), (0, 0))
        y = network.conv(y, 4, (1, 3), padding="VALID", dilation=dilation)
        x = network.sum(x if x.type.shape[-1] == 4 else network.conv(x, 4, activation="NONE"), y, "RELU")
    last = network.part(x, (0, 1), (0, 1), (11, 12), (0, 4))
    network.conv(network.shaped(last, 1, 1, 1, 4), 3, activation="NONE")
    return network.graph()


def detection_head() -> Graph:
    """YOLO: two scales, boxes and classes taken apart, computed each in its way and joined; two outputs."""
    network = ConvolutionalBuilder("detection_head", 1, 8, 8, 3)
    shallow = network.put("LEAKY_RELU", network.conv(network.x, 4, 3, stride=2, activation="NONE"), alpha=0.125)
    deep = network.conv(shallow, 6, 3, stride=2)
    wide = network.join_channels(network.twice_as_large(network.conv(deep, 3)), shallow)
    outputs = []
    for features, size in ((deep, 2), (wide, 4)):
        cells = network.shaped(network.conv(features, 10, activation="NONE"), 1, size * size, 2, 5)
        whole = ((0, 1), (0, size * size), (0, 2))
        place, extent, kind = (network.part(cells, *whole, part) for part in ((0, 2), (2, 4), (4, 5)))
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(1, -1, 1, 2) / size
        place = network.sum(network.sigmoid(place), network.reals(grid))
        anchors = network.reals(np.array([[1.0, 2.0], [3.0, 1.5]]).reshape(1, 1, 2, 2))
        extent = network.product(network.sigmoid(extent), anchors)
        kind = network.put("QUANTIZE", network.sigmoid(kind))
        outputs.append(network.join_channels(place, extent, kind))
    return network.graph_to(*outputs)


def two_scales() -> Graph:
    """SSD: boxes of a large image, then those of a small one computed from it, which come when the next have begun."""
    network = ConvolutionalBuilder("two_scales", 1, 8, 8, 3)
    large = network.conv(network.x, 6, 3, stride=2)
    small = network.conv(large, 4, 3, stride=2)
    boxes = [network.shaped(network.conv(x, 8, 3, activation="NONE"), 1, -1, 4) for x in (large, small)]
    network.sigmoid(network.join_channels(*boxes, axis=1))
    return network.graph()


def unread_ends() -> Graph:
    """Slices that leave out the end of the input and of a computed image: beats come after the last output."""
    network = ConvolutionalBuilder("unread_ends", 1, 9, 8, 3)
    x = network.part(network.x, (0, 1), (0, 7), (0, 8), (0, 3))
    x = network.conv(x, 4, 3, padding="VALID")
    network.part(x, (0, 1), (1, 3), (0, 3), (0, 4))
    return network.graph()


def two_images() -> Graph:
    """Two inputs of different sizes and one layer each, compared and gated; an output in the middle."""
    network = ConvolutionalBuilder("two_images", 1, 6, 6, 2)
    other = Value("other", TensorType((1, 4, 4, 2), INT8, COMMON))
    network.values.append(other)
    left = network.mean(network.conv(network.x, 4, 3))
    right = network.mean(network.conv(other, 4, 3))
    apart = network.put("SUB", left, right, fused_activation_function="NONE")
    gate = network.sigmoid(network.join_channels(apart, left, axis=1))
    gated = network.product(network.join_channels(left, right, axis=1), gate)
    outputs = (apart.name, gated.name)
    return Graph(network.name, ("x", "other"), outputs, tuple(network.values), tuple(network.nodes))


CONVOLUTIONAL = {
    make.__name__: make
    for make in (
        inverted_residual,
        squeeze_and_excite,
        fire_module,
        dense_block,
        inception_block,
        pre_activation,
        encoder_decoder,
        channel_shuffle,
        temporal,
        detection_head,
        two_scales,
        unread_ends,
        two_images,
    )
}
