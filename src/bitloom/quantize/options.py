"""What a quantization is to be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bitloom.errors import UsageError

RANGES = ("min-max", "percentile", "mse", "entropy")
"""How the range of an activation is chosen from what calibration saw."""

DEAD_CHANNELS = ("refuse", "keep")

REFINEMENTS = ("auto", "on", "off")
"""Whether a step refines; ``auto``: where it pays, which is where weights have fewer than 8 bits."""

_NARROWEST, _WIDEST = 2, 16
_LARGEST_TYPE = 32


@dataclass(frozen=True)
class Widths:
    """Bits of a layer.

    Attributes:
        weights: 2 to 16, of its weights.
        activations: 2 to 16, of its result.

    Raises:
        UsageError: another width.

    >>> Widths.parse("4/8")
    Widths(weights=4, activations=8)
    """

    weights: int = 8
    activations: int = 8

    def __post_init__(self) -> None:
        for what, bits in (("weights", self.weights), ("activations", self.activations)):
            if not 1 <= bits <= _LARGEST_TYPE:
                raise UsageError(f"{what} of {bits} bits; integers here have 1 to {_LARGEST_TYPE}", remedy="choose 8")
            if not _NARROWEST <= bits <= _WIDEST:
                raise UsageError(
                    f"{what} of {bits} bits, and the quantizer makes {_NARROWEST} to {_WIDEST}",
                    remedy=f"choose {_NARROWEST} to {_WIDEST} (binary weights come from training)",
                )

    @classmethod
    def parse(cls, text: str) -> Widths:
        """Read ``W/A``, or one number for both.

        Raises:
            UsageError: the text is neither, or a width that is not supported.
        """
        parts = text.split("/")
        if not 1 <= len(parts) <= 2 or not all(part.strip().lstrip("-").isdecimal() for part in parts):
            raise UsageError(f"'{text}' is no width", remedy="write bits of weights and activations, such as 8/8")
        return cls(int(parts[0]), int(parts[-1]))

    def __str__(self) -> str:
        return f"{self.weights}/{self.activations}"


@dataclass(frozen=True)
class QuantizeOptions:
    """Every choice of the quantizer. Steps read their own.

    Attributes:
        widths: of layers that `layers` does not name.
        layers: widths by the name of the tensor a layer makes (or of an input of the network).
        per_channel: a scale for each output channel of weights, else one for all.
        ranges: one of `RANGES`.
        percentile: how much of the values lies inside the range of ``percentile``, on either side, in percent.
        weight_ranges: ``min-max``, ``mse``, or ``auto``: mse where weights have fewer than 8 bits.
        symmetric: activations of up to 8 bits with the zero point 0. Wider ones have no other.
        power_of_two: scales are powers of two, those of activations and of weights.
        equalize: move scales between neighbouring layers first, which pays where weights have one scale for a layer.
        adaptive_rounding: one of `REFINEMENTS`: round weights so that the layers' outputs have the least error.
        bias_correction: one of `REFINEMENTS`: take back with the biases what rounding adds on average.
        average_weight_bits: choose the weights' widths by the layers' sensitivity, so many bits on average; None for
            `widths`. Layers that `layers` names keep theirs.
        dead_channels: ``refuse`` a channel whose weights are all 0, and a tensor that is always 0; or ``keep`` them.
        float_io: the network takes and gives real numbers (QUANTIZE in front, DEQUANTIZE behind).

    Raises:
        UsageError: a value that is none of the choices.
    """

    widths: Widths = Widths()
    layers: Mapping[str, Widths] = field(default_factory=lambda: MappingProxyType({}))
    per_channel: bool = True
    ranges: str = "mse"
    percentile: float = 99.99
    weight_ranges: str = "auto"
    symmetric: bool = False
    power_of_two: bool = False
    equalize: bool = False
    adaptive_rounding: str = "auto"
    bias_correction: str = "auto"
    average_weight_bits: float | None = None
    dead_channels: str = "refuse"
    float_io: bool = False

    def __post_init__(self) -> None:
        choices = {
            "ranges": RANGES,
            "weight_ranges": ("auto", "min-max", "mse"),
            "dead_channels": DEAD_CHANNELS,
            "adaptive_rounding": REFINEMENTS,
            "bias_correction": REFINEMENTS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} is one of {', '.join(allowed)}, not '{getattr(self, name)}'")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"the percentile {self.percentile:g} is not between 50 and 100")
        average = self.average_weight_bits
        if average is not None and not _NARROWEST <= average <= _WIDEST:
            raise UsageError(f"an average of {average:g} bits a weight is not between {_NARROWEST} and {_WIDEST}")
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def of_layer(self, name: str) -> Widths:
        """Widths of the layer that makes a tensor."""
        return self.layers.get(name, self.widths)

    def refines(self, choice: str) -> bool:
        """Whether a step of one of `REFINEMENTS` is wanted."""
        narrow = any(widths.weights < 8 for widths in (self.widths, *self.layers.values()))
        return choice == "on" or (choice == "auto" and (narrow or self.average_weight_bits is not None))
