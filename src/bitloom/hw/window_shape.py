"""The cycles and the memory of a sliding window, exactly as its circuit has them: what planners need to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bitloom.arith import IntType
from bitloom.hw.window_geometry import Int64Array, Taps, WindowGeometry

__all__ = ["Taps", "WindowShape"]


@dataclass(frozen=True)
class WindowShape(WindowGeometry):
    """A kernel sliding over an image, and what its circuit does when; the attributes are those of `WindowGeometry`.

    The circuit reads words, or with several taps a beat words of several rows: columns of taps. With all taps a beat,
    each image column under an output row's windows is read once, and only some reads complete a window.
    """

    @property
    def banks(self) -> int:
        """Memories that are read at once, each with every so many rows of the image."""
        return 1 if self.taps is Taps.ONE else self.kernel[0]

    @property
    def waiting_reads(self) -> int:
        """Reads whose words have not left when none leaves: behind the memory, and in the output register.

        Columns of taps have a register more between the memories and the turning of rows.
        """
        return 2 if self.taps is Taps.ONE else 3

    @property
    def latency(self) -> int:
        """Cycles from taking the last needed input beat to offering the output beat."""
        return self.waiting_reads + 1

    @property
    def bank_rows(self) -> int:
        """Consecutive rows in one bank before the next one's turn: the rows of a column of taps are then apart."""
        return self.dilation[0] if self.banks > 1 else 1

    @cached_property
    def read_columns(self) -> Int64Array:
        """Image columns read per output row, shape (output columns, kernel columns), or (all columns, 1)."""
        if self.taps is not Taps.ALL:
            return self.tap_columns
        count = (self.out_width - 1) * self.stride[1] + self.span[1]
        return (np.arange(count) - self.padding[2])[:, None]

    @cached_property
    def completes(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of `read_columns` (its first axis) give output beats."""
        if self.taps is not Taps.ALL:
            return np.ones(self.out_width, np.bool_)
        return np.isin(self.read_columns[:, 0], self.first_columns + self.span[1] - 1)

    @property
    def column_reads(self) -> int:
        """Reads for one pixel's block of channels, once."""
        taps = self.kernel[0] * self.kernel[1] if self.taps is Taps.ONE else self.read_columns.shape[1]
        return taps * self.block_words

    @cached_property
    def _reads_until(self) -> Int64Array:
        """Reads of an output row up to the end of each of `read_columns`."""
        return np.cumsum(np.where(self.completes, self.repeats, 1)) * self.blocks * self.column_reads

    @property
    def cycles(self) -> int:
        """Cycles per image when neither side is waited for: one read each."""
        return self.out_height * int(self._reads_until[-1])

    @property
    def releases_pixels(self) -> bool:
        """Whether words are given up pixel by pixel (an image of one row) and not row by row."""
        return self.height == 1 and self.out_height == 1 and self.banks == 1

    @cached_property
    def held_from(self) -> Int64Array:
        """For each output row (or column, where pixels are given up): the first input word to be kept meanwhile."""
        if self.releases_pixels:
            return self.read_columns[:, 0].clip(0, self.width) * self.pixel_words
        return self.first_rows.clip(0, self.height) * self.row_words

    @cached_property
    def releases(self) -> Int64Array:
        """How many input words each output row (or column) gives up when it is finished."""
        return np.diff(np.append(self.held_from, self.image_words + self.held_from[0]))

    @property
    def kept_words(self) -> int:
        """Input words to hold so that nothing waits for memory.

        While one output row is made, what the next one needs arrives: the kernel's span and a stride. Of a row that is
        very short, some words more cover the cycles between giving up a word and using its place. Only where the next
        image's first window is less than a stride behind the last one, and input and output take the same time within
        some percent, or where whole output rows are padding, some cycles an image are lost.
        """
        if self.releases_pixels:
            unit, until = self.pixel_words, (self.read_columns[:, -1] + 1).clip(0, self.width) * self.pixel_words
        else:
            unit, until = self.row_words, (self.first_rows + self.span[0]).clip(0, self.height) * self.row_words
        most = int((np.append(until[1:], self.image_words + until[0]) - self.held_from).max())
        return max(most, most - unit + 4)

    @cached_property
    def depth(self) -> int:
        """Words of each bank, a power of two."""
        depth = max(2, 1 << (-(-self.kept_words // self.banks) - 1).bit_length())
        while self._capacity(depth) < self.kept_words:
            depth *= 2
        return depth

    @property
    def capacity(self) -> int:
        """Input beats that it holds at most."""
        return self._capacity(self.depth)

    def bank_of(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """In which bank an image row is, and how many rows before it the bank has of this image."""
        turn, phase = np.divmod(rows, self.bank_rows)
        return turn % self.banks, turn // self.banks * self.bank_rows + phase

    @property
    def image_slots(self) -> int:
        """Rows that an image takes in each bank: every image begins with the first one."""
        return -(-self.height // (self.banks * self.bank_rows)) * self.bank_rows

    def _capacity(self, depth: int) -> int:
        """Words that are held at most, so that none takes the place of another one.

        Words of a bank whose addresses differ by a multiple of the depth share a place. Rows that a bank lacks, because
        the image ends before, leave places empty, so that the nearest such word can be several depths away.
        """
        if self.banks == 1:
            return depth
        rows = np.arange(self.height)
        bank, slot = self.bank_of(rows)
        row_in = np.full((self.image_slots, self.banks), -1)
        row_in[slot, bank] = rows
        least, further = None, depth
        while least is None or (further // (self.image_slots * self.row_words) - 1) * self.image_words < least:
            # A word goes into the row `slots` further on, or from the row's end into the one behind that.
            slots, shift = divmod(further, self.row_words)
            for move, ahead in ((shift, slots), (shift - self.row_words, slots + 1))[: 1 + (shift > 0)]:
                images, place = np.divmod(slot + ahead, self.image_slots)
                other = row_in[place, bank]
                distances = ((images * self.height + other - rows) * self.row_words + move)[other >= 0]
                least = min([*distances.tolist(), *([] if least is None else [least])], default=None)
            further += depth
        return int(least)

    def memory_bits(self, element: IntType) -> int:
        """Bits of the banks, and with all taps a beat of the columns behind them."""
        word = self.lanes * element.bits
        columns = (self.span[1] - 1) * self.kernel[0] * self.pixel_words * word if self.taps is Taps.ALL else 0
        return self.banks * self.depth * word + columns

    @cached_property
    def need_rows(self) -> Int64Array:
        """With columns of taps: the lowest row that an output row's reads wait for, shape (output rows,)."""
        return np.minimum(self.first_rows + self.span[0] - 1, self.height - 1)

    def _needs(self) -> Int64Array:
        """Input beats that each read alone needs, 0 for padding; (output row, column, block, 1, reads of a column)."""
        words = np.arange(self.pixel_words).reshape(self.blocks, 1, 1, self.block_words)
        if self.taps is Taps.ONE:
            rows, reads = self.tap_rows[:, None, :, None], self.reads
            columns = self.tap_columns[None, :, None, :]
        else:
            rows, columns = self.need_rows[:, None, None, None], self.read_columns[None, :, None, :]
            reads = (rows >= 0) & (self.first_rows[:, None, None, None] < self.height)
            reads = reads & (columns >= 0) & (columns < self.width)
        needs = (rows * self.width + columns)[:, :, None, :, :, None] * self.pixel_words + words + 1
        needs = np.where(reads[:, :, None, :, :, None], needs, 0)
        return needs.reshape(*needs.shape[:3], 1, -1)

    def needed_beats(self) -> Int64Array:
        """For each output beat, how many input beats must have been taken before it can be offered.

        Counted from the start of the image; exactly what the circuit waits for. int64, shape (`beats`,).
        """
        needs = np.repeat(self._needs(), self.repeats, axis=3)
        arrived = np.maximum.accumulate(needs.reshape(-1)).reshape(needs.shape)
        return arrived[:, self.completes].reshape(-1)

    def accepted_beats(self) -> Int64Array:
        """How many input beats can have been taken while so many output beats have left, and no more leave.

        Counted from the start of the image; beats of the next image count on. int64, shape (`beats` + 1,).
        """
        reads = np.where(self.completes, self.repeats, 1) * self.blocks * self.column_reads
        completing = np.flatnonzero(np.tile(np.repeat(self.completes, reads), self.out_height))
        images, reads = np.divmod(np.append(completing, self.cycles + completing[0]) + self.waiting_reads, self.cycles)
        row = self._reads_until[-1:]
        ends = self._reads_until if self.releases_pixels else row * np.arange(1, self.out_height + 1)
        given_up = self.held_from[np.searchsorted(ends, reads, side="right")]
        return self.capacity + images * self.image_words + given_up

    def _surely_taken(self, needs: Int64Array) -> Int64Array:
        """Input beats that must have been taken after each of some needs, counted from the image's start.

        Negative before the image's first read: what no window read of the image before may still have to come.
        """
        taken = np.maximum.accumulate(needs)
        return np.where(taken > 0, taken, taken[-1] - self.image_words)

    @cached_property
    def ahead(self) -> int:
        """How many words beyond those that must have been taken a read can wait for."""
        needs = self._needs().reshape(-1)
        taken = self._surely_taken(needs)
        before = np.append(taken[-1] - self.image_words, taken[:-1])
        return int((needs - before)[needs > 0].max(initial=1))

    @cached_property
    def behind(self) -> int:
        """How many words beyond those that must have been taken can be given up."""
        taken = self._surely_taken(self._needs().reshape(len(self.releases), -1).max(axis=1))
        given_up = np.append(self.held_from[1:], self.image_words + self.held_from[0])
        return int(max(0, (given_up - taken).max()))
