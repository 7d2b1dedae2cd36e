"""Confusion matrices and what follows from them."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bitloom.errors import InputError
from bitloom.report.metrics import Confusion

NAMES = ("setosa", "versicolor", "virginica")
FOUND = Confusion.of([0, 0, 1, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2, 1], NAMES)


def test_counts_have_the_right_classes_in_rows() -> None:
    assert FOUND.counts.tolist() == [[2, 0, 0], [0, 1, 2], [0, 1, 1]]
    assert (FOUND.samples, FOUND.right, FOUND.accuracy) == (7, 4, 4 / 7)


def _number(share: float | None) -> float:
    return float("nan") if share is None else share


@pytest.mark.filterwarnings("ignore:A single label")
@settings(deadline=None)  # the first example imports scikit-learn
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_precision_and_recall_are_what_scikit_learn_says(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels, answers = (np.array(side) for side in zip(*pairs, strict=True))
    found = Confusion.of(labels, answers)
    classes = range(len(found.names))
    assert found.counts.tolist() == metrics.confusion_matrix(labels, answers, labels=classes).tolist()
    precision, recall, _, _ = metrics.precision_recall_fscore_support(
        labels, answers, labels=classes, zero_division=np.nan
    )
    np.testing.assert_array_equal([_number(found.precision(at)) for at in classes], precision)
    np.testing.assert_array_equal([_number(found.recall(at)) for at in classes], recall)


def test_what_never_occurs_has_no_share() -> None:
    found = Confusion.of([0, 0], [0, 1], ("a", "b", "c"))
    assert [found.precision(label) for label in range(3)] == [1, 0, None]
    assert [found.recall(label) for label in range(3)] == [0.5, None, None]
    assert found.to_json()["precision"] == [1, 0, None]


@pytest.mark.parametrize(("labels", "answers"), [([], []), ([0], [0, 1]), ([0, -1], [0, 1])])
def test_what_does_not_belong_together_is_refused(labels: list[int], answers: list[int]) -> None:
    with pytest.raises(InputError):
        Confusion.of(labels, answers)


def test_in_the_terminal() -> None:
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(FOUND.table())
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["right", "\\", "said", "setosa", "versicolor", "virginica", "precision", "recall"]
    assert lines[3] == ["versicolor", "0", "1", "2", "50.00", "%", "33.33", "%"]


def test_the_picture_is_well_formed_and_harmless() -> None:
    found = Confusion.of([0, 1, 1], [0, 1, 0], ("<script>", "a class with a rather long name"))
    root = ElementTree.fromstring(found.svg("a & b"))
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "a & b"
    assert "<script>" in texts
    assert "66.67 %" in ElementTree.tostring(ElementTree.fromstring(found.svg()), encoding="unicode")
    cells = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("fill")]
    assert [cell.get("fill") for cell in cells] == ["#18468c", "#f4f7fc", "#869ec4", "#869ec4"]
