"""Writing what was trained: complete or not at all."""

from pathlib import Path

import numpy as np
import pytest

from bitloom.data import load_dataset
from bitloom.errors import ExportError
from bitloom.train import Trained, train

NAMES = ["float.tflite", "int8.tflite", "weights.npz"]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(load_dataset("iris"), layers=(6, 5), epochs=2, quantized_epochs=2, per_channel=True)


def test_three_files_are_written(trained: Trained, tmp_path: Path) -> None:
    paths = trained.write(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == NAMES
    assert sorted(path.name for path in (tmp_path / "new").rglob("*")) == sorted(["folder", *NAMES])
    assert paths[0].read_bytes() == trained.float_model
    assert paths[1].read_bytes() == trained.int8_model


def test_the_archive_holds_the_integers(trained: Trained, tmp_path: Path) -> None:
    archive = trained.write(tmp_path / "out")[2]
    with np.load(archive) as arrays:
        assert arrays["input.scale"] == np.float32(trained.layers[0].input.scale)
        assert arrays["input.zero_point"] == trained.layers[0].input.zero_point
        for index, layer in enumerate(trained.layers):
            np.testing.assert_array_equal(arrays[f"layer{index}.weights"], layer.weights)
            np.testing.assert_array_equal(arrays[f"layer{index}.bias"], layer.bias)
            assert arrays[f"layer{index}.weights"].dtype == np.int8
            assert arrays[f"layer{index}.bias"].dtype == np.int32
            assert arrays[f"layer{index}.output_scale"] == np.float32(layer.output.scale)
            assert arrays[f"layer{index}.output_zero_point"] == layer.output.zero_point
            assert arrays[f"layer{index}.relu"] == (index < 2)
            real = arrays[f"layer{index}.multipliers"] * 2.0 ** (arrays[f"layer{index}.shifts"] - 31.0)
            scales = arrays[f"layer{index}.weight_scales"].astype(np.float64)
            np.testing.assert_allclose(real, layer.input.scale * scales / layer.output.scale, rtol=1e-9)
        assert len(arrays.files) == 2 + 9 * 3


def test_the_archive_has_the_same_bytes_each_time(trained: Trained, tmp_path: Path) -> None:
    first, second = trained.write(tmp_path / "a"), trained.write(tmp_path / "b")
    assert first[2].read_bytes() == second[2].read_bytes()


def test_other_files_of_a_folder_are_left_alone_and_old_results_replaced(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "int8.tflite").write_text("old")
    trained.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*NAMES, "notes.txt"])
    assert (tmp_path / "int8.tflite").read_bytes() == trained.int8_model


@pytest.mark.parametrize("exists", [False, True])
def test_an_error_half_way_leaves_nothing(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
        (folder / "int8.tflite").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    original = Path.write_bytes

    def fails_at_the_second(self: Path, data: bytes) -> int:
        if self.name == "int8.tflite":
            raise OSError(28, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", fails_at_the_second)
    with pytest.raises(ExportError, match=r"out: cannot write here \(No space left on device\)"):
        trained.write(folder)
    assert sorted(tmp_path.rglob("*")) == before
    if exists:
        assert (folder / "int8.tflite").read_text() == "old"


def test_a_place_that_is_no_folder_is_an_error(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ExportError, match="cannot write here"):
            trained.write(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
