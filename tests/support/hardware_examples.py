"""Examples of the operators that have hardware."""

from __future__ import annotations

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import has_hardware
from bitloom.ir import operators

# What the operators' circuits do not take; each must be an error that says so before any work.
WITHOUT_CIRCUIT = (
    "add_int16",
    "arg_max_inner_axis",
    "leaky_relu_int16",
    "mul_int16",
    "sub_int16",
    "requantize_int16",
    "requantize_narrow",
)

_ALL = {
    example.name: example
    for operator in operators().values()
    if has_hardware(operator)
    for example in operator.examples()
    if not any(node.operator.float_edge for node in example.graph.nodes)
}
REFUSED = {name: _ALL[name] for name in WITHOUT_CIRCUIT}
EXAMPLES = {name: example for name, example in _ALL.items() if name not in REFUSED}
