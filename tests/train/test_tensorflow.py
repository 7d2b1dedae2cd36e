"""The TensorFlow recipe: a clear error without it, the same kind of result with it."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bitloom.data import load_dataset
from bitloom.errors import BitloomError, MissingExtraError, TrainError
from bitloom.train import train_with_tensorflow

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow_model_optimization") is None, reason="the extra bitloom[tensorflow] is not installed"
)


@pytest.mark.parametrize("missing", ["tensorflow", "tensorflow_model_optimization"])
def test_without_it_the_error_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bitloom\[tensorflow\]'") as caught:
        train_with_tensorflow(load_dataset("iris"))
    assert isinstance(caught.value, BitloomError)
    assert "\n" not in str(caught.value)


@needs_tensorflow
def test_iris_through_tensorflow(tmp_path: Path) -> None:
    reports = []
    trained = train_with_tensorflow(
        load_dataset("iris"), layers=(7, 5), epochs=60, quantized_epochs=20, progress=reports.append
    )
    assert trained.layer_sizes == (4, 7, 5, 3)
    assert [layer.weights.shape for layer in trained.layers] == [(7, 4), (5, 7), (3, 5)]
    assert [layer.relu for layer in trained.layers] == [True, True, False]
    assert tuple(reports) == trained.history
    assert [report.phase for report in reports] == ["float"] * 60 + ["quantized"] * 20
    assert trained.quantized_accuracy >= 0.9
    assert len(trained.write(tmp_path / "out")) == 3


@needs_tensorflow
def test_what_tensorflow_does_not_offer_is_refused() -> None:
    with pytest.raises(TrainError, match="one weight scale per dense layer"):
        train_with_tensorflow(load_dataset("iris"), per_channel=True)
