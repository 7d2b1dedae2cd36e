"""Whose a signal is: what `unique_identifiers` relies on."""

from __future__ import annotations

import re

import pyrtl

from bitloom.design import Circuit
from bitloom.design.names import _OWN_SIGNALS, unique_identifiers


def assert_signals_begin_with_their_node(circuit: Circuit) -> None:
    """Signals and memories are named after a node, or are the design's own."""
    nodes = "|".join(unique_identifiers(node.name for node in circuit.plan.graph.nodes).values())
    wires = [wire.name for wire in circuit.block.wirevector_set if not isinstance(wire, pyrtl.Const)]
    wires += [memory.name for memory in circuit.block.memblock_by_name.values()]
    of_a_node = re.compile(rf"({nodes})_[a-z]")
    for name in wires:
        assert name == "reset" or _OWN_SIGNALS.match(name) or of_a_node.match(name), name
