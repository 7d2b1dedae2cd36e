"""Sequential networks in real numbers: LiteRT computes them as PyTorch's layouts say."""

import numpy as np

from bitloom.run.float_litert import FloatEvaluator
from bitloom.sequential import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, ReLU6, Sequential, Sigmoid, SoftMax


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return view[:, :, ::stride, ::stride]


def test_convolutions_of_channels_first_weights_and_features_behind_them() -> None:
    """Strides with padding that TFLite cannot say, both pools, a flattening: computed with channels first here."""
    rng = np.random.default_rng(0)
    network = Sequential(
        [Conv2d(2, 3, 3, stride=2, padding=1), ReLU(), Conv2d(3, 4, 3, padding=1), ReLU6(), MaxPool2d(2),
         AvgPool2d(2, 1), Flatten(), Linear(4, 5, bias=False), Sigmoid(), Linear(5, 3), SoftMax()],
        input_shape=(8, 8, 2),
    )  # fmt: skip
    state = {
        "a.weight": rng.normal(size=(3, 2, 3, 3)), "a.bias": rng.normal(size=3),
        "b.weight": rng.normal(size=(4, 3, 3, 3)), "b.bias": rng.normal(size=4),
        "c.weight": rng.normal(size=(5, 4)), "d.weight": rng.normal(size=(3, 5)), "d.bias": rng.normal(size=3),
    }  # fmt: skip
    graph = network.load_state_dict(state).float_graph()
    x = rng.normal(size=(6, 8, 8, 2)).astype(np.float32)
    found = np.concatenate(
        [chunk[graph.outputs[0]] for chunk in FloatEvaluator(graph).chunks({"input": x[:, None]})]
    ).reshape(6, 3)

    def convolved(images: np.ndarray, name: str, stride: int) -> np.ndarray:
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        sums = np.einsum("ncrskl,ockl->nors", windows(padded, 3, stride), state[f"{name}.weight"])
        return sums + state[f"{name}.bias"][:, None, None]

    y = np.maximum(convolved(x.transpose(0, 3, 1, 2).astype(float), "a", 2), 0)
    y = np.clip(convolved(y, "b", 1), 0, 6)
    y = windows(windows(y, 2, 2).max(axis=(-1, -2)), 2, 1).mean(axis=(-1, -2)).reshape(6, -1)
    y = 1 / (1 + np.exp(-y @ state["c.weight"].T))
    np.testing.assert_allclose(found, y @ state["d.weight"].T + state["d.bias"], atol=1e-4)


def test_features_behind_images_are_brought_into_our_order() -> None:
    network = Sequential([Conv2d(1, 2, 1, bias=False), Flatten(), Linear(8, 1, bias=False)], input_shape=(2, 2, 1))
    loaded = network.load_state_dict({"0.weight": np.ones((2, 1, 1, 1)), "2.weight": np.arange(8.0).reshape(1, 8)})
    # Channels first: 0 to 3 are of the first channel. Channels last: the channels alternate.
    assert loaded.parameters_of(2).weights.tolist() == [[0, 4, 1, 5, 2, 6, 3, 7]]
