"""The content of a TFLite file as plain values, with nothing trusted that the file says about itself.

The tables are read through the accessors of the schema that ships inside ``ai_edge_litert``. These follow offsets
wherever they lead, so everything they are about to follow is checked against the file's size first, and whatever
they raise becomes a `ModelFormatError`. The work is bounded by the file's size: a corrupt length cannot make the
reader loop, and vectors that share bytes cannot multiply them.

Source: the TFLite schema (schema.fbs of LiteRT); the FlatBuffers format ("FlatBuffers internals").
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from bitloom.errors import ModelFormatError
from bitloom.frontends.tflite.schema import ENUMERATIONS, OPERATORS, OPTIONS, OPTIONS_2, TENSOR_TYPES, options_table

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
_MOST_DIMENSIONS = 32
# Honest files share few bytes between vectors; this many times the file's size is never reached.
_BUDGET_FACTOR = 16


_OPERATORS = {number: name for name, number in OPERATORS.items()}
_TENSOR_TYPES = {number: name for name, number in TENSOR_TYPES.items()}
_OPTIONS = {number: name for name, number in OPTIONS.items()}
_OPTIONS_2 = {number: name for name, number in OPTIONS_2.items()}
_ENUMERATIONS = {
    field: {number: name for name, number in enumeration.items()} for field, enumeration in ENUMERATIONS.items()
}


@dataclass(frozen=True)
class FileTensor:
    """A tensor as the file states it.

    Attributes:
        index: in the file.
        name: in the file, perhaps empty, perhaps not unique.
        shape: the dimensions, perhaps not positive.
        signature: the dimensions with -1 where they may change; empty if the file does not say.
        element: the schema's type name in lower case, such as ``int8``.
        scales: none, one, or one per index of `axis`.
        zero_points: as many as the file has.
        axis: the quantized dimension.
        data: the constant's bytes; None for an activation.
        extras: what makes it more than a plain tensor: ``variable``, ``sparse``, ``blockwise``, ``external``.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    element: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    data: npt.NDArray[np.uint8] | None
    extras: tuple[str, ...]


@dataclass(frozen=True)
class FileOperator:
    """An operator as the file states it.

    Attributes:
        index: in the file.
        kind: the builtin operator's name; ``CUSTOM`` with its own name for others.
        inputs: tensor indices, None for an absent operand.
        outputs: tensor indices.
        attributes: reads the options, by the schema's field names, enumerations by name.
    """

    index: int
    kind: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attributes: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class TfliteFile:
    """A model of one subgraph.

    Attributes:
        tensors: by index.
        operators: in execution order.
        inputs: tensor indices of the model's inputs.
        outputs: tensor indices of the model's outputs.
        subgraphs: how many the file has; only the first is read.
    """

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int


def read_tflite_file(content: bytes, where: str) -> TfliteFile:
    """Read a TFLite file.

    Args:
        content: of the file.
        where: the file, for messages.

    Raises:
        ModelFormatError: not a TFLite file, of another schema version, truncated or corrupt.
    """
    if content[4:8] != IDENTIFIER:
        raise ModelFormatError("is not a TFLite file (no TFL3 identifier)", where=where)
    return _Reader(content, where).file()


class _Reader:
    """Reads one file; every access goes through `table`, `vector` or `numbers`."""

    def __init__(self, content: bytes, where: str) -> None:
        self.content = content
        self.where = where
        self.budget = _BUDGET_FACTOR * len(content)

    def corrupt(self, what: str) -> ModelFormatError:
        return ModelFormatError(
            f"is truncated or corrupt: {what}", where=self.where, remedy="get the file again or convert it again"
        )

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Turn what the accessors raise on offsets that lead nowhere into an error of the file."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise self.corrupt(f"{what} cannot be read") from error

    def spend(self, amount: int, what: str) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise self.corrupt(f"{what} says more than the file can hold")

    def table(self, accessor: Any, what: str) -> Any:
        """Check that a table and its field offsets lie inside the file."""
        if accessor is None:
            raise self.corrupt(f"{what} is missing")
        position = accessor._tab.Pos
        size = len(self.content)
        if not 0 <= position <= size - 4:
            raise self.corrupt(f"{what} lies outside the file")
        fields = position - struct.unpack_from("<i", self.content, position)[0]
        if not 0 <= fields <= size - 4:
            raise self.corrupt(f"{what} lies outside the file")
        fields_size, table_size = struct.unpack_from("<HH", self.content, fields)
        if fields_size < 4 or fields_size % 2 or fields + fields_size > size or position + table_size > size:
            raise self.corrupt(f"{what} lies outside the file")
        offsets = struct.unpack_from(f"<{(fields_size - 4) // 2}H", self.content, fields + 4)
        if any(offset >= table_size for offset in offsets if offset):
            raise self.corrupt(f"{what} has fields outside itself")
        self.spend(fields_size, what)
        return accessor

    def vector(self, owner: Any, field: str, what: str) -> list[Any]:
        """The tables of a vector, each checked."""
        length = getattr(owner, f"{field}Length")()
        self.spend(4 * length, what)
        return [self.table(getattr(owner, field)(index), f"{what} {index}") for index in range(length)]

    def numbers(self, owner: Any, field: str, what: str) -> npt.NDArray[Any]:
        """The numbers of a vector; empty if it is absent."""
        array = getattr(owner, f"{field}AsNumpy")()
        if not isinstance(array, np.ndarray):
            return np.zeros(0, np.int64)
        self.spend(array.nbytes, what)
        return array

    def text(self, value: bytes | None, what: str) -> str:
        if value is None:
            return ""
        self.spend(len(value), what)
        return value.decode("utf-8")

    def file(self) -> TfliteFile:
        with self.guarded("the model"):
            model = self.table(schema.Model.GetRootAs(self.content, 0), "the model")
            if model.Version() != SCHEMA_VERSION:
                raise ModelFormatError(
                    f"has TFLite schema version {model.Version()}, not {SCHEMA_VERSION}", where=self.where
                )
            subgraphs = model.SubgraphsLength()
            if not subgraphs:
                raise self.corrupt("it has no subgraph")
            subgraph = self.table(model.Subgraphs(0), "subgraph 0")
        buffers = self.buffers(model)
        tensors = self.tensors(subgraph, buffers)
        with self.guarded("the model's inputs and outputs"):
            inputs = self.indices(subgraph, "Inputs", len(tensors), "the model's inputs")
            outputs = self.indices(subgraph, "Outputs", len(tensors), "the model's outputs")
        operators = self.operators(model, subgraph, len(tensors))
        return TfliteFile(tensors, operators, inputs, outputs, subgraphs)

    def buffers(self, model: Any) -> list[Any]:
        with self.guarded("the buffers"):
            return self.vector(model, "Buffers", "buffer")

    def tensors(self, subgraph: Any, buffers: list[Any]) -> tuple[FileTensor, ...]:
        with self.guarded("the tensors"):
            tables = self.vector(subgraph, "Tensors", "tensor")
        read = []
        for index, table in enumerate(tables):
            with self.guarded(f"tensor {index}"):
                read.append(self.tensor(index, table, buffers))
        return tuple(read)

    def tensor(self, index: int, table: Any, buffers: list[Any]) -> FileTensor:
        what = f"tensor {index}"
        shape = self.numbers(table, "Shape", what)
        signature = self.numbers(table, "ShapeSignature", what)
        if max(shape.size, signature.size) > _MOST_DIMENSIONS:
            raise self.corrupt(f"{what} has {max(shape.size, signature.size)} dimensions")
        if table.Type() not in _TENSOR_TYPES:
            raise self.corrupt(f"{what} has the unknown type {table.Type()}")
        if table.Buffer() >= max(len(buffers), 1):
            raise self.corrupt(f"{what} names buffer {table.Buffer()} of {len(buffers)}")
        quantization = table.Quantization()
        scales, zero_points, axis, blockwise = self.quantization(quantization, what)
        data = self.numbers(buffers[table.Buffer()], "Data", what) if buffers else np.zeros(0, np.uint8)
        present = {
            "variable": table.IsVariable(),
            "sparse": table.Sparsity() is not None,
            "blockwise": blockwise,
            "external": bool(table.ExternalBuffer()) or bool(buffers and buffers[table.Buffer()].Offset()),
        }
        return FileTensor(
            index=index,
            name=self.text(table.Name(), what),
            shape=tuple(shape.tolist()),
            signature=tuple(signature.tolist()),
            element=_TENSOR_TYPES[table.Type()],
            scales=scales,
            zero_points=zero_points,
            axis=axis,
            data=data if data.size else None,
            extras=tuple(name for name, there in present.items() if there),
        )

    def quantization(self, table: Any, what: str) -> tuple[tuple[float, ...], tuple[int, ...], int, bool]:
        """Scales, zero points, axis, and whether there is more than that."""
        if table is None:
            return (), (), 0, False
        self.table(table, f"{what}'s quantization")
        scales = self.numbers(table, "Scale", what).tolist()
        zero_points = self.numbers(table, "ZeroPoint", what).tolist()
        return tuple(scales), tuple(zero_points), table.QuantizedDimension(), bool(table.DetailsType())

    def indices(self, owner: Any, field: str, count: int, what: str) -> tuple[int, ...]:
        found = self.numbers(owner, field, what)
        if found.size and not (0 <= found.min() and found.max() < count):
            raise self.corrupt(f"{what} name a tensor that does not exist")
        return tuple(found.tolist())

    def operators(self, model: Any, subgraph: Any, tensors: int) -> tuple[FileOperator, ...]:
        with self.guarded("the operators"):
            codes = [self.kind(code) for code in self.vector(model, "OperatorCodes", "operator code")]
            tables = self.vector(subgraph, "Operators", "operator")
        read = []
        for index, table in enumerate(tables):
            what = f"operator {index}"
            with self.guarded(what):
                if not 0 <= table.OpcodeIndex() < len(codes):
                    raise self.corrupt(f"{what} has the unknown code {table.OpcodeIndex()}")
                operands = self.numbers(table, "Inputs", what)
                if operands.size and not (-1 <= operands.min() and operands.max() < tensors):
                    raise self.corrupt(f"{what}'s inputs name a tensor that does not exist")
                inputs = tuple(None if operand == -1 else operand for operand in operands.tolist())
                outputs = self.indices(table, "Outputs", tensors, f"{what}'s outputs")
            if not outputs:
                raise self.corrupt(f"{what} has no output")
            kind = codes[table.OpcodeIndex()]
            read.append(FileOperator(index, kind, inputs, outputs, self.options(table, kind, what)))
        return tuple(read)

    def kind(self, code: Any) -> str:
        # Codes up to 126 are in the old 8-bit field, and in files of old converters only there.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == schema.BuiltinOperator.CUSTOM:
            return f"CUSTOM '{self.text(code.CustomCode(), 'operator code')}'"
        return _OPERATORS.get(number, f"operator number {number}")

    def options(self, table: Any, kind: str, what: str) -> Callable[[], Mapping[str, Any]]:
        def read() -> Mapping[str, Any]:
            with self.guarded(f"{what}'s options"):
                if table.BuiltinOptionsType():
                    return self.fields(_OPTIONS.get(table.BuiltinOptionsType()), table.BuiltinOptions(), kind, what)
                if table.BuiltinOptions2Type():
                    return self.fields(_OPTIONS_2.get(table.BuiltinOptions2Type()), table.BuiltinOptions2(), kind, what)
                return {}

        return read

    def fields(self, name: str | None, table: Any, kind: str, what: str) -> dict[str, Any]:
        """The fields of an options table, by the schema's names."""
        expected = options_table(kind)
        if expected is None:  # some converters write the options of another operator where there are none
            return {}
        if name != expected or table is None:
            raise self.corrupt(f"{what} has {name}, and {kind} has {expected}")
        accessor = getattr(schema, name)()
        accessor.Init(table.Bytes, table.Pos)
        self.table(accessor, f"{what}'s options")
        options = getattr(schema, f"{name}T").InitFromObj(accessor)
        return {_snake(field): self.option(field, value, what) for field, value in vars(options).items()}

    def option(self, field: str, value: Any, what: str) -> Any:
        if field in _ENUMERATIONS:
            return _ENUMERATIONS[field].get(value, f"number {value}")
        if isinstance(value, np.ndarray):
            self.spend(value.nbytes, what)
            return tuple(value.tolist())
        return value


def _snake(field: str) -> str:
    """The schema's spelling of a field, from its Python classes' spelling.

    >>> _snake("fusedActivationFunction"), _snake("dilationWFactor")
    ('fused_activation_function', 'dilation_w_factor')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", field).lower()
