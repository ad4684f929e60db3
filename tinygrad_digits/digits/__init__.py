"""The digits wing: reads handwritten digits with nets built on the framework."""

from .augmentation import Distortion, Shift
from .data import DataError, Digits, Examples, as_floats, batches, load_mnist
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
    "Distortion",
    "Diverged",
    "Epoch",
    "Examples",
    "ImageError",
    "Recipe",
    "Report",
    "Run",
    "RunError",
    "Shift",
    "Trained",
    "accuracy",
    "as_floats",
    "batches",
    "evaluate",
    "fit",
    "load_mnist",
    "outputs",
    "read_digit",
]
