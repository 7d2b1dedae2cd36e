"""Float graphs computed by LiteRT: what calibration sees, and what quantized networks are compared with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from bitloom.errors import ExecutionError, InputError
from bitloom.export.flatbuffer import ABSENT, OperatorSpec, TensorSpec, write_model
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.run.litert import open_interpreter, quiet_stderr

Progress = Callable[[int, int], None]
"""Called with the samples done and how many there are."""

_CHUNK_ELEMENTS = 1 << 22
_LARGEST_CHUNK = 256
# One kernel refuses to go without bias, the other one crashes; and the axis of weights along which biases lie.
_BIAS_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}


def float_graph_to_tflite(graph: FloatGraph) -> tuple[bytes, Mapping[str, int]]:
    """A float graph as a TFLite file, and the index of each of its tensors there.

    Raises:
        ExportError: an operator or an attribute that TFLite does not have.
    """
    indices = {tensor.name: index for index, tensor in enumerate(graph.tensors)}
    specs = [TensorSpec(tensor.name, tensor.shape, tensor.dtype, data=tensor.data) for tensor in graph.tensors]
    operators = []
    for node in graph.nodes:
        operands = [ABSENT if name is None else indices[name] for name in node.inputs]
        if node.kind in _BIAS_AXES and operands[2:] in ([], [ABSENT]):
            zeros = np.zeros(graph.tensor(node.read[1]).shape[_BIAS_AXES[node.kind]], np.float32)
            operands[2:] = [len(specs)]
            specs.append(TensorSpec(f"{node.outputs[0]}/no_bias", zeros.shape, "float32", data=zeros))
        made = tuple(indices[name] for name in node.outputs)
        operators.append(OperatorSpec(node.kind, tuple(operands), made, dict(node.attributes)))
    inputs, outputs = ([indices[name] for name in names] for names in (graph.inputs, graph.outputs))
    return write_model(specs, operators, inputs, outputs, description=graph.name), indices


class FloatEvaluator:
    """One interpreter of a float graph, which computes every tensor of one inference after the other.

    Its kernels are LiteRT's optimised ones: between machines, sums differ in the last bits.

    Args:
        graph: to compute.

    Raises:
        ExecutionError: LiteRT refuses the graph.
    """

    def __init__(self, graph: FloatGraph) -> None:
        self.graph = graph
        content, indices = float_graph_to_tflite(graph)
        self._indices = {name: indices[name] for name in graph.computed}
        self._interpreter = open_interpreter(content, graph.name, "optimised")
        try:
            with quiet_stderr():
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ExecutionError(f"LiteRT refuses the float model: {error}", where=f"'{graph.name}'") from error
        elements = sum(int(np.prod(graph.tensor(name).shape)) for name in self._indices)
        self._chunk = max(1, min(_LARGEST_CHUNK, _CHUNK_ELEMENTS // max(1, elements)))

    def run(
        self, inputs: Mapping[str, Array], progress: Progress | None = None, *, wanted: Collection[str] | None = None
    ) -> dict[str, Array]:
        """Inputs and computed tensors, each of shape (samples, *shape).

        Args:
            inputs: for each input name an array of shape (samples, *shape).
            progress: told of the samples done.
            wanted: names of tensors; all if None.

        Raises:
            InputError: an input is missing or has another shape.
        """
        names = self._indices.keys() if wanted is None else wanted
        parts = [{name: part[name] for name in names} for part in self.chunks(inputs, progress)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def chunks(self, inputs: Mapping[str, Array], progress: Progress | None = None) -> Iterator[dict[str, Array]]:
        """As `run`, some samples at a time, so that memory does not grow with their number."""
        arrays = {name: _checked(self.graph, name, inputs) for name in self.graph.inputs}
        total = len(next(iter(arrays.values()))) if arrays else 1
        for start in range(0, total, self._chunk):
            count = min(self._chunk, total - start)
            yield self._chunk_of({name: array[start : start + count] for name, array in arrays.items()}, count)
            if progress is not None:
                progress(start + count, total)

    def _chunk_of(self, inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        made = {
            name: np.empty((count, *self.graph.tensor(name).shape), self.graph.tensor(name).dtype)
            for name in self._indices
        }
        try:
            for sample in range(count):
                for name, array in inputs.items():
                    self._interpreter.set_tensor(self._indices[name], array[sample])
                self._interpreter.invoke()
                for name, index in self._indices.items():
                    result = self._interpreter.get_tensor(index)
                    expected = made[name].shape[1:]
                    if result.shape != expected:
                        raise ExecutionError(
                            f"LiteRT makes shape {list(result.shape)}, the float graph says {list(expected)}",
                            where=f"'{self.graph.name}', tensor '{name}'",
                        )
                    made[name][sample] = result
        except (RuntimeError, ValueError) as error:
            raise ExecutionError(f"LiteRT failed: {error}", where=f"'{self.graph.name}'") from error
        return made


def evaluate_float(
    graph: FloatGraph, inputs: Mapping[str, Array], progress: Progress | None = None
) -> dict[str, Array]:
    """Every tensor of a float graph; see `FloatEvaluator.run`.

    >>> from bitloom.ir.float_graph import FloatNode, FloatTensor
    >>> relu = FloatNode("RELU", ("x",), ("y",))
    >>> graph = FloatGraph("net", ("x",), ("y",), (FloatTensor("x", (1, 3)), FloatTensor("y", (1, 3))), (relu,))
    >>> evaluate_float(graph, {"x": np.array([[[-1.0, 0.5, 2.0]]], np.float32)})["y"].tolist()
    [[[0.0, 0.5, 2.0]]]
    """
    return FloatEvaluator(graph).run(inputs, progress)


def _checked(graph: FloatGraph, name: str, inputs: Mapping[str, Array]) -> Array:
    tensor = graph.tensor(name)
    if name not in inputs:
        raise InputError(f"input '{name}' is missing", remedy=f"needed: {', '.join(graph.inputs)}")
    array = np.asarray(inputs[name])
    if array.shape[1:] != tensor.shape or not len(array):
        needed = ", ".join(["samples", *map(str, tensor.shape)])
        raise InputError(f"has shape {list(array.shape)}, and [{needed}] is needed", where=f"input '{name}'")
    return array.astype(tensor.dtype, copy=False)
