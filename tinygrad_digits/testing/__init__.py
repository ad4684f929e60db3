"""Checking derivatives, those of functions of your own too.

`check_grads` and `check_invariants` need NumPy only. What draws test data, and makes a property test in one line, is
in ``tinygrad_digits.testing.strategies``, which needs Hypothesis and is not imported here.
"""

from .gradients import ArgumentCheck, CheckResult, NonDifferentiablePoint, check_grads
from .invariants import check_invariants
from .numerical import numerical_grad

__all__ = [
    "ArgumentCheck",
    "CheckResult",
    "NonDifferentiablePoint",
    "check_grads",
    "check_invariants",
    "numerical_grad",
]
