"""TFLite files of networks in real numbers as float graphs: what the quantizer reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.tflite.file import FileOperator, FileTensor, TfliteFile, read_tflite_file
from bitloom.frontends.tflite.importer import NEVER_SUPPORTED, SPECIAL_TENSORS, fixed_shape, unique_names
from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor

# What computes with shapes, axes and paddings.
_INTEGERS = ("int32", "int64")
_DTYPES = ("float32", "int32", "bool")


def load_float_tflite(content: bytes, name: str, where: str | None = None) -> FloatGraph:
    """Read a TFLite model whose activations are float32.

    Weights that are stored as float16, or as integers with scales (dynamic range quantization), become float32.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages; the name if not given.

    Raises:
        ModelFormatError: not a TFLite file, truncated or corrupt, or with weights that are not finite.
        UnsupportedError: a quantized model, control flow, state, dynamic shapes.
    """
    place = where or name
    file = read_tflite_file(content, place)
    return _FloatImport(file, name, place).graph()


class _FloatImport:
    """One file on its way to a float graph."""

    def __init__(self, file: TfliteFile, name: str, where: str) -> None:
        self.file = file
        self.name = name
        self.where = where
        self.names = unique_names(file.tensors)
        self.stored = {operator.outputs[0]: operator for operator in file.operators if self.is_stored(operator)}

    def graph(self) -> FloatGraph:
        """The whole network."""
        self.check_support()
        operators = [operator for operator in self.file.operators if operator.outputs[0] not in self.stored]
        try:
            nodes = tuple(self.node(operator) for operator in operators)
            return FloatGraph(
                name=self.name,
                inputs=tuple(self.names[index] for index in self.file.inputs),
                outputs=tuple(self.names[index] for index in self.file.outputs),
                tensors=tuple(self.tensors(operators)),
                nodes=nodes,
            )
        except UnsupportedError:
            raise
        except BitloomError as error:
            where = error.where or ""
            place = where if where.startswith(self.where) else f"{self.where}: {where}" if where else self.where
            raise ModelFormatError(error.what, where=place, remedy=error.remedy) from error

    def is_stored(self, operator: FileOperator) -> bool:
        """Whether the operator only widens a constant to float32."""
        source = operator.inputs[0] if operator.kind == "DEQUANTIZE" and operator.inputs else None
        return source is not None and self.file.tensors[source].data is not None

    def check_support(self) -> None:
        """Refuse what is no float network of fixed shapes."""
        for operator in self.file.operators:
            if operator.kind in NEVER_SUPPORTED:
                raise UnsupportedError(
                    f"{operator.kind} {NEVER_SUPPORTED[operator.kind]}, and only networks without are supported",
                    where=self.place(operator),
                    remedy="convert the model again with fixed control flow and no variables",
                )
        if self.file.subgraphs != 1:
            raise UnsupportedError(
                f"has {self.file.subgraphs} subgraphs; only models of one are supported", where=self.where
            )
        if not self.file.operators or not self.file.inputs or not self.file.outputs:
            raise UnsupportedError("has no operators, no inputs or no outputs: nothing to compute", where=self.where)
        for operator in self.file.operators:
            for index in operator.outputs:
                if self.file.tensors[index].scales:
                    raise UnsupportedError(
                        "is quantized already, and the quantizer takes float models",
                        where=self.where,
                        remedy="load it as it is, or give the float model it was made of",
                    )

    def place(self, operator: FileOperator) -> str:
        """For messages."""
        return f"{self.where}: operator {operator.index} {operator.kind} (output '{self.names[operator.outputs[0]]}')"

    def node(self, operator: FileOperator) -> FloatNode:
        """As the file says it."""
        return FloatNode(
            kind=operator.kind,
            inputs=tuple(None if index is None else self.names[index] for index in operator.inputs),
            outputs=tuple(self.names[index] for index in operator.outputs),
            attributes=_attributes(operator.attributes()),
            source=self.place(operator),
        )

    def tensors(self, operators: list[FileOperator]) -> Iterator[FloatTensor]:
        """Those that operators touch, and the ends."""
        wanted = dict.fromkeys((*self.file.inputs, *self.file.outputs))
        for operator in operators:
            wanted.update(dict.fromkeys(index for index in (*operator.inputs, *operator.outputs) if index is not None))
        for index in wanted:
            tensor = self.file.tensors[index]
            stored = self.stored.get(index)
            if stored is not None and stored.inputs[0] is not None:
                tensor = self.file.tensors[stored.inputs[0]]
            yield self.tensor(tensor, self.names[index])

    def tensor(self, tensor: FileTensor, name: str) -> FloatTensor:
        """With the elements of a constant."""
        where = f"{self.where}: tensor {tensor.index} '{name}'"
        if tensor.extras:
            raise UnsupportedError(f"the tensor {SPECIAL_TENSORS[tensor.extras[0]]}", where=where)
        try:
            shape = fixed_shape(tensor)
        except UnsupportedError as error:
            raise UnsupportedError(error.what, where=where, remedy=error.remedy) from error
        if tensor.data is None:
            dtype = "int32" if tensor.element in _INTEGERS else tensor.element
            if dtype not in _DTYPES:
                raise UnsupportedError(f"tensors of {tensor.element} in a float model are not supported", where=where)
            return FloatTensor(name, shape, dtype=dtype)
        data = _elements(tensor, tensor.data, shape, where)
        return FloatTensor(name, shape, data, dtype=data.dtype.name)


def _attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options that say int64 mean the tensors that are int32 here."""
    return {
        name: "INT32" if name == "output_type" and value == "INT64" else value for name, value in attributes.items()
    }


def _elements(tensor: FileTensor, data: npt.NDArray[np.uint8], shape: tuple[int, ...], where: str) -> npt.NDArray[Any]:
    """A constant's elements, as float32, int32 or bool."""
    try:
        stored = data.view(np.dtype(tensor.element).newbyteorder("<")).reshape(shape)
    except TypeError as error:
        raise UnsupportedError(
            f"constants of {tensor.element} in a float model are not supported", where=where
        ) from error
    except ValueError as error:
        raise ModelFormatError(f"its data has {data.size} bytes, not those of {list(shape)}", where=where) from error
    if tensor.scales:
        scales, zero_points = np.array(tensor.scales, np.float64), np.array(tensor.zero_points or [0], np.int64)
        if scales.size > 1:
            along = [-1 if axis == tensor.axis else 1 for axis in range(len(shape))]
            scales, zero_points = scales.reshape(along), zero_points.reshape(along)
        return ((stored.astype(np.float64) - zero_points) * scales).astype(np.float32)
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return stored.astype(np.float32)
    if tensor.element == "int64":
        return np.clip(stored, np.iinfo(np.int32).min, np.iinfo(np.int32).max).astype(np.int32)
    if tensor.element in ("int32", "bool"):
        return stored.astype(tensor.element)
    raise UnsupportedError(f"constants of {tensor.element} in a float model are not supported", where=where)
