"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: values, nesting, and what comes out for what goes in."""

import collections
import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.testing import check_grads
from tinygrad_digits.testing import strategies as draw

RNG = np.random.default_rng(0)
M = RNG.normal(size=(3, 3))
POINT = RNG.normal(size=3)


def leaf(x):
    return tg.tensor(x, requires_grad=True)


def curved(x):
    return np.sum(np.sin(x) * np.exp(M @ x))


# ------------------------------------------------------------------------------------------------------ known answers


def test_grad_of_a_power_again_and_again():
    f, expected = lambda x: x**5, [5 * 2**4, 20 * 2**3, 60 * 2**2, 120 * 2, 120, 0]
    for value in expected:
        f = tg.grad(f)
        np.testing.assert_allclose(f(2.0), value)


def test_value_and_grad_of_several_arguments():
    f = lambda x, y, *, k: k * x * np.sum(y)
    value, (gx, gy) = tg.value_and_grad(f, argnums=(0, 1))(2.0, np.array([1.0, 2.0]), k=10)
    assert (value, gx) == (60, 30)
    np.testing.assert_array_equal(gy, [20, 20])
    np.testing.assert_array_equal(tg.grad(f, argnums=1)(2.0, np.ones(3), k=1), [2, 2, 2])
    np.testing.assert_array_equal(tg.grad(f, argnums=-1)(2.0, np.ones(3), k=1), [2, 2, 2])
    assert tg.grad(f, argnums=(0,))(2.0, np.ones(3), k=1) == (3,)


def test_jacobian_of_a_linear_map():
    np.testing.assert_allclose(tg.jacobian(lambda x: M @ x)(POINT), M)
    assert tg.jacobian(lambda x: np.stack([x, x * 2]))(POINT).shape == (2, 3, 3)
    assert tg.jacobian(np.sum)(POINT).shape == (3,)
    assert tg.jacobian(lambda x: x[:0])(POINT).shape == (0, 3)
    assert tg.jacobian(lambda x: x * 2)(np.zeros((0,))).shape == (0, 0)
    np.testing.assert_array_equal(tg.jacobian(lambda x, y: x * y, argnums=1)(np.ones(2), np.ones(2)), np.eye(2))


def test_hessian_of_a_quadratic_form():
    np.testing.assert_allclose(tg.hessian(lambda x: x @ M @ x)(POINT), M + M.T)


@given(draw.arrays(draw.shapes(min_dims=1, max_dims=1, min_side=1)))
def test_hessians_are_symmetric_and_hvp_is_their_product(x):
    f = lambda x: np.sum(np.tanh(x) * np.flip(np.exp(x))) + np.prod(x.shape) * np.sum(x) ** 3
    h = tg.hessian(f)(x)
    np.testing.assert_allclose(h, h.T, atol=1e-12)
    v = np.linspace(-1, 2, x.size)
    np.testing.assert_allclose(tg.hvp(f)(x, v), h @ v, atol=1e-9)
    np.testing.assert_allclose(tg.jvp(tg.grad(f), (x,), (v,))[1], h @ v, atol=1e-9)


@given(st.data())
def test_vjp_and_jvp_are_adjoint(data):
    x, v = data.draw(draw.broadcastable((-2, 2), (-2, 2)))
    f = lambda x: np.tanh(x * 1.5 + v) + np.sum(x)
    direction = np.cos(np.arange(x.size)).reshape(x.shape)
    value, pull = tg.vjp(f, x)
    cotangent = np.sin(1 + np.arange(value.size)).reshape(value.shape)
    same, pushed = tg.jvp(f, (x,), (direction,))
    np.testing.assert_array_equal(same, value)
    np.testing.assert_allclose(np.sum(pushed * cotangent), np.sum(direction * pull(cotangent)[0]), atol=1e-10)


def test_mixed_partial_derivatives_agree():
    f = lambda x, y: np.sum(np.sin(x * y) * y**2)
    x, y = 0.7, np.array([0.3, 1.1])
    np.testing.assert_allclose(tg.jacobian(tg.grad(f, 0), 1)(x, y), tg.jacobian(tg.grad(f, 1), 0)(x, y))


# -------------------------------------------------------------------------------------------------------------- nesting


def test_the_inner_derivative_keeps_the_outer_variable_apart():
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1  # "perturbation confusion" gives 2


def test_a_derivative_inside_depends_on_the_variable_outside():
    # The inner argument is a plain number; the result depends on x all the same.
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(2.0))(3.0) == 6
    np.testing.assert_allclose(
        tg.grad(lambda x: np.sum(tg.jacobian(lambda y: x * y**2)(POINT)))(1.0), 2 * np.sum(POINT)
    )
    assert tg.grad(lambda x: tg.jvp(lambda y: x * y**2, (3.0,), (1.0,))[1])(1.0) == 6
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(tg.hvp(lambda y: x * np.sum(y**3))(POINT, np.ones(3))))(1.0),
                               6 * np.sum(POINT))  # fmt: skip


def test_a_gradient_penalty_reaches_the_weights():
    weights = leaf(M)
    slope = tg.grad(lambda x: np.sum(np.tanh(x @ weights)))(POINT)
    assert isinstance(slope, tg.Tensor)
    np.sum(slope**2).backward()
    penalty = lambda w: np.sum(((1 - np.tanh(POINT @ w) ** 2) @ w.T) ** 2)
    np.testing.assert_allclose(weights.grad, tg.grad(penalty)(M))


def test_under_no_grad_a_transform_records_nothing_for_others_but_works():
    weights = leaf(M)
    with tg.no_grad():
        slope = tg.grad(lambda x: np.sum(x @ weights))(POINT)
        value, pull = tg.vjp(lambda x: x @ weights, leaf(POINT))
    assert type(slope) is np.ndarray
    assert not value.requires_grad
    np.testing.assert_allclose(slope, M.sum(axis=1))
    with tg.no_grad():
        assert not pull(np.ones(3))[0].requires_grad
        np.testing.assert_allclose(tg.jvp(np.sin, (0.5,), (2.0,))[1], 2 * np.cos(0.5))
        np.testing.assert_allclose(tg.hessian(curved)(POINT), tg.hessian(curved)(POINT).T)


@pytest.mark.parametrize(
    "derivative",
    [
        lambda x: tg.grad(curved)(x),
        lambda x: tg.jacobian(lambda x: np.sin(x) * x)(x),
        lambda x: tg.jvp(curved, (x,), (np.ones(3),))[1],
        lambda x: tg.vjp(np.exp, x)[1](np.ones(3))[0],
        lambda x: tg.hvp(curved)(x, np.ones(3)),
        lambda x: tg.hessian(curved)(x),
    ],
)
def test_derivatives_can_be_differentiated(derivative):
    check_grads(derivative, POINT, order=1)
    x = leaf(POINT)
    np.sum(derivative(x)).backward()
    np.testing.assert_allclose(x.grad, tg.grad(lambda x: np.sum(derivative(x)))(POINT))


def test_differentiable_by_cotangents_and_directions():
    v = leaf(np.ones(3))
    np.sum(tg.vjp(np.sin, POINT)[1](v)[0]).backward()
    np.testing.assert_allclose(v.grad, np.cos(POINT))
    v.grad = None
    np.sum(tg.jvp(np.sin, (POINT,), (v,))[1]).backward()
    np.testing.assert_allclose(v.grad, np.cos(POINT))
    v.grad = None
    np.sum(tg.hvp(lambda x: np.sum(x**3))(POINT, v)).backward()
    np.testing.assert_allclose(v.grad, 6 * POINT)


# ---------------------------------------------------------------------------------------------- what goes in, comes out


def kinds(tree):
    if isinstance(tree, dict):
        return {k: kinds(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [kinds(v) for v in tree]
    return type(tree)


@pytest.mark.parametrize(
    "results",
    [
        lambda x, v: tg.value_and_grad(curved)(x),
        lambda x, v: tg.vjp(curved, x)[0],
        lambda x, v: tg.vjp(curved, x)[1](np.ones(())),
        lambda x, v: tg.jvp(np.sin, (x,), (v,)),
        lambda x, v: tg.jacobian(np.sin)(x),
        lambda x, v: tg.hessian(curved)(x),
        lambda x, v: tg.hvp(curved)(x, v),
    ],
)
def test_arrays_give_arrays_and_tensors_give_tensors(results):
    def flat(tree):
        return [t for branch in tree for t in flat(branch)] if isinstance(tree, tuple) else [tree]

    from_arrays = flat(results(POINT, np.ones(3)))
    assert {type(y) for y in from_arrays} == {np.ndarray}
    for tracked in True, False:
        from_tensors = flat(results(tg.tensor(POINT, requires_grad=tracked), tg.tensor(np.ones(3))))
        assert {type(y) for y in from_tensors} == {tg.Tensor}
        assert {y.requires_grad for y in from_tensors} == {tracked}
        for y, expected in zip(from_tensors, from_arrays, strict=True):
            np.testing.assert_allclose(y.numpy(), expected)


def test_nested_arguments_and_results():
    Pair = collections.namedtuple("Pair", "a b")
    params = {"w": np.ones((2, 2)), "more": [np.float32(2.0), Pair(1.0, (3.0,))]}

    def f(p):
        return np.sum(p["w"]) * p["more"][0] * p["more"][1].a + 0 * p["w"][0, 0]

    g = tg.grad(f)(params)
    assert kinds(g) == {"w": np.ndarray, "more": [np.ndarray, [np.ndarray, [np.ndarray]]]}
    np.testing.assert_array_equal(g["w"], np.full((2, 2), 2.0))
    assert g["more"][0].dtype == np.float32
    assert isinstance(g["more"][1], Pair)
    assert (g["more"][0], g["more"][1].a, g["more"][1].b[0]) == (4, 8, 0)
    value, pull = tg.vjp(lambda x: {"double": 2 * x, "both": (x, x**2)}, 3.0)
    assert kinds(value) == {"double": np.ndarray, "both": [np.ndarray, np.ndarray]}
    assert pull({"double": 1.0, "both": (10.0, 100.0)}) == (612,)
    assert tg.jvp(lambda x: {"a": x * x, "b": [x]}, (3.0,), (1.0,))[1] == {"a": 6, "b": [1]}
    product = tg.hvp(lambda p: p["x"] ** 2 * np.sum(p["y"]))({"x": 2.0, "y": np.ones(2)}, {"x": 1.0, "y": np.zeros(2)})
    assert product["x"] == 4
    np.testing.assert_array_equal(product["y"], [4, 4])


def test_cotangents_are_matched_by_key_and_not_by_order():
    _, pull = tg.vjp(lambda x: {"a": x, "b": 10 * x}, 1.0)
    assert pull({"b": 1.0, "a": 0.0}) == (10,)
    assert tg.jvp(lambda p: p["a"] + 10 * p["b"], ({"a": 1.0, "b": 1.0},), ({"b": 1.0, "a": 0.0},))[1] == 10
    assert tg.hvp(lambda p: p["a"] ** 2 * p["b"])({"a": 1.0, "b": 3.0}, {"b": 0.0, "a": 1.0}) == {"a": 6, "b": 2}


def test_unreached_inputs_get_zeros():
    assert tg.grad(lambda x: 3.0)(1.0) == 0
    assert tg.grad(tg.grad(lambda x: 3 * x))(1.0) == 0
    g = tg.grad(lambda x, y: np.sum(x), argnums=(0, 1))(np.ones(2), np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(g[1], np.zeros((2, 3)))
    assert g[1].dtype == np.float32
    assert tg.grad(lambda x: np.sum(np.sign(x)))(2.0) == 0
    np.testing.assert_array_equal(tg.jacobian(lambda x: np.ones(2))(POINT), np.zeros((2, 3)))
    value, pushed = tg.jvp(lambda x: np.array([1, 2]), (1.0,), (1.0,))
    np.testing.assert_array_equal(value, [1, 2])
    np.testing.assert_array_equal(pushed, [0, 0])
    x = leaf(1.0)
    assert isinstance(tg.grad(lambda x: 3.0)(x), tg.Tensor)


def test_a_result_that_is_the_input_or_comes_twice():
    value, pull = tg.vjp(lambda x: (x, x), np.ones(2))
    np.testing.assert_array_equal(pull((np.ones(2), 2 * np.ones(2)))[0], [3, 3])
    np.testing.assert_array_equal(pull((np.ones(2), np.zeros(2)))[0], [1, 1])  # and again
    assert not np.shares_memory(value[0], value[1])


def test_results_share_no_memory_with_what_was_given():
    x, c = np.ones(3), np.ones(3)
    value, pull = tg.vjp(lambda x: +x, x)
    g = pull(c)[0]
    assert not any(np.shares_memory(a, b) for a, b in ((value, x), (g, c), (g, value)))
    value[0] = g[0] = 9
    np.testing.assert_array_equal([x, c], np.ones((2, 3)))


def test_grad_attributes_are_left_alone():
    x, w = leaf(POINT), leaf(POINT)
    x.grad = w.grad = np.full(3, 7.0)

    def f(x):
        y = np.sin(x) * w
        y.retain_grad()
        kept.append(y)
        return np.sum(y)

    kept = []
    tg.grad(f)(x)
    tg.grad(f)(POINT)
    np.testing.assert_array_equal([x.grad, w.grad], np.full((2, 3), 7.0))
    assert all(y.grad is None for y in kept)


def test_dtypes_are_kept():
    x = np.ones(2, np.float32)
    for y in (*tg.value_and_grad(np.sum)(x), tg.jacobian(np.sin)(x), *tg.jvp(np.sin, (x,), (x,)), tg.hvp(np.sum)(x, x)):
        assert y.dtype == np.float32


def test_the_function_may_use_operators_in_place():
    def f(x):
        x *= 3
        return np.sum(x)

    np.testing.assert_array_equal(tg.grad(f)(POINT), [3, 3, 3])


def test_what_transforms_make_is_named_after_them_and_the_function():
    def f(x):
        """Docs."""

    for transform in tg.grad, tg.value_and_grad, tg.jacobian:
        assert transform(f).__name__ == f"{transform.__name__}(f)"
        assert re.fullmatch(r"(The|All) .* of f\.", transform(f).__doc__)
        assert inspect.signature(transform(f)) == inspect.signature(f)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tg.grad(np.sin)(POINT), TypeError, r"np\.sin returned shape \(3,\)\. Sum it, or use tg\.jacobian"),
        (lambda: tg.grad(lambda x: (x, x))(1.0), TypeError, "returned tuple"),
        (lambda: tg.grad(np.sin)(1), TypeError, "argument of dtype int64.*Write 1.0 for 1"),
        (lambda: tg.grad(np.sin)(1j), TypeError, "complex128"),
        (lambda: tg.grad(np.sin)("a"), TypeError, "dtype <U1"),
        (lambda: tg.grad(np.sin)([1.0, 2]), TypeError, "dtype int64"),
        (lambda: tg.grad(np.sin, argnums=1)(1.0), TypeError, r"argnums=\(1,\) of np\.sin, which got 1 positional"),
        (lambda: tg.grad(np.multiply, argnums=(0, -2))(1.0, 2.0), TypeError, "names an argument twice"),
        (lambda: tg.grad(lambda x: None)(1.0), TypeError, "holds numbers"),
        (lambda: tg.jacobian(lambda x: (x, x))(1.0), TypeError, "one array"),
        (lambda: tg.vjp(np.sin, POINT)[1](1.0), ValueError, r"shape \(\), and its result \(3,\)"),
        (lambda: tg.vjp(lambda x: (x, x), 1.0)[1](1.0), TypeError, "a tuple of length 2, and this one is a float"),
        (lambda: tg.vjp(lambda x: (x, x), 1.0)[1]((1.0,)), TypeError, "a tuple of length 1"),
        (
            lambda: tg.vjp(lambda x: {"a": x}, 1.0)[1]({"b": 1.0}),
            TypeError,
            r"keys \['a'\], and this one is .* \['b'\]",
        ),
        (lambda: tg.jvp(np.sin, (POINT,), (1.0,)), ValueError, r"direction has shape \(\), and its input \(3,\)"),
        (lambda: tg.jvp(np.sin, (POINT,), ()), TypeError, "1 inputs and 0 directions"),
        (lambda: tg.hvp(np.sum)(POINT, np.ones(2)), ValueError, r"direction has shape \(2,\), and the input \(3,\)"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_an_argument_changed_by_the_function_is_an_error():
    def f(x):
        y = np.sum(x * x)
        x.data[0] = 5
        return y

    with pytest.raises(ValueError, match="read-only"):
        tg.grad(f)(POINT)


def test_a_transform_of_an_operation_is_not_that_operation(own_rules):
    @tg.primitive
    def cube(x):
        return x**3

    tg.defvjp(cube, lambda g, out, x: g * 3 * x**2)
    slope = tg.grad(cube)
    assert not hasattr(slope, "primitive")
    tg.defvjp(slope, lambda g, out, x: g * 1000)
    np.testing.assert_array_equal(tg.grad(cube)(2.0), 12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tg.jvp(np.sin, 0.0, 2.0), r"got float and float.*tg\.jvp\(f, \(x,\), \(v,\)\)"),
        (lambda: tg.jvp(np.sin, np.ones(2), (np.ones(2),)), "got ndarray and tuple"),
        (lambda: tg.jacobian(np.sin, argnums=(0, 1)), "call it once for each argument"),
        (lambda: tg.jacobian(np.sin, argnums=1.0), r"jacobian\(…, argnums=1\.0\): give an argument's position"),
        (lambda: tg.grad(np.sin, argnums="x"), r"argnums='x'\): give an argument's position"),
        (lambda: tg.grad(np.sin, argnums=("x",)), "give an argument's position"),
        (lambda: tg.grad(lambda x: x)(x=2.0), r"got 0 positional arguments.*f\(2\.0\) for f\(x=2\.0\)"),
    ],
)
def test_transforms_say_what_they_take(call, says):
    with pytest.raises(TypeError, match=says):
        call()


def test_backward_on_what_leaked_out_of_a_transform_is_an_error():
    leaked = []
    tg.grad(lambda x: leaked.append(x * x) or np.sum(x * x))(np.ones(1))
    with pytest.raises(RuntimeError, match=r"which a transform such as tg\.grad made.*tg\.vjp"):
        leaked[0].backward()
