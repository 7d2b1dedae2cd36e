"""ArgMax of integers, and the Cast of its index to another type."""

from __future__ import annotations

from dataclasses import replace

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.context import Context
from bitloom.frontends.onnx.values import Dequantized, Meaning, Tensor
from bitloom.ops.arg_max import ArgMax

# TensorProto's numbers of the integer types that an index may be cast to.
INDEX_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 12: "uint32"}


def arg_max(context: Context) -> Meaning:
    """The first of the largest integers, of which reals with a scale have the same order."""
    x = context.operand(0)
    tensor = context.reals().tensor if isinstance(x, Dequantized) else context.integers(0)
    if context.attributes.get("select_last_index", 0):
        raise UnsupportedError("takes the last of equal elements", remedy="set select_last_index to 0")
    plain = context.builder.plain(tensor)
    rank = len(plain.shape)
    axis = int(context.attributes.get("axis", 0))
    operator = ArgMax(axis % rank if -rank <= axis < rank else axis, IntType(64))
    index = Tensor.plain(context.builder.node(operator, [plain.value], context.name))
    if not context.attributes.get("keepdims", 1):
        return index
    kept = (*plain.shape[: operator.axis], 1, *plain.shape[operator.axis + 1 :])
    return context.builder.reshaped(index, kept, f"{context.name}_kept")


def cast_index(context: Context, index: Tensor) -> Tensor:
    """The index in another type, as the operator makes it.

    Raises:
        UnsupportedError: integers that are no index.
    """
    builder, name = context.builder, index.value.name
    to = INDEX_TYPES.get(int(context.attributes["to"]))
    made = next((place for place, node in enumerate(builder.nodes) if node.outputs == (name,)), None)
    operator = builder.nodes[made].operator if made is not None else None
    if to is None or made is None or not isinstance(operator, ArgMax) or not index.is_plain:
        raise UnsupportedError("casts computed numbers to another type than float32", remedy="use QuantizeLinear")
    element = IntType.parse(to)
    node = replace(builder.nodes[made], operator=replace(operator, output=element))
    node.operator.infer([builder.values[each] for each in node.inputs])
    builder.nodes[made] = node
    # The file has the index in its first type; what is looked at is the cast one.
    builder.views.pop(name, None)
    value = builder.add(replace(index.value, type=replace(index.value.type, element=element)))
    return Tensor.plain(value)
