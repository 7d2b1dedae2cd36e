"""Names of the TFLite schema, looked up in the schema that ships inside ``ai_edge_litert``, for reading and writing."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema


def members(enumeration: type) -> dict[str, int]:
    """Numbers of an enumeration by name."""
    return {name: value for name, value in vars(enumeration).items() if not name.startswith("_")}


OPERATORS = members(schema.BuiltinOperator)
TENSOR_TYPES = {name.lower(): code for name, code in members(schema.TensorType).items()}
OPTIONS = members(schema.BuiltinOptions)
OPTIONS_2 = members(schema.BuiltinOptions2)  # the union that newer operators use

# Option tables whose name is not the operator's own.
_SHARED_OPTIONS = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), "Pool2DOptions"),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"), "ReducerOptions"),
    **dict.fromkeys(("REDUCE_ANY", "REDUCE_ALL"), "ReducerOptions"),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), "MaximumMinimumOptions"),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"), "RandomOptions"),
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}

ENUMERATIONS: dict[str, dict[str, int]] = {
    "fusedActivationFunction": members(schema.ActivationFunctionType),
    "padding": members(schema.Padding),
    "weightsFormat": members(schema.FullyConnectedOptionsWeightsFormat),
    "mode": members(schema.MirrorPadMode),
    "kernelType": members(schema.LSTMKernelType),
    "reduceFunction": members(schema.ReduceWindowFunction),
    "combiner": members(schema.CombinerType),
    "type": members(schema.LSHProjectionType),
    **dict.fromkeys(
        ("outputType", "outType", "inDataType", "outDataType", "idxOutType", "quantizedBiasType"),
        members(schema.TensorType),
    ),
}
"""Option fields that hold a number of an enumeration, by their name in the schema's classes."""


def options_table(operator: str) -> str | None:
    """The name of the schema's options table of a builtin operator; None if it has no options.

    >>> options_table("MAX_POOL_2D"), options_table("STABLEHLO_GATHER"), options_table("RELU")
    ('Pool2DOptions', 'StablehloGatherOptions', None)
    """
    if operator in _SHARED_OPTIONS:
        return _SHARED_OPTIONS[operator]
    wanted = f"{operator.replace('_', '')}Options".lower()
    return next((name for name in (*OPTIONS, *OPTIONS_2) if name.lower() == wanted), None)
