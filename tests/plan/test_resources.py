"""Boards as limits: a design that does not fit says of what there is too little and how much is needed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from models import dense_network

from bitloom.errors import PlanError
from bitloom.plan import BOARDS, Bus, Target, make_plan
from bitloom.plan.resources import shortages

BOARD = BOARDS[0]
GRAPH = dense_network([64, 40, 30, 10], 5)


def test_what_fits_lacks_nothing() -> None:
    plan = make_plan(GRAPH, Target(board=BOARD))
    assert shortages(plan, BOARD) == []
    assert shortages(plan, None) == []
    assert plan.dsp <= BOARD.dsp
    assert plan.ram_blocks <= BOARD.ram_blocks
    assert plan.logic <= BOARD.lut


@pytest.mark.parametrize(
    ("resource", "limits"),
    [
        ("multipliers", {"dsp": 3}),
        ("look-up tables", {"lut": 500}),
        ("block memories of 18 kbit", {"bram": 0}),
    ],
)
def test_each_resource_is_counted(resource: str, limits: dict[str, int]) -> None:
    plan = make_plan(GRAPH, Target(interval=700))
    small = replace(BOARD, **limits)
    found = shortages(plan, small)
    assert [shortage.resource for shortage in found] == [resource]
    assert found[0].needed > found[0].available
    assert re.fullmatch(rf"[\d,]+ {resource} where there are [\d,]+", str(found[0]))


def test_a_board_that_is_too_small_says_what_is_lacking() -> None:
    small = replace(BOARD, lut=300)
    with pytest.raises(
        PlanError, match=r"on pynq-z2: takes [\d,]+ look-up tables where there are 300; choose a larger"
    ):
        make_plan(GRAPH, Target(board=small))


def test_an_interval_beyond_a_board_says_which_would_fit() -> None:
    small = replace(BOARD, dsp=20)
    with pytest.raises(
        PlanError, match=r"an interval of 20 cycles takes [\d,]+ multipliers where there are 20"
    ) as found:
        make_plan(GRAPH, Target(interval=20, board=small), Bus.STREAM)
    fits = int(re.search(r"the smallest interval that fits is (\d+)$", str(found.value))[1])
    assert make_plan(GRAPH, Target(interval=fits, board=small), Bus.STREAM).dsp <= 20
    with pytest.raises(PlanError):
        make_plan(GRAPH, Target(interval=fits - 1, board=small), Bus.STREAM)


def test_logic_is_taken_where_multipliers_are_short_and_the_other_way_round() -> None:
    free = make_plan(GRAPH, Target(interval=200))
    tight = make_plan(GRAPH, Target(interval=200, board=replace(BOARD, lut=free.logic - 1)))
    assert tight.logic < free.logic
    assert tight.dsp >= free.dsp


def test_no_limit_of_a_board_without_asking_for_one() -> None:
    assert Target(interval=10).limit is None
    assert Target(dsp=10).limit is None
    assert Target().limit is BOARD
    assert Target(interval=10, board=BOARDS[2]).limit is BOARDS[2]
    assert Target(dsp=1000, board=BOARDS[2]).dsp_limit == BOARDS[2].dsp
