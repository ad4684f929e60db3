"""Automatic differentiation on NumPy, small enough to read, and the digit classifier that proves it."""

from . import nn, optim, testing
from .autodiff import defvjp, primitive
from .io import load, save
from .ops.activations import elu, gelu, leaky_relu, log_sigmoid, selu, silu, softplus
from .ops.convolution import conv2d
from .ops.indexing import index_update
from .ops.neural import log_softmax, logsumexp, relu, sigmoid, softmax
from .ops.pooling import avg_pool2d, max_pool2d
from .program import CompileError, compile
from .tensor import Tensor, apply, asarray, is_recording, no_grad, tensor
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "CompileError",
    "Tensor",
    "apply",
    "asarray",
    "avg_pool2d",
    "compile",
    "conv2d",
    "defvjp",
    "elu",
    "gelu",
    "grad",
    "hessian",
    "hvp",
    "index_update",
    "is_recording",
    "jacobian",
    "jvp",
    "leaky_relu",
    "load",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "max_pool2d",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "relu",
    "save",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tensor",
    "testing",
    "value_and_grad",
    "vjp",
]
__version__ = "0.1.0"
