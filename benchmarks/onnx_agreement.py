"""How often ONNX Runtime's binary32 rounds otherwise than the integer graph: elements of quantized ONNX models.

    python -m benchmarks.onnx_agreement MODEL.onnx MODEL.tflite ... [--inferences 1000]

Models of other formats are exported first, and compared with the file that is written.

For each model, over random inputs: elements that differ from end to end, elements that differ where every operator is
given what ONNX Runtime computed in front of it, the largest differences in units of the integers, and inferences whose
argmax differs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import bitloom as bl
from bitloom.export.onnx import as_onnx_model
from bitloom.frontends import Model
from bitloom.ir.operator import Array
from bitloom.run.executor import create_executor

_PART = 100


@dataclass
class Count:
    """Elements compared, those that differ, and by how much at most."""

    elements: int = 0
    apart: int = 0
    largest: int = 0

    def compare(self, expected: Array, found: Array) -> None:
        """Two integer tensors."""
        difference = np.abs(expected.astype(np.int64) - found.astype(np.int64))
        self.elements += difference.size
        self.apart += int(np.count_nonzero(difference))
        self.largest = max(self.largest, int(difference.max()))

    def __str__(self) -> str:
        return f"{self.apart:,} of {self.elements:,} ({self.apart / self.elements:.4%}), by at most {self.largest}"


def measure(model: Model, inferences: int) -> tuple[Count, Count, int]:
    """End to end, operator by operator, and inferences whose argmax differs."""
    whole, single, classes = Count(), Count(), 0
    executors = {name: create_executor(name, model) for name in ("onnxruntime", "numpy")}
    inputs = bl.random_inputs(model, inferences)
    graph = model.graph
    for start in range(0, inferences, _PART):
        part = {name: array[start : start + _PART] for name, array in inputs.items()}
        judged, found = (executor.run(part).tensors for executor in executors.values())
        ends = [tensors[graph.outputs[0]].argmax(axis=-1) for tensors in (judged, found)]
        classes += int(np.count_nonzero(ends[0] != ends[1]))
        known = {**part, **judged}
        for node in graph.nodes:
            name = node.outputs[0]
            operands = [known[value.name] if value.data is None else value.data for value in graph.operands(node)]
            result = node.operator.evaluate(operands)[0]
            if name not in judged:
                # What one operator of the file has become may be several here.
                known[name] = result
            elif judged[name].dtype.kind != "f":
                whole.compare(judged[name], found[name])
                single.compare(judged[name], result)
    return whole, single, classes


def main() -> None:
    """Measure the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--inferences", type=int, default=1000)
    arguments = parser.parse_args()
    for path in arguments.models:
        model = bl.load(path)
        whole, single, classes = measure(model if model.onnx else as_onnx_model(model.graph), arguments.inferences)
        print(f"{path.name}\n  end to end:           {whole}\n  operator by operator: {single}\n  argmax:  {classes}")


if __name__ == "__main__":
    main()
