"""Comparing executors: every tensor that a node makes, element by element, by equality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitloom.errors import UsageError
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.ir.operator import Array
from bitloom.run.batches import joined, run_batches
from bitloom.run.executor import EXECUTORS, ExecutorOptions, create_executor, default_executors
from bitloom.run.inputs import arrange_inputs
from bitloom.run.result import Cycles, RunResult

JUDGES = ("litert", "onnxruntime", "onnx-reference", "numpy")
"""The executors that others are compared with, where they take part: the first of these, else the first given."""

Progress = Callable[[str, int, int], None]
"""Called with an executor's name, the inferences it has done, and all there are: 0 before it is made."""


@dataclass(frozen=True)
class ElementDifference:
    """An element that two executors computed differently.

    Attributes:
        inference: its number among the inputs.
        index: of the element in the tensor of one inference.
        expected: what the judge computed.
        found: what the other computed.
    """

    inference: int
    index: tuple[int, ...]
    expected: float
    found: float


@dataclass(frozen=True)
class Difference:
    """One tensor of one executor against the judge's.

    Attributes:
        mismatches: elements that are not equal.
        largest: the largest absolute difference of two elements, in units of the tensor's integers; 0 if equal.
        first: the first element that is not equal.
    """

    mismatches: int
    largest: float = 0
    first: ElementDifference | None = None


@dataclass(frozen=True)
class ExecutorReport:
    """How one executor fared.

    Attributes:
        name: of the executor.
        inferences: that it computed.
        seconds: spent computing them.
        setup_seconds: spent once: building, compiling, loading.
        cycles: of a circuit; None for software.
    """

    name: str
    inferences: int
    seconds: float
    setup_seconds: float
    cycles: Cycles | None

    @property
    def inferences_per_second(self) -> float:
        """Of the computing alone; 0 if it took no measurable time."""
        return self.inferences / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class TensorReport:
    """One tensor, as every executor computed it.

    Attributes:
        name: of the tensor.
        operator: that makes it.
        shape: of one inference.
        elements: compared: those of one inference times the inferences.
        differences: for each executor that shows the tensor, the judge included.
    """

    name: str
    operator: str
    shape: tuple[int, ...]
    elements: int
    differences: Mapping[str, Difference]

    @property
    def equal(self) -> bool:
        """Whether every executor that shows it agrees with the judge."""
        return not any(difference.mismatches for difference in self.differences.values())


@dataclass(frozen=True)
class Verification:
    """The outcome of running several executors on the same inputs.

    Attributes:
        model: its name.
        judge: the executor the others are compared with.
        inferences: compared.
        stalls: whether the producers and consumers of circuits stalled at random.
        executors: one report for each, in the order asked for.
        tensors: one report for each tensor that a node makes, in the order they are made.
    """

    model: str
    judge: str
    inferences: int
    stalls: bool
    executors: tuple[ExecutorReport, ...]
    tensors: tuple[TensorReport, ...]

    @property
    def equal(self) -> bool:
        """Whether every executor computed every element of every tensor as the judge did."""
        return all(tensor.equal for tensor in self.tensors)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; cycles are null for software and where they were not seen."""
        return {
            "model": self.model,
            "equal": self.equal,
            "judge": self.judge,
            "inferences": self.inferences,
            "stalls": self.stalls,
            "executors": {report.name: _executor_json(report) for report in self.executors},
            "tensors": [_tensor_json(tensor) for tensor in self.tensors],
        }


def _executor_json(report: ExecutorReport) -> dict[str, Any]:
    return {
        "seconds": report.seconds,
        "setup_seconds": report.setup_seconds,
        "inferences_per_second": report.inferences_per_second,
        "latency_cycles": report.cycles.latency if report.cycles else None,
        "interval_cycles": report.cycles.interval if report.cycles else None,
    }


def _tensor_json(tensor: TensorReport) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "operator": tensor.operator,
        "shape": list(tensor.shape),
        "elements": tensor.elements,
        "mismatches": {name: difference.mismatches for name, difference in tensor.differences.items()},
        "largest_difference": {name: difference.largest for name, difference in tensor.differences.items()},
    }


def verify(
    model: Model,
    inputs: Array | Mapping[str, Array],
    executors: Sequence[str] | None = None,
    options: ExecutorOptions | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Run executors on the same inputs and compare every tensor.

    Args:
        model: to compute.
        inputs: see `bitloom.run.inputs.arrange_inputs`.
        executors: at least two different ones of `EXECUTORS`; those of `default_executors` if None.
        options: for all of them.
        progress: called before an executor is made and after every batch.

    Raises:
        UsageError: fewer than two executors, one twice, or one that does not exist.
        InputError: the inputs do not fit the model.
        BitloomError: an executor cannot be made for this model or on this machine, or fails.
    """
    executors = default_executors(model) if executors is None else executors
    check_executors(executors)
    chosen = options or ExecutorOptions()
    arrays = arrange_inputs(model.graph, inputs)
    results = {name: _run(name, model, arrays, chosen, progress) for name in executors}
    return compare(model, results, stalls=chosen.stalls)


def check_executors(names: Sequence[str]) -> None:
    """Check a choice of executors to compare.

    Raises:
        UsageError: fewer than two, one twice, or one that does not exist.
    """
    known = ", ".join(EXECUTORS)
    for name in names:
        if name not in EXECUTORS:
            raise UsageError(f"there is no executor '{name}'", remedy=f"choose from {known}")
    if len(set(names)) != len(names):
        raise UsageError(f"an executor is named twice in {', '.join(names)}")
    if len(names) < 2:
        raise UsageError(f"comparing takes two executors or more, not {len(names)}", remedy=f"choose from {known}")


def _run(
    name: str, model: Model, inputs: Mapping[str, Array], options: ExecutorOptions, progress: Progress | None
) -> RunResult:
    inferences = len(next(iter(inputs.values())))
    if progress is None:
        return create_executor(name, model, options).run(inputs)
    progress(name, 0, inferences)
    results = []
    for start, result in run_batches(create_executor(name, model, options), inputs, options.batch_size):
        results.append(result)
        progress(name, start + result.inferences, inferences)
    return joined(results)


def compare(model: Model, results: Mapping[str, RunResult], *, stalls: bool = False) -> Verification:
    """Compare results of the same inferences.

    A tensor that an executor does not show (LiteRT's default kernels keep only the model's outputs) is not compared
    with it; the judge shows every tensor that any other shows, or there is nothing to compare that tensor with.

    Args:
        model: that was computed.
        results: by executor, all of the same number of inferences.
        stalls: whether circuits were made to stall.

    Raises:
        UsageError: no results, or of different numbers of inferences.
    """
    inferences = {result.inferences for result in results.values()}
    if len(inferences) != 1:
        raise UsageError(f"results of the same inferences are needed, not of {sorted(inferences)}")
    judge = judge_of(results)
    return Verification(
        model=model.name,
        judge=judge,
        inferences=inferences.pop(),
        stalls=stalls,
        executors=tuple(
            ExecutorReport(name, result.inferences, result.seconds, result.setup_seconds, result.cycles)
            for name, result in results.items()
        ),
        tensors=tuple(_tensor_report(model.graph, name, judge, results) for name in model.graph.computed),
    )


def judge_of(names: Iterable[str]) -> str:
    """The executor that the others are compared with: the first of `JUDGES` that takes part, else the first."""
    taking_part = list(names)
    return next((name for name in JUDGES if name in taking_part), taking_part[0])


def _tensor_report(graph: Graph, name: str, judge: str, results: Mapping[str, RunResult]) -> TensorReport:
    shown = {executor: result.tensors[name] for executor, result in results.items() if name in result.tensors}
    # A judge that does not show a tensor leaves its office, for that tensor, to the next that does.
    expected = shown.get(judge, next(iter(shown.values()), None))
    producer = graph.producer(name)
    shape = graph.type(name).shape
    return TensorReport(
        name=name,
        operator=producer.operator.name if producer else "",
        shape=shape,
        elements=0 if expected is None else expected.size,
        differences={}
        if expected is None
        else {executor: difference(expected, found) for executor, found in shown.items()},
    )


def difference(expected: Array, found: Array) -> Difference:
    """Compare two arrays of shape (inferences, *shape) element by element.

    Values are compared, not types; a NaN equals a NaN.

    Raises:
        UsageError: the shapes are different.

    >>> difference(np.array([[1, 2]]), np.array([[1, 5]]))
    Difference(mismatches=1, largest=3, first=ElementDifference(inference=0, index=(1,), expected=2, found=5))
    """
    if expected.shape != found.shape:
        raise UsageError(f"arrays of shape {list(expected.shape)} and {list(found.shape)} cannot be compared")
    unequal = expected != found
    if expected.dtype.kind == "f":
        unequal &= ~(np.isnan(expected) & np.isnan(found))
    mismatches = int(np.count_nonzero(unequal))
    if not mismatches:
        return Difference(0)
    wide = np.float64 if "f" in (expected.dtype.kind, found.dtype.kind) else np.int64
    left, right = expected[unequal].astype(wide), found[unequal].astype(wide)
    position = tuple(int(axis[0]) for axis in np.nonzero(unequal))
    first = ElementDifference(position[0], position[1:], left[0].item(), right[0].item())
    with np.errstate(invalid="ignore"):
        largest = np.abs(left - right).max().item()
    return Difference(mismatches, math.inf if math.isnan(largest) else largest, first)
