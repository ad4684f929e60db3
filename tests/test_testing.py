"""The checker is checked: wrong rules must be caught; and the strategies draw what they say."""

from functools import partial

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.testing import NonDifferentiablePoint, check_grads, check_invariants, numerical_grad
from tinygrad_digits.testing import strategies as draw
from tinygrad_digits.testing.report import code


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


def test_a_right_rule_passes_to_third_order():
    check_grads(op(cube, lambda g, out, x: g * 3 * x**2), X, order=3)


@pytest.mark.parametrize(
    ("function", "rules", "args"),
    [
        (cube, [lambda g, out, x: g * x**2], (X,)),  # a factor dropped
        (cube, [lambda g, out, x: -g * 3 * x**2], (X,)),  # the sign flipped
        (cube, [lambda g, out, x: g * 3 * x**2 * 1.0005], (X,)),  # off by 0.05 %
        (cube, [lambda g, out, x: g * 3 * x**2 * (1 + 1e-5)], (X,)),
        (cube, [lambda g, out, x: g * 0], (X,)),
        (cube, [lambda g, out, x: 3 * x**2], (X,)),  # g forgotten
        (cube, [lambda g, out, x: g * 3 * x**2 + 0.001 * np.mean(g)], (X,)),
        (cube, [lambda g, out, x: np.where(x > 1, 0, g * 3 * x**2)], (X,)),  # wrong for one element only
        (lambda x: x.T, [lambda g, out, x: g], (X,)),
        (lambda x: np.cumsum(x), [lambda g, out, x: g], (X[0],)),
        (np.multiply, [lambda g, out, x, y: g * x, lambda g, out, x, y: g * y], (X, X + 1)),  # swapped
        (lambda x, y: x @ y, [lambda g, out, x, y: g @ y.T, lambda g, out, x, y: x @ g], (X, X)),
        (lambda x: x[[0, 0]], [lambda g, out, x: np.stack([g[0], g[0] * 0])], (X,)),  # = in place of +=
        (lambda x: x * x, [lambda g, out, x: g * np.nan], (X,)),
    ],
)
def test_wrong_rules_are_caught(function, rules, args):
    with pytest.raises(AssertionError, match=r"order 1: the derivative by argument \d.*, element \(.*\), is wrong"):
        check_grads(op(function, *rules), *args, order=1)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: g * 3 * (x.data if isinstance(x, tg.Tensor) else x) ** 2,  # leaves the graph
        lambda g, out, x: g * 3 * x.detach() ** 2 if isinstance(x, tg.Tensor) else g * 3 * x**2,
        lambda g, out, x: g * 3 * squared_wrongly(x),
        lambda g, out, x: (g.detach() if isinstance(g, tg.Tensor) else g) * 3 * x**2,
    ],
)
def test_rules_wrong_at_second_order_only_are_caught(rule):
    wrong = op(cube, rule)
    check_grads(wrong, X, order=1)
    with pytest.raises(AssertionError, match=r"order 2: the derivative by"):
        check_grads(wrong, X, order=2)


squared_wrongly = tg.primitive(lambda x: x * x)


@pytest.fixture(autouse=True)
def _squared_wrongly(_own_rules):
    tg.defvjp(squared_wrongly, lambda g, out, x: g * x)


@pytest.mark.parametrize(
    ("function", "rules"),
    [
        (lambda x, y: x + y, [lambda g, out, x, y: g[0], lambda g, out, x, y: g]),
        (lambda x, y: x + y, [lambda g, out, x, y: g, lambda g, out, x, y: np.max(g, axis=0)]),
        (lambda x, y: x + y, [lambda g, out, x, y: g, lambda g, out, x, y: np.sum(g)]),
    ],
)
def test_missing_or_wrong_unbroadcasting_is_caught(function, rules):
    with pytest.raises((AssertionError, ValueError), match=r"is wrong|gave a gradient of shape"):
        check_grads(op(function, *rules), X, np.ones(2))


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
    ],
)
def test_the_awkward_ones_are_drawn(strategy, wanted):
    find(strategy, wanted, settings=settings(max_examples=2000, database=None))


# ------------------------------------------------------------------------------------- what the checker says of a point


@pytest.mark.parametrize(
    ("f", "x", "says"),
    [
        (np.abs, [0.0, 1.0], r"element \(0,\), .* its slope is -0.\d+ to the left and 0.\d+ to the right"),
        (lambda x: np.maximum(x, 1.0), 1.0, "its slope is 0 to the left"),
        (np.floor, 2.0, "its value jumps by"),
        (np.sqrt, 0.0, "no finite value to the left"),
        (lambda x: np.maximum(x, 0.0) * x, 0.0, "order 2: .* no derivative: its slope"),
    ],
)
def test_kinks_are_told_from_wrong_rules(f, x, says):
    with pytest.raises(NonDifferentiablePoint, match=says):
        check_grads(f, np.array(x), invariants=False)


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
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_functions_are_named_with_the_fix(f, error, says):
    with pytest.raises(error, match=says):
        check_grads(f, np.array([1.0, 3.0]))


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


def test_a_rule_wrong_for_one_layout_or_dtype_is_caught():
    ravelled = op(
        lambda x: np.ravel(x), lambda g, out, x: np.reshape(g, x.shape, order="F" if np.isfortran(x) else "C")
    )
    check_grads(ravelled, X, order=1, invariants=False)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(ravelled, np.asfortranarray(X), order=1, invariants=False)
    with pytest.raises(AssertionError, match="another for arrays of layout"):
        check_grads(ravelled, X, order=1)
    single = op(cube, lambda g, out, x: g * 3 * x**2 * (1.01 if x.dtype == np.float32 else 1))
    check_grads(single, X, order=1)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(single, X.astype(np.float32), order=1)


KEPT = []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (lambda g, out, x: g * 3 * x**2 + np.mean(x) * 1e-9 * np.sign(g), "not linear in the seed"),
        (lambda g, out, x: KEPT.append(g) or g * 3 * x**2, None),
    ],
)
def test_invariants_are_noticed(rule, says):
    if says:
        with pytest.raises(AssertionError, match=says):
            check_invariants(op(cube, rule), X)
    else:
        check_invariants(op(cube, rule), X, order=1)


def test_a_graph_that_outlives_its_use_is_noticed():
    with pytest.raises(AssertionError, match="outlive it"):
        check_invariants(lambda x: KEPT.append(np.exp(x)) or KEPT[-1] * 2, X)
    KEPT.clear()


NASTY = {
    "curved": lambda r: (lambda x: np.sin(100 * x), r.uniform(-2, 2, 3)),
    "curved, without complex step": lambda r: (lambda x: np.sin(1e3 * np.abs(x)), r.uniform(0.5, 2, 2)),
    "tiny": lambda r: (lambda x: 1e-12 * np.exp(x), r.normal(size=3)),
    "huge": lambda r: (lambda x: 1e12 * np.exp(x), r.normal(size=3)),
    "tiny argument": lambda r: (lambda x: np.log(np.abs(x)), r.uniform(1e-10, 1e-9, 3)),
    "cancellation": lambda r: (lambda x: np.abs(1e8 + np.sin(x)) - 1e8, r.normal(size=3)),
    "near a kink": lambda r: (np.abs, r.choice([-1, 1], 3) * 10.0 ** r.uniform(-5, -2, 3)),
    "saturated": lambda r: (lambda x: tg.softmax(x), r.uniform(-9, 9, (2, 3))),
    "constant": lambda r: (lambda x: tg.softmax(x), r.normal(size=(2, 1))),
    "single": lambda r: (lambda x: np.exp(x) * np.sum(x * x), r.normal(size=4).astype(np.float32)),
}


@pytest.mark.parametrize("name", NASTY)
def test_right_but_nasty_functions_pass(name):
    for seed in range(10):
        f, x = NASTY[name](np.random.default_rng(seed))
        check_grads(f, x, seed=seed, invariants=seed == 0)


@draw.gradcheck_test(draw.broadcastable((0.3, 3), (-2, 2)), oracle=np.power)
def test_a_property_test_in_one_line(x, y):
    return np.exp(y * np.log(x))


@given(draw.einsum_operands(), draw.matmul_operands(), draw.tensors())
def test_operands_fit(einsum, matmul, t):
    np.einsum(einsum[0], *einsum[1])
    np.matmul(*matmul)
    assert t.requires_grad


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
    assert code(np.random.default_rng(3)) == "np.random.default_rng(0)"
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
