"""The quantizer: float graph and calibration data to integer graph."""

from bitloom.quantize.options import QuantizeOptions, Widths
from bitloom.quantize.quantize import STEPS, Quantized, Step, quantize
from bitloom.quantize.state import State

__all__ = ["STEPS", "QuantizeOptions", "Quantized", "State", "Step", "Widths", "quantize"]
