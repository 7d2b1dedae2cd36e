"""Keras models as float graphs, through TensorFlow's own TFLite converter."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from bitloom.errors import MissingExtraError, UnsupportedError, UsageError
from bitloom.frontends.tflite.floats import load_float_tflite
from bitloom.ir.float_graph import FloatGraph


def from_keras(model: Any, *, name: str | None = None) -> FloatGraph:
    """A Keras model as a float graph, for `bitloom.quantize`.

    The model is converted as it infers, for one inference at a time, and stays as it is.

    Args:
        model: of Keras 3 or of tf_keras, built, so that its inputs have shapes.
        name: of the graph; the model's if not given.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        UsageError: no model, or one whose inputs have no shapes yet.
        UnsupportedError: it cannot be converted, or uses an operator that is not supported.
    """
    tensorflow = _import_tensorflow()
    ends = getattr(model, "inputs", None)
    if not callable(model) or not hasattr(model, "layers"):
        raise UsageError(f"is a {type(model).__name__}, and a Keras model is needed", where="model")
    if not ends:
        raise UsageError("has no inputs of known shape", where="model", remedy="build it, or call it once")
    kind = name or str(getattr(model, "name", "model"))
    return load_float_tflite(_converted(tensorflow, model, ends, kind), kind)


def _import_tensorflow() -> ModuleType:
    try:
        with _quiet():
            return importlib.import_module("tensorflow")
    except ImportError as error:
        raise MissingExtraError(
            "reading Keras models needs the package tensorflow, which is not installed",
            remedy="pip install 'bitloom[tensorflow]'",
        ) from error


def _converted(tensorflow: ModuleType, model: Any, ends: Any, where: str) -> bytes:
    """The model as a float TFLite file, of a batch of one."""
    specs = []
    for position, end in enumerate(ends):
        shape = tuple(end.shape[1:])
        if any(size is None for size in shape):
            raise UnsupportedError(
                f"has the dynamic shape {[None, *shape]}",
                where=f"{where}: input {position}",
                remedy="give its Input a fixed shape",
            )
        specs.append(tensorflow.TensorSpec((1, *shape), end.dtype, name=end.name.partition(":")[0]))
    try:
        with _quiet():

            def infer(*inputs: Any) -> Any:
                return model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)

            # Converters of whole models keep the batch open, and of functions keep variables: a function of one
            # inference whose variables have become constants has neither.
            freezing = importlib.import_module("tensorflow.python.framework.convert_to_constants")
            traced = tensorflow.function(infer).get_concrete_function(*specs)
            frozen = freezing.convert_variables_to_constants_v2(traced)
            return bytes(tensorflow.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())
    except Exception as error:  # whatever tracing somebody's layers raises
        lines = str(error).strip().splitlines()
        raise UnsupportedError(
            f"cannot be converted: {lines[0] if lines else type(error).__name__}",
            where=where,
            remedy="keep to layers that TFLite has operators for",
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow's messages off the terminal."""
    disabled = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)
