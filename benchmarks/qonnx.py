"""TFC_2W2A of the QONNX model zoo: MNIST with weights and activations of 2 bits, 784-64-64-64-10, at every level.

Run from the repository: ``BITLOOM_TEST_DATA=FOLDER python -m benchmarks.qonnx``, or with ``--model FILE``. The MNIST
files come from the folder that the environment variable BITLOOM_MNIST names, or are fetched.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from benchmarks.commands import WORK, bitloom, mismatches, outcome
from benchmarks.designs import Design, measure
from benchmarks.rows import Row, keep, show

TITLE = "TFC_2W2A, 784-64-64-64-10 of 2 bits, 10,000 MNIST test images"
SOURCE = "accuracy published with the model (github.com/fastmachinelearning/QONNX_model_zoo), quoted"
_FOLDER = WORK / "qonnx"
_MODEL = _FOLDER / "TFC_2W2A.onnx"
# The last layer alone has 64 x 10 products; 784 reals of an image come through the 32-bit bus 4 a beat.
_TARGET = ("--interval", "200")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qonnx", description=__doc__)
    parser.add_argument("--model", type=Path, help="the file, if not onnx/TFC_2W2A.onnx in BITLOOM_TEST_DATA")
    parser.add_argument("--no-synthesis", action="store_true", help="leave out what takes the longest; nothing is kept")
    arguments = parser.parse_args()
    _prepare(arguments.model)
    rows = [*_exactness(), *_circuits()]
    synthesize = not arguments.no_synthesis
    design = Design(
        "interval 200",
        _MODEL,
        _FOLDER / "interval200",
        _TARGET,
        wanted={"multipliers": "exactly 0", "dsp": "exactly 0", "interval_cycles": "at most 200"},
    )
    rows += measure(design, synthesize=synthesize)
    show(TITLE, rows, "published")
    if synthesize:
        print(f"\nkept in {keep('qonnx_tfc_2w2a', TITLE, rows, SOURCE)}")


def _prepare(given: Path | None) -> None:
    """Copy the file to where the commands of the results name it."""
    folder = os.environ.get("BITLOOM_TEST_DATA")
    found = given or (Path(folder) / "onnx" / "TFC_2W2A.onnx" if folder else None)
    if found is None or not found.exists():
        raise SystemExit(
            "TFC_2W2A.onnx: name it by --model, or set BITLOOM_TEST_DATA to the folder of public test data"
        )
    _FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, _MODEL)


def _exactness() -> list[Row]:
    """Accuracy, and NumPy against ONNX's own reference evaluator."""
    path = _FOLDER / "accuracy.json"
    ran = bitloom("run", _MODEL, "--executor", "numpy", *_images("all"), "--quiet", "--json", path)
    rows = [Row("accuracy", 100 * outcome(path)["accuracy"], "%", ran.text, "at least 96.6", "96.6")]
    path = _FOLDER / "reference.json"
    ran = bitloom("verify", _MODEL, *_images("all"), "--executors", "onnx-reference,numpy", "--json", path)
    verified = outcome(path)
    speed = verified["executors"]["numpy"]["inferences_per_second"]
    different = "ONNX's reference evaluator against NumPy, all tensors: differing"
    return [
        *rows,
        Row(different, mismatches(verified), "", ran.text, "exactly 0"),
        Row("NumPy", speed, "images/s", ran.text),
    ]


def _circuits() -> list[Row]:
    """NumPy against the simulated circuits."""
    rows = []
    for words, count, flags in (
        ("Verilog", "all", ("--executors", "numpy,verilog")),
        ("Verilog, 1,000 images, stalls", 1000, ("--executors", "numpy,verilog", "--stalls")),
        ("PyRTL, 20 images", 20, ("--executors", "numpy,pyrtl")),
    ):
        path = _FOLDER / "circuit.json"
        ran = bitloom("verify", _MODEL, *_images(count), *flags, *_TARGET, "--json", path)
        name = f"NumPy against {words}, all tensors: differing"
        rows.append(Row(name, mismatches(outcome(path)), "", ran.text, "exactly 0"))
    return rows


def _images(count: int | str) -> tuple[str, ...]:
    return ("--dataset", "mnist", "--num-images", str(count))


if __name__ == "__main__":
    main()
