"""Tensors as objects: making them, recording, data and grad, copies, containers, texts."""

import asyncio
import copy
import inspect
import pickle
import re
import threading

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.tensor import extent


def leaf(x, dtype=None):
    return tg.tensor(x, requires_grad=True, dtype=dtype)


# --------------------------------------------------------------------------------------------------------- making them


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float64),
        (1, np.int64),
        (True, np.bool_),
        ([[1, 2.5]], np.float64),
        (np.float32(2), np.float32),
        (np.arange(3, dtype=np.int8), np.int8),
        ([], np.float64),
        (2j, np.complex128),
        (range(3), np.int64),
    ],
)
@pytest.mark.parametrize("make", [tg.tensor, tg.asarray, tg.Tensor])
def test_dtypes_are_numpys(make, data, dtype):
    t = make(data)
    assert isinstance(t, tg.Tensor)
    assert t.dtype == dtype
    assert not t.requires_grad
    assert t.is_leaf
    assert t.grad is None
    np.testing.assert_array_equal(t.numpy(), data)


@pytest.mark.parametrize("make", [tg.tensor, tg.asarray, tg.Tensor])
def test_what_cannot_be_a_tensor(make):
    for data in "abc", None, [1.0, None], object(), [{}], np.array(["a"]), np.datetime64("2020-01-01"):
        with pytest.raises(TypeError, match="a Tensor holds numbers, but this data has dtype"):
            make(data)
    with pytest.raises(ValueError, match="inhomogeneous"):
        make([[1.0, 2.0], [3.0]])
    for data in 1, [True], 2j:
        with pytest.raises(TypeError, match="only floating-point tensors can need a gradient, and this one has dtype"):
            make(data, requires_grad=True)
    assert make(1, dtype=float, requires_grad=True).requires_grad


def test_tensor_copies_and_asarray_shares():
    array = np.zeros(3)
    copied, shared, leaf_sharing = tg.tensor(array), tg.asarray(array), tg.asarray(array, requires_grad=True)
    array[0] = 1
    assert copied[0] == 0
    assert shared[0] == 1
    np.testing.assert_array_equal((shared * 2).numpy(), [2, 0, 0])
    leaf_sharing.data[1] = 5
    np.testing.assert_array_equal(array, [1, 5, 0])
    assert tg.asarray(array, dtype=np.float32).dtype == np.float32


def test_asarray_hands_back_tensors():
    t, x = tg.tensor([1.0]), leaf([1.0])
    assert tg.asarray(t) is t
    assert tg.asarray(x) is x
    assert tg.asarray(x, requires_grad=True) is x
    assert tg.asarray(x, dtype=np.float64) is x
    narrow = tg.asarray(x, dtype=np.float32)
    narrow.backward(np.ones(1))
    np.testing.assert_array_equal(x.grad, [1])
    assert tg.asarray(t, requires_grad=True) is not t
    assert not t.requires_grad


# ----------------------------------------------------------------------------------------------------------- recording


def test_no_grad_as_a_block_and_as_a_decorator():
    x = leaf(1.0)

    @tg.no_grad()
    def double(x):
        assert not tg.is_recording()
        return x * 2

    for _ in range(2):
        assert not double(x).requires_grad
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.no_grad():
            pass
        assert not tg.is_recording()
    assert (x * 2).requires_grad


def test_no_grad_refuses_functions_whose_body_runs_later():
    def generator():
        yield 1

    async def coroutine():
        return 1

    async def both():
        yield 1

    for function in generator, coroutine, both:
        with pytest.raises(TypeError, match=rf"@no_grad\(\) on {function.__name__} .*with tg\.no_grad"):
            tg.no_grad()(function)


def test_texts_about_freed_tensors():
    y = leaf([2.0]) * 3
    y.backward()
    with pytest.raises(TypeError, match=r"of the tensor of shape \(1,\) and dtype float64 of a freed graph, which"):
        float(y)


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError

    @tg.no_grad()
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert tg.is_recording()


def test_no_grad_is_per_thread():
    seen = []
    inside, done = threading.Event(), threading.Event()

    def other():
        with tg.no_grad():
            inside.set()
            done.wait()
            seen.append(tg.is_recording())

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    seen.append(tg.is_recording())
    done.set()
    thread.join()
    assert seen == [True, False]


def test_no_grad_is_per_task():
    async def quiet():
        with tg.no_grad():
            for _ in range(3):
                await asyncio.sleep(0)
                assert not tg.is_recording()

    async def loud():
        for _ in range(3):
            await asyncio.sleep(0)
            assert tg.is_recording()

    async def main():
        await asyncio.gather(quiet(), loud(), quiet(), loud())

    asyncio.run(main())


def test_threads_differentiate_side_by_side():
    shared, results = leaf([1.0, 2.0]), {}

    def work(k):
        x = leaf([float(k), 1.0])
        for _ in range(50):
            x.grad = None
            np.sum(np.tanh(x * shared.detach()) * k).backward()
        results[k] = x.grad

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, g in results.items():
        np.testing.assert_allclose(g, k * np.array([1, 2]) / np.cosh(np.array([k * 1.0, 2.0])) ** 2)


# ------------------------------------------------------------------------------------------------------------ backward


def test_backward_needs_a_scalar_or_a_gradient_of_the_right_shape():
    y = leaf([[1.0, 2.0]]) * 2
    with pytest.raises(ValueError, match=r"needs a scalar, but this tensor has shape \(1, 2\)\. Call \.sum\(\) first"):
        y.backward()
    with pytest.raises(ValueError, match=r"shape \(2,\), the tensor \(1, 2\)"):
        y.backward([1.0, 2.0])
    for wrong in [[1j, 2]], [["a", "b"]], [[True, False]]:
        with pytest.raises(TypeError, match="must be real numbers"):
            y.backward(wrong)
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        leaf(np.zeros(0)).backward()


@pytest.mark.parametrize(
    "seed", [[1, 2], (1.0, 2.0), np.array([1, 2], np.int8), np.array([1.0, 2.0], np.float32), tg.tensor([1, 2])]
)
def test_gradients_to_start_from(seed):
    x = leaf([3.0, 4.0])
    (x * x).backward(seed)
    np.testing.assert_array_equal(x.grad, [6, 16])


def test_a_scalar_may_have_axes():
    x = leaf([[3.0]])
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [[6]])
    y = leaf([2.0])
    y.backward()
    np.testing.assert_array_equal(y.grad, [1])


def test_backward_on_what_needs_no_gradient():
    for t in tg.tensor(1.0), leaf(1.0).detach(), tg.tensor(1.0) * 2:
        with pytest.raises(
            RuntimeError, match=r"not computed from a tensor that requires a gradient.*requires_grad=True"
        ):
            t.backward()
    with tg.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"outside tg\.no_grad"):
        y.backward()


def test_retain_grad():
    x = leaf(3.0)
    y = x * x
    y.retain_grad()
    y.retain_grad()
    z = y * 2
    z.backward(retain_graph=True)
    np.testing.assert_array_equal(y.grad, 2)
    z.backward()
    np.testing.assert_array_equal(y.grad, 4)
    np.testing.assert_array_equal(x.grad, 24)
    assert type(y.grad) is np.ndarray
    x.retain_grad()
    (x * 1).backward()
    np.testing.assert_array_equal(x.grad, 25)
    with pytest.raises(RuntimeError, match="needs no gradient"):
        tg.tensor(1.0).retain_grad()


def test_retain_grad_on_the_result_itself():
    y = leaf(3.0) * 2
    y.retain_grad()
    y.backward()
    np.testing.assert_array_equal(y.grad, 1)


def test_create_graph_gives_tensors_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, tg.Tensor)
    np.testing.assert_array_equal(first.numpy(), 12)
    x.grad = None
    first.backward(create_graph=True)
    second = x.grad
    x.grad = None
    second.backward()
    np.testing.assert_array_equal(x.grad, 6)


def test_create_graph_works_under_no_grad():
    x = leaf(2.0)
    y = x**2
    with tg.no_grad():
        y.backward(create_graph=True)
    first, x.grad = x.grad, None
    first.backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_the_gradient_by_the_gradient_one_starts_from():
    x, v = leaf([1.0, 2.0]), leaf([1.0, 1.0])
    (x**2).backward(v, create_graph=True)
    g, x.grad = x.grad, None
    g.backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(v.grad, [2, 40])
    np.testing.assert_array_equal(x.grad, [2, 20])


def test_gradients_of_both_kinds_add_up():
    x = leaf(3.0)
    (x * x).backward()
    (x * x).backward(create_graph=True)
    assert isinstance(x.grad, tg.Tensor)
    np.testing.assert_array_equal(x.grad.numpy(), 12)
    (x * x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), 18)
    x.grad = None


# ------------------------------------------------------------------------------------------------------ data, in place


def test_data_can_be_assigned_and_is_copied():
    x, new = leaf([1.0, 2.0], np.float32), np.array([3.0, 4.0])
    x.data = new
    new[0] = 99
    np.testing.assert_array_equal(x.numpy(), [3, 4])
    assert x.dtype == np.float32
    x.data = tg.tensor([5, 6], dtype=np.float32)
    x.data = [np.float32(7), np.float32(8)]
    np.testing.assert_array_equal(x.numpy(), [7, 8])
    with pytest.raises(ValueError, match=r"cannot assign data of shape \(3,\) .* to the tensor of shape \(2,\)"):
        x.data = np.zeros(3)
    with pytest.raises(ValueError, match="complex128"):
        x.data = np.zeros(2, complex)
    with pytest.raises(RuntimeError, match=r"only the data of a leaf can be assigned.*np\.multiply.*detach"):
        (x * 2).data = np.zeros(2)


def test_data_of_what_is_no_leaf_is_read_only():
    for t in leaf([1.0]) * 2, tg.tensor([1.0]):
        with pytest.raises(ValueError, match="read-only"):
            t.data[0] = 5


def test_operators_in_place():
    x = leaf([1.0, 2.0])
    for sign in "+", "-", "*", "/", "**":
        with pytest.raises(
            RuntimeError,
            match=rf"x {re.escape(sign)}= y on a leaf.*no_grad",
        ):
            exec(f"x {sign}= 2.0", {"x": x})
    with tg.no_grad():
        same = x
        same -= 0.5 * np.ones(2)
        same *= 2
    assert same is x
    assert x.is_leaf
    assert x.requires_grad
    np.testing.assert_array_equal(x.numpy(), [1, 3])
    y = z = x * 2
    y += 1  # not a leaf: the name gets a new tensor
    assert y is not z
    np.testing.assert_array_equal(z.numpy(), [2, 6])
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])
    constant = kept = tg.tensor([1.0])
    constant += x[:1]
    assert constant.requires_grad
    assert kept[0] == 1
    with tg.no_grad(), pytest.raises(ValueError, match="cannot assign data of shape"):
        x += np.ones((3, 2))


def test_elements_cannot_be_assigned():
    for t in leaf([1.0]), tg.tensor([1.0]):
        with pytest.raises(TypeError, match=r"cannot be assigned.*tg\.index_update.*np\.where.*x\.data"):
            t[0] = 2.0


def test_requires_grad_can_be_switched():
    x = tg.tensor([1.0])
    x.requires_grad = True
    (x * 3).backward()
    np.testing.assert_array_equal(x.grad, [3])
    x.requires_grad = False
    assert not (x * 3).requires_grad
    y = leaf(1.0) * 2
    y.requires_grad = True
    with pytest.raises(RuntimeError, match=r"computed from others.*detach"):
        y.requires_grad = False
    with pytest.raises(TypeError, match="floating-point"):
        tg.tensor([1]).requires_grad = True


def test_views_taken_before_requires_grad_was_set_keep_their_numbers():
    x = tg.tensor([1.0, 2.0])
    view = x[:1]
    x.requires_grad = True
    x.data[0] = 9
    np.testing.assert_array_equal(view.numpy(), [1])


def test_misspelt_attributes_are_errors():
    with pytest.raises(AttributeError):
        leaf(1.0).require_grad = True


def test_leaving_the_graph():
    x = leaf([1.0, 2.0])
    y = x * 2
    for out in y.detach(), tg.tensor(y.numpy()), tg.tensor(y.tolist()):
        assert not out.requires_grad
        np.testing.assert_array_equal(out.numpy(), [2, 4])
    array = y.numpy()
    array[0] = 99
    assert y[0].item() == 2
    assert y.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_astype(dtype):
    x = leaf([1.5, 2.5])
    y = x.astype(dtype)
    assert y.dtype == dtype
    (y * y).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [3, 5])
    assert x.grad.dtype == np.float64
    assert not x.astype(int).requires_grad
    assert not np.astype(x, bool).requires_grad
    assert x.astype("f4").dtype == np.float32
    assert tg.tensor([1]).astype(complex).dtype == complex


# ----------------------------------------------------------------------------------------- as a Python object and value


def test_hash_and_equality():
    x, y = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.0])
    assert len({x, y}) == 2
    assert {x: "x", y: "y"}[y] == "y"
    assert (x == y).all()
    assert x in [y, x][1:]
    assert 2.0 in x
    assert 3.0 not in x
    assert tg.tensor(1.0) in x


def test_iteration_and_length():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    a, b = x
    (a * b).backward([1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [[3, 4], [1, 2]])
    assert len(x) == 2
    assert [float(t) for t in tg.tensor([5.0, 6.0])] == [5, 6]
    assert [int(t) for t in reversed(tg.tensor([5, 6]))] == [6, 5]
    for f in iter, len:
        with pytest.raises(TypeError):
            f(tg.tensor(1.0))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_leaves_can_be_copied_and_pickled(duplicate):
    x = leaf([1.0, 2.0], np.float32)
    np.sum(x * x).backward()
    y = duplicate(x)
    assert y.is_leaf
    assert y.requires_grad
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    np.testing.assert_array_equal(y.grad, x.grad)
    assert not np.shares_memory(x.data, y.data)
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [2, 4])
    np.testing.assert_array_equal(y.grad, [3, 5])
    assert not duplicate(tg.tensor([1])).requires_grad
    with pytest.raises(TypeError, match=r"only leaves can be copied or pickled.*np\.multiply.*detach"):
        duplicate(x * 2)


def test_copies_stay_in_the_graph():
    x = leaf([1.0, 2.0])
    for y in x.copy(), np.copy(x):
        x.grad = None
        y.backward(np.ones(2))
        np.testing.assert_array_equal(x.grad, [1, 1])
        assert not np.shares_memory(x.data, y.data)
    assert tg.tensor([True]).copy().dtype == bool


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (tg.tensor(1.0), "Tensor(1.)"),
        (tg.tensor([1, 2]), "Tensor([1, 2])"),
        (tg.tensor([True]), "Tensor([ True])"),
        (leaf([1.0]), "Tensor([1.], requires_grad=True)"),
        (leaf([1.0], np.float32), "Tensor([1.], dtype=float32, requires_grad=True)"),
        (tg.tensor([1], dtype=np.int8), "Tensor([1], dtype=int8)"),
        (leaf([1.0]) * 2, "Tensor([2.], op=np.multiply)"),
        (tg.sigmoid(leaf(0.0)), "Tensor(0.5, op=sigmoid)"),
        (tg.tensor(np.zeros((0, 2))), "Tensor([], shape=(0, 2), dtype=float64)"),
        (tg.tensor([[1.0, 2.0], [3.0, 4.0]]), "Tensor([[1., 2.],\n        [3., 4.]])"),
    ],
)
def test_repr(t, text):
    assert repr(t) == str(t) == f"{t}" == text


def test_repr_of_large_and_of_spent_tensors():
    assert len(repr(leaf(np.zeros((1000, 1000))))) < 1000
    y = leaf(2.0) * 3
    y.backward()
    assert repr(y) == "Tensor(6., freed)"


def test_formats():
    assert f"{tg.tensor(1.23456):.2f}" == "1.23"
    assert f"{leaf([7.0]):g}" == "7"
    with pytest.raises(ValueError, match="one element"):
        f"{tg.tensor([1.0, 2.0]):.2f}"


def test_properties():
    x = tg.tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, np.float32)
    assert x.T.shape == (3, 2)
    assert tg.tensor(np.zeros((5, 2, 3))).mT.shape == (5, 3, 2)
    with pytest.raises(ValueError, match="axis"):
        _ = tg.tensor([1.0]).mT
    for f in x.argmax, x.argmin:
        assert f().item() == 0
        assert f(axis=1, keepdims=True).shape == (2, 1)
    assert not x.any()
    assert x.all(axis=0).shape == (3,)


# -------------------------------------------------------------------------------------------- what arrays have, by name


def test_an_attribute_that_nothing_has_is_told_by_name():
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'nonsense'"):
        tg.tensor(1.0).nonsense


def test_how_a_tensor_lies_in_memory():
    x = tg.tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    assert (x.itemsize, x.nbytes, x.strides, x.device) == (4, 24, (12, 4), "cpu")
    assert x.flags.c_contiguous
    assert not x.T.flags.c_contiguous
    assert x.tobytes() == bytes(24)
    np.testing.assert_array_equal(np.frombuffer(tg.tensor([[1.0, 2.0], [3.0, 4.0]]).tobytes("F")), [1, 3, 2, 4])
    x.flags.writeable = False
    x.data[0] = 1.0


ROW = np.array([1.0, 2.0, 3.0, 4.0])
ATTRIBUTES = [attribute for attribute in dir(np.ndarray) if not attribute.startswith("_")]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_whatever_an_array_has_a_tensor_has_or_says_what_to_use(attribute):
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    if not hasattr(x, attribute):
        with pytest.raises(AttributeError, match=f"a Tensor has no {attribute}, as an array has: use ") as caught:
            getattr(x, attribute)
        assert caught.value.name == attribute


FIRST_ARGUMENTS = {
    **{"astype": (np.float32,), "argpartition": (1,), "choose": ([[5, 6], [7, 8]],), "compress": (ROW > 2,)},
    **{"dot": (ROW,), "repeat": (2,), "searchsorted": (ROW,), "swapaxes": (0, 1), "take": ([0, 1],), "item": (0,)},
}


@pytest.mark.parametrize("attribute", [a for a in ATTRIBUTES if callable(getattr(np.ndarray, a))])
def test_a_method_takes_an_arrays_arguments_in_their_order_and_by_their_names(attribute):
    two = attribute in ("diagonal", "trace", "swapaxes")
    x = tg.tensor([0, 1] if attribute == "choose" else [ROW, ROW] if two else ROW)
    if attribute in ("sort", "partition") or not hasattr(x, attribute):
        return
    parameters = list(inspect.signature(getattr(np.ndarray, attribute)).parameters.values())
    optional = [p for p in parameters if p.default is not p.empty]
    first = FIRST_ARGUMENTS.get(attribute, (4,) if attribute == "reshape" else ())
    method = getattr(x, attribute)
    expected = str(method(*first))
    named = {p.name: p.default for p in optional if p.kind is not p.POSITIONAL_ONLY}
    placed = [p.default for p in optional if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert str(method(*first, **named)) == expected
    if all(p.kind is not p.VAR_POSITIONAL for p in parameters):
        assert str(method(*first, *placed)) == expected


@pytest.mark.parametrize("count", [0, 1, 64, 65])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_extent(count, dtype):
    numbers = np.random.default_rng(count).permutation(np.arange(count)).astype(dtype)
    expected = (0, max(count - 1, 0))
    assert extent(numbers) == extent(numbers[None]) == expected
