"""From a float graph and the types of its tensors to the integer graph, each operator lowered as from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

import bitloom.ops  # noqa: F401 - registers the operators that are looked up here
from bitloom.arith import Interval, IntType
from bitloom.errors import BitloomError, QuantizeError, UnsupportedError
from bitloom.ir import FLOAT32, Graph, Lowered, Node, Operator, Quantization, SourceNode, TensorType, Value
from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.ir.operator import Array, spelled
from bitloom.quantize.activations import Activations, container_bits
from bitloom.quantize.rules import RULES, Scales, data_operands
from bitloom.quantize.scales import activation_quantization, single
from bitloom.quantize.weights import LayerWeights, operand_type, weights_rule

_INT32 = IntType(32)


def lower(
    graph: FloatGraph, activations: Activations, weights: Mapping[str, LayerWeights], *, float_io: bool = False
) -> Graph:
    """The integer graph. Tensors keep their names.

    Args:
        graph: whose operators all have a rule.
        activations: types of its tensors.
        weights: of its layers.
        float_io: whether inputs and outputs are float32, with conversions inside.

    Raises:
        UnsupportedError: a node or a combination of types that no operator takes.
        QuantizeError: a bias that does not fit its type.
    """
    lowering = _Lowering(graph, activations, weights, float_io)
    inputs = [lowering.add_input(name) for name in graph.inputs]
    for node in graph.nodes:
        lowering.add_node(node)
    outputs = [lowering.add_output(name) for name in graph.outputs]
    return Graph(graph.name, tuple(inputs), tuple(outputs), tuple(lowering.values.values()), tuple(lowering.nodes))


@dataclass
class _Lowering:
    """Values and nodes so far."""

    graph: FloatGraph
    activations: Activations
    weights: Mapping[str, LayerWeights]
    float_io: bool
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    # The integers of a tensor whose own name the float one at the edge has.
    integers: dict[str, str] = field(default_factory=dict)
    converted: dict[tuple[str, TensorType], Value] = field(default_factory=dict)

    @cached_property
    def unread(self) -> frozenset[str]:
        """Results that nothing needs: of several results of one node, they are not computed."""
        made = {name for node in self.graph.nodes for name in node.outputs}
        return frozenset(made - {name for node in self.graph.nodes for name in node.read} - set(self.graph.outputs))

    def add_input(self, name: str) -> str:
        made = self.activations.types[name]
        if not self.float_io:
            self.values[name] = Value(name, made)
            return name
        real = self.values[name] = Value(name, TensorType(made.shape, FLOAT32))
        inner = Value(self.fresh(f"{name}/{made.element}"), made)
        self.integers[name] = inner.name
        self.append("QUANTIZE", {}, (real,), (inner,), f"input '{name}'")
        return name

    def add_output(self, name: str) -> str:
        if name in self.graph.inputs:
            raise UnsupportedError(f"the input '{name}' is an output, too: nothing is computed")
        if self.float_io and name in self.integers and name not in self.values:
            value = self.values[self.integers[name]]
            real = Value(name, TensorType(value.type.shape, FLOAT32))
            self.append("DEQUANTIZE", {}, (value,), (real,), f"output '{name}'")
        return name

    def add_node(self, node: FloatNode) -> None:
        try:
            operands = tuple(
                None if name is None else self.operand(node, position, name)
                for position, name in enumerate(node.inputs)
            )
            operands = self.with_bias(node, operands)
            results = tuple(self.result(name) for name in node.outputs)
            self.append(node.kind, _attributes(node, results[0]), operands, results, node.where)
        except BitloomError as error:
            raise type(error)(error.what, where=error.where or node.where, remedy=error.remedy) from error

    def result(self, name: str) -> Value:
        if name not in self.activations.types:  # the position of a maximum
            return Value(name, TensorType(self.graph.tensor(name).shape, _INT32))
        made = self.activations.types[name]
        if self.float_io and name in self.graph.outputs:
            self.integers[name] = self.fresh(f"{name}/{made.element}")
        return Value(self.integers.get(name, name), made)

    def operand(self, node: FloatNode, position: int, name: str) -> Value:
        """An operand as the node reads it."""
        tensor = self.graph.tensor(name)
        if position in data_operands(node) and not tensor.is_constant:
            wanted = self.activations.conversions.get((node.outputs[0], position))
            value = self.values[self.integers.get(name, name)]
            return value if wanted is None else self.convert(value, wanted, node)
        if weights_rule(node) is not None and position == 1:
            layer = self.weights[node.outputs[0]]
            return Value(self.own_name(node, name, "weights"), layer.type, layer.values)
        if weights_rule(node) is not None and position == 2:
            return self.bias(node, tensor.constant.reshape(-1).astype(np.float64), self.own_name(node, name, "bias"))
        if position in data_operands(node):
            return self.constant(node, name, tensor.constant)
        if not tensor.is_constant or tensor.dtype == "float32":
            raise UnsupportedError(f"{node.kind} with '{name}' as operand {position}, which must be a constant")
        return Value(
            self.own_name(node, name, f"operand_{position}"), TensorType(tensor.shape, _INT32), tensor.constant
        )

    def convert(self, value: Value, wanted: TensorType, node: FloatNode) -> Value:
        """The value in another type, by a QUANTIZE that others may read, too."""
        if value.type == wanted:
            return value
        key = (value.name, wanted)
        if key not in self.converted:
            made = self.converted[key] = Value(self.fresh(f"{value.name}/{wanted.element}"), wanted)
            self.append("QUANTIZE", {}, (value,), (made,), node.where)
        return self.converted[key]

    def constant(self, node: FloatNode, name: str, real: Array) -> Value:
        """A constant operand in the type of the result where scales are joined, else in one of its own."""
        made = self.activations.types[node.outputs[0]]
        element, quantization = made.integer, made.required_quantization
        if RULES[node.kind].scales is not Scales.JOINED:
            element = IntType(container_bits(element.bits))
            bounds = (min(float(real.min()), 0.0), max(float(real.max()), 0.0))
            if not any(bounds):
                bounds = (0.0, 1.0)
            quantization = activation_quantization(bounds, element)
        steps = np.rint(real.astype(np.float64) / quantization.scale) + quantization.zero_point
        return Value(
            self.own_name(node, name, "constant"),
            TensorType(real.shape, element, quantization),
            element.clamp(steps.astype(np.int64)),
        )

    def with_bias(self, node: FloatNode, operands: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
        """The operands with a bias of zeros where the kernel insists on one."""
        rule = weights_rule(node)
        if rule is None or not rule.bias_required or (len(operands) > 2 and operands[2] is not None):
            return operands
        outputs = self.weights[node.outputs[0]].type.shape[rule.axis]
        return (*operands[:2], self.bias(node, np.zeros(outputs), self.fresh(f"{node.outputs[0]}/bias")))

    def bias(self, node: FloatNode, real: np.ndarray[Any, np.dtype[np.float64]], name: str) -> Value:
        """A bias in steps of the input's scale times the weights': int32, or int64 for wide activations."""
        x, layer = operand_type(node, self.activations), self.weights[node.outputs[0]].type
        scales = [single(x.required_quantization.scale * scale) for scale in layer.required_quantization.scales]
        element = IntType(32 if x.integer.bits <= 8 else 64)
        steps = np.rint(real / np.array(scales))
        if np.abs(steps).max(initial=0.0) >= 2.0 ** (element.bits - 1):
            raise QuantizeError(f"the bias '{name}' does not fit {element} in steps of {min(scales):g}")
        axis = 0 if layer.required_quantization.axis is not None else None
        quantization = Quantization(tuple(scales), (0,) * len(scales), axis)
        return Value(name, TensorType(real.shape, element, quantization), steps.astype(np.int64))

    def own_name(self, node: FloatNode, name: str, what: str) -> str:
        """The name of a constant; one of its own where several nodes make different integers of one."""
        if len(self.graph.readers(name)) == 1 and node.inputs.count(name) == 1 and name not in self.values:
            return name
        return self.fresh(f"{node.outputs[0]}/{what}")

    def fresh(self, wanted: str) -> str:
        taken = {tensor.name for tensor in self.graph.tensors}
        while wanted in taken or wanted in self.values:
            wanted += "_"
        return wanted

    def append(
        self,
        kind: str,
        attributes: Mapping[str, Any],
        operands: tuple[Value | None, ...],
        results: tuple[Value, ...],
        where: str,
    ) -> None:
        """Lower one operator."""
        operator = spelled(kind, lambda candidate: candidate.tflite)
        if operator is None:
            raise UnsupportedError(f"{kind} is not supported", where=where)
        lowered = _lowered(operator, SourceNode(kind, attributes, operands, results, where))
        given = {value.name: value for value in operands if value is not None}
        for each in lowered:
            self.values.update({name: given[name] for name in each.inputs})
        self.values.update({value.name: value for value in results})
        position = len(self.nodes)
        if len(lowered) == 1:
            name = f"{lowered[0].operator.name}_{position}"
            self.nodes.append(
                Node(name, lowered[0].operator, lowered[0].inputs, tuple(value.name for value in results), where)
            )
            return
        for index, (each, result) in enumerate(zip(lowered, results, strict=True)):
            if result.name in self.unread:
                del self.values[result.name]
                continue
            name = f"{each.operator.name}_{position}_{index}"
            self.nodes.append(Node(name, each.operator, each.inputs, (result.name,), where))


def _attributes(node: FloatNode, result: Value) -> Mapping[str, Any]:
    """The node's options, without bounds that no result reaches, and what 16-bit sums need to say."""
    attributes = dict(node.attributes)
    if isinstance(result.type.element, IntType) and "fused_activation_function" in attributes:
        attributes["fused_activation_function"] = _reached(attributes["fused_activation_function"], result)
    wide = isinstance(result.type.element, IntType) and container_bits(result.type.element.bits) == 16
    if wide and node.kind in ("ADD", "SUB"):
        attributes["pot_scale_int16"] = False
    return attributes


def _reached(activation: str, result: Value) -> str:
    """The activation without bounds beyond the largest integer: in steps of a tiny scale they leave int32."""
    scale, element = result.type.required_quantization, result.type.integer
    low, high = (scale.scale * (end - scale.zero_point) for end in (element.minimum, element.maximum))
    if activation == "RELU6" and high <= 6.0:
        return "RELU"
    return "NONE" if activation == "RELU_N1_TO_1" and high <= 1.0 and low >= -1.0 else activation


def _lowered(operator: type[Operator], source: SourceNode) -> tuple[Lowered, ...]:
    """The operators of a node of tensors of any width: those of the kernel's types, clamped to narrower ones."""
    weights = RULES[source.kind].weights if source.kind in RULES else None
    operands = tuple(
        None if value is None else _weights_of_kernel(value) if weights and position == 1 else _contained(value)
        for position, value in enumerate(source.inputs)
    )
    results = tuple(_contained(value) for value in source.outputs)
    lowered = operator.lower_results(replace(source, inputs=operands, outputs=results))
    given = {value.name: value for value in source.inputs if value is not None}
    made = source.outputs if len(lowered) > 1 else source.outputs[:1]
    return tuple(
        replace(each, operator=_fitted(each.operator, [given[name] for name in each.inputs], result))
        for each, result in zip(lowered, made, strict=True)
    )


def _contained(value: Value) -> Value:
    """The value in the type of the kernel that computes on it: int8 or int16; shapes and biases as they are."""
    element = value.type.element
    if not isinstance(element, IntType) or element.bits > 16 or element.bits in (8, 16):
        return value
    container = IntType(container_bits(element.bits))
    return Value(value.name, replace(value.type, element=container), value.data)


def _weights_of_kernel(value: Value) -> Value:
    """Weights as every kernel takes them: int8. What is computed depends on their scales only."""
    made = replace(value.type, element=IntType(8))
    return Value(value.name, made, np.zeros(made.shape, np.int8))


def _fitted(operator: Operator, operands: Sequence[Value], result: Value) -> Operator:
    """The operator for the operands' and the result's own types; its clamp is to what they hold."""
    names = {each.name for each in fields(operator)}  # type: ignore[arg-type] # operators are dataclasses
    changes: dict[str, Any] = {}
    elements = {"input": operands[0].type.element, "output": result.type.element}
    if {"left", "right"} <= names:
        elements |= {"left": operands[0].type.element, "right": operands[1].type.element}
    for name, element in elements.items():
        if name in names and isinstance(element, IntType):
            changes[name] = element
    if "activation" in names:
        clamp, element = getattr(operator, "activation"), result.type.integer  # noqa: B009 - of some operators only
        low, high = (min(max(end, element.minimum), element.maximum) for end in (clamp.low, clamp.high))
        changes["activation"] = Interval(low, high)
    return replace(operator, **changes)  # type: ignore[type-var]
