"""Define and run: graphs of integers stated in Python, one operator after the other.

    import bitloom as bl

    x = bl.define.placeholder((1, 8, 8, 1), "int8", name="x")
    w = bl.define.variable((4, 3, 3, 1), "int4", name="w").set_value(weights)
    y = bl.define.conv2d(x, w, shift=6, activation=bl.define.relu, name="y")
    graph = bl.define.graph(y)

A graph made here is an ordinary one: `bitloom.run`, `bitloom.verify` and `bitloom.build` take it.
"""

from bitloom.frontends.define.elementwise import (
    add,
    exp,
    function,
    leaky_relu,
    mul,
    rescale,
    sigmoid,
    softmax,
    sub,
    tanh,
)
from bitloom.frontends.define.graph import graph
from bitloom.frontends.define.layers import conv2d, depthwise_conv2d, matmul
from bitloom.frontends.define.moving import (
    argmax,
    average_pool,
    concat,
    max_pool,
    pad,
    reshape,
    slice,
    transpose,
    upsample,
)
from bitloom.frontends.define.rescaling import ROUNDINGS, Rectifier, bounded, relu
from bitloom.frontends.define.tensor import Placeholder, Tensor, Variable, placeholder, variable

__all__ = [
    "ROUNDINGS",
    "Placeholder",
    "Rectifier",
    "Tensor",
    "Variable",
    "add",
    "argmax",
    "average_pool",
    "bounded",
    "concat",
    "conv2d",
    "depthwise_conv2d",
    "exp",
    "function",
    "graph",
    "leaky_relu",
    "matmul",
    "max_pool",
    "mul",
    "pad",
    "placeholder",
    "relu",
    "rescale",
    "reshape",
    "sigmoid",
    "slice",
    "softmax",
    "sub",
    "tanh",
    "transpose",
    "upsample",
    "variable",
]
