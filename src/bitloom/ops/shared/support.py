"""What operator files share: rules for elementwise operands, domain checks, and the statement of examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rescale
from bitloom.arith.narrow import check_domain
from bitloom.arith.rescale import EXACT
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Graph, Node, Operator, Quantization, SourceNode, Value

# Kernels refuse biases whose scale is off by more than this, in output steps per bias step.
_BIAS_SCALE_TOLERANCE = 0.02


def random_integers(shape: tuple[int, ...], low: int, high: int, seed: int) -> npt.NDArray[np.int64]:
    """Integers from `low` to `high`, both included, the same for the same seed on every machine."""
    return np.random.Generator(np.random.PCG64(seed)).integers(low, high, shape, endpoint=True)


def single_precision(value: float) -> float:
    """The binary32 number nearest `value`: files hold scales in that precision."""
    return float(np.float32(value))


def require_element(operand: Value, element: IntType) -> None:
    """Check that an operand has the element type its operator was made for.

    Raises:
        GraphError: it has another.
    """
    if operand.type.element != element:
        raise GraphError(f"operand '{operand.name}' is {operand.type.element}, the operator takes {element}")


def require_kinds(source: SourceNode, kinds: Iterable[tuple[str, str]]) -> None:
    """Check a node's first operand and first result against the (input, output) types a kernel has.

    Raises:
        UnsupportedError: the kernel lacks this pair of types.
    """
    found = (str(source.operand(0).type.element), str(source.outputs[0].type.element))
    allowed = sorted(kinds)
    if found not in allowed:
        said = ", ".join(f"{given} to {made}" for given, made in allowed)
        raise UnsupportedError(f"{source.kind} from {found[0]} to {found[1]}; supported: {said}", where=source.where)


def require_weights(
    source: SourceNode, x: Value, weights: Value, bias: Value | None, kinds: Sequence[tuple[str, str, str]]
) -> tuple[str, str, str]:
    """Check that weights and bias are constant, and that a kernel has these element types.

    Args:
        source: the node.
        x: its moving operand.
        weights: of its products.
        bias: if it has one.
        kinds: element types of the input, the weights and the output.

    Returns:
        Which of the kinds it is.

    Raises:
        UnsupportedError: computed weights, or types that the kernel has not.
    """
    if not weights.is_constant or (bias is not None and not bias.is_constant):
        raise UnsupportedError(f"{source.kind} with weights or bias that are computed", where=source.where)
    found = (str(x.type.element), str(weights.type.element), str(source.outputs[0].type.element))
    if found not in kinds:
        raise UnsupportedError(
            f"{source.kind} of {found[0]} with {found[1]} weights to {found[2]}; supported: "
            + ", ".join(f"{given} with {weight} to {made}" for given, weight, made in kinds),
            where=source.where,
        )
    return found


def require_bias_scale(source: SourceNode, x: Value, weights: Value, bias: Value | None) -> None:
    """Check that a bias has the scale of the products, to which it is added as it is; weights have one scale.

    Raises:
        UnsupportedError: it has another.
    """
    if bias is None:
        return
    product = x.type.required_quantization.scale * weights.type.required_quantization.scales[0]
    quantization = bias.type.quantization
    # The kernel takes a bias that does not say its scale for one of scale 0.
    bias_scale = quantization.scales[0] if quantization and quantization.axis is None else 0.0
    if abs(product - bias_scale) / source.outputs[0].type.required_quantization.scale > _BIAS_SCALE_TOLERANCE:
        raise UnsupportedError(
            f"{source.kind} with a bias of scale {bias_scale:g}; the kernel takes input times weight scale, "
            f"{product:g}",
            where=source.where,
        )


def require_int32(rescale: Rescale, low: int, high: int, zero_point: int) -> None:
    """Check that a rescale stays within int32, beyond which the reference kernels' answer is undefined.

    Args:
        rescale: with one multiplier and a fixed-point rounding; exact ones may leave int32.
        low: the smallest value to rescale.
        high: the largest.
        zero_point: added to the result.

    Raises:
        UnsupportedError: a value leaves int32, before or after.
        ArithmeticDomainError: of an exact rounding, a product leaves 62 bits.
    """
    if rescale.rounding in EXACT:
        check_domain(rescale, np.array([low]), np.array([high]), zero_point)
        return
    _, shift = rescale.fixed_point()
    ends = [low << max(int(shift[0]), 0), high << max(int(shift[0]), 0)]
    if all(-(2**31) <= end < 2**31 for end in ends):
        ends = (rescale.apply([low, high]) + zero_point).tolist()
    if not all(-(2**31) <= end < 2**31 for end in ends):
        raise UnsupportedError(
            f"rescaling by {rescale.multipliers[0]:g} leaves int32, where the reference kernel's answer is undefined",
            remedy="check the scales of the input and the output",
        )


def example_graph(
    operator: type[Operator],
    name: str,
    kind: str,
    operands: Sequence[Value | None],
    result: Value,
    attributes: Mapping[str, Any] | None = None,
) -> Example:
    """A graph of one node, lowered from a format's spelling as a front end would.

    Args:
        operator: the operator shown.
        name: of the example.
        kind: the spelling to lower from.
        operands: variable operands (they become the graph's inputs) and constants; None where absent.
        result: the value it makes.
        attributes: options by the format's names.
    """
    rounded = tuple(None if value is None else _single_precision_value(value) for value in operands)
    result = _single_precision_value(result)
    lowered = operator.lower(SourceNode(kind, attributes or {}, rounded, (result,), name))
    made = lowered.operator.name
    node = Node(f"{made}_0", lowered.operator, lowered.inputs, (result.name,))
    # By name, because a node may read one value twice.
    read = {value.name: value for value in rounded if value is not None and value.name in lowered.inputs}
    return Example(
        name,
        Graph(
            name=name,
            inputs=tuple(value.name for value in read.values() if not value.is_constant),
            outputs=(result.name,),
            values=(*read.values(), result),
            nodes=(node,),
        ),
    )


def _single_precision_value(value: Value) -> Value:
    """The value with its scales as a file would hold them."""
    quantization = value.type.quantization
    if quantization is None:
        return value
    scales = tuple(single_precision(scale) for scale in quantization.scales)
    rounded = Quantization(scales, quantization.zero_points, quantization.axis)
    return replace(value, type=replace(value.type, quantization=rounded))
