"""What tests of the planner share."""

from __future__ import annotations

import re

from bitloom.errors import BitloomError
from bitloom.plan import Plan, Target
from bitloom.plan.options import Prices


def total_cost(plan: Plan) -> int:
    """What the planner makes small for a given interval."""
    return sum(Prices().cost(node.estimate) for node in plan.nodes)


def remedied(error: BitloomError) -> Target:
    """The target that an error's remedy proposes."""
    if found := re.fullmatch(r"the smallest possible over this bus is (\d+)", error.remedy):
        return Target(interval=int(found[1]))
    found = re.fullmatch(r"allow (\d+)", error.remedy)
    assert found, error.remedy
    return Target(dsp=int(found[1]))
