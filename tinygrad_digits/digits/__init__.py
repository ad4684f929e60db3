"""The digits wing: reads handwritten digits with nets built on the framework."""

from .data import DataError, Digits, Examples, as_floats, batches, load_mnist, shifted
from .evaluation import Confusion, Report, accuracy, evaluate, outputs
from .images import ImageError, read_digit
from .recipes import RECIPES, Recipe
from .runs import Epoch, Run, RunError
from .training import Diverged, Trained, fit

__all__ = [
    "RECIPES",
    "Confusion",
    "DataError",
    "Digits",
    "Diverged",
    "Epoch",
    "Examples",
    "ImageError",
    "Recipe",
    "Report",
    "Run",
    "RunError",
    "Trained",
    "accuracy",
    "as_floats",
    "batches",
    "evaluate",
    "fit",
    "load_mnist",
    "outputs",
    "read_digit",
    "shifted",
]
