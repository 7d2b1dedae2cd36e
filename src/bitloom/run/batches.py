"""Running an executor piece by piece, so that long runs can show how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bitloom.errors import UsageError
from bitloom.ir.operator import Array
from bitloom.run.executor import Executor
from bitloom.run.result import Cycles, RunResult

# Without a batch size: two inferences first, which is enough to see an interval, then as many as take so long.
_FIRST_BATCH = 2
_BATCH_SECONDS = 0.5
_GROWTH = 8


def run_batches(
    executor: Executor, inputs: Mapping[str, Array], batch_size: int | None = None
) -> Iterator[tuple[int, RunResult]]:
    """Run inferences in batches, the last of which may be partial.

    Args:
        executor: to run.
        inputs: for each graph input an array of shape (inferences, *shape).
        batch_size: inferences handed over at a time; None chooses by the speed seen so far.

    Yields:
        The number of the batch's first inference, and its result.

    Raises:
        UsageError: a batch size below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}", remedy="give at least 1")
    inferences = max((len(array) for array in inputs.values()), default=0)
    start, size = 0, batch_size or _FIRST_BATCH
    while start < inferences:
        result = executor.run({name: array[start : start + size] for name, array in inputs.items()})
        yield start, result
        start += size
        if batch_size is None:
            wanted = int(result.inferences_per_second * _BATCH_SECONDS)
            size = min(max(wanted, size), size * _GROWTH)


def joined(results: Sequence[RunResult]) -> RunResult:
    """The results of consecutive batches as one.

    Cycles: the first batch's latency, which finds the circuit empty, and the largest batch's interval.

    Raises:
        UsageError: there are no results.
    """
    if not results:
        raise UsageError("no batches to join")
    if len(results) == 1:
        return results[0]
    first = results[0]
    timed = [(result.inferences, result.cycles) for result in results if result.cycles]
    cycles = None
    if timed and first.cycles:
        cycles = Cycles(first.cycles.latency, max(timed, key=lambda pair: pair[0])[1].interval)
    return RunResult(
        executor=first.executor,
        tensors={name: np.concatenate([result.tensors[name] for result in results]) for name in first.tensors},
        seconds=sum(result.seconds for result in results),
        setup_seconds=first.setup_seconds,
        cycles=cycles,
    )
