"""The report of a design as plain values: what report.json holds.

Keys are stable: later versions add keys, and count `REPORT_FORMAT` up if one changes its meaning.

==========================  ==========================================================================================
key                         value
==========================  ==========================================================================================
format                      `REPORT_FORMAT`
model                       the network's name
top                         the top module's name
organisation                ``dataflow``: one circuit per node
bus                         ``axi`` or ``stream``
target                      what was asked for: ``interval``, ``dsp`` (null where not), ``board``
macs                        multiply-accumulates of one inference
latency_cycles              from the first input beat to the last output beat of one inference, both counted
interval_cycles             between the ends of consecutive inferences, back to back
measured                    whether these two were measured, or are what the planner counts on
planned_interval_cycles     the interval the planner counts on
bottleneck                  what holds the interval: ``what``, its ``cycles``, and the ``bound``: ``compute``,
                            ``line buffer``, ``input bus``, ``output bus`` or ``width conversion``
network                     the nodes in order: ``name``, ``operator``, ``reads`` and ``makes`` (tensors that move),
                            ``shape`` of the first of those made
ports                       per stream: ``name``, ``direction``, ``tensor``, ``shape``, ``element``, ``scale`` and
                            ``zero_point`` (null if the tensor has none), ``lanes`` (elements per beat),
                            ``container_bits`` (of one element in tdata), ``beats`` (per tensor)
layers                      per circuit, in order: ``name``, ``operator``, ``macs``, ``folding`` (``pe``, ``simd``,
                            ``results``, ``rescale_in_logic``, ``packed``,
                            ``products_in_logic``), ``cycles`` (per inference), ``schedule``
                            (cycles of the ``first`` and ``last`` beat of its result, from the first input beat on,
                            planned), ``multipliers`` (of the array), ``other_multipliers`` (rescale, softmax),
                            ``utilisation``, ``memory_bits``, ``ram_blocks`` (of 18 kbit) and ``logic`` (look-up
                            tables), both estimated, ``facts`` (integers that the constants prove, by name: ranges
                            and widths), ``notes`` (the same for people)
branches                    FIFOs where branches join: ``node``, ``operand``, ``tensor``, ``depth`` and ``least``
                            (beats: held, and without which the network would block), ``beat_bits``
totals                      ``multipliers`` (all of them), ``memory_bits``, ``ram_blocks``, ``logic``, ``utilisation``
resources                   null; after synthesis, by family, see `bitloom.deploy.synthesis`
==========================  ==========================================================================================

Utilisation is useful products per multiplier and cycle: ``macs / (multipliers * interval_cycles)``, with the
multipliers of the arrays and the MACs of layers that have any; null without any. It is 1 at most, or 2 where two
products share a multiplier. Padding, waiting for a slower layer and waiting for the bus lower it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitloom.design import Circuit
from bitloom.ir import Graph
from bitloom.plan import NodePlan, Plan, Port, Target
from bitloom.plan.flow import Span, planned_latency, timeline
from bitloom.run import Cycles

REPORT_FORMAT = 1


def design_report(circuit: Circuit, target: Target, cycles: Cycles | None) -> dict[str, Any]:
    """Everything that is known about a design before synthesis, ready for JSON.

    Args:
        circuit: the design.
        target: what was asked for.
        cycles: what was measured while simulating it, the interval included; None if it was not simulated.
    """
    plan = circuit.plan
    spans = timeline(plan)
    interval = (cycles and cycles.interval) or plan.interval
    what, held = plan.bottleneck
    array = sum(planned.estimate.multipliers for planned in plan.nodes)
    layers = [_layer(plan, planned, span, interval) for planned, span in zip(plan.nodes, spans, strict=True)]
    multiplied = sum(layer["macs"] for layer in layers if layer["multipliers"])
    return {
        "format": REPORT_FORMAT,
        "model": plan.graph.name,
        "top": circuit.name,
        "organisation": "dataflow",
        "bus": plan.bus.value,
        "target": {"interval": target.interval, "dsp": target.dsp, "board": target.chip.name},
        "macs": plan.graph.macs,
        "latency_cycles": cycles.latency if cycles else planned_latency(plan, spans),
        "interval_cycles": interval,
        "measured": cycles is not None,
        "planned_interval_cycles": plan.interval,
        "bottleneck": {"what": what, "cycles": held, "bound": plan.bound},
        "network": _network(plan.graph),
        "ports": [*_ports(plan.graph, "input", plan.inputs), *_ports(plan.graph, "output", plan.outputs)],
        "layers": layers,
        "branches": [
            {
                "node": branch.node,
                "operand": branch.operand,
                "tensor": branch.value,
                "depth": branch.depth,
                "least": branch.least,
                "beat_bits": branch.type.bits,
            }
            for branch in plan.branches
        ],
        "totals": {
            "multipliers": plan.dsp,
            "memory_bits": plan.memory_bits,
            "ram_blocks": plan.ram_blocks,
            "logic": plan.logic,
            "utilisation": _utilisation(multiplied, array, interval),
        },
        "resources": None,
    }


def _ports(graph: Graph, direction: str, ports: Sequence[Port]) -> list[dict[str, Any]]:
    described = []
    for port in ports:
        tensor = graph.type(port.value)
        # A tensor that travels has one scale; axes are for weights.
        quantization = tensor.quantization if tensor.quantization and tensor.quantization.axis is None else None
        described.append(
            {
                "name": port.name,
                "direction": direction,
                "tensor": port.value,
                "shape": list(tensor.shape),
                "element": str(tensor.element),
                "scale": quantization.scale if quantization else None,
                "zero_point": quantization.zero_point if quantization else None,
                "lanes": port.type.lanes,
                "container_bits": port.container,
                "beats": port.type.beats,
            }
        )
    return described


def _network(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "operator": node.operator.name,
            "reads": [name for name in node.inputs if not graph.value(name).is_constant],
            "makes": list(node.outputs),
            "shape": list(graph.type(node.outputs[0]).shape),
        }
        for node in graph.nodes
    ]


def _layer(plan: Plan, planned: NodePlan, span: Span, interval: int) -> dict[str, Any]:
    node, estimate = planned.node, planned.estimate
    operands = plan.graph.operands(node)
    macs = node.operator.cost(operands).macs
    return {
        "name": node.name,
        "operator": node.operator.name,
        "macs": macs,
        "folding": {name: value for name, value in vars(planned.folding).items() if name != "fabric"},
        "cycles": estimate.cycles,
        "schedule": {"first": span.first, "last": span.last},
        "multipliers": estimate.multipliers,
        "other_multipliers": estimate.other_multipliers,
        "utilisation": _utilisation(macs, estimate.multipliers, interval),
        "memory_bits": estimate.memory_bits,
        "ram_blocks": estimate.ram_blocks,
        "logic": estimate.logic,
        "facts": dict(planned.circuit.facts()),
        "notes": list(node.operator.notes(operands)),
    }


def _utilisation(macs: int, multipliers: int, interval: int) -> float | None:
    """Rounded to a thousandth: more digits would be noise."""
    return round(macs / (multipliers * interval), 3) if macs and multipliers else None
