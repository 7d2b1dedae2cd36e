"""Quantization-aware training in PyTorch: what it computes is what the integer graph computes."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

import bitloom as bl
from bitloom.data import quantize_inputs
from bitloom.errors import DataError, InputError, TrainError, UnsupportedError, UsageError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import load_tflite
from bitloom.ir import FloatGraph, FloatNode, FloatTensor, Graph
from bitloom.train.torch_fit import classes, fit
from bitloom.train.torch_nodes import Call
from bitloom.train.torch_quantized import FakeQuantized
from bitloom.train.torch_ranges import NetworkWidths

torch = pytest.importorskip("torch", reason="the extra bitloom[torch] is not installed")
torch.set_num_threads(1)

RNG = np.random.default_rng(0)


class Builder:
    """A float graph node by node."""

    def __init__(self, *shape: int) -> None:
        self.tensors = [FloatTensor("x", shape)]
        self.nodes: list[FloatNode] = []
        self.last = "x"
        self.rng = np.random.default_rng(0)

    def constant(self, name: str, data: np.ndarray, dtype: str = "float32") -> str:
        self.tensors.append(FloatTensor(name, data.shape, data, dtype))
        return name

    def node(
        self, kind: str, shape: tuple[int, ...], *operands: str, given: str | None = None, **options: object
    ) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(FloatNode(kind, (given or self.last, *operands), (name,), options))
        self.tensors.append(FloatTensor(name, shape))
        self.last = name
        return name

    def layer(self, kind: str, shape: tuple[int, ...], weights: tuple[int, ...], **options: object) -> str:
        outputs = weights[-1] if kind == "DEPTHWISE_CONV_2D" else weights[0]
        count = len(self.tensors)
        matrix = self.constant(f"w{count}", self.rng.normal(size=weights) / np.sqrt(np.prod(weights) / outputs))
        bias = self.constant(f"b{count}", self.rng.normal(size=outputs) * 0.1)
        return self.node(kind, shape, matrix, bias, **options)

    def graph(self) -> FloatGraph:
        return FloatGraph("net", ("x",), (self.last,), tuple(self.tensors), tuple(self.nodes))


STEPS = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}


def images() -> FloatGraph:
    """Convolutions with every padding, a residual sum, pools, a mean, tables and dense layers."""
    net = Builder(1, 8, 8, 2)
    net.layer("CONV_2D", (1, 8, 8, 4), (4, 3, 3, 2), padding="SAME", fused_activation_function="RELU6", **STEPS)
    kept = net.layer(
        "DEPTHWISE_CONV_2D", (1, 4, 4, 4), (1, 3, 3, 4), padding="SAME", depth_multiplier=1,
        fused_activation_function="NONE", **{**STEPS, "stride_h": 2, "stride_w": 2},
    )  # fmt: skip
    net.layer("CONV_2D", (1, 4, 4, 4), (4, 3, 3, 4), padding="SAME", fused_activation_function="RELU", **STEPS)
    net.node("ADD", (1, 4, 4, 4), kept, fused_activation_function="RELU")
    net.node(
        "AVERAGE_POOL_2D", (1, 4, 4, 4), padding="SAME", filter_height=3, filter_width=3, stride_h=1, stride_w=1,
        fused_activation_function="NONE",
    )  # fmt: skip
    net.layer("CONV_2D", (1, 3, 3, 4), (4, 2, 2, 4), padding="VALID", fused_activation_function="NONE", **STEPS)
    net.node(
        "MAX_POOL_2D", (1, 2, 2, 4), padding="SAME", filter_height=2, filter_width=2, stride_h=2, stride_w=2,
        fused_activation_function="NONE",
    )  # fmt: skip
    net.node("RESHAPE", (1, 16), net.constant("shape", np.array([1, 16]), "int32"), new_shape=(1, 16))
    net.layer("FULLY_CONNECTED", (1, 6), (6, 16), fused_activation_function="RELU")
    net.layer("FULLY_CONNECTED", (1, 3), (3, 6), fused_activation_function="NONE")
    return net.graph()


IMAGES = images()
DATA = RNG.normal(size=(200, 8, 8, 2)).astype(np.float32)


def integers(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    kind = graph.type(graph.inputs[0])
    quantization = kind.required_quantization
    steps = quantize_inputs(x, quantization.scale, quantization.zero_point, kind.integer)
    return {graph.inputs[0]: steps.reshape(len(x), *kind.shape)}


def differences(network: FakeQuantized, x: np.ndarray) -> dict[str, np.ndarray]:
    """Steps between PyTorch's tensors and the integer graph's."""
    graph = network.eval().integer_graph()
    found, exact = network.run(x), graph.evaluate(integers(graph, x))
    steps = {}
    for name in graph.computed:
        quantization = graph.type(name).required_quantization
        real = (exact[name].astype(np.int64) - quantization.zero_point) * quantization.scale
        steps[name] = np.rint((found[name].numpy().reshape(real.shape) - real) / quantization.scale)
    return steps


WIDTHS = {
    "8/8": NetworkWidths(),
    "4/8": NetworkWidths(weights=4),
    "4/4": NetworkWidths(4, 4),
    "2/3": NetworkWidths(2, 3, inputs=5, outputs=4),
    "1/2": NetworkWidths(1, 2),
    "mixed": NetworkWidths(5, 6, layers={"conv_2d_0": (3, 7), "fully_connected_8": (2, 4)}),
}


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
def test_evaluation_is_the_integer_graph(widths: NetworkWidths, per_channel: bool) -> None:
    """Every tensor of every width; only sums of two tensors may differ, which LiteRT rounds twice, and little."""
    network = FakeQuantized(IMAGES, DATA, widths, per_channel=per_channel)
    for name, steps in differences(network, DATA[:60]).items():
        if name in ("conv_2d_0", "depthwise_conv_2d_1", "conv_2d_2"):
            assert not steps.any(), name
        assert np.abs(steps).max() <= 1, name
        assert (steps != 0).mean() <= 0.001, name


def test_without_sums_of_tensors_evaluation_is_the_integer_graph_exactly() -> None:
    net = Builder(1, 10)
    net.layer("FULLY_CONNECTED", (1, 16), (16, 10), fused_activation_function="RELU")
    net.layer("FULLY_CONNECTED", (1, 16), (16, 16), fused_activation_function="RELU_N1_TO_1")
    net.layer("FULLY_CONNECTED", (1, 5), (5, 16), fused_activation_function="NONE")
    for widths in (NetworkWidths(), NetworkWidths(3, 4), NetworkWidths(8, 12, 12, 12)):
        data = RNG.normal(size=(500, 10)).astype(np.float32)
        steps = differences(FakeQuantized(net.graph(), data, widths), data)
        assert not any(each.any() for each in steps.values())


@pytest.mark.parametrize("widths", [WIDTHS["4/4"], WIDTHS["1/2"]], ids=["4/4", "1/2"])
def test_circuits_compute_the_same(widths: NetworkWidths) -> None:
    graph = FakeQuantized(IMAGES, DATA, widths).integer_graph()
    assert bl.verify(graph, integers(graph, DATA[:3]), ["numpy", "pyrtl"]).equal


@pytest.mark.parametrize("weights", [4, 8])
def test_litert_computes_the_same_of_the_exported_file(weights: int) -> None:
    graph = FakeQuantized(IMAGES, DATA, NetworkWidths(weights)).integer_graph()
    model = load_tflite(graph_to_tflite(graph), "net")
    assert bl.verify(model, integers(graph, DATA[:50]), ["litert", "numpy"]).equal


def test_types_are_those_asked_for() -> None:
    graph = FakeQuantized(IMAGES, DATA, WIDTHS["mixed"]).integer_graph()
    weights = {
        node.outputs[0]: graph.operands(node)[1].type.integer.bits
        for node in graph.nodes
        if node.operator.name in ("conv_2d", "depthwise_conv_2d", "fully_connected")
    }
    assert weights["conv_2d_0"] == 3
    assert weights["fully_connected_8"] == 2
    assert weights["conv_2d_2"] == 5
    assert (graph.type("conv_2d_0").integer.bits, graph.type("fully_connected_8").integer.bits) == (7, 4)
    assert graph.type(graph.outputs[0]).integer.bits == 8


def test_while_training_the_numbers_are_the_same_but_where_a_convolution_rounds_twice() -> None:
    """Of a convolution's results one in some hundred is beyond a half by its first rounding only."""
    network = FakeQuantized(IMAGES, DATA, WIDTHS["4/4"])
    training = {name: values.detach().numpy() for name, values in network.run(DATA).items()}
    exact, types = network.eval().run(DATA), network.integer_graph()
    for name in ("x", "conv_2d_0"):
        steps = np.rint((training[name] - exact[name].numpy()) / types.type(name).required_quantization.scale)
        assert np.abs(steps).max() <= 1
        assert (steps != 0).mean() < 0.01


def test_gradients_reach_everything_that_is_trained() -> None:
    network = FakeQuantized(IMAGES, DATA, WIDTHS["4/4"])
    torch.nn.functional.cross_entropy(network(DATA), torch.zeros(len(DATA), dtype=torch.long)).backward()
    for name, key in network._keys.items():
        gradient = network.values[key].grad
        assert gradient is not None, name
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().max() > 0, name


def test_rounding_passes_gradients_inside_and_stops_them_outside() -> None:
    """A single weight: inside the range the gradient is that of the product, outside 0."""
    tensors = (FloatTensor("x", (1, 1)), FloatTensor("w", (2, 1), np.array([[0.5], [1.0]])), FloatTensor("y", (1, 2)))
    node = FloatNode("FULLY_CONNECTED", ("x", "w"), ("y",), {"fused_activation_function": "NONE"})
    graph = FloatGraph("one", ("x",), ("y",), tensors, (node,))
    network = FakeQuantized(graph, np.array([[-1.0], [1.0]], np.float32), per_channel=False)
    weights = network.values[network._keys["y:weights"]]
    with torch.no_grad():
        weights[1, 0] = 5.0  # far outside of what the scale reaches
    network(np.array([[0.5]], np.float32)).sum().backward()
    assert weights.grad[0, 0] == pytest.approx(0.5, abs=0.01)
    assert weights.grad[1, 0] == 0


def test_training_helps_and_reproduces() -> None:
    data = bl.load_dataset("digits")
    net = Builder(1, 64)
    net.layer("FULLY_CONNECTED", (1, 16), (16, 64), fused_activation_function="RELU")
    net.layer("FULLY_CONNECTED", (1, 10), (10, 16), fused_activation_function="NONE")

    def trained() -> tuple[float, float, Graph]:
        network = FakeQuantized(net.graph(), data.train_x, NetworkWidths(3, 4, inputs=4))
        before = float((classes(network.eval(), data.test_x) == data.test_y).mean())
        fit(network.train(), data.train_x, data.train_y, epochs=6, batch_size=32, learning_rate=5e-3)
        return before, float((classes(network.eval(), data.test_x) == data.test_y).mean()), network.integer_graph()

    before, after, graph = trained()
    assert before < 0.5
    assert after > 0.85
    found = bl.run(graph, integers(graph, data.test_x)).tensors[graph.outputs[0]]
    assert (found.reshape(-1, 10).argmax(axis=1) == data.test_y).mean() == after
    again = trained()[2]
    assert bl.print_graph(graph) == bl.print_graph(again)


def test_a_softmax_at_the_end_is_computed_and_not_trained_through() -> None:
    net = Builder(1, 6)
    scores = net.layer("FULLY_CONNECTED", (1, 4), (4, 6), fused_activation_function="NONE")
    net.node("SOFTMAX", (1, 4), beta=1.0)
    data = RNG.normal(size=(300, 6)).astype(np.float32)
    network = FakeQuantized(net.graph(), data, NetworkWidths(4))
    steps = differences(network, data)
    assert not steps[scores].any()
    assert np.abs(steps["softmax_1"]).max() <= 1  # LiteRT computes exponentials in fixed point
    torch.testing.assert_close(network.logits(data), network.run(data)[scores])
    fit(network.train(), data, data[:, :4].argmax(axis=1), epochs=30, batch_size=16, learning_rate=1e-2)
    assert (classes(network.eval(), data) == data[:, :4].argmax(axis=1)).mean() > 0.8


def test_a_pytorch_module_with_batch_normalisation() -> None:
    pytest.importorskip("onnxscript", reason="the extra bitloom[torch] is not installed")
    from bitloom.frontends.torch import from_torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 3),
    )  # fmt: skip
    module(torch.randn(100, 1, 8, 8) + 1)  # so that there is something to fold
    module.eval()
    x = torch.randn(40, 1, 8, 8)
    network = FakeQuantized(from_torch(module, x[:1]), x.numpy())
    assert not {node.kind for node in network.graph.nodes} & {"MUL", "ADD"}
    graph = network.eval().integer_graph()
    assert not any(steps.any() for steps in differences(network, x.numpy()).values())
    scale = graph.type(graph.outputs[0]).required_quantization.scale
    with torch.no_grad():
        assert (network(x) - module(x)).abs().max() < 8 * scale


def one_layer(kind: str = "FULLY_CONNECTED", **options: object) -> FloatGraph:
    net = Builder(1, 4)
    net.layer(kind, (1, 3), (3, 4), fused_activation_function="NONE", **options)
    return net.graph()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 4)), "n at least 1"),
        (np.zeros((3, 5)), r"has shape \[3, 5\]; give \[n, 4\]"),
        (np.full((3, 4), np.nan), "NaN or infinity"),
    ],
)
def test_calibration_data_that_do_not_do_are_refused(data: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FakeQuantized(one_layer(), data)


def test_what_training_does_not_know_is_refused_by_name() -> None:
    net = Builder(1, 4)
    net.node("CUMSUM", (1, 4))
    with pytest.raises(UnsupportedError, match=r"CUMSUM 'cumsum_0'.*does not know CUMSUM; it knows ADD"):
        FakeQuantized(net.graph(), DATA[:, 0, 0])
    net = Builder(1, 4)
    net.node("MUL", (1, 4), net.constant("factors", np.ones((1, 4)) * 2), fused_activation_function="NONE")
    with pytest.raises(UnsupportedError, match="MUL with the constant 'factors'"):
        Call.of(net.graph(), net.nodes[0])


def test_a_channel_without_weights_keeps_its_bias() -> None:
    net = Builder(1, 4)
    weights = np.array([[0.5, -1, 2, 0.1], [0, 0, 0, 0]])
    net.node(
        "FULLY_CONNECTED", (1, 2), net.constant("w", weights), net.constant("b", np.array([0.3, 1.7])),
        fused_activation_function="NONE",
    )  # fmt: skip
    data = RNG.normal(size=(100, 4)).astype(np.float32)
    for per_channel in (True, False):
        network = FakeQuantized(net.graph(), data, per_channel=per_channel)
        assert not any(steps.any() for steps in differences(network, data).values())
        assert np.abs(network(data).numpy()[:, 1] - 1.7).max() < 0.05


def test_a_tensor_that_is_always_0_is_refused_by_name() -> None:
    net = Builder(1, 4)
    net.layer("FULLY_CONNECTED", (1, 3), (3, 4), fused_activation_function="NONE")
    net.node("RELU", (1, 3))
    tensors = [replace_data(tensor, -np.ones(3)) if tensor.name.startswith("b") else tensor for tensor in net.tensors]
    graph = dataclasses.replace(net.graph(), tensors=tuple(tensors))
    with pytest.raises(TrainError, match="'relu_1' is 0 for all calibration data"):
        FakeQuantized(graph, np.full((3, 4), 1e-6))


def replace_data(tensor: FloatTensor, data: np.ndarray) -> FloatTensor:
    return FloatTensor(tensor.name, tensor.shape, data)


def test_widths_for_layers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="no layer 'conv' to give widths to; name one of x, fully_connected_0"):
        FakeQuantized(one_layer(), np.ones((2, 4)), NetworkWidths(layers={"conv": (4, 4)}))


def test_widths_that_no_operator_takes_are_refused_before_training() -> None:
    net = Builder(1, 4)
    net.layer("FULLY_CONNECTED", (1, 3), (3, 4), fused_activation_function="NONE")
    net.node("LOGISTIC", (1, 3))
    with pytest.raises(UnsupportedError, match="LOGISTIC"):
        FakeQuantized(net.graph(), RNG.normal(size=(9, 4)), NetworkWidths(8, 12, 12, 12))


def test_several_outputs_are_refused() -> None:
    graph = images()
    several = dataclasses.replace(graph, outputs=(graph.outputs[0], "conv_2d_0"))
    with pytest.raises(TrainError, match="has 1 inputs and 2 outputs"):
        FakeQuantized(several, DATA)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"x": np.full((4, 4), np.nan)}, DataError, "NaN or infinity"),
        ({"labels": np.zeros(3)}, DataError, "4 samples and 3 labels"),
        ({"epochs": 0}, TrainError, "0 epochs"),
        ({"learning_rate": float("nan")}, TrainError, "learning rate of nan"),
    ],
)
def test_senseless_training_is_refused(change: Mapping[str, object], kind: type[Exception], message: str) -> None:
    arguments = {"x": np.zeros((4, 4)), "labels": np.zeros(4), "epochs": 1, **change}
    with pytest.raises(kind, match=message):
        fit(FakeQuantized(one_layer(), np.ones((2, 4))), **arguments)  # type: ignore[arg-type]


def test_training_that_diverges_says_so() -> None:
    with pytest.raises(TrainError, match="diverged in epoch"):
        fit(FakeQuantized(one_layer(), np.ones((2, 4))), np.ones((8, 4)), np.zeros(8), epochs=40, learning_rate=1e30)
