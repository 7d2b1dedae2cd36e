"""pyrtlnet's network, MNIST shrunk to 12x12 pixels, 144-18-10, at every level, beside pyrtlnet's own numbers.

Run from the repository: ``python -m benchmarks.mnist``. The MNIST files come from the folder that the environment
variable BITLOOM_MNIST names, or are fetched.
"""

from __future__ import annotations

import argparse

from benchmarks.commands import WORK, bitloom, mismatches, outcome
from benchmarks.designs import Design, measure
from benchmarks.rows import Row, keep, show

SOURCE = (
    "pyrtlnet (github.com/UCSBarchlab/pyrtlnet), measured with its own scripts when bitloom was begun; quoted here, "
    "not measured again by this benchmark"
)
_FOLDER = WORK / "mnist"
_MODEL = _FOLDER / "int8.tflite"
_FAST = ("--interval", "40")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mnist", description=__doc__)
    parser.add_argument("--no-synthesis", action="store_true", help="leave out what takes the longest; nothing is kept")
    parser.add_argument("--reuse", action="store_true", help="take what synthesis found before for the same Verilog")
    parser.add_argument("--no-train", action="store_true", help="use the model of an earlier run")
    arguments = parser.parse_args()
    train = ("train", "--dataset", "mnist", "--layers", "18", "-o", str(_FOLDER), "--quiet")
    if not (arguments.no_train and _MODEL.exists()):
        bitloom(*train)
    rows = [*_accuracy(" ".join(("bitloom", *train))), *_software(), *_circuits()]
    synthesize = not arguments.no_synthesis
    for design in _designs():
        rows += measure(design, synthesize=synthesize, reuse=arguments.reuse)
    show("MNIST 12x12, 144-18-10, 10,000 test images, 32-bit AXI bus", rows, "pyrtlnet")
    if synthesize:
        print(f"\nkept in {keep('mnist', 'MNIST 12x12, 144-18-10', rows, SOURCE)}")


def _accuracy(trained: str) -> list[Row]:
    """Of the quantized network, computed by LiteRT."""
    path = _FOLDER / "accuracy.json"
    ran = bitloom("run", _MODEL, "--executor", "litert", *_images("all"), "--quiet", "--json", path)
    answers = outcome(path)
    return [
        Row("int8 accuracy", 100 * answers["accuracy"], "%", f"{trained} && {ran.text}", "at least 94.1", "94.15"),
    ]


def _software() -> list[Row]:
    """LiteRT against NumPy, and NumPy's speed."""
    path = _FOLDER / "software.json"
    ran = bitloom("verify", _MODEL, *_images("all"), "--executors", "litert,numpy", "--json", path)
    verified = outcome(path)
    speed = verified["executors"]["numpy"]["inferences_per_second"]
    return [
        Row("LiteRT against NumPy, all tensors: differing", mismatches(verified), "", ran.text, "exactly 0", "2"),
        Row("NumPy", speed, "images/s", ran.text, "at least 50,000", "180 to 240"),
    ]


def _circuits() -> list[Row]:
    """NumPy against the simulated circuits, and their speeds."""
    rows = []
    path = _FOLDER / "verilog.json"
    ran = bitloom("verify", _MODEL, *_images("all"), "--executors", "numpy,verilog", *_FAST, "--json", path)
    rows += [
        Row("NumPy against Verilog, all tensors: differing", mismatches(outcome(path)), "", ran.text, "exactly 0"),
        Row("Verilog, everything included", ran.seconds, "s", ran.text, "at most 60", "about 6,700"),
    ]
    path = _FOLDER / "stalls.json"
    stalled = ("--executors", "numpy,verilog", "--stalls", *_FAST, "--json", path)
    ran = bitloom("verify", _MODEL, *_images(1000), *stalled)
    rows.append(Row("the same, 1,000 images, stalls: differing", mismatches(outcome(path)), "", ran.text, "exactly 0"))
    path = _FOLDER / "pyrtl.json"
    ran = bitloom("verify", _MODEL, *_images(200), "--executors", "numpy,pyrtl", *_FAST, "--json", path)
    verified = outcome(path)
    speed = verified["executors"]["pyrtl"]["inferences_per_second"]
    rows += [
        Row("NumPy against PyRTL, 200 images: differing", mismatches(verified), "", ran.text, "exactly 0"),
        Row("PyRTL, fast simulation", speed, "images/s", ran.text, "at least 20", "1.3 to 1.6"),
    ]
    return rows


def _designs() -> list[Design]:
    return [
        Design(
            "interval 40",
            _MODEL,
            _FOLDER / "interval40",
            _FAST,
            wanted={
                "interval_cycles": "at most 40",
                "lut": "less than 2,700",
                "dsp": "at most 85",
                "fmax_mhz": "at least 100",
            },
            peer={
                "interval_cycles": "507, then a reload",
                "lut": "2,738",
                "ff": "717",
                "dsp": "170",
                "bram36": "2",
                "fmax_mhz": "18.45",
            },
        ),
        Design(
            "8 multipliers",
            _MODEL,
            _FOLDER / "dsp8",
            ("--dsp", "8"),
            wanted={"interval_cycles": "at most 450", "dsp": "at most 8", "fmax_mhz": "at least 100"},
        ),
    ]


def _images(count: int | str) -> tuple[str, ...]:
    return ("--dataset", "mnist", "--num-images", str(count))


if __name__ == "__main__":
    main()
