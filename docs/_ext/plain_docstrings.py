"""Let Sphinx read the project's docstrings, which use some habits of plain text that reStructuredText lacks.

- diagrams and circuits between lines of three backquotes;
- tables of lines that begin and end with ``|``, the second line being ``|---|---|``;
- blocks set apart by indentation alone (a formula, a grammar), which reStructuredText would flow into a quotation;
- asterisks and trailing underscores in running text (``*shape``), which would begin emphasis or a reference.

All of them are rewritten before napoleon and the parser see them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

# Google-style sections, whose indented bodies are no literal blocks.
_SECTION = re.compile(
    r"(Args|Arguments|Attributes|Class attributes|Returns|Yields|Raises|Note|Notes|Example|Examples|Warning):\s*$"
)
_MARKUP = re.compile(r"(?<![\w*])\*(?=\w)|(?<=\w)_(?!\w)")
_PREFIX = r"~?(?:[a-z_]+\.)*"
_ARRAY_LIKE = re.compile(rf"{_PREFIX}_Buffer \| .*?_NestedSequence\[complex \| bytes \| str\]")
_ARRAY = re.compile(
    rf"{_PREFIX}ndarray\[tuple\[{_PREFIX}Any, \.\.\.\], {_PREFIX}dtype\[([~\w.]+(?:\[{_PREFIX}Any\])?)\]\]"
)
_BEFORE_NAPOLEON = 400


def converted(lines: list[str]) -> list[str]:
    """The docstring's lines as reStructuredText."""
    return list(_indented(list(_tables(list(_fences(lines))))))


def _fences(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if line.strip().startswith("```"):
            inside = not inside
            indent = line[: len(line) - len(line.lstrip())]
            yield from (["", f"{indent}.. code-block:: text", ""] if inside else [""])
        else:
            yield f"    {line}" if inside and line.strip() else line


def _tables(lines: list[str]) -> Iterator[str]:
    index = 0
    while index < len(lines):
        rule = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if not (_is_row(lines[index]) and re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", rule)):
            yield lines[index]
            index += 1
            continue
        indent = lines[index][: len(lines[index]) - len(lines[index].lstrip())]
        yield from ("", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", "")
        while index < len(lines) and _is_row(lines[index]):
            if lines[index].strip() != rule:
                cells = [cell.strip() for cell in lines[index].strip().strip("|").split("|")]
                for position, cell in enumerate(cells):
                    yield f"{indent}   {'* -' if position == 0 else '  -'} {cell}".rstrip()
            index += 1
        yield ""


def _is_row(line: str) -> bool:
    text = line.strip()
    return len(text) > 1 and text.startswith("|") and text.endswith("|")


def _indented(lines: list[str]) -> Iterator[str]:
    """Put ``::`` in front of blocks that only their indentation sets apart."""
    in_section = literal = False
    before = ""  # the last line with text
    for index, line in enumerate(lines):
        text, indented = line.strip(), line.startswith(" ")
        if text and not indented:
            in_section, literal = bool(_SECTION.match(line)), False
        if text and indented and not in_section and not literal and index and not lines[index - 1].strip():
            literal = True
            if not (before.endswith("::") or before.startswith("..") or before.lstrip().startswith(("- ", "* "))):
                yield from ("::", "")
        yield line if literal else _escaped(line)
        if text and not literal:
            before = line if not indented else before
    yield ""


def _escaped(line: str) -> str:
    """The line with its asterisks and underscores taken literally, outside code."""
    parts = re.split(r"(``.*?``|`.*?`)", line)
    return "".join(part if index % 2 else _MARKUP.sub(r"\\\g<0>", part) for index, part in enumerate(parts))


def shortened(signature: str) -> str:
    """A signature with NumPy's array types as the source spells them, not as they are defined."""
    signature = _ARRAY_LIKE.sub("ArrayLike", signature)
    return _ARRAY.sub(r"~numpy.typing.NDArray[\1]", signature)


def _process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    lines[:] = converted(lines)
    if what in ("attribute", "property"):
        # Napoleon takes what stands in front of a colon in the first line for the attribute's type; of an empty
        # comment there is nothing to take.
        lines[:0] = ["..", ""]


def _process_signature(
    app: Sphinx,  # noqa: ARG001 - autodoc passes all of these
    what: str,  # noqa: ARG001
    name: str,  # noqa: ARG001
    obj: object,  # noqa: ARG001
    options: object,  # noqa: ARG001
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    return signature and shortened(signature), returned and shortened(returned)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with autodoc, ahead of napoleon."""
    app.connect("autodoc-process-docstring", _process, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-signature", _process_signature)
    return {"parallel_read_safe": True}
