"""What training gives, and how it is written to a folder."""

from __future__ import annotations

import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bitloom.errors import ExportError
from bitloom.train.quantized import QuantizedLayer

Phase = Literal["float", "quantized"]


@dataclass(frozen=True)
class EpochReport:
    """One pass over the training samples.

    Attributes:
        phase: ``float``, or ``quantized`` for quantization-aware training.
        epoch: counted from 1 within the phase.
        epochs: how many the phase has.
        loss: mean cross-entropy over the epoch.
        train_accuracy: share of right answers over the epoch, while training.
        test_accuracy: share of right answers on the test samples after the epoch.
    """

    phase: Phase
    epoch: int
    epochs: int
    loss: float
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained and quantized network.

    Attributes:
        dataset: the name of the data set.
        layer_sizes: from the features over the hidden layers to the classes.
        seed: what the random draws started from.
        float_weights: float32 (outputs, inputs) per layer, before quantization-aware training.
        float_biases: float32 (outputs,) per layer.
        layers: the quantized layers.
        history: one report per epoch, in order.
        float_model: the bytes of float.tflite.
        int8_model: the bytes of int8.tflite.
        float_accuracy: share of right answers of float.tflite on the test samples, computed by LiteRT.
        quantized_accuracy: share of right answers of int8.tflite on the test samples, computed by LiteRT.
    """

    dataset: str
    layer_sizes: tuple[int, ...]
    seed: int
    float_weights: tuple[npt.NDArray[np.float32], ...]
    float_biases: tuple[npt.NDArray[np.float32], ...]
    layers: tuple[QuantizedLayer, ...]
    history: tuple[EpochReport, ...]
    float_model: bytes
    int8_model: bytes
    float_accuracy: float
    quantized_accuracy: float

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write ``float.tflite``, ``int8.tflite`` and ``weights.npz`` into a folder, made if it is not there.

        Nothing half-written is left behind: the files are complete in a temporary folder before the first is
        put in its place, each by renaming.

        Returns:
            The three paths.

        Raises:
            ExportError: the folder cannot be made or written to.
        """
        files = {"float.tflite": self.float_model, "int8.tflite": self.int8_model, "weights.npz": self._npz()}
        return write_files(Path(folder), files)

    def _npz(self) -> bytes:
        """The quantized network as arrays.

        ``input.scale`` and ``input.zero_point``; then per layer, counted from 0: ``layer0.weights`` (int8),
        ``layer0.bias`` (int32), ``layer0.weight_scales``, ``layer0.bias_scales``, ``layer0.output_scale``,
        ``layer0.output_zero_point``, ``layer0.multipliers``, ``layer0.shifts``, ``layer0.relu``.
        """
        source = self.layers[0].input
        arrays: dict[str, Any] = {
            "input.scale": np.float32(source.scale),
            "input.zero_point": np.int32(source.zero_point),
        }
        for index, layer in enumerate(self.layers):
            fields: dict[str, Any] = {
                "weights": layer.weights,
                "bias": layer.bias,
                "weight_scales": layer.weight_scales,
                "bias_scales": layer.bias_scales.astype(np.float32),
                "output_scale": np.float32(layer.output.scale),
                "output_zero_point": np.int32(layer.output.zero_point),
                "multipliers": layer.multipliers,
                "shifts": layer.shifts,
                "relu": np.bool_(layer.relu),
            }
            arrays |= {f"layer{index}.{name}": value for name, value in fields.items()}
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()


def write_files(folder: Path, files: dict[str, bytes]) -> tuple[Path, ...]:
    """Write all files or none: into a temporary folder beside, then renamed into place.

    Raises:
        ExportError: the folder cannot be made or written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            if folder.exists():
                for name in files:
                    (temporary / name).replace(folder / name)
            else:
                temporary.chmod(0o755)  # temporary folders are private, this one no longer is
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ExportError(
            f"cannot write here ({error.strerror or error})", where=str(folder), remedy="choose a writable folder"
        ) from error
    return tuple(folder / name for name in files)
