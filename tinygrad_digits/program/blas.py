"""Two routines of NumPy's own BLAS that NumPy has no function for: they add to what is there.

An optimizer's update adds a product of matrices to an array, or a multiple of one array to another. NumPy must write
the product, or the multiple, to other memory first. Where its BLAS is not found, programs do without: see `found`.

References: Dongarra et al., *A set of level 3 basic linear algebra subprograms* (1990), for gemm; Lawson et al., *Basic
linear algebra subprograms for Fortran usage* (1979), for axpy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

LETTERS = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}
NAMES = "scipy_cblas_{}64_", "cblas_{}64_", "cblas_{}$NEWLAPACK$ILP64", "cblas_{}"
"""What a routine is called in NumPy from PyPI, in others with 64-bit integers, on macOS, and anywhere else."""

BY_ROWS, BY_COLUMNS, PLAIN, TRANSPOSED = 101, 102, 111, 112

SMALL_PRODUCT, LONG_SUM, MOST_PIECES = 1_000_000, 256, 4
"""Up to how many multiplications OpenBLAS has another way for, on processors with AVX-512: it reads the matrices as
they lie, without copying them to other places first. Long sums of products can be cut into a few such pieces, which
takes four fifths of the time: 32 images by weights of 784×100 take 50 to 54 µs in three, instead of 62."""

Array = NDArray[Any]


def gemm(c: Any, a: Any, b: Any, alpha: float, beta: float) -> Any:
    """``beta * c + alpha * a @ b``, of matrices of one dtype."""
    return c * c.dtype.type(beta) + np.matmul(a, b) * c.dtype.type(alpha)


def axpy(y: Any, x: Any, alpha: float) -> Any:
    """``y + alpha * x``, of arrays of one shape and dtype."""
    return y + x * y.dtype.type(alpha)


def bound_gemm(c: Array, a: Array | None, b: Array | None) -> Callable[..., None]:
    """What does `gemm` in c's place: ``update(alpha, beta)``, for arrays that keep their memory.

    Operands that do not are None, and come with the call: ``update(alpha, beta, a)``.
    """
    if a is None or b is None or not all(x.strides[1] == x.itemsize for x in (b, c)):
        return _bound(c, a, b)
    pieces = pieces_of(len(a), c.shape[1], len(b), c.dtype)
    ends = [len(b) * i // pieces for i in range(pieces + 1)]
    adders = [_bound(c, a[:, i:j], b[i:j]) for i, j in pairwise(ends)]

    def update(alpha: float, beta: float) -> None:
        for add in adders:
            add(alpha, beta)
            beta = 1.0

    return update


def pieces_of(m: int, n: int, k: int, dtype: np.dtype[Any]) -> int:
    """Into how many pieces along k to cut a product of matrices of shapes (m, k) and (k, n)."""
    pieces = max(-(-m * n * k // SMALL_PRODUCT), 1)
    return pieces if k >= LONG_SUM and pieces <= MOST_PIECES and _has_small_way(dtype) else 1


@cache
def _has_small_way(dtype: np.dtype[Any]) -> bool:
    """Whether small products have a way of their own: in the OpenBLAS that NumPy from PyPI has, with AVX-512."""
    routine = _routine("gemm", dtype)
    if routine is None or not routine.__name__.startswith("scipy_"):
        return False
    return bool(import_module("numpy._core._multiarray_umath").__cpu_features__.get("AVX512_SKX"))


def _bound(c: Array, a: Array | None, b: Array | None) -> Callable[..., None]:
    """`bound_gemm`, in one piece."""
    order = BY_COLUMNS if c.strides[0] == c.itemsize != c.strides[1] else BY_ROWS
    routine, laid, (by, times) = _routine("gemm", c.dtype), _laid(c, order), _numbers(c)
    free = [i for i, x in enumerate((a, b)) if x is None]
    # as the routine takes them: order; forms of a and b; m, n, k; alpha; a, its step, b, its step; beta; c, its step
    arguments: list[Any] = [order, PLAIN, PLAIN, *map(ctypes.c_int64, (*c.shape, 0)), by, *[None] * 4, times, *laid[1:]]
    operands: list[Any] = [a, b]

    def place(i: int, x: Any) -> bool:
        """Note where an operand is, and how it lies; tell whether BLAS can take it so."""
        operands[i] = x
        arguments[1 + i], *arguments[7 + 2 * i : 9 + 2 * i] = found = _laid(x, order)
        arguments[5].value = x.shape[1 - i]
        return found[0] is not None

    fit = routine is not None and laid[0] == PLAIN
    for i, x in enumerate(operands):
        fit &= x is None or place(i, x)

    def update(alpha: float, beta: float, *moved: Any) -> None:
        fits = bool(fit and alpha and beta)  # with one of them 0, BLAS would have 0 times infinity be 0
        if moved:
            for i, x in zip(free, moved, strict=True):
                fits &= place(i, x)
        if fits:
            by.value, times.value = alpha, beta
            routine(*arguments)
        else:
            np.copyto(c, gemm(c, operands[0], operands[1], alpha, beta))

    return update


def bound_axpy(y: Array, x: Array | None) -> Callable[..., None]:
    """What does `axpy` in y's place: ``update(alpha)``, or ``update(alpha, x)`` if x is None, as it moves."""
    routine, (by, _), one = _routine("axpy", y.dtype), _numbers(y), ctypes.c_int64(1)
    arguments = [ctypes.c_int64(y.size), by, None, one, ctypes.c_void_p(y.ctypes.data), one]

    def place(x: Array) -> bool:
        arguments[2] = ctypes.c_void_p(x.ctypes.data)
        return any(all(getattr(z.flags, order) for z in (x, y)) for order in ("c_contiguous", "f_contiguous"))

    fit = routine is not None and (x is None or place(x))

    def update(alpha: float, moved: Any = None) -> None:
        operand = np.asarray(moved) if x is None else x
        if fit and alpha and (x is not None or place(operand)):
            by.value = alpha
            routine(*arguments)
        else:
            np.copyto(y, axpy(y, operand, alpha))

    return update


BOUND: dict[Any, Callable[..., Any]] = {gemm: bound_gemm, axpy: bound_axpy}
"""What makes the function that does it in place, of the operation's arrays; it is then called with the numbers."""


def _numbers(array: Array) -> list[Any]:
    """Two numbers as C has them, of an array's dtype."""
    return [(ctypes.c_float if array.itemsize == 4 else ctypes.c_double)() for _ in range(2)]


def _laid(x: Array, order: int) -> tuple[Any, Any, Any]:
    """How a matrix lies in memory, where, and how many elements there are from one of its lines to the next.

    If that is no way that BLAS knows, the first is None.
    """
    forms = (PLAIN, TRANSPOSED) if order == BY_ROWS else (TRANSPOSED, PLAIN)
    for form, (lines, elements), length in zip(forms, (x.strides, x.strides[::-1]), x.shape[::-1], strict=True):
        if elements == x.itemsize and lines % x.itemsize == 0 and lines >= length * x.itemsize and x.size:
            return form, ctypes.c_void_p(x.ctypes.data), ctypes.c_int64(lines // x.itemsize)
    return None, None, None


@cache
def _routine(name: str, dtype: np.dtype[Any]) -> Any:
    """A routine of the BLAS that NumPy has loaded; none if there is no such."""
    try:
        core = import_module("numpy._core._multiarray_umath")  # no public name leads to the library
        library, letter = ctypes.CDLL(core.__file__), LETTERS[dtype]
    except (ImportError, AttributeError, OSError, KeyError):
        return None
    for pattern in NAMES:
        routine = getattr(library, pattern.format(letter + name), None)
        if routine is not None:
            routine.restype = None
            return routine
    return None


@cache
def found(dtype: np.dtype[Any]) -> bool:
    """Whether there are both routines for a dtype, and they do what they should."""
    if any(_routine(name, dtype) is None for name in ("gemm", "axpy")):
        return False
    c, a, b, y = np.ones((2, 3), dtype), np.ones((4, 2), dtype).T, np.ones((4, 3), dtype), np.zeros((2, 3), dtype)
    bound_gemm(c, a, b)(0.5, 3.0)
    bound_axpy(y, c)(2.0)
    return bool((c == 5).all() and (y == 10).all())


__all__ = ["BOUND", "axpy", "bound_axpy", "bound_gemm", "found", "gemm"]
