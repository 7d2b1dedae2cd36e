"""What every reader of ONNX files does with a node that fails, and with the graph at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import MappingProxyType

from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.model import Model, OnnxSource
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.file import OnnxFile, OnnxNode
from bitloom.ir import Graph


@contextlib.contextmanager
def located(node: OnnxNode) -> Iterator[None]:
    """Errors inside name the node.

    Raises:
        UnsupportedError: the node uses something that is not supported.
        ModelFormatError: anything else that is wrong with it.
    """
    try:
        yield
    except BitloomError as error:
        kind = UnsupportedError if isinstance(error, UnsupportedError) else ModelFormatError
        what = error.what if error.where in (None, node.where) else f"{error.where}: {error.what}"
        raise kind(what, where=node.where, remedy=error.remedy) from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        # A file can hold attributes and operands that no operator foresees.
        raise ModelFormatError(f"makes no sense: {error}", where=node.where) from error


def finished(
    builder: GraphBuilder,
    file: OnnxFile,
    outputs: Sequence[str],
    content: bytes,
    name: str,
    where: str,
    *,
    judge: str = "onnxruntime",
) -> Model:
    """The model of a file whose nodes have all been read.

    Args:
        builder: with everything the graph has.
        file: whose inputs they are.
        outputs: names of the values that are results.
        content: the file's bytes.
        name: of the graph.
        where: the file, for messages.
        judge: the executor that says what the file means.

    Raises:
        ModelFormatError: the nodes make no graph.
    """
    inputs = tuple(end.name for end in file.inputs)
    try:
        graph = Graph(name, inputs, tuple(outputs), tuple(builder.values.values()), tuple(builder.nodes))
    except BitloomError as error:
        raise ModelFormatError(error.what, where=f"{where}: {error.where or ''}") from error
    views = {key: view for key, view in builder.views.items() if key not in inputs}
    return Model(graph, name, onnx=OnnxSource(content, MappingProxyType(views), judge))
