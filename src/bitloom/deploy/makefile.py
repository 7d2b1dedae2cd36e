"""Targets of a build's Makefile that synthesise the design without bitloom."""

from __future__ import annotations

from bitloom.deploy.flows import FAMILIES, yosys_script

_HEAD = """
# Synthesises {top}.v with Yosys and shows what it takes: {targets}.
YOSYS ?= yosys

.PHONY: {targets}
"""

_RULE = """
synth-{family}: {top}.v
	$(YOSYS) -q -l $@.log -p "{script}; stat"
	@tail -n 50 $@.log
"""


def synthesis_targets(top: str) -> str:
    """Lines to append to a Makefile.

    Args:
        top: name of the top module.
    """
    targets = " ".join(f"synth-{family}" for family in FAMILIES)
    rules = [_RULE.format(top=top, family=family, script=yosys_script(family, top)) for family in FAMILIES]
    return "".join([_HEAD.format(top=top, targets=targets), *rules])
