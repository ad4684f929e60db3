"""What a program's lines call beside NumPy's own functions: small ones that write to memory that is there."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..tensor import extent
from . import blas

add_reduce, multiply_reduce = np.add.reduce, np.multiply.reduce
maximum_reduce, minimum_reduce = np.maximum.reduce, np.minimum.reduce

REDUCES = {
    add_reduce: "np.add.reduce",
    multiply_reduce: "np.multiply.reduce",
    maximum_reduce: "np.maximum.reduce",
    minimum_reduce: "np.minimum.reduce",
}

VIEWS = {np.reshape, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.broadcast_to, np.flip, operator.getitem}
"""Functions that look at the same memory in another way, where that can be done."""

WITH_OUT = {np.matmul, np.dot, np.take, np.concatenate, np.stack, np.einsum, np.cumsum, np.cumprod, np.clip, np.round}
WITH_OUT |= {np.outer, np.choose, *REDUCES}
"""Functions with ``out=`` that must not be an argument's memory."""


def gathered(x: Any, index: Any) -> Any:
    """``x[index]``, rows of an array that are known to be there."""
    return x[index]


def within(index: Any, length: int) -> Any:
    """Whole numbers that count rows of an array, from its start, and are all there.

    `numpy.take` would ask so itself, but then it copies all that it writes once more.
    """
    low, high = extent(index)
    if index.size and (low < -length or high >= length):
        raise IndexError(f"index {high if high >= length else low} is out of bounds for {length} rows")
    return np.remainder(index, length, dtype=np.intp) if low < 0 else index


def picked(x: Any, columns: Any) -> Any:
    """One element of each row."""
    return x[np.arange(len(x)), columns]


def picked_into(out: Any, x: Any, columns: Any) -> None:
    """One element of each row."""
    out[...] = x[np.arange(len(x)), columns]


def bits(mask: Any, itemsize: int) -> Any:
    """Truths as whole numbers: all bits set, or none."""
    return -mask.astype(f"i{itemsize}")


def bits_into(out: Any, mask: Any, itemsize: int) -> None:
    """Truths as whole numbers: all bits set, or none."""
    np.copyto(out, mask)
    np.negative(out, out)


def masked(x: Any, bits: Any) -> Any:
    """``np.where(mask, x, 0)``, in a third of its time, by the mask's `bits`."""
    return np.bitwise_and(x.view(bits.dtype), bits).view(x.dtype)


def masked_into(out: Any, x: Any, bits: Any) -> None:
    """``np.where(mask, x, 0)``, in a third of its time, by the mask's `bits`."""
    np.bitwise_and(x.view(bits.dtype), bits, out=out.view(bits.dtype))


KERNELS = {gathered: None, picked: picked_into, bits: bits_into, masked: masked_into, **blas.BOUND}
IN_PLACE = {masked, *blas.BOUND}
"""Kernels whose result may take the place of their first argument."""
