"""Functions of each element, sums and products as ONNX says them, in real numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bitloom.arith import Interval
from bitloom.errors import UnsupportedError
from bitloom.export.onnx_layers import require_scales, require_zero_points
from bitloom.export.onnx_writer import Writer, container, images
from bitloom.ir import Node, Value
from bitloom.ops.abs import Abs
from bitloom.ops.arg_max import ArgMax
from bitloom.ops.dequantize import Dequantize
from bitloom.ops.gelu import Gelu
from bitloom.ops.hard_swish import HardSwish
from bitloom.ops.leaky_relu import LeakyRelu
from bitloom.ops.lookup import Lookup
from bitloom.ops.maximum import Maximum
from bitloom.ops.mul import Mul
from bitloom.ops.prelu import Prelu
from bitloom.ops.quantize import Quantize
from bitloom.ops.quantize_linear import QuantizeLinear
from bitloom.ops.relu import Relu
from bitloom.ops.rounded_softmax import RoundedSoftmax
from bitloom.ops.shared.bound import BoundOperator
from bitloom.ops.shared.elementwise import PairOperator
from bitloom.ops.shared.requantize import Requantize
from bitloom.ops.shared.sums import SumOperator, left_shift
from bitloom.ops.shared.table import RealTableOperator, TableOperator
from bitloom.ops.softmax import Softmax

_FUNCTIONS: Mapping[str, str] = {
    "abs": "Abs",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "hard_swish": "HardSwish",
    "gelu": "Gelu",
    "leaky_relu": "LeakyRelu",
}


def function(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """One operator of ONNX between two scales; none where integers only change theirs."""
    operator = node.operator
    assert isinstance(operator, TableOperator)
    (x,) = operands
    clamp = operator.activation if isinstance(operator, Relu) else None
    _check(writer, node, operator, x, result)
    first = writer.is_first(x) and images(x)
    real = writer.reals(x, first=first)
    if operator.name in _FUNCTIONS:
        attributes: dict[str, object] = {}
        if isinstance(operator, LeakyRelu):
            attributes["alpha"] = operator.alpha
        if isinstance(operator, Gelu):
            attributes["approximate"] = "tanh" if operator.approximate else "none"
        real = writer.node(_FUNCTIONS[operator.name], [real], f"{result.name}/function", **attributes)
    writer.give(result, real, first=first, clamp=clamp)


def _check(writer: Writer, node: Node, operator: TableOperator, x: Value, result: Value) -> None:
    """Refuse parameters that do not follow from the scales of the tensors."""
    given, made = writer.quantization(x), writer.quantization(result)
    if isinstance(operator, RealTableOperator):
        require_scales(node, operator.input_scale, given.scale)
        require_scales(node, operator.output_scale, made.scale)
    if isinstance(operator, (RealTableOperator, Abs, HardSwish, LeakyRelu, Relu, Requantize)):
        require_zero_points(writer, node, [(x, operator.input_zero_point), (result, operator.output_zero_point)])
    if isinstance(operator, (Abs, LeakyRelu, Relu, Requantize)):
        require_scales(node, operator.rescale.multipliers[0], given.scale / made.scale)


def bound(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """MAXIMUM and MINIMUM with one number, which compare integers as they are: a clip at the input's scale."""
    operator = node.operator
    assert isinstance(operator, BoundOperator)
    (x,), element = operands, result.type.integer
    require_scales(node, 1.0, writer.quantization(x).scale / writer.quantization(result).scale)
    require_zero_points(writer, node, [(result, writer.quantization(x).zero_point)])
    first = writer.is_first(x) and images(x)
    ends = (operator.bound, element.maximum) if isinstance(operator, Maximum) else (element.minimum, operator.bound)
    writer.give(result, writer.reals(x, first=first), first=first, clamp=Interval(*ends))


def table(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """A table whose function is found again: it must be what ONNX's operator makes of every input.

    Raises:
        UnsupportedError: it is none that is known here.
    """
    operator = node.operator
    assert isinstance(operator, Lookup)
    (x,) = operands
    given, made = writer.quantization(x), writer.quantization(result)
    integers = np.arange(operator.input.minimum, operator.input.maximum + 1)
    reals = (integers - given.zero_point).astype(np.float32) * np.float32(given.scale)
    for kind, real in _KNOWN.items():
        ratio = np.rint(real(reals).astype(np.float32) / np.float32(made.scale)).astype(np.float64) + made.zero_point
        found = np.clip(ratio, operator.output.minimum, operator.output.maximum).astype(np.int64)
        if tuple(found.tolist()) == operator.entries:
            first = writer.is_first(x) and images(x)
            name = writer.reals(x, first=first)
            if kind:
                name = writer.node(kind, [name], f"{result.name}/function")
            writer.give(result, name, first=first)
            return
    raise UnsupportedError(
        f"is a table that no operator of ONNX known here makes ({', '.join(filter(None, _KNOWN))})",
        where=node.where,
        remedy="write a .bitloom file",
    )


def _double(real: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of the library in binary64."""
    return lambda reals: real(reals.astype(np.float64)).astype(np.float32)


_KNOWN: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda reals: reals,
    "Relu": lambda reals: np.maximum(reals, np.float32(0)),
    "Sigmoid": _double(lambda reals: 1 / (1 + np.exp(-reals))),
    "Tanh": _double(np.tanh),
    "HardSigmoid": lambda reals: np.clip(reals * np.float32(0.2) + np.float32(0.5), np.float32(0), np.float32(1)),
    "HardSwish": lambda reals: (
        reals * np.clip(reals * np.float32(1 / 6) + np.float32(0.5), np.float32(0), np.float32(1))
    ),
    "LeakyRelu": lambda reals: np.where(reals < 0, reals * np.float32(0.01), reals),
    "Abs": np.abs,
    "Neg": np.negative,
    "Exp": _double(np.exp),
}


def pair(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Add, Sub, Mul or PRelu; shapes broadcast."""
    operator = node.operator
    assert isinstance(operator, PairOperator)
    _check_pair(writer, node, operator, operands, result)
    first = images(result) and any(writer.is_first(x) and images(x) for x in operands if not x.is_constant)
    first = first and all(x.is_constant or images(x) for x in operands)
    reals = [_operand(writer, x, first=first) for x in operands]
    kind = {"add": "Add", "sub": "Sub", "mul": "Mul", "prelu": "PRelu"}[operator.name]
    made = writer.node(kind, reals, f"{result.name}/real_result")
    clamp = operator.activation if isinstance(operator, (SumOperator, Mul)) else None
    writer.give(result, made, first=first, clamp=clamp)


def _operand(writer: Writer, x: Value, *, first: bool) -> str:
    """Real numbers; a constant with all axes, so that they can be permuted."""
    if x.is_constant and first and not images(x):
        data = x.constant.reshape((1,) * (4 - x.constant.ndim) + x.constant.shape)
        wide = Value(f"{x.name}/images", replace(x.type, shape=data.shape), data)
        return writer.reals(wide, first=True)
    return writer.reals(x, first=first)


def _check_pair(writer: Writer, node: Node, operator: PairOperator, operands: Sequence[Value], result: Value) -> None:
    left, right, made = (writer.quantization(value).scale for value in (*operands, result))
    if isinstance(operator, SumOperator):
        lifted = 2.0 ** left_shift(max(each.bits for each in operator.types))
        step = operator.rescale.multipliers[0] * lifted
        require_scales(node, operator.left_rescale.multipliers[0] * step, left / made)
        require_scales(node, operator.right_rescale.multipliers[0] * step, right / made)
    elif isinstance(operator, Mul):
        require_scales(node, operator.rescale.multipliers[0], left * right / made)
    elif isinstance(operator, Prelu):
        require_scales(node, operator.rescale.multipliers[0], left / made)
        require_scales(node, operator.slope_rescale.multipliers[0], left * right / made)
    assert isinstance(operator, (SumOperator, Mul, Prelu))
    points = (operator.left_zero_point, operator.right_zero_point, operator.output_zero_point)
    require_zero_points(writer, node, list(zip((*operands, result), points, strict=True)))


def softmax(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Over the last axis; TFLite's beta is part of the scale."""
    operator = node.operator
    assert isinstance(operator, (Softmax, RoundedSoftmax))
    (x,) = operands
    if isinstance(operator, RoundedSoftmax):
        scale = operator.input_scale
        require_scales(node, operator.output_scale, writer.quantization(result).scale)
        require_zero_points(writer, node, [(result, operator.output_zero_point)])
    else:
        scale = operator.scale
        require_scales(node, 2.0**-operator.output.bits, writer.quantization(result).scale)
        require_zero_points(writer, node, [(result, operator.output.minimum)])
    made = writer.node("Softmax", [writer.reals(x, scale=scale)], f"{result.name}/softmax", axis=-1)
    writer.give(result, made)


def arg_max(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """The first of equal ones."""
    operator = node.operator
    assert isinstance(operator, ArgMax)
    (x,) = operands
    name = result if str(result.type.element) == "int64" else f"{result.name}/index"
    made = writer.node("ArgMax", [writer.integers(x)], name, axis=operator.axis, keepdims=0, select_last_index=0)
    if name is not result:
        if str(result.type.element) not in ("int8", "uint8", "int16", "int32"):
            raise UnsupportedError(f"indices of {result.type.element}", where=node.where)
        kind = getattr(writer.onnx.TensorProto, str(result.type.element).upper())
        made = writer.node("Cast", [made], result, to=kind)
    writer.made(result, made)


def quantize(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Reals at the graph's edge to integers."""
    operator = node.operator
    assert isinstance(operator, (Quantize, QuantizeLinear))
    require_scales(node, operator.scale, writer.quantization(result).scale)
    require_zero_points(writer, node, [(result, operator.zero_point)])
    writer.give(result, writer.integers(operands[0]))


def dequantize(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Integers to reals at the graph's edge."""
    (x,) = operands
    quantization, operator = writer.quantization(x), node.operator
    assert isinstance(operator, Dequantize)
    require_scales(node, operator.scale, quantization.scale)
    require_zero_points(writer, node, [(x, operator.zero_point)])
    scale = writer.constant(np.float32(quantization.scale), f"{result.name}/scale")
    point = writer.typed(np.array(quantization.zero_point), container(x.type.integer), f"{result.name}/zero_point")
    writer.made(result, writer.node("DequantizeLinear", [writer.integers(x), scale, point], result))
