"""The lines `bitloom run` prints: one for each inference, and a summary; the same for every executor."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.text import Text

from bitloom.arith import IntType
from bitloom.cli.errors import one_line
from bitloom.cli.inputs import Inferences
from bitloom.cli.render import percent, seconds_text, significant
from bitloom.ir import Graph
from bitloom.report.metrics import Confusion
from bitloom.run import RunResult
from bitloom.run.answers import Answers

# More scores than this are too many for a line: the highest are shown.
_MOST_SCORES = 16
_HIGHEST = 5
_MOST_CLASSES = 1000
_FLOAT_WIDTH = 9


class AnswerLines:
    """One line for each inference: its number, the expected and the actual class, and the scores.

    Args:
        found: the answers of a batch.
        graph: that gave them.
        inferences: of the whole run.
    """

    def __init__(self, found: Answers, graph: Graph, inferences: Inferences) -> None:
        self.found = found
        self.inferences = inferences
        self.names = inferences.class_names or tuple(str(index) for index in range(found.scores.shape[1]))
        self.name_width = max(8, *(len(name) for name in self.names))
        self.every = found.scores.shape[1] <= _MOST_SCORES
        element = graph.type(found.tensor).element
        # As wide as the type's widest number, so that all batches line up.
        ends = (element.minimum, element.maximum) if isinstance(element, IntType) else ("." * _FLOAT_WIDTH,)
        self.score_width = max(len(str(end)) for end in ends)

    def heading(self) -> Text:
        """The line above all others."""
        width = self.name_width
        text = Text(f"\n  image  {'expected':>{width}}  {'actual':>{width}}    ")
        if self.every and max(map(len, self.names)) <= self.score_width:
            text.append("".join(f" {name:>{self.score_width}}" for name in self.names) + "  scores")
        else:
            text.append(" scores" if self.every else f" the {_HIGHEST} highest scores")
        text.stylize("bold")
        return text

    def line(self, row: int, position: int) -> Text:
        """The line of one inference.

        Args:
            row: in the batch.
            position: in the run.
        """
        actual = int(self.found.classes[row])
        labels = self.inferences.labels
        expected = None if labels is None else int(labels[position])
        width = self.name_width
        text = Text(f"{self.inferences.first + position:>7}  {self._name(expected):>{width}}  ")
        wrong = expected is not None and expected != actual
        style = "" if expected is None else "bold red" if wrong else "green"
        text.append(f"{self._name(actual):>{width}}", style)
        text.append("  ! " if wrong else "    ", style)
        for index in self._shown(row):
            score = self._score(self.found.scores[row, index])
            text.append(" " if self.every else f" {self._name(index)}:")
            text.append(score if self.every else score.strip(), "bold" if index == actual else "")
        return text

    def _name(self, index: int | None) -> str:
        if index is None:
            return "-"
        return one_line(self.names[index]) if index < len(self.names) else str(index)

    def _shown(self, row: int) -> list[int]:
        if self.every:
            return list(range(self.found.scores.shape[1]))
        # Stable: of equal scores the first comes first.
        order = np.argsort(-self.found.scores[row].astype(np.float64), kind="stable")
        return [int(index) for index in order[:_HIGHEST]]

    def _score(self, score: np.generic) -> str:
        number = score.item()
        written = f"{number:.6g}" if isinstance(number, float) else str(number)
        return written.rjust(self.score_width)


def print_summary(console: Console, inferences: Inferences, result: RunResult, found: Answers) -> None:
    """What the run was, in numbers; every executor prints the same lines."""
    count = inferences.count
    if inferences.labels is None:
        right = "the right answers are not known"
    else:
        correct = int((found.classes == inferences.labels).sum())
        right = f"{percent(correct, count)}  ({correct:,} of {count:,} right)"
    speed = f"{significant(result.inferences_per_second)} inferences/s"
    if result.cycles is None:
        cycles = "none: this is software"
    else:
        interval = "-" if result.cycles.interval is None else f"{result.cycles.interval:,}"
        cycles = f"{result.cycles.latency:,} from first input to last output, {interval} between inferences"
    console.print()
    for name, text in (
        ("accuracy", right),
        ("time", f"{seconds_text(result.seconds)}, {speed}, after {seconds_text(result.setup_seconds)} of setup"),
        ("cycles", cycles),
    ):
        console.print(Text.assemble((f"{name:<10}", "bold"), text), soft_wrap=True)
    confusion = confusion_of(inferences, found)
    # Of a few samples each line says as much.
    if confusion is not None and len(confusion.names) <= min(_MOST_SCORES, count // 3):
        console.print()
        console.print(confusion.table())


def confusion_of(inferences: Inferences, found: Answers) -> Confusion | None:
    """Which class was taken for which, where the right ones are known."""
    if inferences.labels is None:
        return None
    both = np.concatenate([inferences.labels, found.classes])
    if both.min() < 0 or both.max() >= _MOST_CLASSES:  # an output that is no class
        return None
    return Confusion.of(inferences.labels, found.classes, inferences.class_names)
