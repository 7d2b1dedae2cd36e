"""PyTorch modules as float graphs: PyTorch on the module, LiteRT on the graph."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch
from torch import nn

from bitloom.errors import MissingExtraError, ModelFormatError, UnsupportedError, UsageError
from bitloom.frontends.torch import from_torch
from bitloom.ir.float_graph import FloatGraph
from bitloom.run.float_litert import evaluate_float


def settled(module: nn.Module, seed: int = 0) -> nn.Module:
    """In training mode, with statistics that are not those of a new module."""
    generator = torch.Generator().manual_seed(seed)
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._BatchNorm):
            each.running_mean.normal_(generator=generator)
            each.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(each.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(each.bias, generator=generator)
    return module.train()


def agrees(module: nn.Module, *shapes: tuple[int, ...], channels_last: bool = False) -> FloatGraph:
    """Close to PyTorch on random inputs; the graph."""
    torch.manual_seed(3)
    examples = tuple(torch.randn(shape) for shape in shapes)
    graph = from_torch(module, examples if len(examples) > 1 else examples[0], channels_last=channels_last)
    with torch.no_grad():
        wanted = module.eval()(*examples).numpy()
    inputs = {}
    for name, example in zip(graph.inputs, examples, strict=True):
        array = example.numpy()
        inputs[name] = np.moveaxis(array, 1, -1)[None] if channels_last and array.ndim > 2 else array[None]
    found = evaluate_float(graph, inputs)[graph.outputs[0]][0]
    found = np.moveaxis(found, -1, 1) if channels_last and found.ndim > 2 else found
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))
    return graph


class Residual(nn.Module):
    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.short = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.short(x))


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6()),
        *(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6()),
    )


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 1)
        self.right = nn.Conv2d(3, 5, 3, padding=1)
        self.slope = nn.PReLU(9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = self.slope(torch.cat([self.left(x), self.right(x)], dim=1))
        return joined * torch.sigmoid(joined.mean(dim=(2, 3), keepdim=True))


class Shuffle(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        return nn.functional.channel_shuffle(torch.cat([right, nn.functional.gelu(left)], dim=1), 2)


class Mixer(nn.Module):
    """What of a transformer needs no attention: dense layers along tokens and along channels."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.before = nn.BatchNorm1d(tokens)
        self.along_tokens = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.along_channels = nn.Sequential(nn.Linear(channels, 6), nn.GELU(), nn.Linear(6, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(2).transpose(1, 2)
        x = x + self.along_tokens(self.before(x).transpose(1, 2)).transpose(1, 2)
        return (x + self.along_channels(x)).mean(1)


MODULES = {
    "mlp": (
        nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5), nn.Softmax(1)),
        [(1, 12)],
    ),
    "cnn": (
        nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding="same"), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.1), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(8 * 9, 10)),
        ),
        [(1, 3, 28, 28)],
    ),
    "residual": (nn.Sequential(Residual(4), Residual(4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), [(1, 4, 9, 9)]),
    "separable": (
        nn.Sequential(separable(4, 8, 1), separable(8, 6, 2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 2)),
        [(1, 4, 12, 12)],
    ),
    "joined": (Inception(), [(1, 3, 7, 6)]),
    "shuffled": (Shuffle(), [(1, 8, 5, 5)]),
    "activations": (
        nn.Sequential(
            nn.Hardswish(), nn.Conv2d(3, 3, 1), nn.Hardsigmoid(), nn.Conv2d(3, 3, 1), nn.Hardtanh(), nn.SiLU()
        ),
        [(1, 3, 8, 8)],
    ),
    "enlarged": (
        nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.PixelShuffle(2)
        ),
        [(1, 3, 5, 4)],
    ),
    "mixer": (nn.Sequential(nn.Conv2d(1, 8, 4, 4), Mixer(9, 8), nn.Linear(8, 3)), [(1, 1, 12, 12)]),
    "sequence": (
        nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten()),
        [(1, 4, 20)],
    ),
    "pools": (
        nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2, 1, 1, count_include_pad=False)),
        [(1, 3, 16, 16)],
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    module, shapes = MODULES[name]
    agrees(settled(module), *shapes)


def test_channels_last_needs_no_transpose() -> None:
    module, shapes = MODULES["separable"]
    graph = agrees(settled(module), *shapes, channels_last=True)
    assert "TRANSPOSE" not in [node.kind for node in graph.nodes]


def test_several_inputs_of_a_module_are_a_tuple() -> None:
    class Sum(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return torch.relu(left - 2 * right)

    graph = agrees(Sum(), (1, 5), (1, 5))
    assert graph.inputs == ("left", "right")


def test_tensors_have_the_names_of_submodules() -> None:
    graph = from_torch(settled(nn.Sequential(Residual(4), Residual(4))), torch.randn(1, 4, 6, 6), name="twice")
    names = list(graph.computed)
    assert graph.name == "twice"
    assert {"0.conv1", "0.bn2", "1.bn1"} & set(names) == {"0.bn2", "1.bn1"}  # where normalization is folded into
    assert graph.outputs == ("1",)


def test_the_module_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = settled(nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout()))
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with warnings.catch_warnings(record=True) as caught:
        from_torch(module, torch.randn(1, 2, 5, 5))
    assert [each.training for each in module.modules()] == [True, True, True, False]
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not caught


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.LayerNorm(8), (1, 8), "LayerNormalization .* is not supported"),
        (nn.GroupNorm(2, 4), (1, 4, 5, 5), "train with BatchNormalization"),
        (nn.MultiheadAttention(8, 2, batch_first=True), None, "two computed tensors|attention"),
        (nn.ConvTranspose2d(3, 4, 2), (1, 3, 5, 5), "resize by nearest pixels"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 5, 5), "resizes by linear; supported: nearest"),
        (nn.LogSoftmax(1), (1, 6), "leave it out"),
        (nn.ELU(), (1, 6), "is not supported"),
        (nn.Linear(5, 4), (1, 6), "cannot be exported"),
        (nn.LSTM(4, 4), (3, 1, 4), "LSTM|cannot be exported|not supported"),
    ],
)
def test_what_is_not_supported(module: nn.Module, shape: tuple[int, ...] | None, message: str) -> None:
    example = torch.randn(shape) if shape else tuple(torch.randn(1, 4, 8) for _ in range(3))
    with pytest.raises(UnsupportedError, match=message):
        from_torch(module, example)


def test_control_flow_that_depends_on_data() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(
        UnsupportedError, match=r"branch: cannot be exported: .*; make its forward pass free of control"
    ):
        from_torch(Branch(), torch.randn(1, 4))


def test_weights_that_are_not_finite() -> None:
    module = nn.Linear(3, 2)
    module.weight.data[0, 1] = float("nan")
    with pytest.raises(ModelFormatError, match="'weight' holds values that are not finite"):
        from_torch(module, torch.randn(1, 3))


def test_what_is_no_module_or_no_example() -> None:
    with pytest.raises(UsageError, match=r"module: is a dict, and a torch\.nn\.Module is needed"):
        from_torch({}, torch.randn(1, 3))
    with pytest.raises(UsageError, match="example: is a ndarray, and a tensor is needed"):
        from_torch(nn.Linear(3, 2), np.zeros((1, 3)))


@pytest.mark.parametrize("missing", ["torch", "onnxscript"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == missing:
            raise ImportError(name)
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=rf"package {missing}, .*; pip install 'bitloom\[torch\]'"):
        from_torch(nn.Linear(3, 2), torch.randn(1, 3))
