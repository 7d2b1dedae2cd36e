"""PyTorch modules as float graphs, by the exporter that comes with PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from bitloom.errors import MissingExtraError, UnsupportedError, UsageError
from bitloom.frontends.float_onnx.importer import load_float_onnx
from bitloom.ir.float_graph import FloatGraph

_OPSET = 20
"""The oldest operator set with all operators that are read."""

_REMEDY = "pip install 'bitloom[torch]'"


def from_torch(module: Any, example: Any, *, name: str | None = None, channels_last: bool = False) -> FloatGraph:
    """A PyTorch module in evaluation mode as a float graph, for `bitloom.quantize`.

    The module stays as it is: its mode, its weights, its device. Tensors of the graph are named after the submodules
    that make them, as in ``features.0``.

    Args:
        module: a ``torch.nn.Module`` of float32.
        example: an input of one inference, as the module takes it, or a tuple of several; only shapes and types count.
        name: of the graph; that of the module's class if not given.
        channels_last: whether the graph takes and gives images with their channels last, else second as the module
            does, at the price of a transpose.

    Raises:
        MissingExtraError: torch or onnxscript is not installed.
        UsageError: no module, or no example of its inputs.
        UnsupportedError: the module cannot be exported, or uses an operator that is not supported.
        ModelFormatError: weights that are not finite.
    """
    torch = _import("torch")
    for package in ("onnx", "onnxscript"):
        _import(package)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"is a {type(module).__name__}, and a torch.nn.Module is needed", where="module")
    examples = example if isinstance(example, tuple) else (example,)
    for each in examples:
        if not isinstance(each, torch.Tensor):
            raise UsageError(f"is a {type(each).__name__}, and a tensor is needed", where="example")
    kind = name or type(module).__name__.lower()
    model = _exported(torch, module, examples, kind)
    _name_after_modules(model.graph)
    return load_float_onnx(model.SerializeToString(), kind, inputs_last=channels_last)


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"reading PyTorch modules needs the package {package}, which is not installed", remedy=_REMEDY
        ) from error


def _exported(torch: ModuleType, module: Any, examples: tuple[Any, ...], where: str) -> Any:
    """The module as an ONNX model in memory."""
    try:
        with _quiet(), _evaluating(module), torch.no_grad():
            program = torch.onnx.export(
                module, examples, dynamo=True, opset_version=_OPSET, verbose=False, report=False, external_data=False
            )
        return program.model_proto
    except Exception as error:  # whatever tracing somebody's module raises
        raise UnsupportedError(
            f"cannot be exported: {_reason(error)}",
            where=where,
            remedy="make its forward pass free of control flow that depends on data, and check the example's shape",
        ) from error


def _reason(error: BaseException) -> str:
    """The first line of the innermost error, which says what it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\x1b\[[0-9;]*m", "", lines[0]) if lines else type(error).__name__


@contextlib.contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode for a while; each submodule gets its own mode back."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings and progress off the terminal."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)


def _name_after_modules(graph: Any) -> None:
    """Name what nodes make after the submodule they are in: a submodule's last result like it, others below it."""
    places = [_module(node.metadata_props) for node in graph.node]
    last: dict[str, int] = {}
    for index, place in enumerate(places):
        parts = place.split(".")
        last.update({".".join(parts[:depth]): index for depth in range(1, len(parts) + 1)})
    taken = {each.name for each in (*graph.input, *graph.initializer)}
    names: dict[str, str] = {}
    for index, (node, place) in enumerate(zip(graph.node, places, strict=True)):
        for position, made in enumerate(node.output):
            if not made:
                continue
            whole = place and last[place] == index and position == 0
            wanted = place if whole else f"{place}.{made}" if place else made
            names[made] = _free(wanted, taken)
    _rename(graph, names)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for field in (node.input, node.output):
            renamed = [names.get(each, each) for each in field]
            del field[:]
            field.extend(renamed)
    for end in (*graph.output, *graph.value_info):
        end.name = names.get(end.name, end.name)


def _free(name: str, taken: set[str]) -> str:
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    taken.add(found)
    return found


def _module(properties: Iterable[Any]) -> str:
    """The path of the submodule that a node of the exporter is in; empty for the module itself.

    The exporter writes ``namespace`` as ``path: class`` of each module from the outside, then ``operator: target``.
    """
    found = {each.key: each.value for each in properties}.get("namespace", "")
    modules: Sequence[str] = found.split("/")[:-1]
    return modules[-1].partition(":")[0].strip() if modules else ""
