"""How well a classifier does: the confusion matrix and what follows from it, in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import InputError
from bitloom.report import svg
from bitloom.report.tables import printable

if TYPE_CHECKING:
    from rich.table import Table

_CELL, _WIDEST, _LEFT, _TOP, _LETTER = 54, 96, 26, 66, 7.0
_STYLE = """<style>
text { font: 12px sans-serif; fill: #1f2430; dominant-baseline: middle; }
.head { font-weight: 600; } .small { font-size: 11px; fill: #5b6472; } .light { fill: #ffffff; }
.frame { fill: #ffffff; }
</style>"""
# From white to a dark blue: counts as ink.
_LIGHT, _DARK = (244, 247, 252), (24, 70, 140)


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often which class was taken for which.

    Attributes:
        counts: int64 (classes, classes): rows are the right classes, columns the answers.
        names: of the classes.

    >>> found = Confusion.of([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], ("no", "yes"))
    >>> found.accuracy, found.precision(1), found.recall(0)
    (0.6, 0.6666666666666666, 0.5)
    """

    counts: npt.NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        labels: Sequence[int] | npt.NDArray[Any],
        answers: Sequence[int] | npt.NDArray[Any],
        names: Sequence[str] = (),
    ) -> Confusion:
        """Count.

        Args:
            labels: the right class of each sample.
            answers: the class a network says.
            names: of the classes; their numbers where there are none, or too few.

        Raises:
            InputError: other than as many labels as answers, none, or negative ones.
        """
        right, said = np.asarray(labels, np.int64), np.asarray(answers, np.int64)
        if right.shape != said.shape or right.ndim != 1 or not len(right):
            raise InputError(f"{right.size} labels and {said.size} answers", remedy="give as many, and at least one")
        if min(right.min(), said.min()) < 0:
            raise InputError("a class is negative", remedy="number classes from 0")
        classes = max(int(right.max()), int(said.max())) + 1
        named = (*names, *map(str, range(len(names), classes)))
        counts = np.zeros((len(named), len(named)), np.int64)
        np.add.at(counts, (right, said), 1)
        return cls(counts, named)

    @property
    def samples(self) -> int:
        """How many."""
        return int(self.counts.sum())

    @property
    def right(self) -> int:
        """Right answers."""
        return int(np.trace(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.samples

    def precision(self, label: int) -> float | None:
        """Of the answers that say this class, the share that is right; None if there are none."""
        said = int(self.counts[:, label].sum())
        return int(self.counts[label, label]) / said if said else None

    def recall(self, label: int) -> float | None:
        """Of the samples of this class, the share that is found; None if there are none."""
        there = int(self.counts[label].sum())
        return int(self.counts[label, label]) / there if there else None

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        classes = range(len(self.names))
        return {
            "classes": list(self.names),
            "confusion": self.counts.tolist(),
            "accuracy": self.accuracy,
            "precision": [self.precision(label) for label in classes],
            "recall": [self.recall(label) for label in classes],
        }

    def table(self) -> Table:
        """For the terminal: a row for each right class, a column for each answer, precision and recall."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("right \\ said")
        for name in self.names:
            table.add_column(printable(name), justify="right", no_wrap=True)
        table.add_column("precision", justify="right", no_wrap=True)
        table.add_column("recall", justify="right", no_wrap=True)
        for label, name in enumerate(self.names):
            cells = [Text(f"{count:,}", self._style(label, said, count)) for said, count in enumerate(self._row(label))]
            table.add_row(
                Text(printable(name)), *cells, _share(self.precision(label)), _share(self.recall(label))
            )  # fmt: skip
        return table

    def svg(self, title: str = "") -> str:
        """A picture that stands alone: a cell for each pair of classes, the darker the more of its row.

        Args:
            title: above it; the accuracy if empty.
        """
        longest = max(map(len, self.names))
        left, wide = _LEFT + _LETTER * longest + 10, min(max(_CELL, _LETTER * longest + 8), _WIDEST)
        right = left + len(self.names) * wide
        width, height = right + 2 * 74, _TOP + len(self.names) * _CELL + 18
        title = title or f"{100 * self.accuracy:.2f} % of {self.samples:,} samples right"
        shapes = [
            _STYLE,
            svg.rectangle(0, 0, width, height, style="frame", round_by=0),
            svg.text(left, 18, title, style="head"),
            svg.text(left, 40, "answer", style="small"),
            svg.text(left - 10, _TOP - 12, "right", style="small", anchor="end"),
            svg.text(right + 37, _TOP - 12, "precision", style="small", anchor="middle"),
            svg.text(right + 111, _TOP - 12, "recall", style="small", anchor="middle"),
        ]
        for label, name in enumerate(self.names):
            middle = _TOP + label * _CELL + _CELL / 2
            shapes += [
                svg.text(left - 10, middle, name, anchor="end"),
                svg.text(left + (label + 0.5) * wide, _TOP - 12, _cut(name, int(wide / _LETTER)), anchor="middle"),
                svg.text(right + 37, middle, _share(self.precision(label)), anchor="middle"),
                svg.text(right + 111, middle, _share(self.recall(label)), anchor="middle"),
            ]
            shapes += [self._cell(label, said, left + said * wide, wide) for said in range(len(self.names))]
        return svg.picture(width, height, shapes, label=title) + "\n"

    def _cell(self, label: int, said: int, x: float, width: float) -> str:
        count, y = int(self.counts[label, said]), _TOP + label * _CELL
        share = count / max(int(self.counts[label].sum()), 1)
        color = "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(_LIGHT, _DARK, strict=True))
        title = f"{self.names[label]} taken for {self.names[said]}: {count:,}"
        box = svg.rectangle(x + 1, y + 1, width - 2, _CELL - 2, style="cell", title=title)
        number = svg.text(
            x + width / 2, y + _CELL / 2, f"{count:,}", style="light" if share > 0.5 else "", anchor="middle"
        )
        return box.replace('class="cell"', f'fill="{color}"') + number

    def _row(self, label: int) -> list[int]:
        return [int(count) for count in self.counts[label]]

    def _style(self, label: int, said: int, count: int) -> str:
        if label == said:
            return "bold green"
        return "bold red" if count else "dim"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _cut(name: str, most: int) -> str:
    """What fits above a cell."""
    return name if len(name) <= most else name[: most - 1] + "…"
