"""Damaged TFLite files: every byte flipped, the file cut at every length, lengths and offsets of extreme values.

What is held: reading gives a graph or a `BitloomError` of one line, nothing else, and allocates nothing that the file
does not hold. Where a damaged file still reads as a graph, it is run: NumPy's every tensor equals LiteRT's, or LiteRT
refuses the file too (its verifier demands alignments and terminators that change no meaning, and it knows the versions
of its operators). So a flip is noticed by both, or means the same to both: weights, scales, shapes, options. LiteRT
runs in a process of its own, which a damaged file may take down.
"""

import resource
import time

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from litert_judge import LitertJudge
from models import GraphBuilder, quantized, random_inputs, single

from bitloom.arith import IntType
from bitloom.errors import BitloomError, ModelFormatError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import Model, load_tflite
from bitloom.ir import Graph, Quantization, TensorType, Value
from bitloom.run import create_executor

_LARGEST_GROWTH = 256 << 10  # kilobytes: what loading and running a small damaged model may take


def convolutional() -> Graph:
    """A convolution, a depthwise one, a pool, a dense layer and a softmax, all tiny: some 2,000 bytes."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("convolutional", quantized((1, 3, 4, 2), 0.05, -3))

    def constant(name: str, shape: tuple[int, ...], scales: tuple[float, ...], axis: int | None, bits: int) -> Value:
        quantization = Quantization(tuple(single(scale) for scale in scales), (0,) * len(scales), axis)
        return Value(name, TensorType(shape, IntType(bits), quantization), rng.integers(-100, 100, shape))

    window = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "SAME"}
    weights = [constant("w", (2, 2, 2, 2), (0.01, 0.02), 0, 8), constant("b", (2,), (0.0005, 0.001), 0, 32)]
    builder.add("CONV_2D", quantized((1, 3, 4, 2), 0.06, -5), weights, fused_activation_function="RELU", **window)
    weights = [constant("v", (1, 3, 3, 2), (0.01,), None, 8), constant("d", (2,), (0.0006,), None, 32)]
    window |= {"stride_h": 2, "stride_w": 2, "depth_multiplier": 1}
    builder.add("DEPTHWISE_CONV_2D", quantized((1, 2, 2, 2), 0.05, 3), weights, **window)
    pool = {"stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2, "padding": "VALID"}
    builder.add("AVERAGE_POOL_2D", quantized((1, 1, 1, 2), 0.05, 3), **pool)
    builder.dense(2, rng)
    builder.add("SOFTMAX", quantized((1, 2), 1 / 256, -128), beta=1.0)
    return builder.graph()


CONVOLUTIONAL = graph_to_tflite(convolutional())


def read(content: bytes) -> Model | type[BitloomError]:
    """What reading gives: a model, or the kind of an error of one line."""
    try:
        return load_tflite(content, "damaged", "damaged.tflite")
    except BitloomError as error:
        text = str(error)
        assert text.startswith("damaged.tflite")
        assert "\n" not in text
        return type(error)


def outcome(content: bytes, judge: LitertJudge) -> str:
    """What becomes of a file: the kind of error, refused by LiteRT alone, or computed alike."""
    model = read(content)
    if isinstance(model, type):
        return model.__name__
    graph = model.graph
    inputs = random_inputs(graph, 1, seed=0)
    seen = create_executor("numpy", model).run(inputs).tensors
    given = {model.tensor_indices[name]: array[0] for name, array in inputs.items()}
    answer = judge.run(content, given, [model.tensor_indices[name] for name in graph.computed])
    if isinstance(answer, str):
        return "refused by LiteRT"
    for name, tensor in zip(graph.computed, answer, strict=True):
        assert seen[name].dtype == tensor.dtype, name
        assert np.array_equal(seen[name][0], tensor), name
    return "computed alike"


def test_the_model_is_sound() -> None:
    with LitertJudge() as judge:
        assert outcome(CONVOLUTIONAL, judge) == "computed alike"


def test_every_byte_flipped() -> None:
    """All bits of each byte, and one bit of each byte."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: dict[str, int] = {}
    with LitertJudge() as judge:
        for position in range(len(CONVOLUTIONAL)):
            for flip in (0xFF, 1 << position % 8):
                damaged = bytearray(CONVOLUTIONAL)
                damaged[position] ^= flip
                found = outcome(bytes(damaged), judge)
                outcomes[found] = outcomes.get(found, 0) + 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < _LARGEST_GROWTH
    assert outcomes.keys() == {"ModelFormatError", "UnsupportedError", "refused by LiteRT", "computed alike"}
    # Weights, biases, scales and clamps are a fifth of the file, and flips of them are models like any other.
    assert outcomes["computed alike"] > len(CONVOLUTIONAL) // 5


def test_every_length() -> None:
    for length in range(len(CONVOLUTIONAL)):
        assert read(CONVOLUTIONAL[:length]) is ModelFormatError


def test_bytes_behind_the_end_mean_nothing() -> None:
    model = read(CONVOLUTIONAL + bytes(100))
    assert isinstance(model, Model)
    assert model.graph == load_tflite(CONVOLUTIONAL, "damaged").graph


@pytest.mark.parametrize("word", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00"])
def test_words_of_extreme_values(word: bytes) -> None:
    """Lengths, offsets, dimensions and options at every aligned place."""
    with LitertJudge() as judge:
        for position in range(0, len(CONVOLUTIONAL), 4):
            outcome(CONVOLUTIONAL[:position] + word + CONVOLUTIONAL[position + 4 :], judge)


def test_garbage_behind_the_identifier_is_an_error() -> None:
    rng = np.random.default_rng(1)
    for length in (8, 12, 40, 400, 4000):
        for _ in range(40):
            with pytest.raises(BitloomError):
                load_tflite(rng.bytes(4) + b"TFL3" + rng.bytes(length - 8), "garbage")


def test_vectors_that_share_bytes_cannot_multiply_the_work() -> None:
    """A small file in which 8,000 operators share one list of 100,000 operands."""
    builder = flatbuffers.Builder(1024)
    operands = builder.CreateNumpyVector(np.zeros(100_000, np.int32))
    operators = []
    for _ in range(8_000):
        schema.OperatorStart(builder)
        schema.OperatorAddInputs(builder, operands)
        schema.OperatorAddOutputs(builder, operands)
        operators.append(schema.OperatorEnd(builder))
    schema.SubGraphStartOperatorsVector(builder, len(operators))
    for operator in operators:
        builder.PrependUOffsetTRelative(operator)
    operator_vector = builder.EndVector()
    tensor = schema.TensorT(name="x", shape=[1]).Pack(builder)
    schema.SubGraphStartTensorsVector(builder, 1)
    builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddOperators(builder, operator_vector)
    subgraph = schema.SubGraphEnd(builder)
    code = schema.OperatorCodeT(builtinCode=schema.BuiltinOperator.TANH).Pack(builder)
    vectors = []
    for start, entry in ((schema.ModelStartSubgraphsVector, subgraph), (schema.ModelStartOperatorCodesVector, code)):
        start(builder, 1)
        builder.PrependUOffsetTRelative(entry)
        vectors.append(builder.EndVector())
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, vectors[0])
    schema.ModelAddOperatorCodes(builder, vectors[1])
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    start_time = time.perf_counter()
    with pytest.raises(ModelFormatError, match="more than the file can hold"):
        load_tflite(bytes(builder.Output()), "bomb")
    assert time.perf_counter() - start_time < 5
