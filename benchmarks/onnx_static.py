"""ONNX Runtime's own static quantization: what ours is measured beside, on the same network and the same data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

SOURCE = f"onnxruntime {onnxruntime.__version__}, quantize_static, int8, scales per channel, in the same run"


class _Samples(CalibrationDataReader):
    """Calibration samples, one by one."""

    def __init__(self, name: str, samples: np.ndarray) -> None:
        self._left: Iterator[Mapping[str, Any]] = iter([{name: sample} for sample in samples])

    def get_next(self) -> Mapping[str, Any] | None:
        """The next one."""
        return next(self._left, None)


def quantized_answers(path: Path, calibration: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The first results of a float network that ONNX Runtime quantized.

    Args:
        path: of the network, which has one input; the quantized one is written beside it.
        calibration: samples of the input, samples first.
        samples: to compute, likewise.
    """
    quantized = path.with_name(f"{path.stem}_onnxruntime.onnx")
    name = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0].name
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            str(path),
            str(quantized),
            _Samples(name, calibration),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(disabled)
    session = onnxruntime.InferenceSession(str(quantized), providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {name: sample})[0] for sample in samples])
