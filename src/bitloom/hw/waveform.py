"""Waveforms as text: what a simulation's wires did, cycle by cycle."""

from __future__ import annotations

import copy
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyrtl
from pyrtl.simulation import AsciiRendererConstants, Utf8BasicRendererConstants, WaveRenderer


def render_waveform(
    trace: Any,
    signals: Sequence[str],
    formats: Mapping[str, Callable[[int], str]] | None = None,
    *,
    signed: bool = False,
    ascii_only: bool = False,
    columns: int | None = None,
) -> str:
    """Draw named signals of a trace, without terminal escape codes.

    Args:
        trace: a ``pyrtl.SimulationTrace``.
        signals: names, from top to bottom.
        formats: how to write the values of some signals; the others are decimal, zero as a line.
        signed: whether the others are two's complement.
        ascii_only: draw with ASCII characters, for terminals without UTF-8.
        columns: break the drawing into pieces of at most this width, one below the other; None never does.

    Returns:
        Lines, each ending in a newline.

    >>> pyrtl.reset_working_block()
    >>> counter = pyrtl.Register(3, "counter")
    >>> counter.next <<= counter + 1
    >>> simulation = pyrtl.Simulation()
    >>> simulation.step_multiple(nsteps=5)
    >>> print(render_waveform(simulation.tracer, ["counter"], ascii_only=True, columns=14), end="")
           |0|1|2
    <BLANKLINE>
    counter -|1|2
           |3|4
    <BLANKLINE>
    counter 3|4
    """
    constants = AsciiRendererConstants() if ascii_only else Utf8BasicRendererConstants()
    draw = functools.partial(
        _draw,
        signals=list(signals),
        constants=constants,
        number=pyrtl.val_to_signed_integer if signed else int,
        formats=dict(formats or {}),
    )
    lines = draw({name: trace.trace[name] for name in signals}, trace, None)
    if columns is not None:
        lines = _pieces(lines[0], constants._tick, columns, draw, trace, signals)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _draw(
    values: Mapping[str, Sequence[int]],
    trace: Any,
    symbol_columns: int | None,
    *,
    signals: list[str],
    constants: Any,
    number: Callable[..., int],
    formats: dict[str, Callable[[int], str]],
) -> list[str]:
    """Lines of the drawing of some cycles; the first is the ruler."""
    part = copy.copy(trace)
    part.trace = values
    text = io.StringIO()
    # Not `render_trace`, which draws into the page instead of the file when it runs in a notebook.
    part.render_trace_to_text(
        trace_list=signals,
        file=text,
        renderer=WaveRenderer(constants),
        symbol_len=symbol_columns,
        repr_func=number,
        repr_per_name=formats,
        segment_size=1,
    )
    return text.getvalue().splitlines()


def _pieces(
    ruler: str, tick: str, columns: int, draw: Callable[..., list[str]], trace: Any, signals: Sequence[str]
) -> list[str]:
    """The drawing of as many cycles as fit, then of the next, each piece with names, ruler and values of its own."""
    ticks = [position for position, character in enumerate(ruler) if character == tick]
    cycle = ticks[1] - ticks[0] if len(ticks) > 1 else len(ruler) - ticks[0]
    step = max(1, (columns - ticks[0]) // cycle)
    lines: list[str] = []
    for start in range(0, len(ticks), step):
        count = min(step, len(ticks) - start)
        piece = draw({name: trace.trace[name][start : start + count] for name in signals}, trace, cycle - 1)
        numbers = "".join(f"{tick}{number}".ljust(cycle) for number in range(start, start + count))
        lines += [" " * ticks[0] + numbers, *piece[1:]]
    return lines
