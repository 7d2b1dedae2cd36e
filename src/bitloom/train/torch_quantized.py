"""Quantization-aware training in PyTorch: a float graph whose tensors are rounded to integers in every forward pass.

Source: fake quantization with straight-through gradients is Jacob et al. 2018, section 3; learned scales are Esser et
al. 2020 ("Learned step size quantization"), trained as their logarithms as in Jain et al. 2020 ("Trained quantization
thresholds"), because a step of an optimizer then changes scales by a share of themselves.

Any front end's float graph is trained so: convolutions, dense layers, pools and sums, of weights and activations of any
width. Normalisation is folded into the layers in front of it before training begins, so that what is trained is what
becomes a circuit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import InputError, TrainError, UnsupportedError, UsageError
from bitloom.ir import FloatGraph, Graph, Quantization, TensorType
from bitloom.train.torch_nodes import KEEPING, WEIGHTED, Call, away, require_torch
from bitloom.train.torch_ranges import (
    NetworkWidths,
    Range,
    activation_range,
    weight_element,
    weight_limit,
    weight_scales,
)

Floats = npt.NDArray[np.floating[Any]]

# Results whose scale and zero point the kernels insist on.
_FIXED_TYPE = IntType(8)
_FIXED = {
    "LOGISTIC": Range(_FIXED_TYPE, 1 / 256, -128),
    "SOFTMAX": Range(_FIXED_TYPE, 1 / 256, -128),
    "TANH": Range(_FIXED_TYPE, 1 / 128, 0),
}
_SCALE = ":scale"
# Half of int32: the rest is for rounding, and for the sum of products.
_LARGEST_BIAS = 2**30


class FakeQuantized:
    """A float graph in PyTorch, quantized as it will be in integers; trained as any module.

    While it trains, everything is a binary32 number that is a multiple of its tensor's scale. In evaluation
    (`eval`) sums of products are exact integers, rescaled as the integer graph's operators rescale them, so that the
    accuracy it shows is the circuit's.

    Args:
        graph: of one input and one output; it is prepared as the quantizer prepares it (`bitloom.quantize.prepare`).
        calibration: (samples, *shape) or (samples, size), real inputs from which scales begin.
        widths: of its tensors; 8 bits if None.
        per_channel: whether every output channel's weights have a scale of their own.

    Attributes:
        graph: as it is trained.
        widths: of its tensors.
        training: whether gradients flow.
        values: what is trained (a ``torch.nn.ParameterDict``): weights, biases and logarithms of scales.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UnsupportedError: a node that training does not know, computed weights, or widths that no operator takes.
        TrainError: several inputs or outputs, or a tensor that is 0 for all calibration data.
        UsageError: widths for a layer that does not exist.
        InputError: calibration data of another shape, none, or with NaN.
    """

    def __init__(
        self,
        graph: FloatGraph,
        calibration: Floats,
        widths: NetworkWidths | None = None,
        *,
        per_channel: bool = True,
    ) -> None:
        self._torch = require_torch()
        from bitloom.quantize.prepare import prepare

        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise TrainError(
                f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; one of each is trained",
                where=f"float graph '{graph.name}'",
            )
        self.graph = prepare(graph)
        self.widths = widths or NetworkWidths()
        self.training = True
        unknown = set(self.widths.layers) - set(self.graph.computed)
        if unknown:
            names = ", ".join(self.graph.computed)
            raise UsageError(f"there is no layer '{min(unknown)}' to give widths to", remedy=f"name one of {names}")
        self._calls = tuple(Call.of(self.graph, node) for node in self.graph.nodes)
        self._layers = {call.node.outputs[0]: call for call in self._calls if call.node.kind in WEIGHTED}
        self.values = self._torch.nn.ParameterDict()
        self._keys: dict[str, str] = {}
        for made, call in self._layers.items():
            self._learn_layer(made, call, per_channel=per_channel)
        self._ranges = self._calibrate(self._checked(calibration))
        self.integer_graph()  # what cannot become integers is refused before it is trained

    def parameters(self) -> Any:
        """What an optimizer trains."""
        return self.values.parameters()

    def scales(self) -> list[Any]:
        """Those parameters that are logarithms of scales."""
        return [self.values[key] for name, key in self._keys.items() if name.endswith(_SCALE)]

    def train(self) -> FakeQuantized:
        """Compute with gradients from now on."""
        self.training = True
        return self

    def eval(self) -> FakeQuantized:
        """Compute exactly what the integer graph computes of what is trained now, without gradients."""
        self.training, self._trained = False, self.trained()
        return self

    def integer_graph(self) -> Graph:
        """The network in integers, made by the quantizer's last step of what is trained now.

        Raises:
            QuantizeError: a bias that does not fit its type.
            UnsupportedError: a combination of widths that no operator takes.
        """
        return self.trained().integers

    def __call__(self, x: Any) -> Any:
        """The network's output, (samples, *shape of one), of real inputs (samples, *shape) or (samples, size)."""
        return self.run(x)[self.graph.outputs[0]]

    def logits(self, x: Any) -> Any:
        """What a loss is computed of: the output, or, where the network ends in SOFTMAX, what that reads."""
        name = self.graph.outputs[0]
        last = self.graph.producer(name)
        return self.run(x)[last.read[0] if last is not None and last.kind == "SOFTMAX" else name]

    def run(self, x: Any) -> dict[str, Any]:
        """Every computed tensor, the input among them: real numbers that are multiples of their scales.

        Args:
            x: tensor or array, (samples, *shape of one inference) or (samples, size).
        """
        from bitloom.train.torch_exact import exact_results

        torch, name = self._torch, self.graph.inputs[0]
        given = x if isinstance(x, torch.Tensor) else torch.tensor(np.array(x, np.float32))
        given = given.to(torch.float32).reshape(len(given), *self.graph.tensor(name).shape[1:])
        # As LiteRT quantizes: the quotient is rounded to binary32 first.
        steps = self._clamped(away(torch, given / self._scale(name)), self._ranges[name])
        if not self.training:
            return exact_results(self._trained, self._calls, name, steps)
        results = {name: steps * self._scale(name)}
        for call in self._calls:
            results[call.node.outputs[0]] = self._node(call, results)
        return results

    def trained(self) -> Any:
        """What is trained now, as `bitloom.train.torch_exact.TrainedNetwork`."""
        from bitloom.quantize.weights import LayerWeights
        from bitloom.train.torch_exact import TrainedNetwork

        weights, biases = {}, {}
        for made, call in self._layers.items():
            real, scales, axis = self._array(made, "weights"), self._weight_scales(made), _axis(call)
            bits, limit = self.widths.of_weights(made), weight_limit(self.widths.of_weights(made))
            steps = real / _along(scales, real.ndim, axis)
            whole = np.where(steps >= 0, 1, -1) if bits == 1 else np.rint(np.clip(steps, -limit, limit))
            along = axis if len(scales) > 1 else None
            quantization = Quantization(tuple(scales.tolist()), (0,) * len(scales), along)
            kind = TensorType(real.shape, weight_element(bits), quantization)
            weights[made] = LayerWeights(whole.astype(np.int64), kind)
            if f"{made}:bias" in self._keys:
                biases[call.node.read[2]] = self._array(made, "bias").astype(np.float32)
        tensors = tuple(
            replace(tensor, data=biases[tensor.name]) if tensor.name in biases else tensor
            for tensor in self.graph.tensors
        )
        types = {name: self._type(name) for name in self.graph.computed}
        return TrainedNetwork(replace(self.graph, tensors=tensors), types, weights)

    def _learn(self, name: str, values: Floats) -> None:
        key = f"p{len(self._keys)}"  # names of tensors may hold points, which PyTorch's containers refuse
        self._keys[name] = key
        self.values[key] = self._torch.nn.Parameter(self._torch.tensor(np.array(values, np.float32)))

    def _learn_layer(self, made: str, call: Call, *, per_channel: bool) -> None:
        for name in call.node.read[1:]:
            if not self.graph.tensor(name).is_constant:
                raise UnsupportedError(f"has weights or a bias that are computed ('{name}')", where=call.node.where)
        weights = self.graph.tensor(call.node.read[1]).constant
        rows = np.moveaxis(weights, _axis(call), 0)
        scales = weight_scales(rows, self.widths.of_weights(made), per_channel=per_channel)
        self._learn(f"{made}:weights", weights)
        self._learn(f"{made}:weights{_SCALE}", np.log(scales))
        if len(call.node.read) > 2:
            self._learn(f"{made}:bias", self.graph.tensor(call.node.read[2]).constant)

    def _checked(self, calibration: Floats) -> Floats:
        name = self.graph.inputs[0]
        shape, data = self.graph.tensor(name).shape, np.asarray(calibration, np.float32)
        where = f"calibration data of input '{name}'"
        if data.ndim < 2 or not len(data) or data[0].size != int(np.prod(shape[1:])):
            wanted = ", ".join(["n", *map(str, shape[1:])])
            raise InputError(f"has shape {list(data.shape)}", where=where, remedy=f"give [{wanted}], n at least 1")
        if not np.isfinite(data).all():
            raise InputError("holds NaN or infinity", where=where, remedy="leave such samples out")
        return data.reshape(len(data), *shape[1:])

    def _calibrate(self, data: Floats) -> dict[str, Range]:
        """Ranges of all tensors that have one of their own, from the unrounded network's values."""
        (given,), owner = self.graph.inputs, self._owner(self.graph.outputs[0])
        ranges = {given: activation_range(data, self.widths.of_activation(given, self.widths.inputs))}
        found = {given: self._torch.tensor(data)}
        for call in self._calls:
            made = call.node.outputs[0]
            with self._torch.no_grad():
                found[made] = call([self._real(call, position, found) for position in call.real_operands])
            if call.node.kind in _FIXED:
                ranges[made] = _FIXED[call.node.kind]
            elif call.node.kind not in KEEPING:
                if not found[made].any():
                    raise TrainError(
                        f"the tensor '{made}' is 0 for all calibration data, so it has no range",
                        where=call.node.where,
                        remedy="calibrate with samples like those in use, or remove the layer",
                    )
                bits = self.widths.of_activation(made, self.widths.outputs if made == owner else None)
                ranges[made] = activation_range(found[made].numpy(), bits)
                self._learn(f"{made}{_SCALE}", np.log(np.array(ranges[made].scale)))
        return ranges

    def _real(self, call: Call, position: int, found: Mapping[str, Any]) -> Any:
        """An operand that nothing has rounded."""
        name = str(call.node.inputs[position])
        if name in found:
            return found[name]
        return self.values[self._keys[f"{call.node.outputs[0]}:{('', 'weights', 'bias')[position]}"]]

    def _owner(self, name: str) -> str:
        """The tensor whose scale this one has."""
        producer = self.graph.producer(name)
        while producer is not None and producer.kind in KEEPING:
            name = producer.read[0]
            producer = self.graph.producer(name)
        return name

    def _node(self, call: Call, found: Mapping[str, Any]) -> Any:
        made, torch = call.node.outputs[0], self._torch
        operands = [
            self._rounded_weights(call) if position == 1 and made in self._layers else self._real(call, position, found)
            for position in call.real_operands
        ]
        result = call(operands)
        if call.node.kind in KEEPING and call.node.kind != "AVERAGE_POOL_2D":
            return result
        owner = self._owner(made)
        scale, found_range = self._learned_scale(owner), self._ranges[owner]
        steps = self._clamped(result / scale, found_range)
        # Averages are of integers with their zero point in them, which decides where halves go.
        origin = found_range.zero_point if call.node.kind == "AVERAGE_POOL_2D" else 0
        return _through(away(torch, steps.detach() + origin) - origin, steps) * scale

    def _clamped(self, steps: Any, found: Range) -> Any:
        low, high = found.element.minimum - found.zero_point, found.element.maximum - found.zero_point
        return self._torch.clamp(steps, low, high)

    def _rounded_weights(self, call: Call) -> Any:
        torch, made = self._torch, call.node.outputs[0]
        weights = self.values[self._keys[f"{made}:weights"]]
        scales = self.values[self._keys[f"{made}:weights{_SCALE}"]].exp()
        shape = [1] * weights.ndim
        shape[_axis(call)] = len(scales)
        scales = scales.reshape(shape)
        bits, limit = self.widths.of_weights(made), weight_limit(self.widths.of_weights(made))
        steps = torch.clamp(weights / scales, -limit, limit)
        inside = steps.detach()
        whole = torch.where(inside >= 0, 1.0, -1.0) if bits == 1 else torch.round(inside)
        return _through(whole, steps) * scales

    def _learned_scale(self, owner: str) -> Any:
        key = self._keys.get(f"{owner}{_SCALE}")
        return self._scale(owner) if key is None else self.values[key].exp()

    def _scale(self, owner: str) -> float:
        """Real value of a step, a binary32 number."""
        key = self._keys.get(f"{owner}{_SCALE}")
        scale = self._ranges[owner].scale if key is None else np.exp(float(self.values[key].detach()))
        return float(np.float32(scale))

    def _weight_scales(self, made: str) -> npt.NDArray[np.float64]:
        """Binary32 numbers, as binary64; so large that biases fit int32, which matters where weights are next to 0."""
        scales = np.exp(self._array(made, f"weights{_SCALE}"))
        if f"{made}:bias" in self._keys:
            source = self._owner(self._layers[made].node.read[0])
            needed = np.abs(self._array(made, "bias")) / (self._scale(source) * _LARGEST_BIAS)
            scales = np.maximum(scales, needed if len(scales) > 1 else needed.max())
        return scales.astype(np.float32).astype(np.float64)

    def _array(self, made: str, what: str) -> npt.NDArray[np.float64]:
        return self.values[self._keys[f"{made}:{what}"]].detach().numpy().astype(np.float64)

    def _type(self, name: str) -> TensorType:
        owner = self._owner(name)
        found = self._ranges[owner]
        return TensorType(
            self.graph.tensor(name).shape, found.element, Quantization((self._scale(owner),), (found.zero_point,))
        )


def _axis(call: Call) -> int:
    """Of a layer's weights, along which its outputs lie."""
    return 3 if call.node.kind == "DEPTHWISE_CONV_2D" else 0


def _along(scales: npt.NDArray[np.float64], rank: int, axis: int) -> npt.NDArray[np.float64]:
    shape = [1] * rank
    shape[axis] = -1
    return scales.reshape(shape)


def _through(rounded: Any, steps: Any) -> Any:
    """The rounded numbers, with the gradient of the unrounded."""
    return steps + (rounded - steps).detach()
