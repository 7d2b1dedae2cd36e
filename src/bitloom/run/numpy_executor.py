"""The integer graph computed by NumPy: the definition that every other executor is compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.ir.operator import Array
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import RunResult

_CHUNK_BYTES = 1 << 25
# The widest intermediate of an element: int64.
_ELEMENT_BYTES = 8


class NumpyExecutor:
    """`Graph.evaluate` in chunks, so that memory beyond the result stays bounded whatever the number of inferences."""

    name = "numpy"

    def __init__(self, model: Model, options: ExecutorOptions) -> None:
        self.graph = model.graph
        self.chunk = options.batch_size or _chunk(model.graph)

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        """Compute every tensor; see `Executor.run`."""
        arrays = check_inputs(self.graph, inputs)
        inferences = len(next(iter(arrays.values())))
        start = time.perf_counter()
        tensors: dict[str, Array] = {}
        for name in self.graph.computed:
            made = self.graph.type(name)
            tensors[name] = np.empty((inferences, *made.shape), made.element.dtype)
        for first in range(0, inferences, self.chunk):
            part = slice(first, first + self.chunk)
            computed = self.graph.evaluate({name: array[part] for name, array in arrays.items()})
            for name, tensor in tensors.items():
                tensor[part] = computed[name]
        return RunResult(self.name, tensors, time.perf_counter() - start)


def _chunk(graph: Graph) -> int:
    """Inferences whose widest intermediates fit the budget together."""
    elements = sum(value.type.size for value in graph.values if not value.is_constant)
    return max(1, _CHUNK_BYTES // (_ELEMENT_BYTES * elements))
