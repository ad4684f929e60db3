"""For the operations in the table, and composites of them: how to draw arguments at which they are smooth.

A case is a strategy that draws ``(function, arrays, reference)``. The function calls the operation with its keywords,
and is to be differentiated by all the arrays; the reference computes the same from NumPy arrays by other means, or is
None if the operation is NumPy's own and can be called with arrays itself. Functions that are made of others have cases
too where their making needs them.

A kink is ``(name, function, arguments, the gradient there)``.
"""

from . import (
    activations,
    convolution,
    cumulative,
    diagonals,
    elementwise,
    grids,
    indexing,
    joins,
    linalg,
    neural,
    normalisation,
    ordering,
    products,
    recurrent,
    reductions,
    shapes,
    windows,
)

FAMILIES = (
    *(elementwise, reductions, cumulative, ordering, shapes, joins, indexing, windows, grids),
    *(products, diagonals, linalg, neural, activations, convolution, normalisation, recurrent),
)

cases = {op: case for family in FAMILIES for op, case in family.cases.items()}
kinks = [kink for family in FAMILIES for kink in getattr(family, "kinks", ())]
