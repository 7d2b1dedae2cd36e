"""The quantizer: a float graph and samples in, an integer graph out, through steps that each stand alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from bitloom.errors import UnsupportedError, UsageError
from bitloom.ir import Graph
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.quantize.activations import assign_types, names_of_layers
from bitloom.quantize.adaptive_rounding import round_adaptively
from bitloom.quantize.bias_correction import correct_biases
from bitloom.quantize.calibration import calibration_inputs, collect_statistics
from bitloom.quantize.equalize import equalize
from bitloom.quantize.lower import lower
from bitloom.quantize.moments import collect_moments
from bitloom.quantize.options import QuantizeOptions, Widths
from bitloom.quantize.prepare import prepare
from bitloom.quantize.rules import check_support
from bitloom.quantize.sensitivity import CANDIDATES, Sensitivity, choose_widths, measure_sensitivity
from bitloom.quantize.state import State
from bitloom.quantize.weights import quantize_weights

Progress = Callable[[str, int, int], None]
"""Called with the step's name, what is done and how much there is."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: for progress and messages.
        apply: from state to state.
        wanted: whether options ask for it.
    """

    name: str
    apply: Callable[[State, Progress], State]
    wanted: Callable[[QuantizeOptions], bool] = lambda _: True


def _prepare(state: State, _: Progress) -> State:
    graph = prepare(state.graph)
    check_support(graph)
    for name in graph.outputs:
        if graph.producer(name) is None:
            raise UnsupportedError(
                f"the output '{name}' is {'an input' if name in graph.inputs else 'a constant'}: nothing is computed",
                where=f"float graph '{graph.name}'",
                remedy="leave that output out",
            )
    unknown = set(state.options.layers) - set(names_of_layers(graph))
    if unknown:
        raise UsageError(
            f"there is no layer '{min(unknown)}' to give widths to",
            remedy=f"name one of {', '.join(names_of_layers(graph))}",
        )
    return replace(state, graph=graph)


def _calibrate(state: State, progress: Progress) -> State:
    histograms = state.options.ranges != "min-max"
    told = partial(progress, "calibrating")
    found = collect_statistics(state.graph, state.inputs, histograms=histograms, progress=told)
    return replace(state, statistics=found)


def _choose_ranges(state: State, _: Progress) -> State:
    return replace(state, activations=assign_types(state.graph, state.statistics, state.options))


def _quantize_weights(state: State, _: Progress) -> State:
    return replace(state, weights=quantize_weights(state.graph, state.chosen, state.options))


def _equalize(state: State, _: Progress) -> State:
    return replace(state, graph=equalize(state.graph))


def _choose_widths(state: State, progress: Progress) -> State:
    told = partial(progress, "choosing widths")
    found = measured(state, told)
    average = state.options.average_weight_bits
    assert average is not None, "the step is wanted where there is one"
    given = state.options.layers
    free = [each for each in found if each.layer not in given]
    layers = {
        name: Widths(bits, state.options.widths.activations) for name, bits in choose_widths(free, average).items()
    }
    return replace(state, options=replace(state.options, layers={**layers, **given}))


def measured(state: State, progress: Callable[[int, int], None] | None = None) -> tuple[Sensitivity, ...]:
    """The sensitivity of every layer of a calibrated network."""
    by_bits = {}
    for bits in CANDIDATES:
        options = replace(state.options, widths=Widths(8, bits), layers={})
        by_bits[bits] = assign_types(state.graph, state.statistics, options)
    return measure_sensitivity(state.graph, by_bits, state.inputs, state.options, progress=progress)


def _refine(state: State, progress: Progress) -> State:
    options, graph, weights = state.options, state.graph, state.weights
    adaptive = options.refines(options.adaptive_rounding)
    told = partial(progress, "refining")
    moments = collect_moments(graph, state.chosen, state.inputs, second=adaptive, progress=told)
    if adaptive:
        weights = round_adaptively(graph, weights, moments)
    if options.refines(options.bias_correction):
        graph = correct_biases(graph, weights, moments)
    return replace(state, graph=graph, weights=weights)


def _refinement_wanted(options: QuantizeOptions) -> bool:
    return options.refines(options.adaptive_rounding) or options.refines(options.bias_correction)


def _lower(state: State, _: Progress) -> State:
    return replace(state, integers=lower(state.graph, state.chosen, state.weights, float_io=state.options.float_io))


STEPS: tuple[Step, ...] = (
    Step("preparing", _prepare),
    Step("equalizing", _equalize, lambda options: options.equalize),
    Step("calibrating", _calibrate),
    Step("choosing widths", _choose_widths, lambda options: options.average_weight_bits is not None),
    Step("choosing ranges", _choose_ranges),
    Step("quantizing weights", _quantize_weights),
    Step("refining", _refine, _refinement_wanted),
    Step("lowering", _lower),
)
"""In order. A step that changes the float network stands in front of calibration, one that changes ranges, weights or
biases behind the step that makes them."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """What quantizing gives.

    Attributes:
        graph: the integer graph.
        state: everything that was decided on the way: the prepared float graph, statistics, types, weights.
    """

    graph: Graph
    state: State


def quantize(
    graph: FloatGraph,
    data: Array | Mapping[str, Array],
    options: QuantizeOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Quantized:
    """Make an integer graph of a float one.

    Args:
        graph: from a float front end.
        data: calibration samples, see `bitloom.quantize.calibration.calibration_inputs`.
        options: the defaults if None: 8 bits, weights per channel, ranges of least squared error.
        progress: told how far the work is.

    Raises:
        InputError: the calibration data are missing, do not fit, or are not finite.
        QuantizeError: a dead channel, a tensor that is not finite.
        UnsupportedError: an operator, or operands, that cannot be quantized.
        UsageError: widths for a layer that does not exist.
    """
    state = State(graph, options or QuantizeOptions(), calibration_inputs(graph, data))
    told = progress or _silent
    for step in STEPS:
        if step.wanted(state.options):
            told(step.name, 0, 1)
            state = step.apply(state, told)
    assert state.integers is not None, "the last step makes it"
    return Quantized(state.integers, state)


def _silent(_: str, __: int, ___: int) -> None:
    """Progress nobody sees."""
