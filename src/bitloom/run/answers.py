"""A classifier's answers: which class it says, and the scores it says it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import UsageError
from bitloom.ir import Graph
from bitloom.ir.operator import Array
from bitloom.ops.arg_max import ArgMax


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of each inference.

    Attributes:
        tensor: name of the tensor the scores are.
        scores: (inferences, classes), in the tensor's own dtype.
        classes: int64 (inferences,), the class of the highest score, the first of equal ones.
    """

    tensor: str
    scores: npt.NDArray[Any]
    classes: npt.NDArray[np.int64]


def answers(graph: Graph, tensors: Mapping[str, Array]) -> Answers:
    """The answers in a network's first output.

    An output of several elements holds scores. An output of one element that ARG_MAX makes is the class itself, and
    what ARG_MAX reads are the scores, if that tensor is shown. Any other single element stands for itself.

    Args:
        graph: that was computed.
        tensors: as a `RunResult` has them, each of shape (inferences, *shape).

    Raises:
        UsageError: the first output is not among the tensors, because no node makes it.
    """
    output = graph.outputs[0]
    if output not in tensors:
        raise UsageError(f"'{graph.name}' computes nothing: its output '{output}' is not made by any node")
    rows = tensors[output].reshape(len(tensors[output]), -1)
    if rows.shape[1] > 1:
        return Answers(output, rows, rows.argmax(axis=1))
    classes = rows[:, 0].astype(np.int64)
    producer = graph.producer(output)
    if producer is not None and isinstance(producer.operator, ArgMax) and producer.inputs[0] in tensors:
        scores = tensors[producer.inputs[0]]
        return Answers(producer.inputs[0], scores.reshape(len(scores), -1), classes)
    return Answers(output, rows, classes)
