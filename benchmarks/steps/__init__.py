"""One training step of a digit net, its mini-batch gathered from the whole data: ours, by hand, and by peers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from . import by_hand, ours
from .nets import NETS, Array, Data, Net, Rival, data, shuffled

PEERS = {"torch": ("PyTorch", "by_torch"), "jax": ("JAX jit", "by_jax")}
"""By the module that must be installed: the peer's name, and the file it is in."""


def rivals(net: Net, data: Data, threads: int = 1) -> dict[str, Callable[[], Rival]]:
    """What makes each that can take the net's step, by name: ours, by hand, and the peers that are installed."""
    makers = {"ours compiled": ours.compiled, "ours eager": ours.eager, **by_hand.rivals(net, threads)}
    for module, (name, file) in PEERS.items():
        if find_spec(module):
            makers[name] = partial(_peer, file)
    return {name: partial(maker, net, data, net.start()) for name, maker in makers.items()}


def _peer(file: str, net: Net, data: Data, start: list[Array]) -> Rival:
    rival: Rival = import_module(f".{file}", __name__).rival(net, data, start)
    return rival


def check(net: Net, racing: dict[str, Rival], *, count: int) -> None:
    """Have all take two steps on the same mini-batches, and complain if their parameters are then not the same."""
    indices = shuffled(net.batch, count)
    for index in next(indices), next(indices):
        for rival in racing.values():
            rival.step(index)
    first, *others = racing
    for name in others:
        for mine, theirs in zip(racing[first].weights(), racing[name].weights(), strict=True):
            worst = float(np.max(np.abs(mine - theirs)))
            if not worst <= 1e-5:
                raise RuntimeError(
                    f"{net.name}: {first} and {name} do not take the same step: {worst:.0e} between them"
                )


__all__ = ["NETS", "Net", "Rival", "check", "data", "rivals", "shuffled"]
