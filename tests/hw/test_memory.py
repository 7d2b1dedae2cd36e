"""Read-only memories, whole and cut into parts, against the words they were made from."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest

from bitloom.hw.memory import registered_rom, rom_parts, rom_size


@pytest.mark.parametrize(("words", "bits"), [(1, 5), (2, 3), (100, 8), (576, 40), (1200, 33), (2400, 36), (1536, 36)])
def test_every_word_is_read_a_cycle_after_its_address(words, bits):
    contents = [int(value) for value in np.random.default_rng(words).integers(0, 1 << bits, words)]
    pyrtl.reset_working_block()
    address, word = pyrtl.Input(max(1, (words - 1).bit_length()), "address"), pyrtl.Output(bits, "word")
    word <<= registered_rom("unit", contents, bits, address)
    simulation = pyrtl.FastSimulation(tracer=None)
    simulation.step({"address": 0})
    order = np.random.default_rng(1).permutation(words).tolist()
    for following, current in zip([*order[1:], 0], order, strict=True):
        simulation.step({"address": current})
        simulation.step({"address": following})
        assert simulation.inspect("word") == contents[current]


def test_parts_are_all_words_and_few():
    for words in range(1, 5000, 37):
        for bits in (1, 8, 36, 200):
            parts = rom_parts(words, bits)
            assert sum(parts) == words
            assert all(part & (part - 1) == 0 for part in parts[:-1])
            assert list(parts) == sorted(parts, reverse=True)


@pytest.mark.parametrize(("words", "bits", "blocks"), [(2304, 32, 4), (1152, 36, 2), (512, 72, 2), (64, 1000, 0)])
def test_block_memories_hold_little_but_words(words, bits, blocks):
    assert rom_size(words, bits)[0] == blocks
