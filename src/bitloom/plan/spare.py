"""Multiplier slices that a budget leaves over, put where they save the most logic.

Prices choose for all nodes at once, so that equal ones change together: of twenty layers with the same rescale, all
twenty multiply in slices, or none does. What lies between is found here, one node at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from bitloom.plan.options import Option, Prices
from bitloom.plan.plan import NodePlan, Plan


def use_spare(plan: Plan, options: Mapping[str, Sequence[Option]], fits: Callable[[Plan], bool]) -> Plan:
    """Exchange foldings for cheaper ones with the same streams while the plan fits.

    Args:
        plan: that fits. Its schedule is left as it is: FIFOs of branches are to be found after this.
        options: every folding of every node.
        fits: whether a plan is within the budget.

    Returns:
        A plan as fast, and no dearer.
    """
    alternatives = {planned.node.name: _alternatives(planned, options, plan.interval) for planned in plan.nodes}
    while True:
        changes = sorted(_changes(plan, alternatives), key=lambda change: change[0], reverse=True)
        better = next((changed for _, changed in changes if fits(changed)), None)
        if better is None:
            return plan
        plan = better


def _alternatives(planned: NodePlan, options: Mapping[str, Sequence[Option]], interval: int) -> list[Option]:
    types = planned.input_types, planned.output_type
    return [
        option
        for option in options[planned.node.name]
        if (option.input_types, option.output_type) == types and option.estimate.cycles <= interval
    ]


def _changes(plan: Plan, alternatives: Mapping[str, Sequence[Option]]) -> Iterator[tuple[float, Plan]]:
    """Plans in which one node is cheaper, and what each slice more that it takes saves."""
    for index, planned in enumerate(plan.nodes):
        for option in alternatives[planned.node.name]:
            saved = Prices().cost(planned.estimate) - Prices().cost(option.estimate)
            if saved > 0:
                changed = replace(planned, folding=option.folding, estimate=option.estimate)
                nodes = (*plan.nodes[:index], changed, *plan.nodes[index + 1 :])
                more = max(1, option.estimate.dsp - planned.estimate.dsp)
                yield saved / more, replace(plan, nodes=nodes)
