"""Optimizers, schedules of their learning rates, and the clipping of gradients."""

from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .clipping import InfiniteGradient, clip_grad_norm, clip_grad_value
from .optimizer import Optimizer
from .schedules import constant, cosine, exponential, linear, one_cycle, step_decay, warm_up
from .sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "InfiniteGradient",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
    "constant",
    "cosine",
    "exponential",
    "linear",
    "one_cycle",
    "step_decay",
    "warm_up",
]
