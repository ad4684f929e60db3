"""Neural networks: modules, layers, initialisers and losses."""

from . import init
from .layers import Flatten, Linear, ReLU, Sequential, Sigmoid, Step, Tanh
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .module import Module

__all__ = [
    "Flatten",
    "Linear",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Step",
    "Tanh",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge_loss",
    "huber_loss",
    "init",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]
