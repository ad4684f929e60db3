"""NumPy's own functions, operators and conversions, given Tensors: they stay in the graph or say that they cannot."""

import cmath
import math
import operator
import types
from inspect import signature

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits import autodiff

ARRAY = np.array([[4.0, 1.0], [1.0, 3.0]])

TAKE_NO_ARRAYS = {
    *(
        "test",
        "info",
        "show_config",
        "show_runtime",
        "get_include",
        "set_printoptions",
        "printoptions",
        "get_printoptions",
    ),
    *("seterr", "seterrcall", "setbufsize", "issubdtype", "promote_types", "isscalar", "iterable", "bmat", "typename"),
    "isfortran",  # asks for the flags
    *("clump_unmasked", "common_fill_value", "default_fill_value", "maximum_fill_value", "minimum_fill_value"),
    *("count_masked", "flatnotmasked_contiguous", "flatnotmasked_edges", "getmask", "getmaskarray", "make_mask_descr"),
    *("isMA", "isMaskedArray", "is_mask", "is_masked", "isarray", "mask_or", "ndenumerate", "set_fill_value"),  # masks
    "array_equiv",  # says False of whatever cannot be converted
}


def functions():
    for module in np, np.linalg, np.fft, np.lib.stride_tricks, np.ma:
        for name in dir(module):
            f = getattr(module, name)
            taken = callable(f) and not isinstance(f, type | types.ModuleType) and not name.startswith("_")
            if taken and name not in TAKE_NO_ARRAYS:
                yield pytest.param(f, id=f"{module.__name__}.{name}")


# The walks below call all there is with whatever it takes: NumPy's own warnings of such arguments are of no interest.


def calls(x):
    v, s = x[0], x[0, 0]
    yield from (
        (x,),
        (v,),
        (s,),
        (x, x),
        (v, v),
        (x, v),
        (x, x, x),
        (x, 1),
        (v, 0, 1),
        ([x, x],),
        ((v, v), 0),
        (x, ARRAY.copy()),
    )
    yield from ((v, (2, 1)), (x, [0, 1], 0))


ONE_RESULT_EACH = {np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_arrays, np.meshgrid}


def parts(result):
    if isinstance(result, list | tuple | dict):
        for part in result.values() if isinstance(result, dict) else result:
            yield from parts(part)
    else:
        yield result


@pytest.mark.parametrize("f", list(functions()))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning", "ignore::RuntimeWarning")
def test_no_function_leaves_the_graph_silently(f):
    may_leave = f in autodiff.nondifferentiable
    for args in calls(tg.tensor(ARRAY, requires_grad=True)):
        try:
            result = f(*args)
        except (TypeError, ValueError, IndexError, AttributeError, np.linalg.LinAlgError, np.ma.MAError):
            continue
        if f is np.full_like and not isinstance(args[1], tg.Tensor):  # what it takes of its first argument is the shape
            assert isinstance(result, tg.Tensor)
            continue
        if f in ONE_RESULT_EACH:  # and what was made of a plain argument needs no gradient
            assert all(isinstance(part, tg.Tensor) for part in parts(result))
            assert any(part.requires_grad for part in parts(result))
            continue
        for part in parts(result):
            if f is np.where and len(args) == 1:  # another name of nonzero
                assert part.dtype == np.intp
            elif may_leave:
                assert not (isinstance(part, tg.Tensor) and part.requires_grad)
                assert not isinstance(part, np.ndarray)
            else:
                assert isinstance(part, tg.Tensor), f"a {type(part).__name__} of {args}"
                assert part.requires_grad, f"untracked for {args}"


def functions_of_masked_arrays():
    for name in np.ma.__all__:
        f = getattr(np.ma, name)
        about_masks = "mask" in name.lower() or "fill_value" in name or name in ("isMA", "isarray", "ndenumerate")
        if callable(f) and not isinstance(f, type) and not about_masks:
            yield pytest.param(f, id=name)


@pytest.mark.parametrize("f", list(functions_of_masked_arrays()))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_no_function_of_masked_arrays_leaves_the_graph_silently(f):
    for args in calls(tg.tensor(ARRAY, requires_grad=True)):
        try:
            result = f(*args)
        except (TypeError, ValueError, IndexError, AttributeError, np.ma.MAError):
            continue
        assert all(isinstance(part, tg.Tensor) and part.requires_grad for part in parts(result)), args


DISTINCT = np.array([[0.4, 0.1], [0.9, 0.6]])
KEYWORDS = {
    "out": np.zeros((2, 2)),
    "where": np.array([True, False]),
    "dtype": np.float32,
    "initial": 0.25,
    "order": "F",
    "casting": "unsafe",
    "keepdims": True,
    "subok": True,
}
OF_NUMPY = [f for f in {**autodiff.rules, **autodiff.composites} if autodiff.name(f).startswith("np.")]


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("f", OF_NUMPY, ids=autodiff.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore:'where' used without 'out'")
def test_a_keyword_is_honoured_or_refused(f, keyword):
    for number, plain in enumerate(calls(DISTINCT)):
        try:
            f(*plain)
        except (TypeError, ValueError, IndexError, AttributeError, np.linalg.LinAlgError):
            continue  # no arguments for this function

        def call(x, number=number):
            return next(iter(parts(f(*list(calls(x))[number], **{keyword: KEYWORDS[keyword]}))))

        try:
            found = call(tg.tensor(DISTINCT, requires_grad=True))
        except TypeError:
            return
        expected = call(DISTINCT)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
        if found.dtype == np.float64 and np.all(np.isfinite(expected)):
            tg.testing.check_grads(call, DISTINCT, order=1)
        return


METHODS = [name for name, found in vars(tg.Tensor).items() if hasattr(found, "__signature__")]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_given_an_argument_twice_or_too_many_is_an_error(name):
    method = getattr(tg.tensor(ARRAY, requires_grad=True), name)
    parameters = list(signature(method).parameters)  # without the tensor itself
    for first in parameters[:1]:  # all have one but nonzero
        with pytest.raises(TypeError, match=first):
            method(0, **{first: 0})
    with pytest.raises(TypeError):
        method(*[None] * (len(parameters) + 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.sum(0, axis=1), "np.sum of a Tensor was given axis= twice: by position and by name"),
        (lambda x: x.repeat(2, 0, axis=1), "np.repeat .* given axis= twice"),
        (lambda x: x.cumsum(0, None, None, 1), "np.cumsum .* given more than it takes: a, axis, dtype, out"),
    ],
)
def test_the_error_of_a_second_or_needless_argument_names_it(call, message):
    with pytest.raises(TypeError, match=message):
        call(tg.tensor(ARRAY, requires_grad=True))


@pytest.mark.parametrize(
    ("f", "args"), [(np.sum, (1,)), (np.max, (1, None)), (np.var, (1, None)), (np.mean, (1, None, None, np._NoValue))]
)
def test_an_argument_means_the_same_by_position_and_by_name(f, args):
    x = tg.tensor(ARRAY, requires_grad=True)
    for found in f(x, *args), f(x, axis=1), f(axis=1, a=x), f(x, axis=1, keepdims=np._NoValue):
        np.testing.assert_array_equal(found.numpy(), f(ARRAY, axis=1))
        x.grad = None
        np.sum(found * [1, 2]).backward()
        np.testing.assert_array_equal(x.grad, tg.grad(lambda x: np.sum(f(x, axis=1) * [1, 2]))(ARRAY))


def test_a_method_does_not_write_to_an_array_given_by_position():
    out = np.zeros((2, 2))
    with pytest.raises(TypeError, match=r"np.conjugate .* given more than it takes, and cannot write"):
        tg.tensor(ARRAY, requires_grad=True).conj(out)
    assert not out.any()
    assert tg.tensor(ARRAY, requires_grad=True).conj(None).requires_grad


@pytest.mark.parametrize("f", [f for f in autodiff.nondifferentiable if isinstance(f, np.ufunc)], ids=autodiff.name)
def test_nondifferentiable_ufuncs_return_untracked_tensors(f):
    args = [tg.tensor(ARRAY, requires_grad=True)] * f.nin
    result = f(*args)
    assert isinstance(result, tg.Tensor)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), f(*[ARRAY] * f.nin))


@pytest.mark.parametrize(
    "f",
    [
        *(np.argmax, np.argmin, np.argsort, np.nonzero, np.flatnonzero, np.argwhere, np.all, np.any, np.count_nonzero),
        *(np.zeros_like, np.ones_like, np.shape, np.ndim, np.size, np.array_repr, np.array_str, np.iscomplexobj),
        *(np.result_type, lambda x: np.isclose(x, x), lambda x: np.allclose(x, x), lambda x: np.array_equal(x, x)),
        *(lambda x: np.searchsorted(x[0], x[1]), lambda x: np.where(x > 1), np.where),
    ],
)
def test_nondifferentiable_functions_give_what_numpy_gives(f):
    expected, found = f(ARRAY), f(tg.tensor(ARRAY, requires_grad=True))
    assert type(expected) is type(found) or isinstance(found, tg.Tensor)
    for a, b in zip(parts(found), parts(expected), strict=True):
        if isinstance(b, np.ndarray):
            assert isinstance(a, tg.Tensor)
            assert not a.requires_grad
            np.testing.assert_array_equal(a.numpy(), b)
        else:
            assert a == b


@pytest.mark.parametrize("f", [np.i0, np.unique, np.histogram_bin_edges, np.union1d], ids=autodiff.name)
def test_functions_without_a_rule_work_on_tensors_that_need_no_gradient(f):
    args = [ARRAY, ARRAY] if f is np.union1d else [ARRAY]
    plain = f(*args)
    made = f(*map(tg.tensor, args))
    assert isinstance(made, tg.Tensor)
    assert not made.requires_grad
    np.testing.assert_array_equal(made.numpy(), plain)
    tracked = [tg.tensor(a, requires_grad=True) for a in args]
    with tg.no_grad():
        np.testing.assert_array_equal(f(*tracked).numpy(), plain)
    with pytest.raises(TypeError, match=rf"{autodiff.name(f)} has no derivative rule.*defvjp.*detach"):
        f(*tracked)


def test_results_outside_the_graph_share_no_memory():
    x = tg.tensor(ARRAY, requires_grad=True)
    results = [np.positive(ARRAY)]
    with tg.no_grad():
        results = [
            x.T,
            x[0],
            np.reshape(x, -1),
            x.copy(),
            +x,
            np.diagonal(x),
            np.real(x),
            np.broadcast_to(x, (3, 2, 2)),
        ]
    for result in results:
        before = result.numpy()
        x.data[...] += 1
        np.testing.assert_array_equal(result.numpy(), before)
        assert not np.shares_memory(result.data, x.data)


# ----------------------------------------------------------------------------------------------------------- operators

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    "other", [2, 2.5, np.float64(2), np.array(2.0), np.full((2, 2), 2.0), [[2.0, 1.0], [1.0, 2.0]]], ids=repr
)
def test_operators_from_both_sides(op, other):
    if op is operator.matmul and np.ndim(other) == 0:
        return
    x = tg.tensor(ARRAY, requires_grad=True)
    for result, expected in ((op(x, other), op(ARRAY, other)), (op(other, x), op(np.asarray(other), ARRAY))):
        assert isinstance(result, tg.Tensor)
        assert result.requires_grad
        np.testing.assert_allclose(result.numpy(), expected)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1"])
@pytest.mark.parametrize("two", [2, 2.0, np.float32(2), np.float64(2), np.array(2.0)], ids=repr)
@pytest.mark.parametrize("shape", [(), (0,), (2,), (3, 2)])
def test_a_power_of_two_is_that_of_arrays(two, dtype, shape):
    array = (np.arange(-2.0, 4.0)[: np.prod(shape, dtype=int)].reshape(shape)).astype(dtype)
    expected = array**two
    for x in (tg.tensor(array), tg.tensor(array, requires_grad=True)) if dtype[0] == "f" else (tg.tensor(array),):
        found = x**two
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.numpy(), expected)
        if x.requires_grad:
            found.sum().backward()
            np.testing.assert_array_equal(x.grad, two * array ** (two - 1))


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_from_both_sides_are_untracked(op):
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    other = np.array([2.0, 2.0, 2.0])
    for result, expected in (
        (op(x, other), op(x.numpy(), other)),
        (op(other, x), op(other, x.numpy())),
        (op(x, 2), op(x.numpy(), 2)),
        (op(2, x), op(2, x.numpy())),
        (op(x, x), op(x.numpy(), x.numpy())),
    ):
        assert isinstance(result, tg.Tensor)
        assert not result.requires_grad
        np.testing.assert_array_equal(result.numpy(), expected)


def test_equality_with_what_is_no_number_is_false_everywhere():
    x = tg.tensor([1.0, 2.0])
    assert not (x == "a").any()
    assert not (x == None).any()  # noqa: E711
    assert (x != None).all()  # noqa: E711


def test_truth_operators():
    a, b = tg.tensor([True, False, True]), np.array([True, True, False])
    for op in operator.and_, operator.or_, operator.xor:
        np.testing.assert_array_equal(op(a, b).numpy(), op(a.numpy(), b))
        np.testing.assert_array_equal(op(b, a).numpy(), op(b, a.numpy()))
    np.testing.assert_array_equal((~a).numpy(), ~a.numpy())


def test_integer_operators():
    a = tg.tensor([7, -7])
    np.testing.assert_array_equal((a // 2).numpy(), [3, -4])
    np.testing.assert_array_equal((a % 4).numpy(), [3, 1])
    np.testing.assert_array_equal((2 // tg.tensor([1, 2])).numpy(), [2, 1])


def test_a_matrix_among_the_operands_counts_as_an_array():
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix)
    x = tg.tensor(ARRAY, requires_grad=True)
    np.sum(np.multiply(x, matrix)).backward()
    np.testing.assert_array_equal(x.grad, [[1, 2], [3, 4]])


# --------------------------------------------------------------------------------------------------------- conversions


@pytest.mark.parametrize(
    "convert",
    [
        *(np.asarray, np.array, np.asanyarray, np.ascontiguousarray, memoryview, np.require),
        *(lambda x: np.array([x, x]), lambda x: np.array([x[0, 0], 1.0]), lambda x: np.asarray(x, dtype=np.float32)),
        *(lambda x: np.array(x[0, 0]), lambda x: np.zeros((2, 2)).__setitem__(..., x), lambda x: np.full(2, x[0])),
        *(
            lambda x: np.random.default_rng(0).normal(x),
            lambda x: tg.tensor([x, x]),
            lambda x: tg.asarray([x[0], x[1]]),
        ),
        *(lambda x: np.testing.assert_allclose(x, ARRAY.copy()), lambda x: np.save("never written", x)),
    ],
)
def test_making_an_array_of_a_tensor_that_needs_a_gradient_is_an_error(convert):
    with pytest.raises(TypeError):
        convert(tg.tensor(ARRAY, requires_grad=True))


def test_the_error_says_how_to_leave_the_graph():
    with pytest.raises(TypeError, match=r"shape \(2, 2\).* leave the graph.*detach.*numpy.*np\.stack"):
        np.asarray(tg.tensor(ARRAY, requires_grad=True))


def test_an_array_of_a_tensor_that_needs_no_gradient():
    x = tg.tensor(ARRAY)
    view = np.asarray(x)
    np.testing.assert_array_equal(view, ARRAY)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0
    assert np.array(x).flags.writeable
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array([x, x]), [ARRAY, ARRAY])
    np.testing.assert_array_equal(tg.tensor([x, x]).numpy(), [ARRAY, ARRAY])
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float32, copy=False)


@pytest.mark.parametrize(
    "take",
    [
        *(float, int, complex, math.sin, math.floor, cmath.exp, np.float64, lambda x: "%f" % x),  # noqa: UP031
        *(lambda x: np.zeros(2).__setitem__(0, x), lambda x: np.fromiter([x], float)),
    ],
)
def test_taking_a_number_out_of_a_tensor_that_needs_a_gradient_is_an_error(take):
    for x in tg.tensor(0.5, requires_grad=True), tg.tensor(0.5, requires_grad=True) * 2:
        with pytest.raises((TypeError, ValueError), match=r"leave the graph|array element"):
            take(x)
    with pytest.raises(TypeError, match=r"leave the graph.*t\.item\(\)"):
        tg.grad(lambda x: math.sin(x))(1.0)


@pytest.mark.parametrize(
    "use",
    [
        *(lambda x, m: x * m, lambda x, m: m * x, lambda x, m: np.add(x, m), lambda x, m: np.where(m > 0, x, m)),
        *(lambda x, m: np.stack([x, m]), lambda x, m: x[m > 3], lambda x, m: tg.tensor(m), lambda x, m: tg.asarray(m)),
    ],
)
def test_masked_arrays_are_refused(use):
    masked = np.ma.array([3.0, 4.0], mask=[False, True])
    with pytest.raises(TypeError, match=r"masked array, whose mask would be lost|leave the graph"):
        use(tg.tensor([1.0, 2.0], requires_grad=True), masked)


def test_numbers_can_be_taken_out():
    x = tg.tensor([1.5], requires_grad=True)
    assert x.item() == 1.5
    assert bool(x)
    with tg.no_grad():
        assert float(x) == np.float64(x[0]) == math.floor(x * 2) / 2 == 1.5
    x = x.detach()
    assert float(x) == complex(x) == np.float64(x[0]) == 1.5
    assert int(x) == 1
    assert [10, 20, 30][tg.tensor(2)] == 30
    for convert in float, int, operator.methodcaller("item"):
        with pytest.raises(ValueError, match=r"one element.*\(2,\)"):
            convert(tg.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tg.tensor([1.0, 2.0]))
    with pytest.raises(TypeError):
        operator.index(tg.tensor(1.0))
