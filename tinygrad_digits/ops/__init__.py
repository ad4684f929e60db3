"""The derivative rules, by family. Importing this package fills the table in `autodiff`."""

from . import elementwise, indexing, linalg, neural, reductions, shapes

__all__ = ["elementwise", "indexing", "linalg", "neural", "reductions", "shapes"]
