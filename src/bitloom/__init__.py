"""bitloom: quantized neural networks as hardware, bit for bit.

    import bitloom as bl

    model = bl.load("model.tflite")
    digits = bl.dataset_samples(model, "digits")
    result = bl.run(model, digits.inputs, executor="pyrtl")
    assert bl.verify(model, digits.inputs, stalls=True).equal

Names are imported when they are first used: importing bitloom itself is quick and needs no other package.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bitloom.errors import BitloomError as BitloomError

if TYPE_CHECKING:
    from bitloom.api import build as build
    from bitloom.api import dataset_samples as dataset_samples
    from bitloom.api import load as load
    from bitloom.api import load_float as load_float
    from bitloom.api import parse_graph as parse_graph
    from bitloom.api import quantize as quantize
    from bitloom.api import random_inputs as random_inputs
    from bitloom.api import run as run
    from bitloom.api import save as save
    from bitloom.api import verify as verify
    from bitloom.data import load_dataset as load_dataset
    from bitloom.deploy import Build as Build
    from bitloom.deploy import synthesize as synthesize
    from bitloom.frontends import Model as Model
    from bitloom.frontends import define as define
    from bitloom.frontends.keras import from_keras as from_keras
    from bitloom.frontends.torch import from_torch as from_torch
    from bitloom.ir import Graph as Graph
    from bitloom.ir import print_graph as print_graph
    from bitloom.plan import Bus as Bus
    from bitloom.plan import Target as Target
    from bitloom.run.executor import ExecutorOptions as ExecutorOptions
    from bitloom.run.result import RunResult as RunResult
    from bitloom.run.verify import Verification as Verification
    from bitloom.sequential import Sequential as Sequential
    from bitloom.train import FakeQuantized as FakeQuantized
    from bitloom.train import train as train

    __version__: str

_PUBLIC = {
    "Build": "bitloom.deploy",
    "Bus": "bitloom.plan",
    "ExecutorOptions": "bitloom.run.executor",
    "FakeQuantized": "bitloom.train",
    "Graph": "bitloom.ir",
    "Model": "bitloom.frontends",
    "RunResult": "bitloom.run.result",
    "Sequential": "bitloom.sequential",
    "Target": "bitloom.plan",
    "Verification": "bitloom.run.verify",
    "build": "bitloom.api",
    "dataset_samples": "bitloom.api",
    "define": "bitloom.frontends",
    "from_keras": "bitloom.frontends.keras",
    "from_torch": "bitloom.frontends.torch",
    "load": "bitloom.api",
    "load_dataset": "bitloom.data",
    "load_float": "bitloom.api",
    "parse_graph": "bitloom.api",  # which knows the operators
    "print_graph": "bitloom.ir",
    "quantize": "bitloom.api",
    "random_inputs": "bitloom.api",
    "run": "bitloom.api",
    "save": "bitloom.api",
    "synthesize": "bitloom.deploy",
    "train": "bitloom.train",
    "verify": "bitloom.api",
}
"""Public names and the modules they come from."""

__all__ = ["BitloomError", "__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("bitloom")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bitloom' has no attribute '{name}'")
    if name in _STAGES:
        return importlib.import_module(f"bitloom.{name}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


# Stages of the way through the house whose function has the name of its package.
_STAGES = ("quantize", "run", "train")


class _Stage(ModuleType):
    """A package that can be called as the function of the same name: ``bitloom.run`` is both."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(_PUBLIC[name]), name)(*arguments, **options)


class _Package(ModuleType):
    """This package: the import system sets each imported package in it as an attribute."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _STAGES and isinstance(value, ModuleType):
            value.__class__ = _Stage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
