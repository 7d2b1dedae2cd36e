"""The digits network that comes with bitloom, and a deeper one of odd sizes, at every level.

Run from the repository: ``python -m benchmarks.networks``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import WORK, bitloom, mismatches, outcome
from benchmarks.designs import Design, measure
from benchmarks.rows import Row, keep, show
from bitloom.data import SHIPPED_DIGITS

_DEEP = WORK / "deep"
# Relative, so that the commands in the results repeat on any machine.
_SHIPPED = Path(os.path.relpath(SHIPPED_DIGITS))


@dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        name: of the results.
        title: in words.
        model: its file.
        made: the command that made it, empty if it comes with bitloom.
        targets: flags of `bitloom build`.
    """

    name: str
    title: str
    model: Path
    made: str
    targets: Sequence[tuple[str, ...]]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--no-synthesis", action="store_true", help="leave out what takes the longest; nothing is kept")
    parser.add_argument("--reuse", action="store_true", help="take what synthesis found before for the same Verilog")
    parser.add_argument("--only", choices=("digits", "deep"), help="measure one of the two")
    arguments = parser.parse_args()
    chosen = {"digits": _shipped, "deep": _deep}
    for make in [chosen[arguments.only]] if arguments.only else chosen.values():
        network = make()
        rows = [*_exactness(network), *_designs(network, synthesize=not arguments.no_synthesis, reuse=arguments.reuse)]
        show(network.title, rows)
        if not arguments.no_synthesis:
            print(f"\nkept in {keep(network.name, network.title, rows)}")


def _shipped() -> Network:
    targets = (("--interval", "40"), ("--dsp", "8"))
    return Network("digits", "digits 8x8, 64-27-19-10, as shipped", _SHIPPED, "", targets)


def _deep() -> Network:
    layers = "47,31,23,17"
    ran = bitloom("train", "--dataset", "digits", "--layers", layers, "--per-channel", "--softmax", "-o", _DEEP)
    targets = (("--interval", "80"), ("--dsp", "16"))
    title = f"digits 8x8, 64-{layers.replace(',', '-')}-10, a scale per output, softmax"
    return Network("deep", title, _DEEP / "int8.tflite", ran.text, targets)


def _exactness(network: Network) -> list[Row]:
    """Accuracy, and every executor against LiteRT on all test images, with stalls too."""
    path = WORK / f"{network.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = ("--dataset", "digits", "--num-images", "all")
    ran = bitloom("run", network.model, "--executor", "litert", *images, "--quiet", "--json", path)
    command = f"{network.made} && {ran.text}" if network.made else ran.text
    rows = [Row("int8 accuracy", 100 * outcome(path)["accuracy"], "%", command)]
    for words, flags in (("", ()), (" under stalls", ("--stalls",))):
        ran = bitloom("verify", network.model, *images, *network.targets[0], *flags, "--json", path)
        rows.append(
            Row(f"all executors{words}: differing", mismatches(outcome(path)), "", ran.text, "exactly 0"),
        )
    return rows


def _designs(network: Network, *, synthesize: bool, reuse: bool) -> list[Row]:
    rows = []
    for target in network.targets:
        name = " ".join(target).removeprefix("--")
        folder = WORK / network.name / name.replace(" ", "")
        rows += measure(Design(name, network.model, folder, target), synthesize=synthesize, reuse=reuse)
    return rows


if __name__ == "__main__":
    main()
