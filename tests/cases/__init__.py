"""For every operation in the table of rules: how to draw arguments at which it is smooth, and how to call it.

A case is a strategy that draws ``(function, arrays, reference)``. The function calls the operation with its keywords,
and is to be differentiated by all the arrays; the reference computes the same from NumPy arrays by other means, or is
None if the operation is NumPy's own and can be called with arrays itself.
"""

from . import elementwise, indexing, linalg, neural, reductions, shapes

cases = elementwise.cases | reductions.cases | shapes.cases | indexing.cases | linalg.cases | neural.cases
