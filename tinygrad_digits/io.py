"""Save and load named arrays as safetensors: a format that holds numbers only, so that loading a file runs no code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .tensor import Tensor


def save(state: Mapping[str, ArrayLike | Tensor], path: str | os.PathLike[str]) -> None:
    """Write named arrays to a file, such as a model's ``state_dict()``.

    The file appears whole or not at all: one of the same name is kept until the new one is complete.

    Parameters
    ----------
    state : mapping of str to array_like or Tensor
        What to save.
    path : path
        Where to, by custom with the ending ``.safetensors``.
    """
    from safetensors.numpy import save as serialize

    arrays = {n: np.array(v.numpy() if isinstance(v, Tensor) else v, order="C") for n, v in state.items()}
    write_atomically(path, serialize(arrays))


def load(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read the named arrays of a file that `save`, or any program that writes safetensors, has written.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a safetensors file, or not a whole one.
    """
    from pathlib import Path

    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialize

    content = Path(path).read_bytes()
    try:
        return deserialize(content)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}). Save the model again") from error


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    from pathlib import Path  # takes milliseconds to load, as do the parts of safetensors

    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
