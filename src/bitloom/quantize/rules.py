"""How the quantization of each operator's results follows from its operands'.

Source: the LiteRT 8-bit quantization specification, and which types the reference kernels take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from bitloom.errors import UnsupportedError
from bitloom.ir.float_graph import FloatGraph, FloatNode


class Scales(Enum):
    """Where the scale of an operator's results comes from."""

    FREE = auto()
    """From the results' own range."""
    SAME = auto()
    """It is the operand's: elements move, or the largest are taken."""
    JOINED = auto()
    """All operands and the result have one."""
    FIXED = auto()
    """The kernel says it."""
    INDEX = auto()
    """There is none: the result is a position."""


@dataclass(frozen=True)
class Weights:
    """Where an operator has its weights.

    Attributes:
        axis: of the weights, along which output channels lie.
        bias_required: whether the kernel insists on a bias.
    """

    axis: int
    bias_required: bool


@dataclass(frozen=True)
class Rule:
    """How an operator is quantized.

    Attributes:
        scales: where the results' come from.
        wide: whether there is a kernel for int16.
        data: positions of the operands that are quantized; None for all.
        weights: where they are, if it has any: operand 1, the bias being operand 2.
        fixed: scale and zero point that the kernel insists on, for 8 bits.
    """

    scales: Scales
    wide: bool
    data: tuple[int, ...] | None = (0,)
    weights: Weights | None = None
    fixed: tuple[float, int] | None = None


_MOVED = Rule(Scales.SAME, wide=True)
_TABLE = Rule(Scales.FREE, wide=False)
_PAIR = Rule(Scales.FREE, wide=True, data=(0, 1))
_GATE = (1 / 256, -128)

RULES: Mapping[str, Rule] = {
    "CONV_2D": Rule(Scales.FREE, wide=True, weights=Weights(0, bias_required=True)),
    "DEPTHWISE_CONV_2D": Rule(Scales.FREE, wide=True, weights=Weights(3, bias_required=False)),
    "FULLY_CONNECTED": Rule(Scales.FREE, wide=True, weights=Weights(0, bias_required=False)),
    **dict.fromkeys(("ADD", "SUB", "MUL"), _PAIR),
    "PRELU": Rule(Scales.FREE, wide=False, data=(0, 1)),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH", "GELU", "ABS"), _TABLE),
    "LEAKY_RELU": Rule(Scales.FREE, wide=True),
    "MEAN": Rule(Scales.FREE, wide=True),
    **dict.fromkeys(("LOGISTIC", "SOFTMAX"), Rule(Scales.FIXED, wide=False, fixed=_GATE)),
    "TANH": Rule(Scales.FIXED, wide=False, fixed=(1 / 128, 0)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE"), _MOVED),
    **dict.fromkeys(("PAD", "MIRROR_PAD", "STRIDED_SLICE", "SLICE", "UNPACK", "SPLIT_V", "GATHER"), _MOVED),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), Rule(Scales.SAME, wide=False)),
    "RESIZE_NEAREST_NEIGHBOR": _MOVED,
    "SPLIT": Rule(Scales.SAME, wide=True, data=(1,)),
    "PADV2": Rule(Scales.JOINED, wide=True, data=(0, 2)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), Rule(Scales.JOINED, wide=True, data=(0, 1))),
    **dict.fromkeys(("CONCATENATION", "PACK"), Rule(Scales.JOINED, wide=True, data=None)),
    "ARG_MAX": Rule(Scales.INDEX, wide=False),
}


def data_operands(node: FloatNode) -> tuple[int, ...]:
    """Positions of the operands that are quantized, weights and biases apart."""
    data = RULES[node.kind].data
    return data if data is not None else tuple(range(len(node.inputs)))


def check_support(graph: FloatGraph) -> None:
    """Refuse operators that have no rule.

    Raises:
        UnsupportedError: there is one; the message names all.
    """
    missing = [node for node in graph.nodes if node.kind not in RULES]
    if not missing:
        return
    others = sorted({node.kind for node in missing[1:]} - {missing[0].kind})
    also = f", nor {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
    raise UnsupportedError(
        f"{missing[0].kind} cannot be quantized{also}; what can: {', '.join(sorted(RULES))}", where=missing[0].where
    )
