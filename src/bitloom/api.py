"""The public functions: load a model, run it, verify it, build it.

They take and give plain NumPy arrays; everything else they give is a frozen value of the stage that made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from bitloom import deploy, frontends
from bitloom.deploy import Build
from bitloom.export import save as export_save
from bitloom.frontends import Model
from bitloom.ir import Graph, parse_graph
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.plan import Bus, Target
from bitloom.quantize.options import QuantizeOptions, Widths
from bitloom.quantize.quantize import Progress as QuantizeProgress
from bitloom.quantize.quantize import quantize as quantize_graph
from bitloom.run import inputs as run_inputs
from bitloom.run import verify as run_verify
from bitloom.run.executor import ExecutorOptions, create_executor
from bitloom.run.result import RunResult
from bitloom.run.verify import Progress, Verification

__all__ = [
    "ModelLike",
    "Options",
    "QuantizeKeywords",
    "build",
    "dataset_samples",
    "load",
    "load_float",
    "parse_graph",
    "quantize",
    "random_inputs",
    "run",
    "save",
    "verify",
]

ModelLike = Model | Graph | str | Path
"""A loaded model, a graph, or the path of a model file."""


class Options(TypedDict, total=False):
    """Keyword options of `run` and `verify`; what each means stands at `bitloom.run.ExecutorOptions`."""

    batch_size: int | None
    litert_kernels: str
    simulation: str
    simulator: str
    stalls: bool
    seed: int
    target: Target | None
    bus: Bus


def load(path: str | Path) -> Model:
    """Read a model file: TFLite, ONNX (quantized), or the text form of a graph.

    Args:
        path: of the file; its format is told by its content.

    Raises:
        ModelFormatError: the file is missing, unreadable, of no known format, truncated or corrupt.
        UnsupportedError: the model uses something bitloom does not support; a float model is one.
        GraphError: the text of a graph does not parse.
    """
    return frontends.load(path)


class QuantizeKeywords(TypedDict, total=False):
    """Keyword options of `quantize`; what each means stands at `bitloom.quantize.QuantizeOptions`."""

    per_channel: bool
    ranges: str
    percentile: float
    weight_ranges: str
    symmetric: bool
    power_of_two: bool
    equalize: bool
    adaptive_rounding: str
    bias_correction: str
    average_weight_bits: float | None
    dead_channels: str
    float_io: bool


def load_float(path: str | Path) -> FloatGraph:
    """Read a file of a network in real numbers, for `quantize`; see `bitloom.frontends.load_float`."""
    return frontends.load_float(path)


def quantize(
    model: FloatGraph | str | Path,
    data: Array | Mapping[str, Array],
    bits: str | Widths = "8/8",
    *,
    layers: Mapping[str, str | Widths] | None = None,
    progress: QuantizeProgress | None = None,
    **options: Unpack[QuantizeKeywords],
) -> Graph:
    """Make an integer network of one in real numbers, after its training.

    Args:
        model: a float graph, or the path of a float model file.
        data: calibration samples, such as those in use: an array, or one per input name, samples first.
        bits: of weights and activations, ``"W/A"``.
        layers: other bits for some layers, by the name of the tensor a layer makes.
        progress: called as ``progress(step, done, total)``.
        **options: see `QuantizeKeywords`.

    Raises:
        InputError: the calibration data do not fit, or are not finite.
        QuantizeError: a dead channel, a tensor that is not finite.
        UnsupportedError: an operator that cannot be quantized.
        UsageError: options that make no sense.
        BitloomError: the model cannot be read.
    """
    graph = model if isinstance(model, FloatGraph) else load_float(model)
    chosen = QuantizeOptions(
        widths=_widths(bits), layers={name: _widths(each) for name, each in (layers or {}).items()}, **options
    )
    return quantize_graph(graph, data, chosen, progress=progress).graph


def _widths(given: str | Widths) -> Widths:
    return given if isinstance(given, Widths) else Widths.parse(given)


def save(model: ModelLike, path: str | Path) -> None:
    """Write a network as ``.bitloom`` (text), ``.tflite`` or ``.onnx``; see `bitloom.export.save.save`.

    Raises:
        ExportError: the name says no format, or the file cannot be written.
        UnsupportedError: the format cannot say the network.
    """
    export_save.save(_as_model(model).graph, path)


def run(
    model: ModelLike,
    inputs: Array | Mapping[str, Array],
    executor: str = "numpy",
    **options: Unpack[Options],
) -> RunResult:
    """Compute inferences, and every tensor on the way.

    Args:
        model: to compute.
        inputs: an array, or one per input name, of shape (n, *shape) for n inferences; where ``shape[0]`` is 1 also
            (n, *shape[1:]); or (n, size). Integers within the input's type, floats for float32 inputs only.
        executor: ``litert``, ``onnxruntime``, ``onnx-reference``, ``numpy``, ``pyrtl`` (the circuit
            simulated) or ``verilog`` (its Verilog simulated).
        **options: see `Options`.

    Returns:
        Tensors by name, each of shape (n, *shape) and of its type's dtype; seconds; cycles of a circuit.

    Raises:
        InputError: the inputs do not fit the model.
        UsageError: an executor or an option that does not exist.
        BitloomError: the model cannot be read, built or simulated.

    >>> import bitloom as bl
    >>> from bitloom.data import SHIPPED_DIGITS
    >>> model = bl.load(SHIPPED_DIGITS)
    >>> digits = bl.dataset_samples(model, "digits", count=5)
    >>> result = bl.run(model, digits.inputs)
    >>> result.tensors["logits"].argmax(axis=-1).ravel(), digits.labels
    (array([1, 3, 4, 6, 2]), array([1, 3, 4, 6, 2]))
    """
    loaded = _as_model(model)
    return create_executor(executor, loaded, _options(options)).run(run_inputs.arrange_inputs(loaded.graph, inputs))


def verify(
    model: ModelLike,
    inputs: Array | Mapping[str, Array],
    executors: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Verification:
    """Run executors on the same inputs and compare every tensor by equality.

    Args:
        model: to compute.
        inputs: as for `run`.
        executors: two or more, all that fit the model's format if None; the judge is LiteRT if it is among them, else
            ONNX Runtime, else NumPy, else the first.
        progress: called as ``progress(executor, inferences_done, inferences)``.
        **options: see `Options`; ``stalls=True`` makes the producers and consumers of circuits pause at random.

    Raises:
        InputError: the inputs do not fit the model.
        UsageError: executors or options that make no sense.
        BitloomError: the model cannot be read, built or simulated.

    >>> import bitloom as bl
    >>> from bitloom.data import SHIPPED_DIGITS
    >>> model = bl.load(SHIPPED_DIGITS)
    >>> outcome = bl.verify(model, bl.random_inputs(model, 100), ["litert", "numpy"])
    >>> outcome.equal, [tensor.name for tensor in outcome.tensors]
    (True, ['dense_1', 'dense_2', 'logits'])
    """
    return run_verify.verify(_as_model(model), inputs, executors, _options(options), progress)


def build(
    model: ModelLike,
    folder: str | Path,
    *,
    target: Target | None = None,
    bus: Bus = Bus.AXI,
    vectors: int = 16,
    inputs: Array | Mapping[str, Array] | None = None,
    seed: int = 0,
    page: bool = False,
) -> Build:
    """Write a model's circuit into a folder that stands alone: Verilog, testbench, report, README, Makefile.

    Args:
        model: to build; QUANTIZE and DEQUANTIZE at its edges stay in software.
        folder: written whole or not at all; one that bitloom wrote before is replaced.
        target: what the circuit is to reach: an interval, a number of multipliers, a board.
        bus: how the circuit meets the world.
        vectors: number of random inferences in the testbench; not used with `inputs`.
        inputs: the inferences of the testbench, as for `run`.
        seed: of random inferences.
        page: whether to write the report as a page, too: ``report.html``.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
        PlanError: nothing reaches the target; the message says what would.
        InputError: the inputs do not fit the model.
        BitloomError: the model cannot be read or built.

    >>> import bitloom as bl, tempfile
    >>> from bitloom.data import SHIPPED_DIGITS
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     built = bl.build(SHIPPED_DIGITS, f"{folder}/digits", target=bl.Target(interval=100), vectors=2)
    >>> built.report["macs"], built.report["interval_cycles"] <= 100
    (2431, True)
    """
    return deploy.build(
        _as_model(model), folder, target=target, bus=bus, vectors=vectors, inputs=inputs, seed=seed, page=page
    )


def random_inputs(model: ModelLike, count: int, seed: int = 0) -> dict[str, Array]:
    """Inputs over each input's whole range; see `bitloom.run.inputs.random_inputs`."""
    return run_inputs.random_inputs(_as_model(model).graph, count, seed)


def dataset_samples(
    model: ModelLike, name: str, start: int = 0, count: int | None = None, *, folder: str | Path | None = None
) -> run_inputs.Samples:
    """Test samples of a data set made to fit the model's input; see `bitloom.run.inputs.dataset_samples`."""
    return run_inputs.dataset_samples(_as_model(model).graph, name, start, count, folder=folder)


def _options(given: Options) -> ExecutorOptions:
    return ExecutorOptions(**given)


def _as_model(model: ModelLike) -> Model:
    match model:
        case Model():
            return model
        case Graph():
            return Model(model, model.name)
        case _:
            return load(model)
