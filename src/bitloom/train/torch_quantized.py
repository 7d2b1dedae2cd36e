"""Quantization-aware training in PyTorch: a float graph whose tensors are rounded to integers in every forward pass.

Source: fake quantization with straight-through gradients is Jacob et al. 2018, section 3; learned scales are Esser et
al. 2020 ("Learned step size quantization"), trained as their logarithms as in Jain et al. 2020 ("Trained quantization
thresholds"), because a step of an optimizer then changes scales by a share of themselves.

Any front end's float graph is trained so: convolutions, dense layers, pools and sums, of weights and activations of any
width. Normalisation is folded into the layers in front of it before training begins, so that what is trained is what
becomes a circuit. In evaluation everything is computed in binary64 from rounded scales, weights and biases, which are
the integer graph's: sums are exact, and a result differs from the integer graph's only where the exact result is half
way between two integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import InputError, TrainError
from bitloom.ir import FloatGraph, FloatTensor, Quantization
from bitloom.train.torch_nodes import KEEPING, WEIGHTED, Call, require_torch
from bitloom.train.torch_ranges import (
    NetworkWidths,
    Range,
    activation_range,
    weight_element,
    weight_limit,
    weight_scales,
)

Floats = npt.NDArray[np.floating[Any]]

# Results whose scale the operator says itself: real value of a step for 8 bits, and the zero point.
_FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}


@dataclass(frozen=True)
class TrainedNetwork:
    """What training gives: a float graph whose weights are multiples of their scales, and every tensor's integers.

    Attributes:
        graph: in real numbers.
        types: the integer type of each tensor that has one: inputs, results, weights.
        quantizations: its scales and zero points.
    """

    graph: FloatGraph
    types: Mapping[str, IntType]
    quantizations: Mapping[str, Quantization]


class FakeQuantized:
    """A float graph in PyTorch, quantized as it will be in integers; trained as any module.

    Args:
        graph: of one input and one output.
        calibration: (samples, *shape) or (samples, size), real inputs from which scales begin.
        widths: of its tensors.
        per_channel: whether every output channel's weights have a scale of their own.

    Attributes:
        training: whether gradients flow and arithmetic is binary32; else it is exact.
        values: what is trained (a ``torch.nn.ParameterDict``): weights, biases and logarithms of scales.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UnsupportedError: a node that training does not know.
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
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise TrainError(
                f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; one of each is trained",
                where=f"float graph '{graph.name}'",
            )
        self.graph = graph
        self.widths = widths or NetworkWidths()
        self.training = True
        self._calls = tuple(Call.of(graph, node) for node in graph.nodes)
        self._constants = {
            tensor.name: self._torch.tensor(np.array(tensor.constant))
            for tensor in graph.tensors
            if tensor.is_constant and tensor.dtype == "float32"
        }
        self._weights, self._biases = self._find_weights()
        self.values = self._torch.nn.ParameterDict()
        self._keys: dict[str, str] = {}
        for name in (*self._weights, *self._biases):
            self._learn(name, np.array(graph.tensor(name).constant))
        for name, axis in self._weights.items():
            rows = np.moveaxis(graph.tensor(name).constant, axis, 0)
            scales = weight_scales(rows, self._bits(name, self.widths.weights), per_channel=per_channel)
            self._learn(f"{name}:scale", np.log(scales).astype(np.float32))
        self._ranges = self._calibrate(self._checked(calibration))

    def parameters(self) -> Any:
        """What an optimizer trains."""
        return self.values.parameters()

    def scales(self) -> list[Any]:
        """Those parameters that are logarithms of scales."""
        return [self.values[key] for name, key in self._keys.items() if name.endswith(":scale")]

    def __call__(self, x: Any) -> Any:
        """The network's output, (samples, *shape of one), of real inputs (samples, *shape) or (samples, size)."""
        return self.run(x)[self.graph.outputs[0]]

    def run(self, x: Any) -> dict[str, Any]:
        """Every computed tensor, real numbers that are multiples of their scales.

        Args:
            x: tensor or array, (samples, *shape of one inference) or (samples, size).
        """
        torch = self._torch
        kind = torch.float32 if self.training else torch.float64
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            name = self.graph.inputs[0]
            shape = self.graph.tensor(name).shape
            given = torch.as_tensor(x).to(torch.float32).reshape(len(x), *shape[1:])
            found = {name: self._input(name, given).to(kind)}
            for call in self._calls:
                found[call.node.outputs[0]] = self._node(call, found, kind)
        return found

    def export(self) -> TrainedNetwork:
        """The trained network as the quantizer's last step takes it."""
        types: dict[str, IntType] = {}
        quantizations: dict[str, Quantization] = {}
        trained: dict[str, Floats] = {}
        for name in self.graph.computed:
            owner = self._owner(name)
            types[name] = self._ranges[owner].element
            quantizations[name] = Quantization((self.scale_of(name),), (self._ranges[owner].zero_point,))
        for name, axis in self._weights.items():
            scales = self._weight_scales(name)
            along = axis if len(scales) > 1 else None
            types[name] = weight_element(self._bits(name, self.widths.weights))
            quantizations[name] = Quantization(tuple(scales.tolist()), (0,) * len(scales), along)
            real = self._rounded_weights(name, self._torch.float64).detach()
            trained[name] = real.numpy().astype(np.float32)
        for name in self._biases:
            trained[name] = self.values[self._keys[name]].detach().numpy()
        tensors = tuple(
            FloatTensor(tensor.name, tensor.shape, trained.get(tensor.name, tensor.data), tensor.dtype)
            for tensor in self.graph.tensors
        )
        graph = FloatGraph(self.graph.name, self.graph.inputs, self.graph.outputs, tensors, self.graph.nodes)
        return TrainedNetwork(graph, types, quantizations)

    def scale_of(self, name: str) -> float:
        """Real value of a step of a computed tensor, a binary32 number."""
        owner = self._owner(name)
        key = self._keys.get(f"{owner}:scale")
        if key is None:
            return float(np.float32(self._ranges[owner].scale))
        return float(np.float32(np.exp(float(self.values[key].detach()))))

    def _find_weights(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Weights with the axis of their outputs, and biases."""
        weights, biases = {}, []
        for node in self.graph.nodes:
            if node.kind not in WEIGHTED:
                continue
            name = node.inputs[1]
            if name not in self._constants:
                raise TrainError("has weights that are computed", where=node.where)
            weights[str(name)] = 3 if node.kind == "DEPTHWISE_CONV_2D" else 0
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                biases.append(node.inputs[2])
        return weights, tuple(dict.fromkeys(biases))

    def _learn(self, name: str, values: Floats) -> None:
        key = f"p{len(self._keys)}"  # names of tensors may hold points, which PyTorch's containers refuse
        self._keys[name] = key
        self.values[key] = self._torch.nn.Parameter(self._torch.tensor(values))

    def _bits(self, name: str, otherwise: int) -> int:
        return self.widths.of.get(name, otherwise)

    def _checked(self, calibration: Floats) -> Floats:
        shape = self.graph.tensor(self.graph.inputs[0]).shape
        data = np.asarray(calibration, np.float32)
        size = int(np.prod(shape[1:]))
        if data.ndim < 2 or not len(data) or data[0].size != size:
            raise InputError(
                f"calibration data of shape {list(data.shape)}", where=f"input '{self.graph.inputs[0]}'",
                remedy=f"give at least one sample, [n, {', '.join(map(str, shape[1:]))}]",
            )  # fmt: skip
        if not np.isfinite(data).all():
            raise InputError("calibration data with NaN or infinity", where=f"input '{self.graph.inputs[0]}'")
        return data.reshape(len(data), *shape[1:])

    def _calibrate(self, data: Floats) -> dict[str, Range]:
        """Ranges of all tensors that have one of their own, from the unrounded network's values."""
        torch = self._torch
        ranges = {}
        (given,), (made,) = self.graph.inputs, self.graph.outputs
        found = {given: torch.tensor(data)}
        ranges[given] = activation_range(data, self._bits(given, self.widths.inputs))
        owner_of_output = self._owner(made)
        with torch.no_grad():
            for call in self._calls:
                name = call.node.outputs[0]
                found[name] = call([found.get(operand, self._constants.get(operand)) for operand in self._real(call)])
                if call.node.kind in KEEPING:
                    continue
                bits = self.widths.outputs if name == owner_of_output else self.widths.activations
                bits = self._bits(name, bits)
                if call.node.kind in _FIXED:
                    scale, zero_point = _FIXED[call.node.kind]
                    shift = 2.0 ** (8 - bits)
                    ranges[name] = Range(IntType(bits), scale * shift, int(zero_point / shift))
                    continue
                ranges[name] = activation_range(found[name].numpy(), bits)
                self._learn(f"{name}:scale", np.array(np.log(ranges[name].scale), np.float32))
        return ranges

    def _real(self, call: Call) -> list[str]:
        """Operands that are real numbers."""
        return [name for name in call.node.read if self.graph.tensor(name).dtype == "float32"]

    def _owner(self, name: str) -> str:
        """The tensor whose scale this one has."""
        producer = self.graph.producer(name)
        while producer is not None and producer.kind in KEEPING:
            name = str(producer.inputs[0])
            producer = self.graph.producer(name)
        return name

    def _input(self, name: str, x: Any) -> Any:
        """Inputs as LiteRT quantizes them: the quotient is rounded to binary32 first."""
        found = self._ranges[name]
        steps = x / float(np.float32(found.scale))
        return self._clamped(_away(self._torch, steps), found) * self.scale_of(name)

    def _clamped(self, steps: Any, found: Range) -> Any:
        low, high = found.element.minimum - found.zero_point, found.element.maximum - found.zero_point
        return self._torch.clamp(steps, low, high)

    def _node(self, call: Call, found: Mapping[str, Any], kind: Any) -> Any:
        name = call.node.outputs[0]
        operands = []
        for operand in self._real(call):
            if operand in found:
                operands.append(found[operand])
            elif operand in self._weights:
                operands.append(self._rounded_weights(operand, kind))
            elif operand in self._biases:
                operands.append(self._bias(call, operand, kind))
            else:
                operands.append(self._constants[operand].to(kind))
        made = call(operands)
        if call.node.kind in KEEPING:
            return self._averaged(made, name) if call.node.kind == "AVERAGE_POOL_2D" else made
        return self._rounded(made, name, kind)

    def _averaged(self, made: Any, name: str) -> Any:
        """Averages are rounded as integers with their zero point in them."""
        found, scale = self._ranges[self._owner(name)], self._scale_tensor(self._owner(name), made.dtype)
        steps = made / scale + found.zero_point
        whole = _through(_away(self._torch, steps.detach()), steps)
        return (whole - found.zero_point) * scale

    def _rounded(self, made: Any, name: str, kind: Any) -> Any:
        """To integers and back, with straight-through gradients."""
        scale = self._scale_tensor(name, kind)
        steps = self._clamped(made / scale, self._ranges[name])
        return _through(_away(self._torch, steps.detach()), steps) * scale

    def _scale_tensor(self, name: str, kind: Any) -> Any:
        key = self._keys.get(f"{name}:scale")
        if key is None:
            return self.scale_of(name)
        if not self.training:
            return self.scale_of(name)
        return self.values[key].exp().to(kind)

    def _weight_scales(self, name: str) -> Floats:
        """Binary32 numbers, as binary64."""
        logarithms = self.values[self._keys[f"{name}:scale"]].detach().numpy().astype(np.float64)
        return np.exp(logarithms).astype(np.float32).astype(np.float64)

    def _rounded_weights(self, name: str, kind: Any) -> Any:
        torch, axis = self._torch, self._weights[name]
        weights = self.values[self._keys[name]].to(kind)
        bits = self._bits(name, self.widths.weights)
        if self.training:
            scales = self.values[self._keys[f"{name}:scale"]].exp().to(kind)
        else:
            scales = torch.tensor(self._weight_scales(name), dtype=kind)
        shape = [1] * weights.ndim
        shape[axis] = len(scales)
        scales = scales.reshape(shape)
        limit = weight_limit(bits)
        steps = torch.clamp(weights / scales, -limit, limit)
        inside = steps.detach()
        whole = torch.where(inside >= 0, 1.0, -1.0).to(kind) if bits == 1 else torch.round(inside)
        return _through(whole, steps) * scales

    def _bias(self, call: Call, name: str, kind: Any) -> Any:
        """In evaluation as the integer graph has it: in steps of the product of the scales."""
        bias = self.values[self._keys[name]].to(kind)
        if self.training:
            return bias
        source, weights = str(call.node.inputs[0]), str(call.node.inputs[1])
        scales = self._torch.tensor(self.scale_of(source) * self._weight_scales(weights), dtype=kind)
        return self._torch.round(bias / scales) * scales


def _through(rounded: Any, steps: Any) -> Any:
    """The rounded numbers, with the gradient of the unrounded."""
    return steps + (rounded - steps).detach()


def _away(torch: Any, steps: Any) -> Any:
    """To the nearest integers, halves away from zero, as LiteRT's kernels do it."""
    whole = torch.trunc(steps)
    return whole + torch.sign(steps) * (torch.abs(steps - whole) >= 0.5)
