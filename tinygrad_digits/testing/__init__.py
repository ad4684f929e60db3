"""Checking derivatives against finite differences. For functions of your own, too.

`check_grads` needs NumPy only. What draws test data for Hypothesis is in ``tinygrad_digits.testing.strategies``, which
is not imported here.
"""

from .gradients import check_grads, numerical_grad

__all__ = ["check_grads", "numerical_grad"]
