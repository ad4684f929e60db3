"""The step by JAX, compiled, the mini-batch gathered within; what it updates is donated, and so written in place."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from .nets import SIDE, Array, Data, Net, Rival

AFTER: dict[str, Any] = {
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "pool relu": lambda x: jax.nn.relu(lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")),
    "": lambda x: x,
}


def rival(net: Net, data: Data, start: list[Array]) -> Rival:
    """A step is waited for, as the others are."""
    images = jnp.asarray(data.images.reshape(-1, SIDE, SIDE, 1) if net.convolutional else data.images)
    labels = jnp.asarray(data.targets if net.loss == "quadratic" else data.labels.astype(np.int32))
    parameters = [jnp.array(p) for p in start]
    velocities = [jnp.zeros_like(p) for p in parameters if net.momentum]

    def loss(parameters: list[Any], x: Any, y: Any) -> Any:
        for weight, bias, after in zip(parameters[::2], parameters[1::2], net.after, strict=True):
            if weight.ndim == 4:
                x = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            else:
                x = x.reshape(len(x), -1) @ weight
            x = AFTER[after](x + bias)
        if net.loss == "quadratic":
            return jnp.mean((x - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))

    @partial(jax.jit, donate_argnums=(0, 1))
    def program(parameters: Any, velocities: Any, images: Any, labels: Any, index: Any) -> Any:
        found = jax.grad(loss)(parameters, images[index], labels[index])
        if net.momentum:
            found = velocities = [net.momentum * v + g for v, g in zip(velocities, found, strict=True)]
        return [p - net.lr * g for p, g in zip(parameters, found, strict=True)], velocities

    def step(index: NDArray[np.int64]) -> None:
        nonlocal parameters, velocities
        parameters, velocities = program(parameters, velocities, images, labels, index)
        jax.block_until_ready(parameters)

    return Rival(step, lambda: [np.asarray(p) for p in parameters])
