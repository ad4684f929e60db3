"""The checker is checked: wrong rules must be caught; and the strategies draw what they say."""

import os
import subprocess
import sys
from contextlib import nullcontext, suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.tensor import recording
from tinygrad_digits.testing import NonDifferentiablePoint, check_grads, check_invariants, invariants, numerical_grad
from tinygrad_digits.testing import strategies as draw
from tinygrad_digits.testing.report import code

SEEDS = range(int(os.environ.get("CHECKER_SEEDS", "5")))  # CONTRIBUTING.md says when more


def op(function, *rules):
    made = tg.primitive(function)
    tg.defvjp(made, *rules)
    return made


def cube(x):
    return x**3


X = np.array([[0.5, -1.5], [2.0, 0.1]])


@pytest.fixture(autouse=True)
def _own_rules(own_rules):
    """Every test here enters rules."""


def matrix(rng):
    return rng.uniform(0.5, 1.5, (2, 2)) * rng.choice([-1, 1], (2, 2))


def test_a_right_rule_passes_to_third_order():
    check_grads(op(cube, lambda g, out, x: g * 3 * x**2), X, order=3)


FIRST = r"order 1: the derivative by argument \d.*, element \(.*\), is wrong"
SECOND = r"order 2: the derivative by"
SHAPE = r"is wrong|gave a gradient of shape"
LAYOUT = "the gradient is another for arrays of layout"


def wrong(function, *rules, arguments=lambda x, y: (x,), says=FIRST):
    return function, rules, arguments, says


both = lambda x, y: (x, y)
broadcast = lambda x, y: (x, y[0])
squared_wrongly = tg.primitive(lambda x: x * x)

WRONG = {
    "a factor dropped": wrong(cube, lambda g, out, x: g * x**2),
    "the sign flipped": wrong(cube, lambda g, out, x: -g * 3 * x**2),
    "off by 0.05 %": wrong(cube, lambda g, out, x: g * 3 * x**2 * 1.0005),
    "off by 0.001 %": wrong(cube, lambda g, out, x: g * 3 * x**2 * (1 + 1e-5)),
    "nothing": wrong(cube, lambda g, out, x: g * 0),
    "NaN": wrong(cube, lambda g, out, x: g * np.nan),
    "infinite": wrong(cube, lambda g, out, x: g * np.inf),
    "g forgotten": wrong(cube, lambda g, out, x: 3 * x**2),
    "a little of all added": wrong(cube, lambda g, out, x: g * 3 * x**2 + 0.01 * np.sum(g)),
    "one element": wrong(cube, lambda g, out, x: g * 3 * x**2 * np.array([[1, 1], [1, 1.01]])),
    "the transpose forgotten": wrong(lambda x: x.T, lambda g, out, x: g),
    "a transpose forgotten in a product": wrong(
        np.matmul, lambda g, out, x, y: g @ y.T, lambda g, out, x, y: x @ g, arguments=both
    ),
    "reversal forgotten": wrong(lambda x: np.cumsum(x), lambda g, out, x: g.reshape(2, 2)),
    "arguments swapped": wrong(np.multiply, lambda g, out, x, y: g * x, lambda g, out, x, y: g * y, arguments=both),
    "= in place of +=": wrong(lambda x: x[[0, 0]], lambda g, out, x: np.stack([g[0], g[0] * 0])),
    "unbroadcasting, by a row": wrong(
        np.add, lambda g, out, x, y: g[0], lambda g, out, x, y: g, arguments=broadcast, says=SHAPE
    ),
    "unbroadcasting, by the maximum": wrong(
        np.add, lambda g, out, x, y: g, lambda g, out, x, y: np.max(g, axis=0), arguments=broadcast, says=SHAPE
    ),
    "unbroadcasting, to a number": wrong(
        np.add, lambda g, out, x, y: g, lambda g, out, x, y: np.sum(g), arguments=broadcast, says=SHAPE
    ),
    "order 2: the data": wrong(
        cube, lambda g, out, x: g * 3 * (x.data if isinstance(x, tg.Tensor) else x) ** 2, says=SECOND
    ),
    "order 2: x detached": wrong(
        cube, lambda g, out, x: g * 3 * x.detach() ** 2 if isinstance(x, tg.Tensor) else g * 3 * x**2, says=SECOND
    ),
    "order 2: g detached": wrong(
        cube, lambda g, out, x: (g.detach() if isinstance(g, tg.Tensor) else g) * 3 * x**2, says=SECOND
    ),
    "order 2: a rule that is wrong": wrong(cube, lambda g, out, x: g * 3 * squared_wrongly(x), says=SECOND),
    "a layout": wrong(
        lambda x: np.ravel(x),
        lambda g, out, x: np.reshape(g, x.shape, order="F" if np.isfortran(x) else "C"),
        says=LAYOUT,
    ),
    "a dtype": wrong(
        cube,
        lambda g, out, x: g * 3 * x**2 * (1.02 if x.dtype == np.float32 else 1),
        arguments=lambda x, y: (x.astype(np.float32),),
    ),
    "what is passed in is changed": wrong(
        lambda x: 2 * x,
        lambda g, out, x: np.multiply(g, 2, out=g) if isinstance(g, np.ndarray) else 2 * g,
        says="a gradient that was passed in was changed",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_are_caught(name):
    function, rules, arguments, says = WRONG[name]
    tg.defvjp(squared_wrongly, lambda g, out, x: g * x)
    made = op(function, *rules)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        args = arguments(matrix(rng), matrix(rng))
        if says in (SECOND, LAYOUT):
            check_grads(made, *args, order=1, invariants=False, seed=seed)
        with pytest.raises((AssertionError, ValueError), match=says) as caught:
            check_grads(made, *args, seed=seed)
        assert not isinstance(caught.value, NonDifferentiablePoint)


def test_a_function_that_writes_to_its_argument_is_caught():
    def scribble(x):
        x *= 2
        return x.copy()

    with pytest.raises(AssertionError, match="changed an argument"):
        check_grads(op(scribble, lambda g, out, x: 2 * g), X)


def test_the_report_tells_all_and_can_be_run_again():
    bad_cube = op(cube, lambda g, out, x: np.where(x == 2, g, g * 3 * x**2))
    f = lambda x, n: bad_cube(x) * n
    with pytest.raises(AssertionError) as caught:
        check_grads(f, X, 7, order=2, seed=3)
    report = str(caught.value)
    for part in (
        "<lambda>, order 1",
        "argument 0 (x), element (1, 0)",
        "analytic ",
        "numeric ",
        "error ",
        "is allowed",
        "seed=3",
    ):
        assert part in report
    assert "check_grads(f, np.array([[0.5, -1.5], [2.0, 0.1]]), 7, order=1, seed=3)" in report
    with pytest.raises(AssertionError) as again:
        check_grads(f, X, 7, order=1, seed=3)
    assert str(again.value) == report


def test_the_argument_at_fault_is_named_by_its_place_among_all():
    wrong = op(lambda x, y: x * y, lambda g, out, x, y: g * y, lambda g, out, x, y: g * y)
    with pytest.raises(AssertionError, match=r"by argument 2 \(y\)"):
        check_grads(lambda x, n, y: wrong(x, y), X, np.array([1, 2]), X + 1)


def test_results_may_be_nested_and_arguments_single_precision_or_whole():
    check_grads(lambda x, y: {"sum": x + y, "more": (np.sin(x), [x * y])}, X.astype(np.float32), 2.0)
    check_grads(lambda x, n: x[n], X, np.array([0, 0]))
    check_grads(lambda x: np.sum(x[:0]), np.zeros(0))
    check_grads(lambda x: np.ones(2), 1.0)


def test_large_arrays_are_not_spelt_out():
    wrong = op(cube, lambda g, out, x: g)
    with pytest.raises(AssertionError, match=r"np.full\(\(300,\), 1.0, '<f8'\)"):
        check_grads(wrong, np.ones(300))


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: np.sum(np.exp(x)), [0.0, 1.0], np.exp([0.0, 1.0])),
        (lambda x: x**3, 2.0, 12),
        (lambda x: np.sum(x**2) / 1e6, np.array([1e6]), [2]),
        (lambda x: np.sum(np.sin(100 * x)), np.array([0.01]), [100 * np.cos(1.0)]),
        (lambda x: 5.0, [[1.0]], [[0]]),
    ],
)
def test_numerical_grad(f, x, expected):
    np.testing.assert_allclose(numerical_grad(f, x), expected, rtol=1e-6, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- strategies


@pytest.mark.parametrize("layout", draw.LAYOUTS)
@given(x=draw.arrays())
def test_layouts_keep_the_numbers(layout, x):
    made = draw.LAYOUTS[layout](x)
    np.testing.assert_array_equal(made, x)
    assert made.shape == x.shape


def test_layouts_are_what_they_are_called():
    x = np.arange(12.0).reshape(3, 4)
    lay = {name: layout(x) for name, layout in draw.LAYOUTS.items()}
    assert lay["C"].flags.c_contiguous
    assert lay["Fortran"].flags.f_contiguous
    assert lay["every other"].strides == (128, 16)
    assert lay["backward"].strides == (-32, -8)
    assert not lay["read-only"].flags.writeable
    assert lay["big-endian"].dtype.byteorder == ">"


@given(draw.arrays(low=-1, high=3, away_from=(0.0, 1.0)))
def test_numbers_keep_away_from_kinks(x):
    assert np.all((x >= -1) & (x <= 3.05) & (np.abs(x) >= 0.0499) & (np.abs(x - 1) >= 0.0499))


@given(draw.shapes().flatmap(draw.separated))
def test_separated_numbers_are_apart(x):
    assert np.all(np.diff(np.sort(x, axis=None)) > 0.09)


@given(st.data())
def test_broadcastable_arrays_broadcast(data):
    x, y, z = data.draw(draw.broadcastable((0, 1), (1, 2), (-1, 0)))
    np.broadcast_shapes(x.shape, y.shape, z.shape)
    assert np.all((x >= 0) & (x <= 1))
    assert np.all((y >= 1) & (y <= 2))
    assert np.all((z >= -1) & (z <= 0))


@given(st.data())
def test_axes_and_indices_are_valid(data):
    x = data.draw(draw.arrays())
    np.sum(x, axis=data.draw(draw.axes(x.ndim)))
    x[data.draw(draw.indices(x.shape))]


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        (draw.shapes(), lambda s: s == ()),
        (draw.shapes(), lambda s: len(s) == 2 and 0 in s),
        (draw.shapes(), lambda s: 1 in s and 3 in s),
        (draw.broadcast_shapes(2), lambda s: s[0] and s[1] and s[0] != s[1]),
        (draw.axes(2), lambda a: a is None),
        (draw.axes(2), lambda a: a == ()),
        (draw.axes(2), lambda a: a == -1),
        (draw.axes(2), lambda a: isinstance(a, tuple) and len(a) == 2),
        (
            draw.indices((2, 3)),
            lambda i: isinstance(i, tuple) and None in [x for x in i if not isinstance(x, np.ndarray)],
        ),
        (draw.indices((2, 3)), lambda i: isinstance(i, list) and len(i) > len(set(i))),
        (draw.indices((2, 3)), lambda i: isinstance(i, np.ndarray) and i.dtype == bool and i.any()),
        (draw.indices((2, 3)), lambda i: isinstance(i, tuple) and any(isinstance(x, np.ndarray) for x in i)),
        (draw.indices((2, 3)), lambda i: isinstance(i, tuple) and any(getattr(k, "step", None) == -1 for k in i)),
        (draw.indices((2, 3)), lambda i: isinstance(i, tuple) and Ellipsis in [x for x in i if not np.ndim(x)]),
        (draw.indices((2, 3)), lambda i: isinstance(i, tuple) and len(i) == 2 and {*map(type, i)} == {int}),
        (draw.indices(()), lambda i: i != ()),
        (draw.matmul_operands(), lambda xs: xs[0].ndim == 1 and xs[1].ndim == 2),
        (draw.matmul_operands(), lambda xs: xs[0].ndim == 3),
        (draw.matmul_operands(), lambda xs: 0 in xs[0].shape and xs[0].size == 0),
        (draw.einsum_operands(), lambda drawn: "ii" in drawn[0] and drawn[1][0].size > 1),
        (draw.einsum_operands(), lambda drawn: drawn[0].count(",") == 2),
        (draw.einsum_operands(), lambda drawn: any(x.size == 0 for x in drawn[1])),
        (draw.tensors(), lambda t: t.shape == ()),
        (draw.tensors(), lambda t: t.size == 0),
        (draw.tensors(), lambda t: not t.data.flags.writeable),
        (draw.tensors(), lambda t: t.size > 1 and t.data.strides[0] < 0),
        (draw.tensors(), lambda t: t.size > 1 and np.isfortran(t.data)),
        (draw.tensors(), lambda t: t.size > 1 and not t.data.flags.forc and t.data.strides[0] > 0),
    ],
)
def test_the_awkward_ones_are_drawn(strategy, wanted):
    find(strategy, wanted, settings=settings(max_examples=2000, database=None, phases=[Phase.generate]))


# ------------------------------------------------------------------------------------- what the checker says of a point


@pytest.mark.parametrize(
    ("f", "x", "says"),
    [
        (np.abs, [0.0, 1.0], r"element \(0,\), .* its slope is -0.\d+ to the left and 0.\d+ to the right"),
        (lambda x: np.maximum(x, 1.0), 1.0, "its slope is 0 to the left"),
        (np.floor, 2.0, "its value jumps by"),
        (np.sqrt, 0.0, "no finite value to the left"),
        (lambda x: np.maximum(x, 0.0) * x, 0.0, "order 2: .* no derivative: its slope"),
        (np.cbrt, 0.0, "its slope grows without end"),
        (lambda x: np.abs(x) ** 1.5, 0.0, "order 2: .* its slope grows without end"),
        (lambda x: np.maximum(x, 1 - 1e-10), 1.0, r"its slope is -?0\.0\d+ to the left and 0.1257"),
        (lambda x: np.maximum(x, 1 - 1e-6), np.float32(1), None),
    ],
)
def test_kinks_are_told_from_wrong_rules(f, x, says):
    with pytest.raises(NonDifferentiablePoint, match=says) if says else nullcontext():
        check_grads(f, np.array(x), invariants=False)


class Counting:
    count = 0

    def __call__(self, x):
        self.count += 1
        return x * self.count


def changing(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("f", "error", "says"),
    [
        (lambda x: None, AssertionError, "returned None: .* Is a return missing"),
        (lambda x: (), AssertionError, "returned an empty tuple"),
        (lambda x: "text", AssertionError, "returned a str"),
        (lambda x: np.argmax(x), AssertionError, "dtype int64, which has no derivative"),
        (lambda x: x > 0, AssertionError, "dtype bool, which has no derivative"),
        (lambda x: np.log(x - 5), AssertionError, r"the result is nan at \(0,\)"),
        (lambda x: x * np.random.default_rng().normal(), AssertionError, "hold them still"),
        (lambda x: x + x.item() if x.size == 1 else x + np.max(x.data), AssertionError, r"leaves the graph: .*\.data"),
        (lambda x: np.asarray(x) * 2, TypeError, "leave the graph"),
        (changing, AssertionError, "changed an argument. Have it work on a copy"),
        (
            Counting(),
            AssertionError,
            "Counting, order 1: .* If it keeps a state, make it a Module",
        ),
        (lambda x: tg.no_grad()(lambda: x * 2)(), AssertionError, r"leaves the graph: it uses no_grad\(\)"),
        (lambda x: tg.primitive(cube)(x), TypeError, r"add a rule with tg.defvjp\(cube, lambda g, out, x: …\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_functions_are_named_with_the_fix(f, error, says):
    with pytest.raises(error, match=says):
        check_grads(f, np.array([1.0, 3.0]))


def test_changing_an_argument_that_is_not_differentiated_is_named_too():
    def counting(x, counts):
        counts[0] += 1
        return x * 2

    with pytest.raises(AssertionError, match="changed an argument"):
        check_grads(counting, 1.0, np.zeros(2, int))


def test_an_argument_that_is_nan_is_named():
    with pytest.raises(AssertionError, match=r"the result is nan at \(1,\), and so is a part of argument 0 \(x\)"):
        check_grads(np.sin, np.array([1.0, np.nan]))
    check_grads(np.nansum, np.array([1.0, np.nan]))


def test_a_check_of_nothing_is_refused():
    with pytest.raises(TypeError, match="nothing to differentiate by: arguments: an int"):
        check_grads(np.sin, 1)
    with pytest.raises(TypeError, match="arguments: none"):
        check_grads(lambda: 1.0)
    for order in 0, -1, 1.5:
        with pytest.raises(ValueError, match="checks nothing"):
            check_grads(np.sin, 1.0, order=order)
    with pytest.raises(TypeError, match="function to check"):
        check_grads(1.0, 1.0)


def test_modules_nested_arguments_and_generators():
    model = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.Sigmoid())
    before = model.state_dict()
    result = check_grads(model, np.ones((2, 3)))
    assert [c.argument for c in result.checks[:3]] == [
        "parameter 0.weight",
        "parameter 0.bias",
        "argument 0 (x)",
    ] or len(result.checks) > 3
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    check_grads(lambda d, n: d["w"] * n + d["b"][0], {"w": np.ones(2), "b": [np.ones(2, np.float32)]}, 3)
    check_grads(lambda x, rng: x * rng.normal(), 1.0, np.random.default_rng(0))


def test_large_arguments_are_checked_along_directions_and_the_fault_is_found():
    wrong = op(cube, lambda g, out, x: g * 3 * x**2 * np.where(np.arange(300) == 123, 1.5, 1))
    with pytest.raises(AssertionError, match=r"element \(123,\), is wrong"):
        check_grads(wrong, np.linspace(1, 2, 300))


def test_a_rule_wrong_for_one_layout_is_caught_on_that_layout():
    ravelled = op(*WRONG["a layout"][:1], *WRONG["a layout"][1])
    check_grads(ravelled, X, order=1, invariants=False)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(ravelled, np.asfortranarray(X), order=1, invariants=False)


# -------------------------------------------------------------------------------------------------------- invariants

KEPT = []
OUTSIDE = tg.tensor(np.ones(4), requires_grad=True)
COUNT = []


def recorded(x):
    with recording():
        return np.exp(x)


half_detached = tg.primitive(lambda x, y: x * y)


def moved(g, x):
    """The gradient, another one where it is recorded."""
    return g * 3 * x**2 * (1.001 if isinstance(g, tg.Tensor) else 1)


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda: op(cube, lambda g, out, x: g * 3 * x**2 + np.mean(x) * 1e-9 * np.sign(g)), "not linear in the seed"),
        (lambda: op(cube, lambda g, out, x: g * 0 + 3 * x**2), "for a seed of zeros is not zero|not linear"),
        (lambda: lambda x: x * (1 + np.sum(x.data.strides)), "another for arrays of layout"),
        (lambda: lambda x: COUNT.append(1) or np.exp(x) * len(COUNT), "does not get twice|not linear"),
        (lambda: recorded, "recorded under no_grad"),
        (lambda: lambda x: KEPT.append(np.exp(x)) or KEPT[-1] * 2, "outlive it"),
        (lambda: op(cube, lambda g, out, x: moved(g, x)), "forward and reverse mode disagree"),
        (lambda: lambda x: half_detached(x, x[::-1] ** 2), "not symmetric"),
    ],
)
def test_what_does_not_hold_is_noticed(f, says):
    tg.defvjp(half_detached, lambda g, out, x, y: g * getattr(y, "detach", lambda: y)(), lambda g, out, x, y: g * x)
    with pytest.raises(AssertionError, match=says):
        check_invariants(f(), X)
    KEPT.clear()


@pytest.mark.parametrize(
    ("grad", "says"),
    [
        (lambda x: x.grad.astype(np.float32), "of shape \\(2, 2\\) and dtype float32: it must be an ndarray of shape"),
        (lambda x: x.grad[:1], "of shape \\(1, 2\\)"),
        (lambda x: x.grad.view(np.matrix), "is a matrix"),
        (lambda x: x.data, "shares memory with argument 0"),
    ],
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_gradients_that_are_not_as_they_must_be_are_noticed(monkeypatch, grad, says):
    monkeypatch.setattr(invariants, "gradients", lambda leaves: [grad(x) for x in leaves])
    with pytest.raises(AssertionError, match=says):
        check_invariants(np.square, X)


def test_functions_may_hold_tensors_of_their_own():
    model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Sigmoid())
    outside = np.exp(tg.tensor(1.0, requires_grad=True))
    x, labels = np.linspace(-1, 1, 12).reshape(4, 3), np.array([0, 1, 1, 0])
    model.layers[0].bias.grad = kept = np.ones(2, np.float32)
    for f in model, model.__call__, lambda x: nn.cross_entropy(model(x), labels) * outside:
        check_grads(f, x)
    check_grads(lambda model, x: nn.cross_entropy(model(x), labels), model, x)
    assert model.layers[0].weight.grad is None
    assert model.layers[0].bias.grad is kept
    np.testing.assert_array_equal(kept, 1)


def test_modules_with_a_state_and_chance_are_held_still():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=0), nn.Tanh())
    before = model.state_dict()
    check_grads(model, np.linspace(-1, 1, 15).reshape(5, 3) ** 3)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# -------------------------------------------------------------------------------------------- nasty functions, by seeds


def network(rng, dtype):
    return nn.Sequential(nn.Linear(3, 4, rng=rng, dtype=dtype), nn.ReLU(), nn.Linear(4, 2, rng=rng, dtype=dtype))


def any_size(rng, size=3):
    """Numbers of either sign and any size down to 1e-12."""
    return rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-12, 0, size)


NASTY = {
    "curved": lambda r: (lambda x: np.sin(100 * x), r.uniform(-2, 2, 3)),
    "curved, without complex step": lambda r: (lambda x: np.sin(1e3 * np.abs(x)), r.uniform(0.5, 2, 2)),
    "tiny": lambda r: (lambda x: 1e-12 * np.exp(x), r.normal(size=3)),
    "huge": lambda r: (lambda x: 1e12 * np.exp(x), r.normal(size=3)),
    "tiny argument": lambda r: (lambda x: np.log(np.abs(x)), r.uniform(1e-10, 1e-9, 3)),
    "cancellation": lambda r: (lambda x: np.abs(1e8 + np.sin(x)) - 1e8, r.normal(size=3)),
    "more cancellation": lambda r: (lambda x: np.abs(1e11 + np.sin(x)) - 1e11, r.normal(size=3)),
    "near a kink": lambda r: (np.abs, r.choice([-1, 1], 3) * 10.0 ** r.uniform(-5, -2, 3)),
    "nearer to a kink": lambda r: (np.abs, any_size(r)),
    "saturated": lambda r: (lambda x: tg.softmax(x), r.uniform(-9, 9, (2, 3))),
    "constant": lambda r: (lambda x: tg.softmax(x), r.normal(size=(2, 1))),
    "nothing but rounding": lambda r: (lambda x: np.linalg.solve(x, x[0]), np.eye(3) + 0.1 * r.normal(size=(3, 3))),
    "rounded beside 1": lambda r: (lambda x: tg.nn.cross_entropy(x, [0]), np.array([[0.0, -r.uniform(0, 23)]])),
    "single": lambda r: (lambda x: np.exp(x) * np.sum(x * x), r.normal(size=4).astype(np.float32)),
    # Here the point may be so near to a kink that it is one.
    "kink: ReLU": lambda r: (tg.relu, any_size(r)),
    "kink: ReLU, single": lambda r: (tg.relu, any_size(r).astype(np.float32)),
    "kink: of large numbers": lambda r: (lambda x: np.maximum(x + 50, 50 + 1e-9), any_size(r)),
    "kink: ties": lambda r: (np.max, any_size(r, 4)),
    "kink: a network": lambda r: (network(r, np.float64), r.normal(size=(2, 3))),
    "kink: a network, single": lambda r: (network(r, np.float32), r.normal(size=(2, 3)).astype(np.float32)),
}


@pytest.mark.parametrize("name", NASTY)
def test_right_but_nasty_functions_pass(name):
    for seed in SEEDS:
        f, x = NASTY[name](np.random.default_rng(seed))
        with suppress(NonDifferentiablePoint) if name.startswith("kink") else nullcontext():
            check_grads(f, x, seed=seed, invariants=seed == 0)


@pytest.mark.parametrize("seed", [16, 23])
def test_a_batch_makes_jumps_of_the_gradient_to_both_sides(seed):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(5, 20, rng=rng), nn.ReLU(), nn.Linear(20, 2, rng=rng))
    check_grads(model, rng.normal(size=(10, 5)).astype(np.float32), seed=seed, invariants=False)


def test_what_is_constant_but_for_rounding_has_no_kink():
    check_grads(lambda x: np.linalg.solve(x.T, x[0]), np.full((4, 4), 0.992) + 5 * np.eye(4), order=1)


def test_without_hypothesis_all_but_the_strategies_works():
    code = """if True:
        import sys
        sys.modules["hypothesis"] = None
        import numpy as np, tinygrad_digits.testing as testing
        testing.check_grads(np.sin, 1.0)
        try:
            import tinygrad_digits.testing.strategies
        except ImportError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        "tinygrad_digits.testing.strategies needs Hypothesis: python -m pip install 'tinygrad_digits[testing]'. "
        "check_grads does without\n"
    )


@draw.gradcheck_test(draw.broadcastable((0.3, 3), (-2, 2)), oracle=np.power)
def test_a_property_test_in_one_line(x, y):
    return np.exp(y * np.log(x))


test_einsum = draw.gradcheck_test(
    draw.einsum_operands().map(lambda drawn: (drawn[0], *drawn[1])), oracle=np.einsum, invariants=False
)(np.einsum)
test_matmul = draw.gradcheck_test(draw.matmul_operands(), oracle=np.matmul)(np.matmul)


@given(
    draw.tensors(hnp.arrays(np.float32, draw.shapes(), elements=st.floats(-2, 2, width=32))),
    draw.arrays(hnp.array_shapes(max_dims=1)),
)
def test_strategies_go_together_with_those_of_hypothesis(x, y):
    assert x.requires_grad
    assert x.dtype.newbyteorder("=") == np.float32
    assert y.ndim == 1


@pytest.mark.parametrize(
    ("f", "oracle", "says"),
    [
        (lambda x: op(cube, lambda g, out, x: g * 3 * x)(x), cube, "is wrong"),
        (lambda x: x * (1 + 1e-6), lambda x: x, "Not equal to tolerance"),
    ],
)
def test_a_property_test_finds_what_is_wrong(f, oracle, says):
    with pytest.raises(AssertionError, match=says):
        settings(database=None, phases=[Phase.generate])(draw.gradcheck_test(draw.arrays(), oracle=oracle)(f))()


def test_numbers_next_to_nothing_do_not_take_forever():
    check_grads(lambda x: np.sum(np.exp(x)), np.array([2.2250738585072014e-308, 14.0]))


# ------------------------------------------------------------------------------------------- what a report is made of


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        -np.inf,
        np.nan,
        "text",
        None,
        np.array([1.0, np.nan, np.inf, -np.inf]),
        np.array([[1, 2], [3, 4]], np.float32, order="F"),
        np.zeros((0, 3)),
        np.zeros((0, 3), np.float32),
        np.full((20, 20), 2.5),
        np.float32(0.1),
        [1, (2.0,), {"a": np.ones(2)}],
    ],
)
def test_values_are_printed_as_code_that_gives_them_back(value):
    again = eval(code(value), {"np": np})
    assert type(again) is type(value) or isinstance(value, np.generic)
    np.testing.assert_equal(again, value)
    if isinstance(value, np.ndarray):
        assert again.dtype == value.dtype
        assert again.flags.f_contiguous == value.flags.f_contiguous


def test_what_cannot_be_printed_as_code_is_described():
    assert "an array of shape (2000,) and dtype float64, too long" in code(np.arange(2000.0))
    assert code(np.random.default_rng(3)) == "np.random.default_rng(3)"
    assert code(np.sin) == "np.sin"
    assert code(tg.tensor([1.0])) == "np.array([1.0])"


@tg.primitive
def triple(x, *, shift=0.0):
    return 3 * x + shift


@pytest.fixture
def wrong_triple(own_rules):
    tg.defvjp(triple, lambda g, out, x, *, shift=0.0: g * 2)


class Tripled(nn.Module):
    def __call__(self, x):
        return triple(x)


def test_a_report_says_how_to_see_it_again(wrong_triple):
    def local(x):
        return triple(x)

    for f, lines in [
        (triple, ["from test_testing import triple", "check_grads(triple, np.array([1.0]), order=1, seed=0)"]),
        (
            partial(triple, shift=1.0),
            ["from functools import partial", "check_grads(partial(triple, shift=1.0), np."],
        ),
        (lambda x: triple(x), ["f = ...  # the lambda of test_testing.py, line", "check_grads(f, np.array([1.0])"]),
        (local, ["local = ...  # local is in test_testing.py, line", "check_grads(local, np.array([1.0])"]),
        (Tripled(), ["model = Tripled()  # with these parameters", "check_grads(model, np.array([1.0])"]),
    ]:
        with pytest.raises(AssertionError) as caught:
            check_grads(f, np.array([1.0]))
        report = str(caught.value) + "\n".join(getattr(caught.value, "__notes__", []))
        for line in lines:
            assert line in report


def test_a_result_shows_as_a_table():
    table = str(check_grads(np.multiply, np.array([1.0, 2.0]), 3.0)).splitlines()
    assert table[0].startswith("np.multiply: derivatives agree (seed 0)")
    assert table[1].split() == ["order", "by", "numbers", "error", "allowed", "noise", "method"]
    assert table[-1].startswith("also: ")


@pytest.mark.parametrize(
    ("f", "at", "words"),
    [
        (np.sin, [1.0, np.inf], "is infinite: there is no derivative there"),
        (
            lambda x: x if isinstance(x, tg.Tensor) else np.append(x, x),
            [1.0],
            "it must not depend on which it is",
        ),
        (lambda x: x * 2 if isinstance(x, tg.Tensor) else x * 3, [1.0], "for arrays in double precision"),
        (lambda x: x[x > 1.0], [1.0, 1.0, 3.0], "the shape of the result depends on the numbers"),
    ],
)
def test_functions_that_cannot_be_checked(f, at, words):
    with pytest.raises(AssertionError, match=words):
        check_grads(f, np.array(at))
