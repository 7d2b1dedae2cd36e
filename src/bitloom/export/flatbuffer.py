"""Write TFLite models: a list of tensors, a list of operators, one call.

The schema (tables, enumerations, default values) is the one that ships inside ``ai_edge_litert``, so every
builtin operator it knows can be written without code for that operator here: operator and option names are
looked up in the schema. The same input gives the same bytes on every machine.

>>> import numpy as np
>>> model = write_model(
...     tensors=[
...         TensorSpec("x", (1, 2), np.int8, scales=(0.5,), zero_points=(0,)),
...         TensorSpec("y", (1, 2), np.int8, scales=(1 / 256,), zero_points=(-128,)),
...     ],
...     operators=[OperatorSpec("SOFTMAX", inputs=(0,), outputs=(1,), options={"beta": 1.0})],
...     inputs=(0,),
...     outputs=(1,),
... )
>>> model[4:8]
b'TFL3'

Source: the TFLite schema (schema.fbs of LiteRT), file identifier ``TFL3``, schema version 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from bitloom.errors import ExportError
from bitloom.frontends.tflite.schema import ENUMERATIONS, OPERATORS, OPTIONS, OPTIONS_2, TENSOR_TYPES, options_table

ABSENT = -1
"""Index of an optional input that is not there (a fully connected operator without bias, for example)."""

_FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_DATA_ALIGNMENT = 16  # the schema's force_align of Buffer.data, which the Python packer does not apply
_LARGEST_OLD_CODE = 127  # operators above it keep PLACEHOLDER_FOR_GREATER_OP_CODES in the old 8-bit field


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """One tensor of the model.

    Attributes:
        name: what interpreters and viewers show.
        shape: the dimensions; () is a scalar.
        dtype: a NumPy type, or anything ``numpy.dtype`` accepts; or ``"int2"``, ``"int4"``, ``"uint4"``, whose
            data are arrays of int8 or uint8 and are stored packed.
        scales: no value (not quantized), one (per tensor), or one per index of `axis`; stored as float32.
        zero_points: as many as scales; all zero when left empty.
        axis: the quantized dimension of per-channel scales.
        data: the constant's values, of this shape and dtype; None for an activation.
        shape_signature: the shape with -1 where a dimension may be resized; None when all are fixed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    data: npt.NDArray[Any] | None = None
    shape_signature: tuple[int, ...] | None = None


@dataclass(frozen=True)
class OperatorSpec:
    """One operator of the model.

    Attributes:
        name: its name in the schema's BuiltinOperator, such as ``FULLY_CONNECTED``.
        inputs: tensor indices; `ABSENT` for an optional input that is not given.
        outputs: tensor indices.
        options: fields of the operator's options table, spelled as in the schema
            (``fused_activation_function``) or as in its Python classes (``fusedActivationFunction``);
            enumerations by name or number. A field not given has the schema's default.
        version: the operator's version; None takes the lowest that has these tensor types.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


def write_model(
    tensors: Sequence[TensorSpec],
    operators: Sequence[OperatorSpec],
    inputs: Sequence[int],
    outputs: Sequence[int],
    description: str = "",
) -> bytes:
    """Serialise a model of one subgraph.

    Args:
        tensors: every tensor; operators and the arguments below refer to them by index.
        operators: in execution order.
        inputs: indices of the model's input tensors.
        outputs: indices of the model's output tensors.
        description: free text kept in the file.

    Returns:
        The .tflite file's bytes, ready for ``Interpreter(model_content=...)``.

    Raises:
        ExportError: an unknown operator, option or type, an index out of range, data that does not match its
            tensor, or scales that do not match its shape.
    """
    _check_indices(len(tensors), operators, inputs, outputs)
    buffers = [_AlignedBuffer()]  # by convention buffer 0 is empty and stands for "no data"
    packed_tensors = [_tensor(spec, buffers) for spec in tensors]
    codes: dict[tuple[str, int], int] = {}  # (name, version) -> index; a dict keeps the order of first use
    packed_operators = []
    for spec in operators:
        version = spec.version if spec.version is not None else _version(spec, tensors)
        packed_operators.append(_operator(spec, codes.setdefault((spec.name, version), len(codes))))

    graph = schema.SubGraphT(
        name="main",
        tensors=packed_tensors,
        operators=packed_operators,
        inputs=np.array(inputs, np.int32),
        outputs=np.array(outputs, np.int32),
    )
    model = schema.ModelT(
        version=_SCHEMA_VERSION,
        description=description,
        operatorCodes=[_operator_code(name, version) for name, version in codes],
        subgraphs=[graph],
        buffers=buffers,
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())


# ---------------------------------------------------------------------------------------------------- tensors


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc] # the generated schema has no types
    """A constant's bytes, aligned as the schema demands so that interpreters may map the file into memory."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the name the schema's object interface calls
        if self.data is not None:
            builder.StartVector(1, len(self.data), _DATA_ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


# Types of less than a byte, which NumPy lacks, and the types their elements are given in.
_CONTAINERS = {"int2": "int8", "int4": "int8", "uint4": "uint8"}


def _tensor(spec: TensorSpec, buffers: list[_AlignedBuffer]) -> Any:
    where = f"tensor '{spec.name}'"
    type_name = _type_name(spec.dtype)
    dtype = np.dtype(_CONTAINERS.get(type_name, type_name))
    if type_name not in TENSOR_TYPES:
        raise ExportError(f"TFLite has no tensor type {type_name}", where=where, remedy="use another dtype")
    buffer = 0
    if spec.data is not None:
        if spec.data.shape != tuple(spec.shape) or spec.data.dtype != dtype:
            found = f"{spec.data.dtype.name}{list(spec.data.shape)}"
            raise ExportError(f"its data is {found}, not {dtype.name}{list(spec.shape)}", where=where)
        buffer = len(buffers)
        little_endian = np.ascontiguousarray(spec.data, dtype.newbyteorder("<"))
        if type_name in _CONTAINERS:
            little_endian = _packed(little_endian, int(type_name.removeprefix("u").removeprefix("int")))
        buffers.append(_AlignedBuffer(data=little_endian.tobytes()))
    signature = None if spec.shape_signature is None else np.array(spec.shape_signature, np.int32)
    return schema.TensorT(
        name=spec.name,
        shape=np.array(spec.shape, np.int32),
        type=TENSOR_TYPES[type_name],
        buffer=buffer,
        quantization=_quantization(spec, where),
        shapeSignature=signature,
        hasRank=True,
    )


def _type_name(dtype: npt.DTypeLike) -> str:
    return dtype if isinstance(dtype, str) and dtype in _CONTAINERS else np.dtype(dtype).name


def _packed(elements: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    """Elements of less than a byte, several to a byte, the first in the lowest bits."""
    per_byte = 8 // bits
    fields = elements.reshape(-1).view(np.uint8) & np.uint8((1 << bits) - 1)
    padded = np.concatenate([fields, np.zeros(-fields.size % per_byte, np.uint8)]).reshape(-1, per_byte)
    shifted: npt.NDArray[np.uint8] = padded << np.arange(0, 8, bits, dtype=np.uint8)
    return np.bitwise_or.reduce(shifted, axis=1)


def _quantization(spec: TensorSpec, where: str) -> Any:
    count = len(spec.scales)
    zero_points = list(spec.zero_points) or [0] * count
    if len(zero_points) != count:
        raise ExportError(f"it has {count} scales and {len(zero_points)} zero points", where=where)
    if not count:
        return None
    if count > 1 and not (spec.axis < len(spec.shape) and spec.shape[spec.axis] == count):
        raise ExportError(
            f"{count} scales do not fit axis {spec.axis} of shape {list(spec.shape)}",
            where=where,
            remedy="give one scale, or one per index of the axis",
        )
    return schema.QuantizationParametersT(
        scale=np.array(spec.scales, np.float32),
        zeroPoint=np.array(zero_points, np.int64),
        quantizedDimension=spec.axis,
    )


# -------------------------------------------------------------------------------------------------- operators


def _operator_code(name: str, version: int) -> Any:
    code = OPERATORS[name]
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(code, _LARGEST_OLD_CODE), builtinCode=code, version=version)


def _operator(spec: OperatorSpec, code_index: int) -> Any:
    packed = schema.OperatorT(
        opcodeIndex=code_index,
        inputs=np.array(spec.inputs, np.int32),
        outputs=np.array(spec.outputs, np.int32),
    )
    table = options_table(spec.name)
    if table is None:
        if spec.options:
            raise ExportError("this operator has no options", where=f"operator {spec.name}")
        return packed
    options = _options(spec, getattr(schema, f"{table}T")())
    if table in OPTIONS:
        packed.builtinOptionsType, packed.builtinOptions = OPTIONS[table], options
    else:
        packed.builtinOptions2Type, packed.builtinOptions2 = OPTIONS_2[table], options
    return packed


def _options(spec: OperatorSpec, options: Any) -> Any:
    """Set the given fields of an options object that has the schema's defaults."""
    where = f"operator {spec.name}"
    for key, value in spec.options.items():
        head, *tail = key.split("_")
        name = head + "".join(part[:1].upper() + part[1:] for part in tail)
        if name not in vars(options):
            raise ExportError(f"it has no option '{key}'; it has {sorted(vars(options))}", where=where)
        if isinstance(value, str) and name in ENUMERATIONS:
            members = ENUMERATIONS[name]
            if value not in members:
                raise ExportError(f"option '{key}' is one of {sorted(members)}, not '{value}'", where=where)
            value = members[value]
        # A list is packed with the schema's element type; an array would be packed with its own.
        setattr(options, name, list(value) if isinstance(value, (tuple, np.ndarray)) else value)
    return options


def _check_indices(
    count: int, operators: Sequence[OperatorSpec], inputs: Sequence[int], outputs: Sequence[int]
) -> None:
    for spec in operators:
        if spec.name not in OPERATORS or spec.name in ("CUSTOM", "DELEGATE"):
            raise ExportError(
                f"'{spec.name}' is not a builtin operator of TFLite",
                remedy="use a name such as FULLY_CONNECTED",
            )
        _check_range(count, [index for index in spec.inputs if index != ABSENT], f"operator {spec.name}, inputs")
        _check_range(count, spec.outputs, f"operator {spec.name}, outputs")
    _check_range(count, inputs, "inputs of the model")
    _check_range(count, outputs, "outputs of the model")


def _check_range(count: int, indices: Sequence[int], where: str) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise ExportError(f"there is no tensor {index}, only 0 to {count - 1}", where=where)


# --------------------------------------------------------------------------------------------------- versions

# The lowest version of each operator that has the type of its data input; 1 where nothing is said. Interpreters
# refuse a version they do not have, and delegates leave alone operators of a version too low for their types.
# Source: op_version.cc of LiteRT's converter, limited to what its reference kernels register.
_VERSION_ROWS: tuple[tuple[str, dict[str, int]], ...] = (
    ("ABS AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION GREATER_EQUAL LESS LOGISTIC", {"int8": 2, "int16": 3}),
    ("MAX_POOL_2D MEAN MIRROR_PAD PACK PAD PADV2 REDUCE_MAX REDUCE_MIN RELU RELU6", {"int8": 2, "int16": 3}),
    ("RSQRT SOFTMAX TANH", {"int8": 2, "int16": 3}),
    ("ARG_MAX ARG_MIN GREATER L2_NORMALIZATION LESS_EQUAL LOG_SOFTMAX", {"int8": 2}),
    ("SELECT SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE STRIDED_SLICE SUM TILE TOPK_V2", {"int8": 2}),
    ("BATCH_TO_SPACE_ND GATHER MAXIMUM MINIMUM MUL RESIZE_BILINEAR", {"int8": 2, "int16": 4}),
    ("RESIZE_NEAREST_NEIGHBOR SLICE SPACE_TO_BATCH_ND SPLIT UNPACK", {"int8": 2, "int16": 4}),
    ("ADD", {"int8": 2, "int16": 3, "int64": 4}),
    ("BROADCAST_TO", dict.fromkeys(TENSOR_TYPES, 2)),  # version 1 was withdrawn
    ("CONV_2D", {"int8": 3, "int16": 4}),
    ("DEPTHWISE_CONV_2D", {"int8": 3, "int16": 5}),
    ("DEQUANTIZE", {"int8": 2, "int16": 3, "float16": 3}),
    ("EQUAL", {"int8": 2, "int16": 5}),
    ("FLOOR_DIV", {"float32": 2, "int8": 3, "int16": 3}),
    ("FLOOR_MOD", {"int8": 2, "int16": 2}),
    ("FULLY_CONNECTED", {"int8": 4, "int16": 7}),
    ("GATHER_ND", {"int16": 3}),
    ("LEAKY_RELU", {"int16": 2}),
    ("NOT_EQUAL", {"int8": 2, "int16": 4}),
    ("REVERSE_V2", {"bool": 2, "int8": 3}),
    ("SPARSE_TO_DENSE", {"int8": 3, "uint8": 3}),
    ("SUB", {"int8": 2, "int16": 5, "int64": 4}),
    ("SVDF", {"int8": 3}),
    ("TRANSPOSE", {"int8": 2, "int16": 5}),
    ("TRANSPOSE_CONV", {"int8": 2, "int16": 3}),
)
_VERSIONS = {name: versions for names, versions in _VERSION_ROWS for name in names.split()}
# Operators whose data is not their first input.
_DATA_INPUT = {"SPLIT": 1, "SPARSE_TO_DENSE": 2, "TRANSPOSE_CONV": 2, "SELECT": 1}
_FULLY_CONNECTED_WITHOUT_BIAS = 6  # two inputs; an ABSENT third input needs no new version


def _version(spec: OperatorSpec, tensors: Sequence[TensorSpec]) -> int:
    position = _DATA_INPUT.get(spec.name, 0)
    if len(spec.inputs) <= position or spec.inputs[position] == ABSENT:
        return 1
    if spec.name == "FULLY_CONNECTED" and len(spec.inputs) == 2:
        return _FULLY_CONNECTED_WITHOUT_BIAS
    if spec.name == "QUANTIZE":  # decided by what comes out
        return 2 if _type_name(tensors[spec.outputs[0]].dtype) == "int16" else 1
    dtype = _type_name(tensors[spec.inputs[position]].dtype)
    return _VERSIONS.get(spec.name, {}).get(dtype, 1)
