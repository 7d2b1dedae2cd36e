"""The trained network as TFLite files, and what LiteRT makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bitloom.data.quantized import quantize_inputs
from bitloom.errors import TrainError
from bitloom.export.flatbuffer import ABSENT, OperatorSpec, TensorSpec, write_model
from bitloom.train.network import Parameters
from bitloom.train.quantized import Quantization, QuantizedLayer

# What the specification demands of an int8 SOFTMAX's output.
_SOFTMAX_SCALE = 1 / 256
_SOFTMAX_ZERO_POINT = -128


def float_model(parameters: Parameters, description: str) -> bytes:
    """A .tflite with float32 FULLY_CONNECTED operators, fused RELU in all but the last."""
    weights = [array.astype(np.float32) for array in parameters.weights]
    tensors = [_activation("input", weights[0].shape[1], np.float32)]
    operators = []
    for index, (matrix, bias) in enumerate(zip(weights, parameters.biases, strict=True)):
        name = _layer_name(index, len(weights))
        first = len(tensors)
        tensors += [
            TensorSpec(f"{name}.weights", matrix.shape, np.float32, data=matrix),
            TensorSpec(f"{name}.bias", bias.shape, np.float32, data=bias.astype(np.float32)),
            _activation(name, len(bias), np.float32),
        ]
        operators.append(_fully_connected(first, relu=index < len(weights) - 1))
    return write_model(tensors, operators, (0,), (len(tensors) - 1,), description)


def int8_model(layers: Sequence[QuantizedLayer], description: str, *, softmax: bool = False) -> bytes:
    """A .tflite with int8 FULLY_CONNECTED operators, fused RELU in all but the last, int8 input and output."""
    source = layers[0].input
    tensors = [_activation("input", layers[0].weights.shape[1], np.int8, source.scale, source.zero_point)]
    operators = []
    for index, layer in enumerate(layers):
        name = _layer_name(index, len(layers))
        outputs = len(layer.bias)
        first = len(tensors)
        tensors += [
            TensorSpec(
                f"{name}.weights", layer.weights.shape, np.int8, layer.weight_scales.tolist(), data=layer.weights
            ),
            TensorSpec(f"{name}.bias", (outputs,), np.int32, layer.bias_scales.tolist(), data=layer.bias),
            _activation(name, outputs, np.int8, layer.output.scale, layer.output.zero_point),
        ]
        operators.append(_fully_connected(first, relu=layer.relu))
    if softmax:
        logits = len(tensors) - 1
        tensors.append(_activation("probabilities", len(layers[-1].bias), np.int8, _SOFTMAX_SCALE, _SOFTMAX_ZERO_POINT))
        operators.append(OperatorSpec("SOFTMAX", (logits,), (logits + 1,), {"beta": 1.0}))
    return write_model(tensors, operators, (0,), (len(tensors) - 1,), description)


def read_int8_layers(model: bytes) -> tuple[QuantizedLayer, ...]:
    """The dense layers of an int8 .tflite, whoever wrote it, in the order they are computed.

    Raises:
        TrainError: an operator that is none of FULLY_CONNECTED, RESHAPE and SOFTMAX, or types other than int8.
    """
    content = schema.ModelT.InitFromPackedBuf(model)
    graph = content.subgraphs[0]
    layers = []
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex].builtinCode
        if code in (schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.SOFTMAX):
            continue
        if code != schema.BuiltinOperator.FULLY_CONNECTED:
            raise TrainError(f"operator {code} where only dense layers were expected", where="the int8 model")
        source, weights, *bias = (graph.tensors[index] for index in operator.inputs if index != ABSENT)
        output = graph.tensors[operator.outputs[0]]
        if {tensor.type for tensor in (source, weights, output)} != {schema.TensorType.INT8}:
            raise TrainError("a dense layer that is not int8", where="the int8 model")
        rows = content.buffers[weights.buffer].data.view(np.int8).reshape(weights.shape)
        layers.append(
            QuantizedLayer(
                weights=rows,
                bias=content.buffers[bias[0].buffer].data.view(np.int32) if bias else np.zeros(len(rows), np.int32),
                weight_scales=weights.quantization.scale.astype(np.float32),
                input=_quantization(source),
                output=_quantization(output),
                relu=operator.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU,
            )
        )
    return tuple(layers)


def litert_outputs(model: bytes, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32 | np.int8]:
    """What LiteRT's reference kernels answer.

    Args:
        model: a .tflite file's bytes, one input (samples, features) or (samples, ...), float32 or int8.
        x: real inputs (samples, features); quantized here if the model's input is int8.

    Returns:
        The model's output, (samples, classes), in its own type.
    """
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    details = interpreter.get_input_details()[0]
    values: npt.NDArray[np.float32 | np.int8] = x
    if details["dtype"] == np.int8:
        scale, zero_point = details["quantization"]
        values = quantize_inputs(x, scale, zero_point).astype(np.int8)
    values = values.reshape(len(x), *details["shape"][1:])
    interpreter.resize_tensor_input(details["index"], values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    outputs: npt.NDArray[np.float32 | np.int8] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return outputs


def litert_accuracy(model: bytes, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> float:
    """The share of samples whose largest output (the first of equals) is the right class."""
    return float(np.mean(litert_outputs(model, x).argmax(axis=1) == y))


def _quantization(tensor: Any) -> Quantization:
    return Quantization(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))


def _layer_name(index: int, count: int) -> str:
    return "logits" if index == count - 1 else f"dense_{index + 1}"


def _activation(
    name: str, features: int, dtype: npt.DTypeLike, scale: float | None = None, zero_point: int = 0
) -> TensorSpec:
    """An activation of one sample, whose first dimension may be resized to any batch."""
    return TensorSpec(
        name=name,
        shape=(1, features),
        dtype=dtype,
        scales=() if scale is None else (scale,),
        zero_points=() if scale is None else (zero_point,),
        shape_signature=(-1, features),
    )


def _fully_connected(weights: int, *, relu: bool) -> OperatorSpec:
    """The operator whose weights, bias and output are consecutive tensors, its input the one before them."""
    return OperatorSpec(
        "FULLY_CONNECTED",
        inputs=(weights - 1, weights, weights + 1),
        outputs=(weights + 2,),
        options={"fused_activation_function": "RELU" if relu else "NONE"},
    )
