"""ONNX operators that move elements, in front of, between and behind others; judged by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import helper
from onnx_models import OnnxBuilder, assert_equal, assert_near

from bitloom.errors import BitloomError
from bitloom.frontends import load_onnx

RNG = np.random.default_rng(14)
SCALE = (0.05, 9)

Make = Callable[[OnnxBuilder, str], str]


def node(kind: str, *constants: Any, **attributes: Any) -> Make:
    """A node whose further operands are constants; None where one is absent."""

    def make(builder: OnnxBuilder, x: str) -> str:
        given = ["" if array is None else builder.constant(np.asarray(array)) for array in constants]
        return builder.node(kind, x, *given, **attributes)

    return make


def float32(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def resize(scales: Any = None, sizes: Any = None, **attributes: Any) -> Make:
    given = None if scales is None else float32(*scales)
    return node("Resize", None, given, *([sizes] if sizes else []), mode="nearest", **attributes)


MOVES: dict[str, Make] = {
    "slice": node("Slice", [1, 0], [3, 100], [2, 1]),
    "slice_back": node("Slice", [-1, 5], [-100, 0], [1, 3], [-1, -2]),
    "slice_all": node("Slice", [0], [100], [3]),
    "slice_batch": node("Slice", [0], [1]),
    "gather": node("Gather", [2, 0, -1, 1], axis=1),
    "gather_one": node("Gather", 2, axis=2),
    "gather_matrix": node("Gather", [[0, 1, 2], [3, 2, -1]], axis=-1),
    "doubled": resize((1, 1, 2, 2), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "halved": resize((1, 1, 0.5, 0.5), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "default": resize((1, 1, 1.7, 2.3)),
    "to_sizes": resize(None, [1, 4, 9, 4], coordinate_transformation_mode="half_pixel", nearest_mode="floor"),
    "aligned": resize(None, [1, 4, 7, 11], coordinate_transformation_mode="align_corners", nearest_mode="floor"),
    "pytorch": resize((1, 1, 0.6, 3), coordinate_transformation_mode="pytorch_half_pixel", nearest_mode="ceil"),
    "prefer_ceil": resize((1, 1, 2, 0.7), nearest_mode="round_prefer_ceil"),
    "channels": resize((1, 2, 1, 1), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "dcr": node("DepthToSpace", blocksize=2),
    "crd": node("DepthToSpace", blocksize=2, mode="CRD"),
    "space_to_depth": node("SpaceToDepth", blocksize=2),
    "zeros": node("Pad", [0, 0, 1, 0, 0, 1, 0, 2]),
    "number": node("Pad", [0, 0, 1, 2], float32(-0.25), [2, 3]),
    "reflect": node("Pad", [0, 0, 2, 3, 0, 0, 1, 2], mode="reflect"),
    "edge": node("Pad", [0, 1, 2, 0, 0, 0, 1, 2], mode="edge"),
    "wrap": node("Pad", [0, 0, 2, 3, 0, 0, 1, 2], mode="wrap"),
    "flatten": node("Flatten", axis=2),
    "flatten_back": node("Flatten", axis=-1),
    "copied": node("Reshape", [0, -1, 2]),
    "transpose": node("Transpose", perm=[0, 3, 1, 2]),
    "reversed": node("Transpose"),
    "squeeze": node("Squeeze"),
    "squeeze_axes": node("Squeeze", [0]),
    "unsqueeze": node("Unsqueeze", [-1, 1]),
    "identity": node("Identity"),
    "dropout": node("Dropout"),
}


@pytest.mark.parametrize("name", MOVES)
def test_of_quantized_reals(name: str) -> None:
    """Between DequantizeLinear and QuantizeLinear."""
    builder = OnnxBuilder((1, 4, 6, 8), opset=19)
    builder.through(MOVES[name](builder, builder.through("x", *SCALE)), *SCALE)
    assert_equal(builder.load())


@pytest.mark.parametrize("name", sorted(set(MOVES) - {"number", "zeros", "reflect", "edge", "wrap"}))
def test_in_front_of_quantize_linear(name: str) -> None:
    """Where results of another operator wait for their scale, with channels last, and more layers come."""
    builder = OnnxBuilder((1, 4, 6, 8), opset=19)
    x = builder.through("x", *SCALE)
    w = builder.weights(RNG.integers(-128, 127, (4, 4, 1, 1), "int8"), 0.0117)
    moved = builder.through(MOVES[name](builder, builder.node("Conv", x, w)), 0.0831, 1)
    builder.through(builder.node("Flatten", moved), 0.0831, 1)
    assert_near(builder.load())


@pytest.mark.parametrize("name", ["slice", "gather", "doubled", "transpose", "squeeze", "crd", "edge"])
def test_of_integers(name: str) -> None:
    builder = OnnxBuilder((1, 4, 6, 8), "int8", opset=19)
    builder.through(builder.dequantize(MOVES[name](builder, "x"), *SCALE), 0.071, 0)
    assert_equal(builder.load())


@pytest.mark.parametrize(("sizes", "attributes"), [([1, 2, 1], {}), (None, {"num_outputs": 3}), (None, {})])
@pytest.mark.parametrize("behind", [False, True])
def test_split(sizes: list[int] | None, attributes: dict[str, int], behind: bool) -> None:
    builder = OnnxBuilder((1, 4 if sizes else 6, 5, 3), opset=18 if attributes else 17)
    x = builder.through("x", *SCALE)
    if behind:
        channels = 4 if sizes else 6
        w = builder.weights(RNG.integers(-128, 127, (channels, channels, 1, 1), "int8"), 0.0117)
        x = builder.node("Conv", x, w)
    given = [builder.constant(np.array(sizes))] if sizes else []
    builder.nodes.append(helper.make_node("Split", [x, *given], ["a", "b", "c"], axis=1, **attributes))
    ends = [builder.through(part, 0.071 if behind else 0.05, index) for index, part in enumerate("abc")]
    model = load_onnx(builder.content(*ends), "test", "test.onnx")
    assert model.graph.outputs == tuple(ends)
    assert_near(model)


def test_shapes_computed_from_shapes() -> None:
    """As exporters write a flattening: Shape, Gather, Unsqueeze, Concat, Reshape."""
    builder = OnnxBuilder((1, 4, 3, 2))
    x = builder.through("x", *SCALE)
    batch = builder.node("Gather", builder.node("Shape", x), builder.constant(np.array(0)))
    batch = builder.node("Unsqueeze", batch, builder.constant(np.array([0])))
    rest = builder.constant(np.array([-1]))
    shape = builder.node("Concat", batch, builder.node("Cast", rest, to=7), axis=0)
    builder.through(builder.node("Reshape", x, shape), *SCALE)
    model = builder.load()
    assert model.graph.type(model.graph.outputs[0]).shape == (1, 24)
    assert_equal(model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (node("Slice", [0], [4], [1], [0]), "slices from"),
        (node("Slice", [3], [3], [1]), "without elements"),
        (node("Gather", [0, 4], axis=1), r"gathers the indices \[0, 4\] along an axis of 4"),
        (node("Reshape", [5, -1]), r"the shape \[5"),
        (node("DepthToSpace", blocksize=3), "squares of 3 of 4 channels"),
        (node("SpaceToDepth", blocksize=5), "squares of 5 from images of 6 x 8"),
        (node("Squeeze", [7]), r"axes \[7\] of 4"),
        (node("Transpose", perm=[0, 1, 2]), "permutes 4 axes"),
        (resize((1, 1, 2)), "resizes 4 axes by"),
        (resize((1, 1, 2, 2), coordinate_transformation_mode="half_pixel_symmetric"), "positions half_pixel_symmetric"),
    ],
)
def test_nonsense(make: Make, message: str) -> None:
    builder = OnnxBuilder((1, 4, 6, 8), opset=19)
    builder.through(make(builder, builder.through("x", *SCALE)), *SCALE)
    with pytest.raises(BitloomError, match=rf"test\.onnx: node \d+ .*{message}"):
        builder.load()
