"""Graph and target to plan: which folding each node gets, and how streams enter and leave."""

from bitloom.plan.boards import BOARDS, Board, board_named
from bitloom.plan.plan import Bus, NodePlan, Plan, Port
from bitloom.plan.planner import make_plan
from bitloom.plan.target import Target

__all__ = ["BOARDS", "Board", "Bus", "NodePlan", "Plan", "Port", "Target", "board_named", "make_plan"]
