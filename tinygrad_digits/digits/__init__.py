"""The digits wing: reads handwritten digits with nets built on the framework."""

from .data import DataError, Digits, Examples, as_floats, batches, load_mnist

__all__ = ["DataError", "Digits", "Examples", "as_floats", "batches", "load_mnist"]
