"""MNIST: found, fetched, checked; the network is a folder here."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from bitloom.data import load_dataset, load_mnist, mnist
from bitloom.data.mnist import _read_idx, mnist_files
from bitloom.errors import DataError

TEST_DATA = os.environ.get("BITLOOM_TEST_DATA")
needs_test_data = pytest.mark.skipif(
    not (TEST_DATA and Path(TEST_DATA, "mnist").is_dir()), reason="BITLOOM_TEST_DATA names no folder with mnist/ in it"
)


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny data set in MNIST's form, whose checksums are the expected ones."""
    random = np.random.default_rng(0)
    folder = tmp_path / "published"
    folder.mkdir()
    for stem, count in (("train", 30), ("t10k", 20)):
        images, labels = random.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    checksums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in mnist._CHECKSUMS}
    monkeypatch.setattr(mnist, "_CHECKSUMS", checksums)
    monkeypatch.delenv("BITLOOM_MNIST", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@needs_test_data
def test_the_original_files_are_recognised_and_shrunk() -> None:
    data = load_dataset("mnist", folder=Path(str(TEST_DATA), "mnist"))
    assert data.train_x.shape == (60000, 144)
    assert data.test_x.shape == (10000, 144)
    assert data.image_shape == (12, 12)
    assert data.test_y[:5].tolist() == [7, 2, 1, 0, 4]
    assert (data.train_x.min(), data.train_x.max()) == (0, 1)
    # The mean brightness of MNIST, 0.1307, is kept by averaging areas.
    assert data.train_x.mean(dtype=np.float64) == pytest.approx(0.1307, abs=1e-4)


def test_a_named_folder_and_the_environment_variable(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = load_dataset("mnist", folder=str(tiny))
    assert named.train_x.shape == (30, 144)
    assert named.test_y.tolist() == [*range(10), *range(10)]
    monkeypatch.setenv("BITLOOM_MNIST", str(tiny))
    np.testing.assert_array_equal(load_dataset("mnist").test_x, named.test_x)
    assert load_mnist(size=(28, 28), method="bilinear").features == 784


def test_fetching_fills_the_cache_and_is_done_once(tiny: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    mirrors = [(tmp_path / "nowhere").as_uri() + "/", tiny.as_uri() + "/"]
    paths = mnist_files(progress=lambda *call: calls.append(call), mirrors=mirrors)
    assert [path.name for path in paths] == list(mnist._CHECKSUMS)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(mnist._CHECKSUMS)  # no temporary files
    assert {name for name, _, _ in calls} == set(mnist._CHECKSUMS)
    assert calls[-1][1] == calls[-1][2] == paths[-1].stat().st_size
    calls.clear()
    assert mnist_files(progress=lambda *call: calls.append(call), mirrors=["nowhere:"]) == paths
    assert calls == []


def test_a_damaged_cache_is_fetched_again(tiny: Path) -> None:
    paths = mnist_files(mirrors=[tiny.as_uri() + "/"])
    paths[2].write_bytes(paths[2].read_bytes()[:-10])
    assert mnist_files(mirrors=[tiny.as_uri() + "/"]) == paths
    assert paths[2].read_bytes() == (tiny / paths[2].name).read_bytes()


def test_no_network_is_one_error_that_says_to_name_a_folder(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        mnist_files(mirrors=[(tmp_path / "nowhere").as_uri() + "/"])
    message = str(caught.value)
    assert "could not be fetched" in message
    assert "name their folder (--folder or BITLOOM_MNIST)" in message
    assert "\n" not in message


def test_a_mirror_with_other_data_is_not_believed(tiny: Path, tmp_path: Path) -> None:
    impostor = tmp_path / "impostor"
    impostor.mkdir()
    for name in mnist._CHECKSUMS:
        (impostor / name).write_bytes(b"something else")
    with pytest.raises(DataError, match="the checksum is wrong"):
        mnist_files(mirrors=[impostor.as_uri() + "/"])
    assert mnist_files(mirrors=[impostor.as_uri() + "/", tiny.as_uri() + "/"])


def test_a_named_folder_is_not_completed_from_the_network(tiny: Path) -> None:
    missing = tiny / "t10k-labels-idx1-ubyte.gz"
    missing.unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: cannot read this MNIST file"):
        mnist_files(tiny, mirrors=[tiny.as_uri() + "/"])


def test_another_data_set_under_the_same_names_is_refused(tiny: Path) -> None:
    (tiny / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(30)))
    with pytest.raises(DataError, match="not the original MNIST file"):
        load_dataset("mnist", folder=tiny)


def test_an_unwritable_cache_is_an_error(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot write into the cache folder"):
        mnist_files(mirrors=[tiny.as_uri() + "/"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"\0", mtime=0),
        gzip.compress(b"\0\0\x0d\x01" + bytes(8), mtime=0),
        idx(np.zeros((2, 3)))[:-9],
    ],
)
def test_a_file_that_is_not_idx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a gzipped IDX file"):
        _read_idx(path)


def test_idx_round_trip(tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    path = tmp_path / "array.gz"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(_read_idx(path), array)
