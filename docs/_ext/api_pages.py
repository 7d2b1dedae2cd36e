"""Write one page for each package, with everything its public modules document, into ``generated/api``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

import bitloom


def pages() -> dict[str, str]:
    """The text of each page by name: the package itself, then every package in it that holds modules."""
    result = {"bitloom": _page(bitloom, [], facade=True)}
    for package in _packages(bitloom):
        result[package.__name__] = _page(package, _modules(package), facade=False)
    for module in _modules(bitloom):
        result[module] = _heading(1, module) + _automodule(module, members=True)
    return result


def _packages(parent: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(parent.__path__, f"{parent.__name__}."):
        if found.ispkg:
            package = importlib.import_module(found.name)
            yield package
            yield from _packages(package)


def _modules(package: ModuleType) -> list[str]:
    names = [found.name for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.") if not found.ispkg]
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def _page(package: ModuleType, modules: list[str], *, facade: bool) -> str:
    text = _heading(1, package.__name__) + _automodule(package.__name__, members=facade)
    offered = [f"`{name}`" for name in getattr(package, "__all__", ()) if not name.startswith("__")]
    if offered and not facade:
        text += f"The package offers {', '.join(offered)}; they are described with their modules.\n\n"
    return text + "".join(_heading(2, name) + _automodule(name, members=True) for name in modules)


def _heading(level: int, name: str) -> str:
    return f"{'#' * level} {name}\n\n"


def _automodule(name: str, *, members: bool) -> str:
    options = [] if members else ["   :no-members:"]
    if name == "bitloom":
        options.append("   :no-index:")  # what it offers has its own description, where it is defined
    return "\n".join(["```{eval-rst}", f".. automodule:: {name}", *options, "```", "", ""])


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated" / "api"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in folder.glob("*.md"):
        if path.stem not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / f"{name}.md"
        # Unchanged pages keep their time, so that a second build is short.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Write the pages before Sphinx looks for pages."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
