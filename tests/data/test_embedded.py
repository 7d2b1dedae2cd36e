"""Digits and iris: the published numbers, a fixed and fair split."""

import hashlib

import numpy as np
import pytest

from bitloom.data import DATASETS, Dataset, load_dataset
from bitloom.data.embedded import _read, embed_from_scikit_learn
from bitloom.data.random_bits import RandomBits
from bitloom.errors import DataError


def test_embedded_digits_are_scikit_learns() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = sklearn_datasets.load_digits(), _read("digits.npz")
    assert ours["images"].astype(theirs.images.dtype).tobytes() == theirs.images.tobytes()
    assert ours["labels"].astype(theirs.target.dtype).tobytes() == theirs.target.tobytes()


def test_embedded_iris_is_scikit_learns() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = sklearn_datasets.load_iris(), _read("iris.npz")
    assert ours["measurements"].tobytes() == theirs.data.tobytes()
    assert ours["labels"].astype(theirs.target.dtype).tobytes() == theirs.target.tobytes()
    assert load_dataset("iris").class_names == tuple(theirs.target_names)


def test_the_kept_tool_makes_the_embedded_files(tmp_path: object) -> None:
    pytest.importorskip("sklearn.datasets")
    embed_from_scikit_learn(tmp_path)  # type: ignore[arg-type]
    for name in ("digits.npz", "iris.npz"):
        with np.load(tmp_path / name) as made:  # type: ignore[operator]
            kept = _read(name)
            assert made.files == list(kept)
            for key in made.files:
                np.testing.assert_array_equal(made[key], kept[key])


@pytest.mark.parametrize(("name", "sizes"), [("digits", (1438, 359)), ("iris", (120, 30))])
def test_the_split_is_stratified_complete_and_scaled(name: str, sizes: tuple[int, int]) -> None:
    data = load_dataset(name)
    assert (len(data.train_y), len(data.test_y)) == sizes
    share = np.bincount(data.test_y) / np.bincount(np.concatenate([data.train_y, data.test_y]))
    assert share == pytest.approx([0.2] * data.classes, abs=0.005)
    for x in (data.train_x, data.test_x):
        assert x.dtype == np.float32
        assert x.shape[1] == data.features
        assert 0 <= x.min() < 0.05
        assert 0.95 < x.max() <= 1
    everything = np.sort(np.concatenate([data.train_x, data.test_x]), axis=0)
    arrays = _read(f"{name}.npz")
    raw = next(values for key, values in arrays.items() if key != "labels").reshape(sum(sizes), -1)
    full_scale = 16 if name == "digits" else np.array([8.0, 4.5, 7.0, 2.6])
    np.testing.assert_array_equal(everything, np.sort((raw / full_scale).astype(np.float32), axis=0))


def test_the_split_never_changes() -> None:
    """The shipped model's accuracy, and the images a demo shows, are about this split."""
    digest = hashlib.sha256()
    for name in ("digits", "iris"):
        data = load_dataset(name)
        for array in (data.train_x, data.train_y, data.test_x, data.test_y):
            digest.update(array.tobytes())
    assert digest.hexdigest() == "9428703af9329717a7cd9f7c7450bfcb1b1fa0b287b6504a96aa686f64aa0f5e"


def test_the_first_test_samples_are_of_several_classes() -> None:
    for name in ("digits", "iris"):
        assert len(set(load_dataset(name).test_y[:10].tolist())) >= 3


def test_data_sets_are_read_only() -> None:
    data = load_dataset("digits")
    with pytest.raises(ValueError, match="read-only"):
        data.test_x[0, 0] = 1


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(DataError, match=f"no data set called 'cifar'; use one of {', '.join(DATASETS)}"):
        load_dataset("cifar")


@pytest.mark.parametrize(
    ("x_shape", "labels", "message"),
    [
        ((3, 2), [0, 1], "do not belong together"),
        ((2, 3), [0, 1], "do not belong together"),
        ((0, 2), [], "do not belong together"),
        ((2, 2), [0, 2], "labels outside 0 to 1"),
        ((2, 2), [-1, 1], "labels outside 0 to 1"),
    ],
)
def test_an_inconsistent_data_set_is_refused(x_shape: tuple[int, int], labels: list[int], message: str) -> None:
    x, y = np.zeros((2, 2), np.float32), np.array([0, 1])
    with pytest.raises(DataError, match=message):
        Dataset("own", x, y, np.zeros(x_shape, np.float32), np.array(labels, np.int64), ("a", "b"), None, "none")


def test_random_draws_are_the_same_everywhere() -> None:
    """Pinned values: a NumPy release that changed them would change every trained model."""
    assert RandomBits(1).permutation(8).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]
    assert RandomBits(1).uniform((2,)).tolist() == [0.023643249400513433, 0.9009273926518706]


def test_random_draws_are_what_they_claim() -> None:
    random = RandomBits(3)
    assert sorted(random.permutation(1000)) == list(range(1000))
    draws = random.uniform((100, 100))
    assert -1 <= draws.min() < -0.99
    assert 0.99 < draws.max() < 1
    assert abs(draws.mean()) < 0.02
    assert draws.std() == pytest.approx(3**-0.5, abs=0.01)
