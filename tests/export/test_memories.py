"""Contents of large memories in the exported text."""

import re
from collections import Counter

from models import assert_same_tensors, dense_network, random_inputs

from bitloom.design import design
from bitloom.export.verilog import to_verilog
from bitloom.frontends import Model
from bitloom.plan import Target, make_plan
from bitloom.run import ExecutorOptions, create_executor

NETWORK, TARGET = dense_network([300, 3], 1), Target(interval=900)


def test_no_initial_block_is_long_and_every_word_is_there_once() -> None:
    text = to_verilog(design(make_plan(NETWORK, TARGET))).text
    blocks = [block.split("end\n")[0] for block in text.split("initial begin\n")[1:]]
    assert max(block.count("=") for block in blocks) == 256
    words = Counter(re.findall(r"(fully_connected_0_weights0_rom\[\d+\]) = ", text))
    assert words == {f"fully_connected_0_weights0_rom[{word}]": 1 for word in range(1024)}


def test_memories_of_several_blocks_hold_the_weights() -> None:
    model, inputs = Model(NETWORK, NETWORK.name), random_inputs(NETWORK, 4, seed=0)
    seen = create_executor("verilog", model, ExecutorOptions(simulator="icarus", target=TARGET)).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), seen)
