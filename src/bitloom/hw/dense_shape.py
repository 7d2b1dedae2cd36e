"""Sizes and folding of the folded multiply-accumulate unit; everything about its timing follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType
from bitloom.errors import HardwareError
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.fifo import credit_depth
from bitloom.hw.logic_products import logic_latency
from bitloom.hw.multiply_accumulate import dot_latency
from bitloom.hw.packed_products import packed_latency, packed_multipliers
from bitloom.hw.rescale import rescale_latency
from bitloom.hw.stream import StreamType


@dataclass(frozen=True)
class DenseShape:
    """Sizes and folding of a layer of dot products.

    A row of the result has `groups` groups of `outputs` channels; each group sums over `depth` inputs of its own. A
    dense layer or convolution has one group, a grouped convolution several, a depthwise one as many as channels.
    Groups are served one after another, or `parallel` of them side by side, each by `pe` processing elements with
    lanes of their own. Those served side by side are a block:

    ```
      parallel = 2, simd = 2:  lanes of a beat   x[t, group 0]  x[t, group 1]  x[t+1, group 0]  x[t+1, group 1]
    ```

    Attributes:
        depth: K, inputs per group of a row.
        outputs: N, outputs per group of a row.
        rows: rows per tensor.
        pe: outputs of a group computed at the same time.
        simd: inputs of a group taken at the same time.
        results: outputs rescaled per cycle: the lanes of the output stream.
        rescale_in_logic: whether the rescale multiplies by adders instead of multiplier slices.
        packed: whether two outputs' products share a multiplier slice (see `bitloom.hw.packed_products`).
        fabric: of the chip.
        groups: groups of channels that share no input.
        parallel: groups computed at the same time.
        replayed: whether the input comes once for each fold, so that nothing need be kept.
        product_digits: of how many digits a weight is where products are made of logic (see
            `bitloom.hw.logic_products`); 0 where they are made of multiplier slices.
    """

    depth: int
    outputs: int
    rows: int
    pe: int
    simd: int
    results: int
    rescale_in_logic: bool = False
    packed: bool = False
    fabric: Fabric = XC7
    groups: int = 1
    parallel: int = 1
    replayed: bool = False
    product_digits: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.pe <= self.outputs and 1 <= self.simd <= self.depth):
            raise HardwareError(f"pe={self.pe} simd={self.simd} for {self.outputs} outputs of {self.depth} inputs")
        if self.groups % self.parallel or (self.parallel > 1 and self.pe < self.outputs):
            raise HardwareError(
                f"{self.parallel} groups side by side, of {self.groups} with {self.outputs} outputs each, pe={self.pe}"
            )
        if not self._fills_beats:
            raise HardwareError(f"{self.results} results per cycle do not divide pe={self.pe}")
        if self.packed and self.product_digits:
            raise HardwareError("products of logic share no multiplier slices", remedy="choose one of the two")
        if self.serial_beats > self.fold_beats:
            raise HardwareError(
                f"{self.results} results per cycle are too few: a fold of {self.fold_beats} cycles makes {self.sums}"
            )

    @property
    def _fills_beats(self) -> bool:
        """Whether only the last beat of a row can be partly filled."""
        if self.results > self.sums or (self.folds > 1 and self.sums % self.results):
            return False
        return self.blocks == 1 or self.parallel * self.outputs % self.results == 0

    @property
    def sums(self) -> int:
        """Outputs per fold."""
        return self.parallel * self.pe

    @property
    def blocks(self) -> int:
        """How often per row inputs of other groups are taken."""
        return self.groups // self.parallel

    @property
    def fold_beats(self) -> int:
        """Cycles per fold."""
        return -(-self.depth // self.simd)

    @property
    def passes(self) -> int:
        """Folds per block, which read the same input."""
        return -(-self.outputs // self.pe)

    @property
    def folds(self) -> int:
        """Folds per row."""
        return self.blocks * self.passes

    @property
    def serial_beats(self) -> int:
        """Output beats per full fold."""
        return -(-self.sums // self.results)

    @property
    def last_fold_beats(self) -> int:
        """Output beats of the last fold of a block."""
        left = self.outputs - (self.passes - 1) * self.pe
        return -(-self.parallel * left // self.results)

    @property
    def block_beats(self) -> int:
        """Output beats per block."""
        return (self.passes - 1) * self.serial_beats + self.last_fold_beats

    @property
    def cycles(self) -> int:
        """Cycles per tensor without stalls."""
        return self.fold_beats * self.folds * self.rows

    @property
    def multipliers(self) -> int:
        """Multipliers of the array (those of the rescale not counted)."""
        if self.product_digits:
            return 0
        return packed_multipliers(self.sums, self.simd, self.parallel) if self.packed else self.sums * self.simd

    @property
    def is_padded(self) -> bool:
        """Whether the last beat of a fold or the last fold of a block is partly empty, and its weights are 0."""
        return bool(self.depth % self.simd or self.outputs % self.pe)

    @property
    def latency(self) -> int:
        """Cycles from the start of a fold's last beat until its last result is in the FIFO."""
        if self.product_digits:
            return self.latency_after(logic_latency(self.simd, self.product_digits, self.fabric.product_registers))
        dot = packed_latency if self.packed else dot_latency
        return self.latency_after(dot(self.simd, self.fabric))

    def latency_after(self, dot: int) -> int:
        """The same, where the dot products take so many cycles."""
        return dot + 2 + self.serial_beats + rescale_latency(self.fabric)

    def fifo_depth(self, latency: int) -> int:
        """Output beats that keep the array busy while results are on their way, a power of two."""
        return credit_depth(lambda cycles: (-(-(latency + cycles) // self.fold_beats) + 1) * self.serial_beats)

    def input_type(self, element: IntType) -> StreamType:
        """What the unit takes: a row for each block, or for each fold."""
        rows = self.rows * (self.folds if self.replayed else self.blocks)
        return StreamType(element, self.depth * self.parallel, rows, self.simd * self.parallel)

    def output_type(self, element: IntType) -> StreamType:
        """What the unit gives."""
        return StreamType(element, self.outputs * self.groups, self.rows, self.results)

    def needed_beats(self) -> npt.NDArray[np.int64]:
        """For each output beat, how many input beats must have been taken before it can leave.

        Returns:
            int64, shape (output beats per tensor,), counted from the start of the tensor.
        """
        beats = self.rows * self.blocks * self.block_beats
        row, beat = np.divmod(np.arange(beats, dtype=np.int64), self.block_beats)
        if self.replayed:
            row = row * self.passes + np.minimum(beat // self.serial_beats, self.passes - 1)
        return (row + 1) * self.fold_beats


def fold_weights(weights: npt.NDArray[np.int64], shape: DenseShape) -> npt.NDArray[np.int64]:
    """Weights in the order in which the unit reads them, zero where padded.

    Args:
        weights: int64, shape (groups * outputs, depth), channels of a group side by side.
        shape: of the unit.

    Returns:
        int64, shape (folds * fold_beats, parallel * pe, simd).
    """
    padded = np.zeros((shape.blocks, shape.passes * shape.sums, shape.fold_beats * shape.simd), np.int64)
    padded[:, : shape.parallel * shape.outputs, : shape.depth] = weights.reshape(shape.blocks, -1, shape.depth)
    by_fold = padded.reshape(shape.folds, shape.sums, shape.fold_beats, shape.simd)
    return by_fold.transpose(0, 2, 1, 3).reshape(-1, shape.sums, shape.simd)


def channel_sums(folded: npt.NDArray[np.int64], shape: DenseShape) -> npt.NDArray[np.int64]:
    """What numbers of each word and sum make together for each channel.

    Args:
        folded: int64, shape (folds * fold_beats, parallel * pe).
        shape: of the unit.

    Returns:
        int64, shape (groups * outputs,), in the order of the rows of the weights.
    """
    by_fold = folded.reshape(shape.folds, shape.fold_beats, shape.sums).sum(axis=1)
    by_block = by_fold.reshape(shape.blocks, shape.passes * shape.sums)
    return by_block[:, : shape.parallel * shape.outputs].reshape(-1)


def accumulator_bits(weights: npt.NDArray[np.int64], element: IntType) -> int:
    """Signed width that holds every partial sum of every row, without bias."""
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    low = (positive * element.minimum + negative * element.maximum).min()
    high = (positive * element.maximum + negative * element.minimum).max()
    return Interval(min(int(low), 0), max(int(high), 0)).signed_bits
