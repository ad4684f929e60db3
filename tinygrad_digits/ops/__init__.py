"""The derivative rules, by family. Importing this package fills the table in `autodiff`.

A file of rules imports NumPy, Python's own modules (math, operator …), the table, and other files of rules; no Tensor.
"""

from . import (
    activations,
    convolution,
    cumulative,
    diagonals,
    elementwise,
    grids,
    indexing,
    joins,
    linalg,
    neural,
    normalisation,
    ordering,
    pooling,
    products,
    recurrent,
    reductions,
    shapes,
    windows,
)

__all__ = [
    "activations",
    "convolution",
    "cumulative",
    "diagonals",
    "elementwise",
    "grids",
    "indexing",
    "joins",
    "linalg",
    "neural",
    "normalisation",
    "ordering",
    "pooling",
    "products",
    "recurrent",
    "reductions",
    "shapes",
    "windows",
]
