"""Any network, any target: a plan keeps it, or the error proposes one that a plan keeps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_networks
from planning import remedied, total_cost

from bitloom.errors import PlanError
from bitloom.ir import Graph
from bitloom.plan import Bus, Plan, Target, make_plan

BUSES = st.sampled_from(Bus)
EXAMPLES = settings(max_examples=40, deadline=None)


def assert_kept(plan: Plan, target: Target) -> None:
    assert target.interval is None or plan.interval <= target.interval
    assert target.dsp is None or plan.dsp <= target.dsp


def plan_or_remedy(graph: Graph, target: Target, bus: Bus) -> tuple[Plan, bool]:
    """A plan for the target, or for the one that its error proposes, and which it is."""
    try:
        plan = make_plan(graph, target, bus)
    except PlanError as error:
        proposed = remedied(error)
        plan = make_plan(graph, proposed, bus)
        assert_kept(plan, proposed)
        return plan, False
    assert_kept(plan, target)
    return plan, True


@EXAMPLES
@given(random_networks(), st.integers(1, 300), st.integers(1, 300), BUSES)
def test_a_longer_interval_never_costs_more(graph: Graph, interval: int, more: int, bus: Bus) -> None:
    plan, kept = plan_or_remedy(graph, Target(interval=interval), bus)
    longer = max(interval, plan.interval) + more
    assert total_cost(make_plan(graph, Target(interval=longer), bus)) <= total_cost(plan)
    if not kept:
        with pytest.raises(PlanError):
            make_plan(graph, Target(interval=plan.interval - 1), bus)


@EXAMPLES
@given(random_networks(), st.integers(1, 60), st.integers(1, 60), BUSES)
def test_more_multipliers_are_never_slower(graph: Graph, dsp: int, more: int, bus: Bus) -> None:
    plan, _ = plan_or_remedy(graph, Target(dsp=dsp), bus)
    assert make_plan(graph, Target(dsp=max(dsp, plan.dsp) + more), bus).interval <= plan.interval
