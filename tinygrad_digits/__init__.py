"""Automatic differentiation on NumPy, small enough to read, and the digit classifier that proves it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import nn, optim
from .autodiff import defvjp, primitive
from .io import load, save
from .ops.activations import elu, gelu, leaky_relu, log_sigmoid, selu, silu, softplus
from .ops.convolution import conv2d
from .ops.indexing import index_update
from .ops.neural import log_softmax, logsumexp, relu, sigmoid, softmax
from .ops.pooling import avg_pool2d, max_pool2d
from .tensor import Tensor, apply, asarray, is_recording, no_grad, tensor
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from . import testing
    from .program import CompileError, compile

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


_LATER = {"CompileError": "program", "compile": "program", "program": "program", "testing": "testing"}
"""Names that are loaded when they are first asked for, and where they are: a third of what the import would take."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{_LATER[name]}", __name__)
    found = globals()[name] = module if name == _LATER[name] else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
