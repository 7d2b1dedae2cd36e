"""What the demo shows: a digit on its way through the network, by each executor, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bitloom.cli.render import (
    differ,
    heat_strip,
    image_text,
    is_plain,
    make_table,
    percent,
    score_bars,
    seconds_text,
    verdict,
)
from bitloom.deploy import Build
from bitloom.frontends import Model
from bitloom.ir.operator import Array
from bitloom.run import RunResult
from bitloom.run.answers import Answers, answers
from bitloom.run.inputs import Samples
from bitloom.run.verify import Difference, difference, judge_of

_WHAT = {
    "litert": "the network file itself, by LiteRT's reference kernels: the judge",
    "numpy": "the integer graph, exactly, in NumPy",
    "pyrtl": "the generated circuit, simulated by PyRTL cycle by cycle",
    "verilog": "the exported Verilog, simulated by Verilator",
}
# Characters per pixel of the pictured digit, across.
_SCALE = 2
_GAP = 2
_BAR = 9
# Around a bar: the class before it, the score and the marks behind it.
_BAR_TEXT = 27
# Wider lines are hard to follow.
_WIDEST = 120


class DemoView:
    """Prints the demo, part by part.

    Args:
        console: to print on.
        model: that is shown.
        digits: every test image, in order.
        shown: number of the image that is pictured.
    """

    def __init__(self, console: Console, model: Model, digits: Samples, shown: int) -> None:
        self.console = console
        self.model = model
        self.digits = digits
        self.shown = shown
        # The pictured image first, so that executors that take only some images take it.
        self.order = np.concatenate([[shown], np.delete(np.arange(len(digits.labels)), shown)])
        self.inputs: Mapping[str, Array] = {name: array[self.order] for name, array in digits.inputs.items()}
        self.labels = digits.labels[self.order]

    def introduction(self) -> None:
        """What the network is."""
        graph = self.model.graph
        sizes = "-".join(str(graph.type(name).size) for name in (*graph.inputs, *graph.computed))
        self._print(Text("bitloom demo", "bold"), ": one quantized network at every level, from file to Verilog")
        self.console.print(
            f"{sizes}, {graph.type(graph.inputs[0]).element}, {graph.macs:,} multiply-accumulates; "
            f"{self.digits.available} handwritten digits it was not trained on"
        )

    def executor(self, result: RunResult) -> None:
        """The pictured digit on its way through the network, as one executor computed it."""
        line = "-" if is_plain(self.console) else "─"
        self.console.print()
        self.console.print(
            Rule(
                Text.assemble((result.executor, "bold"), f": {_WHAT[result.executor]}"),
                align="left",
                characters=line,
                style="dim",
            )
        )
        found = self._answers(result)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        for _ in range(3):
            grid.add_column(no_wrap=True)
        grid.add_row(self._picture(self.shown), self._layers(result, found), self._bars(found))
        self.console.print(grid)

    def comparison(self, results: Mapping[str, RunResult]) -> bool:
        """A table of executors and layers, and whether all are equal."""
        judge = judge_of(results)
        layers = self.model.graph.computed
        numbers = ("right", "cycles", "time", "setup")
        table = make_table(self.console, "executor", *layers, *numbers, right=numbers)
        equal = True
        for name, result in results.items():
            count = min(result.inferences, results[judge].inferences)
            found = [
                difference(results[judge].tensors[layer][:count], result.tensors[layer][:count]) for layer in layers
            ]
            equal = equal and not any(one.mismatches for one in found)
            cells = [Text("judge", "dim")] * len(layers) if name == judge else [_cell(one) for one in found]
            right = int((self._answers(result).classes == self.labels[: result.inferences]).sum())
            cycles = result.cycles
            table.add_row(
                Text(name, "bold"),
                *cells,
                f"{right}/{result.inferences}",
                f"{cycles.latency:,} / {cycles.interval or '-'}" if cycles else "-",
                seconds_text(result.seconds),
                seconds_text(result.setup_seconds) if result.setup_seconds else "-",
            )
        self.console.print()
        self.console.print(table)
        self._print(Text("right of the images run; cycles of latency / from image to image", "dim"))
        return equal

    @staticmethod
    def _difference(judge: RunResult, result: RunResult, layer: str) -> Difference:
        """Over the images that both computed: the first of the shared order."""
        count = min(judge.inferences, result.inferences)
        return difference(judge.tensors[layer][:count], result.tensors[layer][:count])

    def answers(self, results: Mapping[str, RunResult]) -> None:
        """The accuracy over the whole test split, and the digits that are read wrongly."""
        result = max(results.values(), key=lambda each: each.inferences)
        classes = self._answers(result).classes
        labels = self.labels[: result.inferences]
        wrong = np.flatnonzero(classes != labels)
        right = len(labels) - len(wrong)
        self._print(f"\n{percent(right, len(labels))}: {right} of the {len(labels)} test digits are read rightly")
        columns = max(len(_misread(9, 9)), self.digits.images.shape[2] if self.digits.images is not None else 0)
        fitting = wrong[: (self.console.width + _GAP) // (columns + _GAP)]
        if not len(fitting):
            return
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*(self._picture(int(self.order[position]), scale=1) for position in fitting))
        grid.add_row(*(_misread(int(labels[position]), int(classes[position])) for position in fitting))
        self.console.print(grid)

    def written(self, built: Build) -> None:
        """Where the Verilog is, and what is beside it."""
        verilog, *others = [path.name for path in built.files]
        self._print(f"\nVerilog written: {built.folder / verilog}, beside it {', '.join(others)}")

    def verdict(self, equal: bool) -> None:
        """The last line."""
        text = "every executor computed the same integers in every layer" if equal else "the executors differ"
        verdict(self.console, equal, text)

    def _answers(self, result: RunResult) -> Answers:
        return answers(self.model.graph, result.tensors)

    def _picture(self, number: int, scale: int = _SCALE) -> Text:
        images = self.digits.images
        return Text() if images is None else image_text(images[number], self.console, scale)

    def _layers(self, result: RunResult, found: Answers) -> Text:
        """The tensors before the scores, as heat strips."""
        columns = self.digits.images.shape[2] if self.digits.images is not None else 0
        width = min(self.console.width, _WIDEST) - _SCALE * columns - 2 * _GAP - _BAR - _BAR_TEXT
        text = Text()
        for name in self.model.graph.computed:
            if name == found.tensor:
                continue
            values = result.tensors[name][0]
            if text:
                text.append("\n")
            text.append(f"{name}  {self.model.graph.type(name).element}[{values.size}]\n", "bold")
            text.append(heat_strip(values, self.console, width))
        return text

    def _bars(self, found: Answers) -> Text:
        text = Text.assemble((f"{found.tensor}\n", "bold"))
        names = self.digits.class_names
        bars = score_bars(found.scores[0], names, int(self.labels[0]), int(found.classes[0]), self.console, _BAR)
        return text.append(bars)

    def _print(self, *parts: str | Text) -> None:
        self.console.print(Text.assemble(*parts), soft_wrap=True)


def _misread(expected: int, actual: int) -> Text:
    return Text.assemble((str(expected), "bold green"), " read as ", (str(actual), "bold red"))


def _cell(found: Difference) -> Text:
    if found.mismatches:
        return Text(differ(found.mismatches), "bold red")
    return Text("equal", "green")
