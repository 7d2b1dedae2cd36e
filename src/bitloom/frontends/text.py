"""The text form of a graph as a file: what ``bitloom show --full`` prints."""

from __future__ import annotations

import re

import bitloom.ops  # noqa: F401 - registers the operators that the text names
from bitloom.errors import GraphError, ModelFormatError
from bitloom.frontends.model import Model
from bitloom.ir import parse_graph

# Comments and blank lines may stand in front of the graph.
_START = re.compile(rb'(?:\s|//[^\n]*\n)*graph\s*"')


def is_graph_text(content: bytes) -> bool:
    """Whether the content begins as the text form of a graph does."""
    return _START.match(content.removeprefix(b"\xef\xbb\xbf")) is not None


def load_graph_text(content: bytes, name: str, where: str | None = None) -> Model:
    """Read a graph from its text form, which must hold its constants.

    Args:
        content: of the file, UTF-8.
        name: of the model, for reports; the graph's own name stands in the text.
        where: the file, for messages; the name if not given.

    Raises:
        ModelFormatError: the text is not UTF-8.
        GraphError: the text does not parse, gives only digests of constants, or is not a well-formed graph.
    """
    place = where or name
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"the text is not UTF-8 (byte {error.start})", where=place) from error
    try:
        return Model(parse_graph(text, name=place), name)
    except GraphError as error:
        if not error.what.startswith("the text gives only the digest"):
            raise
        remedy = "write the text with its constants (bitloom show --full)"
        raise GraphError(error.what, where=error.where, remedy=remedy) from error
