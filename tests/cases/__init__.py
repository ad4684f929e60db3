"""For the operations in the table, and composites of them: how to draw arguments at which they are smooth.

A case is a strategy that draws ``(function, arrays, reference)``. The function calls the operation with its keywords,
and is to be differentiated by all the arrays; the reference computes the same from NumPy arrays by other means, or is
None if the operation is NumPy's own and can be called with arrays itself.
"""

from . import diagonals, elementwise, grids, indexing, joins, linalg, neural, products, reductions, shapes, windows

cases = {
    op: case
    for family in (
        *(elementwise, reductions, shapes, joins, indexing, windows, grids),
        *(products, diagonals, linalg, neural),
    )
    for op, case in family.cases.items()
}
