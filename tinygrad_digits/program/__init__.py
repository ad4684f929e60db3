"""Programs: a training step compiled to straight-line NumPy.

``trace`` runs a step and records it, ``passes`` make the record better, ``memory`` decides what is where, ``emit``
writes it as Python, ``bound`` runs it on a model's arrays, and ``compiled`` is what people call. ``ir`` is what they
share, ``kernels`` what programs call beside NumPy's functions; ``report`` tells what a program costs.
"""

from .compiled import Compiled, compile
from .passes import PASSES
from .trace import CompileError

__all__ = ["PASSES", "CompileError", "Compiled", "compile"]
