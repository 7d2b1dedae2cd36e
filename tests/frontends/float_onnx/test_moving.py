"""Float ONNX operators that move elements, and layouts: nothing is transposed that need not be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from float_models import agrees, kinds, original
from onnx_models import OnnxBuilder

from bitloom.frontends.float_onnx.layout import Layout, channels_last

RNG = np.random.default_rng(12)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def images(opset: int = 17) -> OnnxBuilder:
    """A model whose last tensor has channels last inside: shape (1, 4, 6, 6)."""
    builder = OnnxBuilder((1, 2, 6, 6), opset=opset)
    builder.node("Conv", "x", builder.constant(normal(4, 2, 1, 1)))
    return builder


def behind(builder: OnnxBuilder, channels: int) -> OnnxBuilder:
    """With a convolution behind, so that the order matters."""
    builder.node("Conv", builder.last, builder.constant(normal(3, channels, 1, 1)))
    return builder


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
@pytest.mark.parametrize("constant", [False, True])
def test_concatenation(axis: int, constant: bool) -> None:
    builder = images()
    x = builder.last
    builder.node("Concat", x, builder.constant(normal(1, 4, 6, 6)) if constant else builder.node("Tanh", x), axis=axis)
    assert kinds(agrees(builder)).count("TRANSPOSE") == 2


@pytest.mark.parametrize(
    ("mode", "widths", "value", "expected"),
    [
        ("constant", [0, 0, 1, 2, 0, 0, 0, 1], None, "PAD"),
        ("constant", [0, 1, 1, 2, 0, 0, 0, 1], 1.5, "PADV2"),
        ("reflect", [0, 0, 1, 2, 0, 0, 0, 1], None, "MIRROR_PAD"),
        ("edge", [0, 0, 1, 1, 0, 0, 0, 1], None, "MIRROR_PAD"),
        ("edge", [0, 0, 3, 1, 0, 0, 0, 2], None, "GATHER"),
        ("wrap", [0, 0, 3, 1, 0, 0, 0, 2], None, "GATHER"),
    ],
)
def test_padding(mode: str, widths: list[int], value: float | None, expected: str) -> None:
    builder = images(opset=19)
    operands = [builder.constant(np.array(widths)), *([] if value is None else [builder.constant(np.float32(value))])]
    builder.node("Pad", builder.last, *operands, mode=mode)
    assert expected in kinds(agrees(builder))


def test_padding_of_some_axes() -> None:
    builder = images(opset=18)
    operands = [builder.constant(np.array([1, 2, 0, 1])), "", builder.constant(np.array([-1, 1]))]
    builder.node("Pad", builder.last, *operands)
    agrees(builder)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1, 0], [4, 3], [2, 1], None),
        ([0], [6], [3], [2]),
        ([-1], [-100], [3], [-2]),
        ([4, -3], [1, 2**60], [2, 3], [-1, 1]),
    ],
)
def test_slices(starts: list[int], ends: list[int], axes: list[int], steps: list[int] | None) -> None:
    builder = images()
    operands = [builder.constant(np.array(each)) for each in (starts, ends, axes, steps) if each is not None]
    builder.node("Slice", builder.last, *operands)
    assert "STRIDED_SLICE" in kinds(agrees(builder))


@pytest.mark.parametrize("sizes", [None, [1, 3]])
@pytest.mark.parametrize("opset", [11, 17])
def test_split(sizes: list[int] | None, opset: int) -> None:
    builder = images(opset)
    attributes: dict[str, object] = {"axis": 1}
    operands = []
    if sizes is not None and opset < 13:
        attributes["split"] = sizes
    elif sizes is not None:
        operands = [builder.constant(np.array(sizes))]
    x = builder.last
    left = builder.node("Split", x, *operands, **attributes)
    builder.nodes[-1].output.append("right")
    builder.node("Concat", "right", left, axis=1)
    assert kinds(agrees(behind(builder, 4))).count("STRIDED_SLICE") == 2


@pytest.mark.parametrize("indices", [np.array([3, 0, 1, 1]), np.array(2), np.array([[0, -1]]), np.array([1, 2])])
@pytest.mark.parametrize("axis", [1, 2])
def test_gather(indices: np.ndarray, axis: int) -> None:
    builder = images()
    builder.node("Gather", builder.last, builder.constant(indices), axis=axis)
    agrees(builder)


RESIZES = [
    {"scales": [1, 1, 2, 3]},
    {"scales": [1, 1, 2, 2], "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"scales": [1, 1, 1.5, 1.5], "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"sizes": [1, 4, 9, 11], "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    {"sizes": [1, 4, 11, 11], "coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"},
    {"sizes": [1, 4, 9, 7], "coordinate_transformation_mode": "half_pixel", "nearest_mode": "ceil"},
    {"sizes": [1, 4, 3, 2], "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
]


@pytest.mark.parametrize("case", range(len(RESIZES)))
def test_resizing(case: int) -> None:
    attributes = dict(RESIZES[case])
    builder = images()
    nothing = builder.constant(np.float32([]))
    if "scales" in attributes:
        operands = [nothing, builder.constant(np.float32(attributes.pop("scales")))]
    else:
        operands = ["", "", builder.constant(np.array(attributes.pop("sizes")))]
    builder.node("Resize", builder.last, *operands, **attributes)
    assert kinds(agrees(builder)).count("TRANSPOSE") == 2


@pytest.mark.parametrize(("kind", "mode"), [("DepthToSpace", "DCR"), ("DepthToSpace", "CRD"), ("SpaceToDepth", None)])
def test_blocks(kind: str, mode: str | None) -> None:
    builder = OnnxBuilder((1, 8, 4, 6))
    builder.node(kind, builder.node("Relu", "x"), blocksize=2, **({"mode": mode} if mode else {}))
    agrees(behind(builder, 2 if kind == "DepthToSpace" else 32))


def test_channel_shuffle_is_one_transpose() -> None:
    builder = images()
    x = builder.node("Reshape", builder.last, builder.constant(np.array([1, 2, 2, 6, 6])))
    x = builder.node("Transpose", x, perm=[0, 2, 1, 3, 4])
    builder.node("Reshape", x, builder.constant(np.array([0, -1, 6, 6])))
    assert kinds(agrees(behind(builder, 4))).count("TRANSPOSE") == 3


def test_shapes_computed_in_the_file_are_constants() -> None:
    builder = images()
    x = builder.last
    shape = builder.node("Shape", x)
    batch = builder.node("Gather", shape, builder.constant(np.array(0)))
    batch = builder.node("Unsqueeze", batch, builder.constant(np.array([0])))
    whole = builder.node("Concat", builder.node("Cast", batch, to=7), builder.constant(np.array([-1])), axis=0)
    builder.node("Gemm", builder.node("Reshape", x, whole), builder.constant(normal(144, 5)))
    found = kinds(agrees(builder))
    assert found[-1] == "FULLY_CONNECTED"
    assert found.count("TRANSPOSE") == 1


def test_views_of_one_tensor_as_several_results() -> None:
    builder = images()
    x = builder.last
    flat = builder.node("Flatten", x)
    again = builder.node("Identity", x)
    builder.node("Reshape", "x", builder.constant(np.array([1, 72])))
    assert len(set(agrees_all(builder, [flat, x, again, builder.last]))) == 4


def agrees_all(builder: OnnxBuilder, outputs: list[str]) -> tuple[str, ...]:
    from float_models import assert_agrees

    graph = assert_agrees(builder.content(*outputs))
    assert graph.outputs == tuple(outputs)
    return graph.outputs


@pytest.mark.parametrize(("kind", "sizes"), [("Expand", [2, 1, 6, 5]), ("Expand", [4, 1, 1]), ("Tile", [1, 2, 1, 3])])
def test_repeated_elements(kind: str, sizes: list[int]) -> None:
    builder = images()
    builder.node("ReduceMean", builder.last, axes=[3], keepdims=1)
    builder.node(kind, builder.last, builder.constant(np.array(sizes)))
    assert ("GATHER" in kinds(agrees(builder))) == (sizes != [4, 1, 1])


@pytest.mark.parametrize("both", [False, True])
def test_what_a_product_repeats_itself_is_not_repeated_before(both: bool) -> None:
    builder = images()
    x = builder.last
    sizes = builder.constant(np.array([1, 4, 6, 6]))
    gate = builder.node("Expand", builder.node("GlobalAveragePool", x), sizes)
    other = builder.node("Expand", builder.node("ReduceMean", x, axes=[1, 2], keepdims=1), sizes) if both else x
    builder.node("Mul", gate, other)
    assert ("GATHER" in kinds(agrees(builder))) == both


def test_repeated_elements_under_other_axes_stay_repeated() -> None:
    builder = images()
    gate = builder.node(
        "Expand", builder.node("ReduceMean", builder.last, axes=[2], keepdims=1), *fixed(builder, 1, 4, 6, 6)
    )
    turned = builder.node("Transpose", gate, perm=[0, 1, 3, 2])
    builder.node("Mul", builder.node("Add", turned, gate), builder.node("Reshape", gate, *fixed(builder, 1, 4, 6, 6)))
    agrees(builder)


def fixed(builder: OnnxBuilder, *numbers: int) -> list[str]:
    return [builder.constant(np.array(numbers))]


def test_squeezed_and_expanded_axes_move_nothing() -> None:
    builder = OnnxBuilder((1, 3, 8))
    x = builder.node("Unsqueeze", "x", builder.constant(np.array([2])))
    x = builder.node("Conv", x, builder.constant(normal(4, 3, 1, 3)))
    x = builder.node("Squeeze", x, builder.constant(np.array([2])))
    x = builder.node("Dropout", builder.node("Expand", x, builder.constant(np.array([1, 4, 6]))))
    builder.node("Conv", x, builder.constant(normal(2, 4, 3)))
    assert kinds(agrees(builder)).count("TRANSPOSE") == 2


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Layout, tuple[int, ...]]:
    """Shapes in some order, then other shapes of as many elements."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=5))
    order = tuple(draw(st.permutations(range(len(sizes)))))
    total = math.prod(sizes)
    shape = []
    for _ in range(draw(st.integers(0, 3))):
        shape.append(draw(st.sampled_from([each for each in range(1, total + 1) if total % each == 0])))
        total //= shape[-1]
    return Layout.of(tuple(sizes), order), (*shape, total)


@given(layouts(), st.data())
def test_moves_are_what_numpy_does(drawn: tuple[Layout, tuple[int, ...]], data: st.DataObject) -> None:
    layout, shape = drawn
    tensor = np.arange(math.prod(shape))
    stored = tensor.reshape(layout.factors).transpose(layout.order).reshape(-1)
    view = layout.reshaped(shape)
    np.testing.assert_array_equal(original(stored[None], view)[0], tensor.reshape(shape))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    move, turned = view.move(order), view.transposed(order)
    assert (move is None) == (turned is None)
    if move is None or turned is None:
        return
    moved = stored.reshape(move.shape).transpose(move.permutation).reshape(-1)
    np.testing.assert_array_equal(moved, tensor.reshape(shape).transpose(order).reshape(-1))
    np.testing.assert_array_equal(original(stored[None], turned)[0], tensor.reshape(shape).transpose(order))
    assert view.lies(view.axes) or view.axes == tuple(range(len(shape)))


@pytest.mark.parametrize("rank", range(1, 6))
def test_channels_last_lies_as_it_says(rank: int) -> None:
    shape = tuple(range(2, 2 + rank))
    assert Layout.of(shape, channels_last(rank)).axes == channels_last(rank)
