"""Write what every command's ``--help`` says into ``generated/commands.md``, which the command line's page includes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from unittest.mock import patch

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bitloom.cli.main import _parser

_WIDTH = "100"  # argparse asks the environment


def commands() -> dict[str, str]:
    """The help of each command by name, in the order the program lists them."""
    parser = _parser()
    choices = next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    with patch.dict(os.environ, {"COLUMNS": _WIDTH, "NO_COLOR": "1"}):
        return {"bitloom": parser.format_help()} | {
            f"bitloom {name}": command.format_help() for name, command in choices.items()
        }


def _write(app: Sphinx) -> None:
    path = Path(app.srcdir) / "generated" / "commands.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"## {name}\n\n```text\n{text}```\n\n" for name, text in commands().items()), "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Write the page before Sphinx looks for pages."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
