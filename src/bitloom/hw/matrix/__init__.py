"""Matrices on wires: the systolic array, block multiplication and elementwise circuits, each usable on its own.

`WireMatrix` holds the wires, `MatrixChannel` adds a ready/valid handshake, and every circuit takes and gives channels,
so that they compose: ``argmax("best", rescale("scores", relu("hidden", systolic_multiply("mm", x, w).product), ...))``.
"""

from bitloom.hw.matrix.block import BlockProduct, StoredProduct, block_multiply, store_product
from bitloom.hw.matrix.channel import MatrixChannel, pipeline_stage
from bitloom.hw.matrix.elementwise import add, relu, rescale, saturate
from bitloom.hw.matrix.maximum import argmax
from bitloom.hw.matrix.multiply import SystolicProduct, systolic_multiply
from bitloom.hw.matrix.panels import PanelMemory
from bitloom.hw.matrix.systolic import Beat, SystolicArray, make_systolic_array
from bitloom.hw.matrix.wire_matrix import WireMatrix

__all__ = [
    "Beat",
    "BlockProduct",
    "MatrixChannel",
    "PanelMemory",
    "StoredProduct",
    "SystolicArray",
    "SystolicProduct",
    "WireMatrix",
    "add",
    "argmax",
    "block_multiply",
    "make_systolic_array",
    "pipeline_stage",
    "relu",
    "rescale",
    "saturate",
    "store_product",
    "systolic_multiply",
]
