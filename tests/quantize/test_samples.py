"""Calibration data from files, folders, data sets and random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork

from bitloom.data import load_dataset
from bitloom.errors import DataError, InputError
from bitloom.ir.float_graph import FloatGraph, FloatTensor
from bitloom.quantize.calibration import calibration_inputs
from bitloom.quantize.samples import labelled_test_split, read_samples


def network(*shape: int) -> FloatGraph:
    net = FloatNetwork(shape)
    net.same("RELU", "x")
    return net.graph()


def two_inputs() -> FloatGraph:
    net = FloatNetwork((1, 3))
    net.tensors["z"] = FloatTensor("z", (1, 3))
    made = net.pair("ADD", "x", "z")
    return FloatGraph("two", ("x", "z"), (made,), tuple(net.tensors.values()), tuple(net.nodes))


FLAT = network(1, 4)


def test_npy(tmp_path) -> None:
    path, data = tmp_path / "a.npy", np.arange(12.0).reshape(3, 4)
    np.save(path, data)
    np.testing.assert_array_equal(read_samples(FLAT, str(path))["x"], data)


def test_npz_by_name_and_labels_left_out(tmp_path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.ones((2, 3)), z=np.zeros((2, 3)), labels=np.array([0, 1]))
    assert sorted(read_samples(two_inputs(), str(path))) == ["x", "z"]
    np.savez(path, anything=np.ones((2, 4)), labels=np.array([0, 1]))
    assert list(read_samples(FLAT, str(path))) == ["x"]


@pytest.mark.parametrize("head", ["", "a,b,c,d\n", "\ufeffa,b,c,d\n"])
def test_csv(head, tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{head}1, 2.5,3,-4\n\n5,6,7e-1,8\n")
    np.testing.assert_allclose(read_samples(FLAT, str(path))["x"], [[1, 2.5, 3, -4], [5, 6, 0.7, 8]])


def test_folder(tmp_path) -> None:
    np.save(tmp_path / "b.npy", np.full((1, 4), 2.0))
    np.save(tmp_path / "a.npy", np.full((3, 4), 1.0))
    np.save(tmp_path / "c.npy", np.full(4, 3.0))
    (tmp_path / "d.txt").write_text("not read")
    samples = calibration_inputs(FLAT, read_samples(FLAT, str(tmp_path)))["x"]
    assert samples[:, 0, 0].tolist() == [1, 1, 1, 2, 3]


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8, 1)), ("digits", (1, 64)), ("iris", (1, 4))])
def test_data_sets(name, shape) -> None:
    graph = network(*shape)
    dataset = load_dataset(name)
    samples = calibration_inputs(graph, read_samples(graph, name))["x"]
    assert samples.shape == (len(dataset.train_y), *shape)
    split = labelled_test_split(graph, name)
    assert split is not None
    assert split[0]["x"].shape == (len(dataset.test_y), *shape)
    assert labelled_test_split(graph, "random") is None


def test_random() -> None:
    samples = read_samples(FLAT, "random", seed=3)["x"]
    assert samples.shape == (100, 1, 4)
    assert samples.min() >= -1
    assert samples.max() < 1
    np.testing.assert_array_equal(samples[:7], read_samples(FLAT, "random", 7, seed=3)["x"])
    assert not np.array_equal(samples[:7], read_samples(FLAT, "random", 7, seed=4)["x"])


def test_fewer_are_spread_over_all(tmp_path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.repeat(np.arange(100.0)[:, None], 4, axis=1))
    assert read_samples(FLAT, str(path), 4)["x"][:, 0].tolist() == [0, 25, 50, 75]
    assert len(read_samples(FLAT, str(path), 1000)["x"]) == 100


def written(folder, name: str, content: object) -> str:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"nonsense", "is no array file"),
        ("a.npy", b"", "is no array file"),
        ("a.npz", b"PK\x03\x04", "is no array file"),
        ("a.npy", np.array([{}], dtype=object), "is no array file"),
        ("a.csv", "", "there are no samples"),
        ("a.csv", "a,b\n", "there are no samples"),
        ("a.csv", "1,2\n3\n", "line 2 has 1 columns, the first 2"),
        ("a.csv", "1,2\n3,x\n", "line 2 holds 'x', which is no number"),
        ("a.csv", b"\xff\xfe\x00", "is no array file"),
    ],
)
def test_bad_files(name, content, message, tmp_path) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_samples(FLAT, path)
    assert caught.value.where == path


def test_what_is_not_there(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file; give an array file, a folder, or "):
        read_samples(FLAT, str(tmp_path / "missing.npy"))
    with pytest.raises(InputError, match="holds no file that ends with"):
        read_samples(FLAT, str(tmp_path))


def test_what_does_not_fit(tmp_path) -> None:
    with pytest.raises(InputError, match="features"):
        read_samples(network(1, 5), "iris")
    with pytest.raises(InputError, match="holds samples of one input, and 'two' has 2"):
        read_samples(two_inputs(), "iris")
    np.save(tmp_path / "a.npy", np.zeros((2, 4)))
    np.save(tmp_path / "b.npy", np.zeros((2, 5)))
    with pytest.raises(InputError, match=r"b.npy: .*has shape \[2, 5\]; give shape \[n, 1, 4\]"):
        read_samples(FLAT, str(tmp_path))


def test_mnist_that_is_not_there(tmp_path) -> None:
    with pytest.raises(DataError):
        read_samples(network(1, 28, 28, 1), "mnist", folder=tmp_path)
