"""The MLPerf Tiny reference models: what each is built for, what is wanted of it, and the best published before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commands import WORK

SOURCE = (
    "fpgaConvNet on a ZedBoard (Zynq-7020) in MLPerf Tiny v1.1, closed division: published resources, and cycles as "
    "clock over published throughput; hls4ml in the open division, on a smaller model of its own"
)
ZYNQ = {"lut": 53_200, "ff": 106_400, "dsp": 220, "bram36": 140}
"""What a Zynq-7020 has."""


@dataclass(frozen=True)
class Peer:
    """The best published accelerator for a task on this chip.

    Attributes:
        name: who.
        cycles: between inferences.
        used: resources, by key of what synthesis reports.
        same_model: whether it computes the reference model.
    """

    name: str
    cycles: int
    used: dict[str, int] = field(default_factory=dict)
    same_model: bool = True


@dataclass(frozen=True)
class TinyModel:
    """A model of the suite.

    Attributes:
        name: for ``--only``, and of the files of results.
        title: in words.
        file: in the folder ``mlperf_tiny``.
        sha256: of the file as published.
        macs: multiply-accumulates of one inference.
        target: flags of ``bitloom build`` for a Zynq-7020.
        ecp5: the same for an ECP5-85k.
        cycles: between inferences, at most.
        dsp: multiplier slices, at most.
        peer: to compare with.
    """

    name: str
    title: str
    file: str
    sha256: str
    macs: int
    target: tuple[str, ...]
    ecp5: tuple[str, ...]
    cycles: int
    dsp: int
    peer: Peer

    @property
    def folder(self) -> Path:
        """Where it, its inputs and its designs are."""
        return WORK / "mlperf_tiny" / self.name

    @property
    def path(self) -> Path:
        """Of the copy that commands name."""
        return self.folder / self.file

    @property
    def results(self) -> str:
        """Name of its file of results."""
        return f"mlperf_tiny_{self.name}"


_ZYNQ = ("--board", "pynq-z2")
_ECP5 = ("--board", "ulx3s-85f")

MODELS = (
    TinyModel(
        "resnet8",
        "ResNet-8, image classification",
        "pretrainedResnet_quant.tflite",
        "3c002613d1b2475eb51dd78dfb85a546c8ae658dee71cf6ade43b022fe205415",
        macs=12_501_632,
        target=("--dsp", "211", *_ZYNQ),
        ecp5=_ECP5,
        cycles=40_000,
        dsp=211,
        peer=Peer("fpgaConvNet", 58_814, {"dsp": 211, "lut": 47_000, "ff": 42_000, "bram36": 93}),
    ),
    TinyModel(
        "kws",
        "DS-CNN, keyword spotting",
        "kws_ref_model.tflite",
        "aeea436800704fce17b17292e4412630ad856e9d777c044c64ef748a880bd0ae",
        macs=2_656_768,
        target=("--dsp", "188", *_ZYNQ),
        ecp5=_ECP5,
        cycles=14_000,
        dsp=188,
        peer=Peer("fpgaConvNet", 46_310, {"dsp": 188, "lut": 37_000, "ff": 37_000, "bram36": 97}),
    ),
    TinyModel(
        "vww",
        "MobileNetV1-0.25, visual wake words",
        "vww_96_int8.tflite",
        "597a384c8c2c8a1276f04702f25013b7838f2f814f1ca7c174d295b73e3d6b7b",
        macs=7_489_664,
        target=("--dsp", "200", *_ZYNQ),
        ecp5=_ECP5,
        cycles=60_000,
        dsp=200,
        peer=Peer("fpgaConvNet", 1_053_030, {"dsp": 189, "lut": 34_000, "ff": 36_000, "bram36": 123}),
    ),
    TinyModel(
        "ad01",
        "autoencoder, anomaly detection",
        "ad01_int8.tflite",
        "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24",
        macs=264_192,
        target=("--dsp", "211", *_ZYNQ),
        ecp5=_ECP5,
        cycles=1_400,
        dsp=211,
        peer=Peer("hls4ml, a smaller model", 1_874, same_model=False),
    ),
)
