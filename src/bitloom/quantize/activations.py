"""A type for every activation: which tensors share a scale, which need a conversion, and the scales themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from bitloom.arith import IntType
from bitloom.errors import QuantizeError, UnsupportedError
from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.ir.types import Quantization, TensorType
from bitloom.quantize.options import QuantizeOptions
from bitloom.quantize.ranges import Grid, activation_range
from bitloom.quantize.rules import RULES, Scales, data_operands
from bitloom.quantize.scales import SYMMETRIC_FROM_BITS, activation_quantization
from bitloom.quantize.statistics import TensorStatistics

# Operands of a concatenation whose range is a smaller part of the result's keep a scale of their own.
_LARGE_PART = 0.5
# A tensor that is always 0 has any range; of this one the kernels of its readers take the scale.
_DEAD = TensorStatistics(0.0, 1.0, None)


@dataclass(frozen=True)
class Activations:
    """What every activation becomes.

    Attributes:
        types: of each float tensor that is computed or given.
        conversions: for the node that makes a tensor, and the position of one of its operands, the type that the
            operand has to be converted to (the shape is the operand's).
    """

    types: Mapping[str, TensorType]
    conversions: Mapping[tuple[str, int], TensorType]


def container_bits(bits: int) -> int:
    """Of the type of the kernel that computes on integers of so many bits."""
    return 8 if bits <= 8 else 16


def assign_types(
    graph: FloatGraph, statistics: Mapping[str, TensorStatistics], options: QuantizeOptions
) -> Activations:
    """Types of all activations.

    Args:
        graph: whose operators all have a rule.
        statistics: of its tensors.
        options: widths, how ranges are chosen, which scales are allowed.

    Raises:
        QuantizeError: a tensor that is always 0.
        UnsupportedError: an input that is no float.
    """
    assignment = _Assignment(graph, statistics, options)
    for name in graph.inputs:
        assignment.add_input(name)
    for node in graph.nodes:
        assignment.add_node(node)
    return assignment.finished()


@dataclass
class _Assignment:
    """Tensors in classes of one type each, node after node."""

    graph: FloatGraph
    statistics: Mapping[str, TensorStatistics]
    options: QuantizeOptions
    # The class of a tensor is that of its parent; a class is named after the tensor without one.
    parents: dict[str, str] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, tuple[float, int]] = field(default_factory=dict)
    sources: dict[str, list[TensorStatistics]] = field(default_factory=dict)
    # Operands that become of the class of a tensor, or of so many bits.
    as_result: dict[tuple[str, int], str] = field(default_factory=dict)
    as_bits: dict[tuple[str, int], int] = field(default_factory=dict)

    def add_input(self, name: str) -> None:
        dtype = self.graph.tensor(name).dtype
        if dtype != "float32":
            raise UnsupportedError(f"the input '{name}' is {dtype}, and float32 ones are quantized")
        self._open(name, self.options.of_layer(name).activations)

    def add_node(self, node: FloatNode) -> None:
        rule = RULES[node.kind]
        bits = self._asked(node)
        match rule.scales:
            case Scales.INDEX:
                self._fit_operands(node, 8)
            case Scales.FIXED:
                self._fit_operands(node, 8)
                for name in node.outputs:
                    self._open(name, 8)
                    self.fixed[name] = rule.fixed or (1.0, 0)
            case Scales.FREE:
                self._fit_operands(node, bits)
                for name in node.outputs:
                    self._open(name, bits)
            case Scales.SAME:
                self._add_same(node, data_operands(node)[0], bits)
            case Scales.JOINED:
                self._add_joined(node, bits)

    def _asked(self, node: FloatNode) -> int:
        """The width of a node's results."""
        name, rule = node.outputs[0], RULES[node.kind]
        bits = self.options.of_layer(name).activations
        if rule.scales is Scales.SAME and name not in self.options.layers:
            bits = self.bits[self._root(_operand(node, data_operands(node)[0]))]
        return bits if rule.wide else min(bits, 8)

    def _add_same(self, node: FloatNode, position: int, bits: int) -> None:
        operand = _operand(node, position)
        same = self.bits[self._root(operand)] == bits
        for name in node.outputs:
            self._open(name, bits, counted=not same)
            self._join(operand if same else node.outputs[0], name)
        if not same:
            self.as_result[node.outputs[0], position] = node.outputs[0]

    def _add_joined(self, node: FloatNode, bits: int) -> None:
        made = node.outputs[0]
        positions = [place for place in data_operands(node) if node.inputs[place] is not None]
        operands = {place: _operand(node, place) for place in positions}
        computed = {place: name for place, name in operands.items() if not self.graph.tensor(name).is_constant}
        fixed = {self.fixed.get(self._root(name)) for name in computed.values()}
        one_fixed = len(fixed) == 1 and None not in fixed and len(computed) == len(operands)
        if one_fixed:
            bits = 8
        self._open(made, bits)
        for place, name in computed.items():
            root = self._root(name)
            fits = self.bits[root] == bits and (root not in self.fixed or one_fixed)
            if fits and (node.kind not in ("CONCATENATION", "PACK") or self._is_large_part(node, name)):
                self._join(name, made)
            else:
                self.as_result[made, place] = made
        for place in positions:
            if place not in computed:
                data = self.graph.tensor(operands[place]).constant
                self.sources[self._root(made)].append(TensorStatistics.of(data, histogram=True))

    def _is_large_part(self, node: FloatNode, name: str) -> bool:
        """Whether an operand loses little by the scale of the result; what nothing else reads loses nothing."""
        if name not in self.graph.outputs and self.graph.readers(name) == (node,):
            return True
        part, whole = (_extent(self.statistics[each]) for each in (name, node.outputs[0]))
        return part >= _LARGE_PART * whole

    def _fit_operands(self, node: FloatNode, bits: int) -> None:
        """Convert operands that the kernel for results of so many bits does not take."""
        for position in data_operands(node):
            name = _operand(node, position)
            if self.graph.tensor(name).is_constant:
                continue
            if container_bits(self.bits[self._root(name)]) != container_bits(bits):
                self.as_bits[node.outputs[0], position] = container_bits(bits)

    def _open(self, name: str, bits: int, *, counted: bool = True) -> None:
        """A class for a tensor; results that only hold their operands' elements do not count."""
        self.parents[name] = name
        self.bits[name] = bits
        self.sources[name] = [self.statistics[name]] if counted else []

    def _root(self, name: str) -> str:
        while self.parents[name] != name:
            name = self.parents[name]
        return name

    def _join(self, one: str, other: str) -> None:
        first, second = self._root(one), self._root(other)
        if first == second:
            return
        self.parents[second] = first
        self.sources[first] += self.sources.pop(second)
        if second in self.fixed:
            self.fixed[first] = self.fixed.pop(second)

    def finished(self) -> Activations:
        """The type of every class, now that all its tensors are known."""
        found: dict[tuple[str, int], Quantization] = {}

        def quantization(root: str, bits: int) -> Quantization:
            if (root, bits) not in found:
                found[root, bits] = self._quantization(root, bits)
            return found[root, bits]

        types: dict[str, TensorType] = {}
        for name in self.parents:
            root = self._root(name)
            bits = self.bits[root]
            types[name] = TensorType(self.graph.tensor(name).shape, IntType(bits), quantization(root, bits))
        conversions: dict[tuple[str, int], TensorType] = {}
        for node in self.graph.nodes:
            for position in data_operands(node):
                key = (node.outputs[0], position)
                shape = self.graph.tensor(_operand(node, position)).shape
                if key in self.as_result:
                    made = types[self.as_result[key]]
                    conversions[key] = TensorType(shape, made.element, made.quantization)
                elif key in self.as_bits:
                    bits = self.as_bits[key]
                    root = self._root(_operand(node, position))
                    conversions[key] = TensorType(shape, IntType(bits), quantization(root, bits))
        return Activations(types, conversions)

    def _quantization(self, root: str, bits: int) -> Quantization:
        if root in self.fixed and bits <= 8:
            scale, zero_point = self.fixed[root]
            return Quantization((scale,), (zero_point,))
        statistics = reduce(TensorStatistics.plus, self.sources[root])
        if not statistics.low and not statistics.high:
            if self.options.dead_channels == "refuse":
                raise QuantizeError(
                    f"the tensor '{root}' is 0 in every calibration sample, so it has no range",
                    where=self._place(root),
                    remedy="calibrate with samples like those in use, remove the layer, or keep it "
                    "(--dead-channels keep)",
                )
            statistics = _DEAD
        options = self.options
        symmetric = options.symmetric or bits >= SYMMETRIC_FROM_BITS
        grid = Grid(bits, symmetric, options.power_of_two)
        bounds = activation_range(statistics, options.ranges, grid, percentile=options.percentile)
        return activation_quantization(bounds, IntType(bits), symmetric=symmetric, power_of_two=options.power_of_two)

    def _place(self, name: str) -> str:
        node = self.graph.producer(name)
        return node.where if node else f"input '{name}'"


def _operand(node: FloatNode, position: int) -> str:
    name = node.inputs[position]
    assert name is not None, "operands that are quantized are there"
    return name


def _extent(statistics: TensorStatistics) -> float:
    return max(statistics.high, 0.0) - min(statistics.low, 0.0)


def names_of_layers(graph: FloatGraph) -> Iterable[str]:
    """Names that widths can be given for: inputs, and the first result of each node."""
    return (*graph.inputs, *(node.outputs[0] for node in graph.nodes))
