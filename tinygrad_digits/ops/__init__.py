"""The derivative rules, by family. Importing this package fills the table in `autodiff`."""

from . import diagonals, elementwise, grids, indexing, joins, linalg, neural, products, reductions, shapes, windows

__all__ = [
    "diagonals",
    "elementwise",
    "grids",
    "indexing",
    "joins",
    "linalg",
    "neural",
    "products",
    "reductions",
    "shapes",
    "windows",
]
