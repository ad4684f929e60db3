"""Each operation in a compiled step: values and gradients are those of the step as it is, for other numbers, too."""

import numpy as np
import pytest
from cases import cases
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import autodiff

VALUES_DECIDE = np.quantile, np.percentile, np.nanquantile, np.nanpercentile, np.average, np.geomspace, np.trim_zeros
"""What looks at the values of its second argument, or of its only one, before it computes: that must be refused."""


def taken(function, arrays, weights, *, compiled):
    """What a step computes with its parameters, and their gradients: with each set of arrays."""
    params = [tg.tensor(x, requires_grad=True) for x in arrays[0]]

    def step(seed):
        out = function(*params)
        np.sum(out * seed).backward()
        return out

    run = tg.compile(step) if compiled else step
    found = []
    for values in arrays:
        for p, x in zip(params, values, strict=True):
            p.data, p.grad = x, None
        found.append(tg.asarray(run(weights)).numpy().copy())
        found += [np.zeros(p.shape) if p.grad is None else p.grad.copy() for p in params]
    return found


@pytest.mark.parametrize("op", cases, ids=autodiff.name)
@settings(max_examples=max(settings.default.max_examples // 8, 3))
@given(data=st.data())
def test_an_operation_compiled_is_the_operation(op, data):
    function, xs, _ = data.draw(cases[op])
    out = function(*map(tg.tensor, xs))
    weights = np.random.default_rng(0).normal(size=out.shape)
    arrays = [[x * factor for x in xs] for factor in (1.0, 0.97)]
    with np.errstate(all="ignore"):
        try:
            expected = taken(function, arrays, weights, compiled=False)
        except (np.linalg.LinAlgError, ValueError):  # of the other numbers
            assume(False)
        try:
            found = taken(function, arrays, weights, compiled=True)
        except tg.CompileError:
            if op in VALUES_DECIDE:
                return
            raise
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


SQUARE = np.array([[4.2, 1.35], [1.15, 3.3]])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.matmul(x, [1, 2]),
        lambda x: np.matmul([[1.0, 2.0]], x),
        lambda x: x.dot((0, 1)),
        lambda x: x * [1, 2],
        lambda x: x ** (2, 3),
        lambda x: np.power(x, [[-1.0], [0.5]]),
        lambda x: np.power([2, 3], x),
        lambda x: np.maximum(x, [2, 2]),
        lambda x: np.where([True, False], x, [3, 4]),
        lambda x: np.hypot(x, (3, 4)),
        lambda x: np.clip(x, [1.2, 1.4], [3, 3]),
        lambda x: np.take(x, [1, 1, 0], axis=np.int64(0)),
        lambda x: np.rot90(x, np.int64(1)),
        lambda x: np.round(x, decimals=np.int64(1)),
        lambda x: np.var(x, axis=np.int64(0), ddof=np.float64(1)),
        lambda x: np.pad(x, 1, constant_values=np.float64(2)),
        lambda x: x[[0, 1], [1, 1]],
    ],
)
def test_lists_and_numbers_of_numpys_among_the_arguments(function):
    weights = np.random.default_rng(0).normal(size=np.shape(function(SQUARE)))
    arrays = [[SQUARE], [SQUARE * 0.97]]
    expected = taken(function, arrays, weights, compiled=False)
    for a, b in zip(taken(function, arrays, weights, compiled=True), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
