"""What a budget leaves over is put to use: some of several equal layers multiply in slices, not all or none."""

from __future__ import annotations

from models import dense_network, random_inputs
from planning import total_cost

import bitloom as bl
from bitloom.plan import Bus, Target, make_plan

EQUAL_LAYERS = dense_network([12] * 7, 5, per_channel=True)
LAYERS = len(EQUAL_LAYERS.nodes)


def test_each_slice_left_over_takes_a_rescale() -> None:
    plans = [make_plan(EQUAL_LAYERS, Target(dsp=LAYERS + spare), Bus.AXI) for spare in range(LAYERS)]
    assert len({plan.interval for plan in plans}) == 1
    assert [plan.dsp for plan in plans] == list(range(LAYERS, 2 * LAYERS))
    in_logic = [sum(node.folding.rescale_in_logic for node in plan.nodes) for plan in plans]
    assert in_logic == list(range(LAYERS, 0, -1))
    costs = [total_cost(plan) for plan in plans]
    assert costs == sorted(costs, reverse=True)


def test_such_a_plan_is_exact_and_as_fast_as_it_says() -> None:
    target = Target(dsp=LAYERS + 2)
    plan = make_plan(EQUAL_LAYERS, target)
    assert len({node.folding.rescale_in_logic for node in plan.nodes}) == 2
    inputs = random_inputs(EQUAL_LAYERS, 20, seed=1)
    outcome = bl.verify(EQUAL_LAYERS, inputs, ["numpy", "pyrtl"], target=target)
    assert outcome.equal
    cycles = outcome.executors[1].cycles
    assert cycles is not None
    assert cycles.interval == plan.interval
