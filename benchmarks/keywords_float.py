"""The float keyword network (micro_kws_m), quantized here with random calibration, beside ONNX Runtime's quantizer.

Run from the repository: ``BITLOOM_TEST_DATA=FOLDER python -m benchmarks.keywords_float``; it needs the extra ``onnx``.
Spectrograms are random: noise, and noise with up to four smooth patches, for which the network's answers differ.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np

import bitloom as bl
from benchmarks.commands import WORK, mismatches
from benchmarks.onnx_static import SOURCE, quantized_answers
from benchmarks.rows import Row, keep, show
from bitloom.ir.float_graph import FloatGraph
from bitloom.run.float_litert import evaluate_float

_COMMAND = "python -m benchmarks.keywords_float"
_FILE = Path("onnx") / "micro_kws_m_static_fp32.onnx"
_ROWS, _COLUMNS = 49, 40
_CALIBRATION, _JUDGED, _SIMULATED = 300, 1000, 20


def spectrograms(count: int, seed: int) -> np.ndarray:
    """Random ones of shape (count, 1, 1960)."""
    rng = np.random.default_rng(seed)
    down, across = np.arange(_ROWS)[:, None], np.arange(_COLUMNS)[None]
    found = np.zeros((count, _ROWS, _COLUMNS))
    for one in found:
        for _ in range(rng.integers(1, 5)):
            height, width = rng.uniform(2, 15), rng.uniform(1, 10)
            distance = ((down - rng.uniform(0, _ROWS)) / height) ** 2 + (
                (across - rng.uniform(0, _COLUMNS)) / width
            ) ** 2
            one += rng.uniform(0, 20) * np.exp(-distance)
        one += rng.uniform(-10, 10) + rng.uniform(0, 2) * rng.standard_normal(one.shape)
    return found.reshape(count, 1, -1).astype(np.float32)


def main() -> None:
    """Quantize, measure, print, keep."""
    folder = os.environ.get("BITLOOM_TEST_DATA")
    if not folder:
        raise SystemExit("name the folder of public test data: BITLOOM_TEST_DATA=FOLDER")
    path = WORK / "keywords_float" / _FILE.name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(folder) / _FILE, path)
    graph = bl.load_float(path)
    calibration, samples = spectrograms(_CALIBRATION, 0), spectrograms(_JUDGED, 1)
    start = time.perf_counter()
    network = bl.quantize(graph, calibration)
    seconds = time.perf_counter() - start
    rows = [
        Row(f"quantizing, {_CALIBRATION} spectrograms for calibration", seconds, "s", _COMMAND),
        *_answers(graph, network, samples, quantized_answers(path, calibration, samples)),
        *_equality(network),
    ]
    show("Keyword network in real numbers, quantized to 8 bits", rows, "onnxruntime")
    print(f"\nkept in {keep('keywords_float', 'micro_kws_m in real numbers, quantized to 8 bits', rows, SOURCE)}")


def _answers(graph: FloatGraph, network: bl.Graph, samples: np.ndarray, peer: np.ndarray) -> list[Row]:
    """How the answers of both quantized networks compare with those in real numbers."""
    wanted = evaluate_float(graph, {graph.inputs[0]: samples})[graph.outputs[0]].reshape(len(samples), -1)
    given, made = (network.type(name).required_quantization for name in (network.inputs[0], network.outputs[0]))
    steps = np.rint(samples / np.float32(given.scale)) + given.zero_point
    integers = bl.run(network, steps.clip(-128, 127).astype(np.int8)).tensors[network.outputs[0]]
    found = (integers.reshape(wanted.shape).astype(np.float64) - made.zero_point) * made.scale
    rows = []
    for name, function, bound in (("same largest answer", _agreement, "at least"), ("error", _error, "at most")):
        ours, theirs = function(found, wanted), function(peer.reshape(wanted.shape), wanted)
        what = f"{name}, {len(samples):,} spectrograms" if function is _agreement else "root mean square error"
        unit = "%" if function is _agreement else ""
        rows.append(Row(what, ours, unit, _COMMAND, f"{bound} {theirs:.6g}", f"{theirs:.4g}"))
    return rows


def _agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(100 * (found.argmax(axis=1) == wanted.argmax(axis=1)).mean())


def _error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(((found - wanted) ** 2).mean()))


def _equality(network: bl.Graph) -> list[Row]:
    """Elements that differ between executors, over all tensors, on random integers."""
    rows = []
    for executors, count in ((("litert", "numpy"), _JUDGED), (("numpy", "verilog"), _SIMULATED)):
        found = bl.verify(network, bl.random_inputs(network, count), executors)
        what = f"{executors[0]} against {executors[1]}, {count:,} random inputs: differing"
        rows.append(Row(what, mismatches(found.to_json()), "", _COMMAND, "exactly 0"))
    return rows


if __name__ == "__main__":
    main()
