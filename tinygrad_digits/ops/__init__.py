"""The derivative rules, by family. Importing this package fills the table in `autodiff`."""

from . import elementwise, grids, indexing, joins, linalg, neural, reductions, shapes, windows

__all__ = ["elementwise", "grids", "indexing", "joins", "linalg", "neural", "reductions", "shapes", "windows"]
