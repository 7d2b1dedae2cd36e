"""Reading, normalising, quantizing and splitting data."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.data import quantize_inputs
from bitloom.data.transforms import Quantize, Scale, Table, ZScore, compose, load_csv, split
from bitloom.errors import ArithmeticDomainError, DataError, UsageError

FLOWERS = """sepal,petal,species
5.1,0.2,setosa
6.2,1.3,versicolor
5.9,1.8,virginica
4.9,0.1,setosa
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "flowers.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("label", ["species", -1, 2])
def test_a_file_with_names(tmp_path: Path, label: str | int) -> None:
    table = load_csv(written(tmp_path, FLOWERS), label)
    assert table.x.tolist() == [[5.1, 0.2], [6.2, 1.3], [5.9, 1.8], [4.9, 0.1]]
    assert table.y.tolist() == [0, 1, 2, 0]
    assert table.class_names == ("setosa", "versicolor", "virginica")
    assert (table.feature_names, table.name) == (("sepal", "petal"), "flowers")


def test_a_file_without_names_and_with_labels_in_front(tmp_path: Path) -> None:
    table = load_csv(written(tmp_path, "\n2; 1.5;1e3\n0;-2;.5\n\n"), 0, delimiter=";")
    assert table.x.tolist() == [[1.5, 1000], [-2, 0.5]]
    assert (table.y.tolist(), table.class_names) == ([2, 0], ("0", "1", "2"))


def test_labels_far_apart_are_names(tmp_path: Path) -> None:
    table = load_csv(written(tmp_path, "1,7\n2,300\n"))
    assert (table.y.tolist(), table.class_names) == ([1, 0], ("300", "7"))


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        ("", -1, "is empty"),
        ("a,b\n", -1, "has no line of numbers"),
        ("1,2,x\n3,y\n", -1, "line 2: has 2 values and the first line 3"),
        (FLOWERS + "5,1,\n", "species", "line 6: has no label"),
        (FLOWERS, "kind", "no column 'kind' of labels; its columns: sepal, petal, species"),
        (FLOWERS, 3, "has 3 columns and no column 3"),
        (FLOWERS + "5,nan,setosa\n", "species", "line 6: 'nan' is no finite number"),
        (FLOWERS + "5,?,setosa\n", "species", r"line 6: '\?' is no finite number"),
        ("x\ny\n", 0, "labels and no features"),
    ],
)
def test_files_that_do_not_do_are_refused(tmp_path: Path, text: str, label: str | int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_csv(written(tmp_path, text), label)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_csv(tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes(b"\xff\xfe,1\n")
    with pytest.raises(DataError, match="cannot be read"):
        load_csv(path)


def table(counts: tuple[int, ...]) -> Table:
    y = np.repeat(np.arange(len(counts)), counts)
    return Table(np.arange(len(y) * 2.0).reshape(-1, 2), y, tuple(map(str, range(len(counts)))))


@given(st.lists(st.integers(4, 40), min_size=1, max_size=4), st.floats(0.2, 0.8), st.integers(0, 99))
def test_splits_are_stratified_and_lose_nothing(counts: list[int], share: float, seed: int) -> None:
    whole = table(tuple(counts))
    train, test = split(whole, share, seed)
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == whole.x[:, 0].tolist()
    assert np.bincount(test.y, minlength=len(counts)).tolist() == [round(count * share) for count in counts]
    again = split(whole, share, seed)
    np.testing.assert_array_equal(train.x, again[0].x)


def test_the_seed_decides() -> None:
    assert split(table((30, 30)), 0.3, 0)[1].x.tolist() != split(table((30, 30)), 0.3, 1)[1].x.tolist()


def test_the_split_is_the_same_everywhere() -> None:
    assert split(table((5, 5)), 0.4, 7)[1].x[:, 0].tolist() == [12, 6, 8, 18]


@pytest.mark.parametrize("share", [0, 1, -0.1, 2, float("nan")])
def test_senseless_shares_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(table((5, 5)), share)


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="leave one part empty"):
        split(table((1, 1)), 0.3)


def test_z_scores() -> None:
    x = np.random.default_rng(0).normal([3, -5], [2, 0.1], (100, 2))
    normalised = ZScore.fit(x)(x)
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(normalised.std(axis=0), 1)


def test_a_feature_that_does_not_vary_becomes_0() -> None:
    assert ZScore.fit(np.full((4, 1), 7.0))(np.full((2, 1), 7.0)).tolist() == [[0], [0]]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_quantizing_is_litert_s(signed: bool, symmetric: bool) -> None:
    x = np.random.default_rng(1).uniform(-2, 5, (50, 3))
    transform = Quantize.fit(x, 6, signed=signed, symmetric=symmetric)
    integers = transform(x)
    assert transform.zero_point == {(True, True): 0, (False, True): 32}.get((signed, symmetric), transform.zero_point)
    assert integers.max() == (31 if signed else 63)
    np.testing.assert_allclose(
        (integers - float(transform.zero_point)) * transform.scale, x, atol=transform.scale * 0.6
    )


def test_composing_applies_in_order() -> None:
    x = np.array([[1.0, 20.0], [3.0, 40.0]])
    steps = compose(Scale.fit(x), Quantize(1 / 127))
    assert steps(x).tolist() == quantize_inputs([[1 / 3, 0.5], [1, 1]], 1 / 127, 0).tolist()
    assert compose()(x) is x


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("make", [ZScore.fit, Scale.fit, Quantize.fit, ZScore((0.0,), (1.0,)), Scale((1.0,))])
def test_nan_and_infinity_are_refused(make, value: float) -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        make(np.array([[1.0], [value]]))


def test_a_table_names_the_sample_that_is_not_finite() -> None:
    with pytest.raises(DataError, match="sample 1 has nan as feature 0"):
        Table(np.array([[1.0], [np.nan]]), np.array([0, 1]), ("a", "b"))


def test_another_number_of_features_is_refused() -> None:
    with pytest.raises(DataError, match="2 features"):
        ZScore((0.0, 0.0), (1.0, 1.0))(np.zeros((3, 1)))


@pytest.mark.parametrize("bits", [0, 33])
def test_widths_outside_1_to_32_are_refused(bits: int) -> None:
    with pytest.raises(ArithmeticDomainError, match="choose 1 to 32"):
        Quantize(1.0, bits=bits)


def test_from_a_file_to_a_data_set(tmp_path: Path) -> None:
    rows = "".join(f"{index},{index * index},{'ab'[index % 2]}\n" for index in range(40))
    dataset = load_csv(written(tmp_path, rows)).dataset(0.25, fit=ZScore.fit)
    assert (len(dataset.train_y), len(dataset.test_y), dataset.class_names) == (30, 10, ("a", "b"))
    np.testing.assert_allclose(dataset.train_x.mean(axis=0), 0, atol=1e-6)
    assert abs(dataset.test_x.mean()) > 1e-3  # normalised by what was seen in training
