"""The table of rules and the backward sweep: shape of the graph, lifetime, changes after use, aliasing."""

import contextlib
import gc
import weakref
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import autodiff
from tinygrad_digits.ops.neural import softmax_cross_entropy
from tinygrad_digits.tensor import Frozen


def leaf(x, dtype=None):
    return tg.tensor(x, requires_grad=True, dtype=dtype)


# ---------------------------------------------------------------------------------------------------- shapes of graphs


def test_a_value_used_twice_gets_both_gradients():
    x = leaf(3.0)
    (x + x).backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_diamonds_on_diamonds():
    def diamonds(y):
        for _ in range(60):  # 2**60 paths
            y = (y + y) * 0.5
        return y

    x = leaf(1.0)
    diamonds(x).backward()
    np.testing.assert_array_equal([x.grad, tg.grad(diamonds)(1.0)], 1)


def test_each_node_waits_for_all_its_uses():
    calls = []

    @tg.primitive
    def watched(x):
        return 2 * x

    tg.defvjp(watched, lambda g, out, x: calls.append(float(g)) or 2 * g)
    try:
        x = leaf(1.0)
        y = watched(x)
        (y * 3 + (y * 5 + np.sin(y) * 0) * 7).backward()
    finally:
        del autodiff.rules[autodiff.key(watched)]
    assert calls == [38.0]
    np.testing.assert_array_equal(x.grad, 76)


# Operations on numbers made before, and their derivatives by both: what forward mode needs.
STEPS = {
    np.add: lambda a, b: (1, 1),
    np.subtract: lambda a, b: (1, -1),
    np.multiply: lambda a, b: (b, a),
    np.sin: lambda a: (np.cos(a),),
}


@given(
    steps=st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(1, 20), st.integers(1, 20)), max_size=20),
    ends=st.sets(st.integers(1, 20), min_size=1, max_size=3),
    inputs=st.sets(st.integers(1, 20), max_size=2),
    retained=st.integers(1, 20),
    keep=st.booleans(),
    create_graph=st.booleans(),
)
def test_graphs_of_any_shape(steps, ends, inputs, retained, keep, create_graph):
    nodes, slopes = [leaf(0.3), leaf(-0.7)], []  # slopes: of what by what, for each step
    for op, *back in steps:
        places = [len(nodes) - 1 - (k - 1) % len(nodes) for k in back[: op.nin]]
        values = [nodes[place].item() for place in places]
        slopes.append(dict.fromkeys(places, 0.0))
        for place, slope in zip(places, STEPS[op](*values), strict=True):
            slopes[-1][place] += slope
        nodes.append(op(*[nodes[place] for place in places]))
    ends, inputs = ({len(nodes) - 1 - (k - 1) % len(nodes) for k in drawn} for drawn in (ends, inputs))
    retained = len(nodes) - 1 - (retained - 1) % len(nodes)
    nodes[retained].retain_grad()
    expected = {place: float(place in ends) for place in range(len(nodes))}
    reached, passed = set(ends), []
    for place in reversed(range(2, len(nodes))):
        if place in reached and place not in inputs:
            passed.append(steps[place - 2][0])
            reached.update(slopes[place - 2])
            for behind, slope in slopes[place - 2].items():
                expected[behind] += expected[place] * slope
    visited = []
    form = leaf if create_graph else np.array
    found = autodiff.sweep(
        {nodes[place]: form(1.0) for place in sorted(ends)},
        create_graph=create_graph,
        keep=keep,
        inputs={nodes[place] for place in inputs},
        visit=lambda op, args: visited.append(op),
    )
    wanted = sorted(reached & ({0, 1, retained} | inputs))
    assert set(found) == {nodes[place] for place in wanted}
    got = [found[nodes[place]].item() for place in wanted]
    atol = 1e-9 * max(map(abs, expected.values()))
    np.testing.assert_allclose(got, [expected[place] for place in wanted], rtol=1e-9, atol=atol)
    assert visited == (passed if create_graph else [])
    freed = [node._recipe is autodiff.FREED for node in nodes]
    assert freed == [not keep and n > 1 and n in reached and n not in inputs for n in range(len(nodes))]


def test_wide_graphs():
    xs = [leaf(float(i)) for i in range(10_000)]
    np.sum(np.stack([x * x for x in xs])).backward()
    assert all(x.grad == 2 * i for i, x in enumerate(xs))
    x = leaf(1.0)
    sum(x * i for i in range(10_000)).backward()
    np.testing.assert_array_equal(x.grad, 10_000 * 9_999 / 2)


def test_gradients_of_unneeded_arguments_are_not_computed(own_rules):
    @tg.primitive
    def product(x, y):
        return x * y

    tg.defvjp(product, lambda g, out, x, y: g * y, lambda g, out, x, y: pytest.fail("computed all the same"))
    x = leaf(2.0)
    product(x, tg.tensor(3.0)).backward()
    np.testing.assert_array_equal(x.grad, 3)


def test_a_million_operations_go_backward_in_linear_time_and_are_deleted(own_rules, no_collector):
    calls = 0

    @tg.primitive
    def halve(x):
        return x + 0

    def rule(g, out, x):
        nonlocal calls
        calls += 1
        return g

    tg.defvjp(halve, rule)
    n = 1_000_000
    x = leaf(1.0)
    y = x
    for _ in range(n):
        y = -y
    assert repr(y) == "Tensor(1., op=np.negative)"
    y.backward()
    np.testing.assert_array_equal(x.grad, 1)
    y = x
    for _ in range(10_000):
        y = halve(y)
        y = y + y * 0
    y.backward()
    assert calls == 10_000  # one rule a node, though there are 2**10_000 paths


def test_a_long_chain_can_be_dropped_unused(no_collector):
    y = leaf(1.0)
    for _ in range(200_000):  # a tenth of that would be too many for recursion
        y = -y
    node = weakref.ref(y)
    del y
    assert node() is None


# ------------------------------------------------------------------------------------------------------------ lifetime


@pytest.fixture
def no_collector():
    """Only reference counting frees memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def quadratic(x):
    return np.sum(np.tanh(x @ np.ones((2, 2))) ** 2 + x[[0, 0], [0, 1]])


@pytest.mark.parametrize(
    "use",
    [
        lambda x: quadratic(leaf(x)).backward(),
        lambda x: quadratic(leaf(x)).backward(retain_graph=True),
        lambda x: quadratic(leaf(x)),
        lambda x: tg.grad(quadratic)(x),
        lambda x: tg.grad(quadratic)(leaf(x)),
        lambda x: tg.value_and_grad(lambda p: quadratic(p["x"]))({"x": x}),
        lambda x: tg.vjp(quadratic, x)[1](1.0),
        lambda x: tg.jvp(quadratic, (x,), (x,)),
        lambda x: tg.jvp(quadratic, (leaf(x),), (x,)),
        lambda x: tg.jacobian(np.tanh)(x),
        lambda x: tg.hessian(quadratic)(x),
        lambda x: tg.hvp(quadratic)(x, x),
        lambda x: repr(quadratic(leaf(x))),
    ],
)
def test_nothing_is_left_for_the_garbage_collector(use, no_collector):
    use(np.ones((2, 2)))  # caches fill
    gc.collect()
    use(np.ones((2, 2)))
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        left = [type(x).__name__ for x in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == []


def test_backward_frees_the_graph(no_collector):
    x = leaf(np.ones(3))
    y = np.exp(x)
    z = y * y
    loss = np.sum(z)
    watched = [weakref.ref(y), weakref.ref(z)]
    del y, z
    assert all(w() is not None for w in watched)
    loss.backward()
    assert all(w() is None for w in watched)


def test_a_kept_graph_dies_with_its_result(no_collector):
    x = leaf(np.ones(3))
    y = np.exp(x)
    loss = np.sum(y)
    watched = weakref.ref(y)
    del y
    loss.backward(retain_graph=True)
    assert watched() is not None
    del loss
    assert watched() is None


def test_memory_stays_flat_over_many_steps(no_collector):
    w = leaf(np.ones(2))

    def step():
        w.grad = None
        loss = np.sum((w * 0.5 - 1.0) ** 2)
        loss.backward()
        with tg.no_grad():
            w.data = w - 0.1 * w.grad
        return loss.item()

    for _ in range(100):
        step()
    before = sum(isinstance(x, tg.Tensor | np.ndarray) for x in gc.get_objects()), len(gc.get_objects())
    for _ in range(10_000):
        step()
    after = sum(isinstance(x, tg.Tensor | np.ndarray) for x in gc.get_objects()), len(gc.get_objects())
    assert after[0] == before[0]
    assert abs(after[1] - before[1]) < 50


def test_the_number_taken_out_of_a_loss_holds_nothing(no_collector):
    loss = np.sum(leaf(np.ones(3)) ** 2)
    watched = weakref.ref(loss)
    history = [loss.item(), loss.numpy(), loss.detach()]
    del loss
    assert watched() is None
    assert all(float(x) == 3 for x in history)


# ----------------------------------------------------------------------------------------------------- backward, twice


def test_a_second_backward_raises_and_says_what_to_do():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"freed.*retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad, 4)


def test_a_second_backward_through_a_shared_part_raises():
    x = leaf(2.0)
    y = x * x
    a, b = y * 2, y * 3
    a.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        b.backward()
    np.testing.assert_array_equal(x.grad, 8)


def test_a_kept_graph_gives_exactly_double():
    x = leaf([0.1, 0.7])
    y = np.sum(np.exp(x) * x)
    y.backward(retain_graph=True)
    once = x.grad.copy()
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad, 2 * once)
    y.backward()
    np.testing.assert_array_equal(x.grad, 3 * once)


def test_intermediate_gradients_do_not_pile_up():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    for _ in range(2):
        z.backward(retain_graph=True)
    assert y.grad is None
    np.testing.assert_array_equal(x.grad, 24)


def test_when_a_rule_fails_nothing_is_stored_and_the_next_call_says_why(own_rules):
    @tg.primitive
    def broken(x):
        return 2 * x

    def rule(g, out, x):
        raise ZeroDivisionError("inside the rule")

    tg.defvjp(broken, rule)
    x, y = leaf(1.0), leaf(1.0)
    mid = y * 2
    mid.retain_grad()
    loss = broken(x) + mid * 3
    with pytest.raises(ZeroDivisionError, match="inside the rule"):
        loss.backward()
    assert x.grad is None
    assert y.grad is None
    assert mid.grad is None
    with pytest.raises(RuntimeError, match="freed, or begun to free before it failed"):
        loss.backward()
    tg.defvjp(broken, lambda g, out, x: 2 * g)
    loss = broken(x) + y * 3
    loss.backward()
    np.testing.assert_array_equal([x.grad, y.grad], [2, 3])


def test_what_another_backward_frees_meanwhile_is_freed(own_rules):
    @tg.primitive
    def sweeping(x):
        return 2 * x

    x = leaf(1.0)
    trunk = x * 3
    other = trunk * 5
    tg.defvjp(sweeping, lambda g, out, x: other.backward() or 2 * g)
    with pytest.raises(RuntimeError, match=r"freed.*retain_graph=True"):
        (trunk + sweeping(x * 1)).backward()
    np.testing.assert_array_equal(x.grad, 15)  # what the other one found


# ------------------------------------------------------------------------------------------------------------ aliasing


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x + y,
        lambda x, y: np.positive(x) + np.positive(y),
        lambda x, y: np.reshape(x, (2, 2)) + y.T.T,
        lambda x, y: np.broadcast_to(x, (2, 2)) + y.copy(),
        lambda x, y: np.concatenate([x, y])[:2] + np.stack([x, y])[1],
        lambda x, y: np.where(True, x, 0) + y,
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_share_no_memory(f, create_graph):
    x, y = leaf(np.ones((2, 2))), leaf(np.ones((2, 2)))
    seed = np.ones((2, 2))
    mid = f(x, y)
    mid.retain_grad()
    out = +mid
    for s in (seed, seed[::-1], tg.tensor(seed)):
        x.grad = y.grad = mid.grad = None
        out.backward(s, create_graph=create_graph, retain_graph=True)
        grads = [t.grad for t in (x, y, mid)]
        arrays = [g.data if create_graph else g for g in grads]
        if not create_graph:
            assert all(type(g) is np.ndarray and g.flags.writeable for g in grads)
        others = [s.data if isinstance(s, tg.Tensor) else s, x.data, y.data, mid.data, out.data]
        for i, a in enumerate(arrays):
            assert not any(np.shares_memory(a, o) for o in others)
            if not create_graph:
                assert not any(np.shares_memory(a, b) for b in arrays[:i])
        assert len({id(g) for g in grads}) == 3
    x.grad = y.grad = mid.grad = None


def test_writing_to_a_gradient_changes_no_other():
    x, y = leaf(1.0), leaf(1.0)
    (x + y).backward()
    x.grad[...] = 99
    np.testing.assert_array_equal(y.grad, 1)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_grad_is_an_array_of_the_tensors_shape_and_dtype(shape, dtype):
    x = leaf(np.ones(shape), dtype)
    for times in 1, 2, 3:
        np.sum(x * np.float64(2) + np.ones((2, *shape))).backward()
        assert type(x.grad) is np.ndarray
        assert x.grad.shape == shape
        assert x.grad.dtype == dtype
        np.testing.assert_array_equal(x.grad, np.full(shape, 4.0 * times))


def test_mixed_precision():
    x, y = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0])
    out = x * y
    assert out.dtype == np.float64
    np.sum(out).backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert (x * 2.5).dtype == (2 * x).dtype == (x**2).dtype == (x / 3).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64  # NumPy's numbers are not weak


# ------------------------------------------------------------------------------------------------ changed after its use


def changed_leaf_data(x, array):
    x.data[0] = 9


def assigned_data(x, array):
    x.data = x.numpy() * 2


def assigned_equal_data(x, array):
    x.data = x.numpy()


def added_in_place(x, array):
    with tg.no_grad():
        x += 1


def stepped(x, array):
    x._array -= 0.5
    x._updated()


def changed_array(x, array):
    array[0] = 9


def changed_through_a_view(x, array):
    array[::-1][-1:] = 9


CHANGES_OF_X = [changed_leaf_data, assigned_data, assigned_equal_data, added_in_place, stepped]
CHANGES_OF_ARRAY = [changed_array, changed_through_a_view]


@pytest.mark.parametrize("change", CHANGES_OF_X)
@pytest.mark.parametrize("f", [lambda x: x * x, np.exp, lambda x: x.reshape(3, 1) * 2, lambda x: tg.relu(x[[0, 1]])])
def test_a_leaf_changed_after_its_use_is_an_error(change, f):
    x = leaf([1.0, 2.0, 3.0])
    y = np.sum(f(x))
    change(x, None)
    with pytest.raises(RuntimeError, match=r"argument 1 of .*shape \(3,\).* changed after it was used"):
        y.backward()
    assert x.grad is None
    np.sum(f(x)).backward()  # and computing anew is right
    expected = tg.grad(lambda x: np.sum(f(x)))(x.numpy())
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize("change", CHANGES_OF_ARRAY)
@pytest.mark.parametrize(
    "f",
    [
        lambda x, a: x * a,
        lambda x, a: a * x,
        lambda x, a: x * tg.asarray(a),
        lambda x, a: x * tg.asarray(a[::2][:1]),
        lambda x, a: x * tg.asarray(a).T,
        lambda x, a: tg.asarray(a, requires_grad=True) * x,
        lambda x, a: np.where(a > 0, x, a * x),
        lambda x, a: np.sum(np.stack([x, a]) ** 2),
        lambda x, a: x * memoryview(a),
        lambda x, a: x @ a,
        lambda x, a: x * (a[:1].reshape(()), 1.0, 2.0),
    ],
)
def test_a_plain_array_changed_after_its_use_is_an_error_or_harmless(change, f):
    x, array = leaf([1.0, 2.0, 3.0]), np.array([2.0, -1.0, 4.0])
    right = tg.grad(lambda x: np.sum(f(x, array.copy())))(x.numpy())
    y = np.sum(f(x, array))
    change(x, array)
    with contextlib.suppress(RuntimeError):
        y.backward()
        np.testing.assert_array_equal(x.grad, right)
        return
    assert x.grad is None


def test_a_shared_array_changed_after_its_use_is_an_error():
    x, array = leaf([1.0, 2.0, 3.0]), np.array([2.0, -1.0, 4.0])
    y = np.sum(x * tg.asarray(array))
    array[0] = 9
    with pytest.raises(RuntimeError, match=r"argument 2 of np\.multiply"):
        y.backward()


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x[i],
        lambda x, i: x[i,],
        lambda x, i: x[[i[0], i[1]]],
        lambda x, i: x[i[0] : i[1]],
        lambda x, i: x[np.asarray(i)[:1].reshape(()) :],
        lambda x, i: np.moveaxis(x.reshape(1, 1, 3), i, i[::-1]),
        lambda x, i: np.transpose(x.reshape(1, 3), i),
        lambda x, i: np.transpose(np.ones((1, 3)) * x, axes=i),
    ],
)
@pytest.mark.parametrize("make", [np.array, list])
def test_indices_and_keywords_may_be_changed_after_their_use(use, make):
    i = make([0, 1])
    x = leaf([1.0, 2.0, 3.0])
    y = use(x, i)
    weights = np.arange(1.0, 1 + y.size).reshape(y.shape)
    right = tg.vjp(lambda x: use(x, make([0, 1])), x.numpy())[1](weights)[0]
    i[0], i[1] = 1, 0
    y.backward(weights)
    np.testing.assert_array_equal(x.grad, right)


def test_labels_may_be_changed_after_their_use():
    x, labels = leaf([[1.0, 2.0]]), np.array([0])
    loss = softmax_cross_entropy(x, labels=labels)
    labels[0] = 1
    loss.backward()
    assert x.grad[0, 0] < 0 < x.grad[0, 1]


def test_an_array_changed_and_changed_back_is_as_it_was():
    x, array = leaf([1.0]), np.array([2.0])
    y = x * array
    array[0] = 5
    array[0] = 2
    y.backward()
    np.testing.assert_array_equal(x.grad, [2])


def test_the_gradient_to_start_from_may_be_changed_after_backward():
    x, seed = leaf([1.0, 2.0]), np.array([1.0, 1.0])
    y = x * x
    y.backward(seed, create_graph=True)
    first = x.grad
    x.grad = None
    seed[...] = 100
    np.sum(first).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


def test_a_view_taken_outside_the_graph_keeps_its_numbers():
    x = leaf([1.0, 2.0])
    with tg.no_grad():
        constant = x.T
    y = np.sum(x * constant)
    x.data[...] = 5
    np.testing.assert_array_equal(constant.numpy(), [1, 2])
    with pytest.raises(RuntimeError, match="argument 1"):
        y.backward()


def test_asarray_of_a_tensor_shares_nothing_with_its_views():
    a = tg.tensor([1.0, 2.0])
    view = a.reshape(2, 1)
    x = tg.asarray(a, requires_grad=True)
    y = np.sum(x * 2 + view.reshape(2) * x)
    x.data[0] = 7
    np.testing.assert_array_equal(view.numpy().ravel(), [1, 2])
    assert not a.requires_grad
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_objects_that_hand_out_their_own_array_are_watched():
    class Holder:
        def __init__(self):
            self.array = np.array([1.0, 2.0])

        def __array__(self, dtype=None, copy=None):
            return self.array

    holder, x = Holder(), leaf([1.0, 1.0])
    y = np.sum(x * tg.asarray(holder))
    holder.array[0] = 9
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


@pytest.mark.parametrize("use", [lambda x, a: x * a, lambda x, a: np.sum(x * tg.asarray(a))])
def test_that_an_array_is_read_only_does_not_say_that_nobody_writes_to_it(use):
    x, array = leaf([1.0, 1.0]), np.ones(2)
    view = array[:]
    array.flags.writeable = False
    y = np.sum(use(x, array))
    view[0] = 9
    with contextlib.suppress(RuntimeError):
        y.backward()
        np.testing.assert_array_equal(x.grad, [1, 1])
    x, array = leaf([1.0, 1.0]), np.ones(2)
    array.flags.writeable = False
    y = np.sum(use(x, array))
    array.flags.writeable = True
    array[0] = 9
    with contextlib.suppress(RuntimeError):
        y.backward()
        np.testing.assert_array_equal(x.grad, [1, 1])


def test_memory_that_cannot_change_is_not_copied():
    fixed, filled = np.frombuffer(np.arange(4.0).tobytes()), Frozen(4)
    filled[...] = 0
    sealed = filled.seal()
    with pytest.raises(ValueError, match="WRITEABLE"):
        sealed.flags.writeable = True
    for array in fixed, fixed[1:], sealed, sealed[1:].reshape(3, 1):
        assert type(array) is np.ndarray
        assert tg.asarray(array)._lent is None
        assert (leaf(1.0) * array)._recipe[2][1] is array
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    for array in frozen, frozen[::2], np.frombuffer(bytearray(fixed.tobytes())), np.arange(4.0)[::2]:
        array.flags.writeable = False
        assert tg.asarray(array)._lent is not None
        assert not np.shares_memory((leaf(1.0) * array)._recipe[2][1], array)


def test_freezing_a_leaf_after_its_use_is_an_error():
    x, y = leaf(2.0), leaf(3.0)
    z = x * y
    y.requires_grad = False
    with pytest.raises(RuntimeError, match=r"requires_grad of the tensor .* set to False after it had been used"):
        z.backward()
    assert x.grad is None


# --------------------------------------------------------------------------------------------------- rules of one's own


def test_rules_are_checked_when_they_are_entered():
    one = tg.primitive(lambda x: x)
    for rules, says in (((), "one rule"), ((3,), "one rule"), ((None, None), "2 rules, for an operation of 1")):
        with pytest.raises(TypeError, match=says):
            tg.defvjp(one, *rules)
    with pytest.raises(TypeError, match=r"np.multiply, …\) was given 3 rules"):
        tg.defvjp(np.multiply, *[lambda g, out, x, y: g] * 3)


def test_an_operation_without_rules():
    @tg.primitive
    def plain(x):
        return x + 1

    np.testing.assert_array_equal(plain(tg.tensor(1.0)).numpy(), 2)
    with pytest.raises(TypeError, match=r"plain has no derivative rule.*tg\.defvjp\(plain"):
        plain(leaf(1.0))


@pytest.mark.parametrize("rest", [(), (None,)])
def test_an_argument_without_a_rule(own_rules, rest):
    scale = tg.primitive(lambda x, y: x * y)
    tg.defvjp(scale, lambda g, out, x, y: g * y, *rest)
    x = leaf(2.0)
    scale(x, 3.0).backward()
    np.testing.assert_array_equal(x.grad, 3)
    with pytest.raises(TypeError, match="no derivative for its argument number 2"):
        scale(leaf(2.0), leaf(3.0)).backward()


def test_a_rule_of_the_wrong_shape(own_rules):
    bad = tg.primitive(lambda x: x * 1)
    tg.defvjp(bad, lambda g, out, x: g[:-1])
    with pytest.raises(ValueError, match=r"gradient of shape \(2,\) for an argument of shape \(3,\)"):
        np.sum(bad(leaf(np.ones(3)))).backward()


def test_a_rule_that_mixes_in_complex_or_whole_numbers(own_rules):
    turned = tg.primitive(lambda x: x * 1)
    tg.defvjp(turned, lambda g, out, x: g * 1j)
    with pytest.raises(TypeError, match="gradient of dtype complex128 for an argument of dtype float64"):
        turned(leaf(1.0)).backward()
    counted = tg.primitive(lambda x: np.floor(x).astype(int))
    tg.defvjp(counted, lambda g, out, x: g * 1.0)
    with pytest.raises(TypeError, match="for an argument of dtype int64"):
        (counted(leaf(1.0)) * 2.5).backward()
    with pytest.raises(TypeError, match="floating-point numbers to start from"):
        counted(leaf(1.0)).backward()
    through = tg.tensor([1j]) * leaf([1.0])
    with pytest.raises(TypeError, match="floating-point"):
        through.backward(np.ones(1))
    with pytest.raises(TypeError, match="complex128"):
        np.sum(np.abs(through)).backward()


def test_keywords_of_ones_own_operations_are_copied_and_take_no_tracked_tensor(own_rules):
    @tg.primitive
    def weighted(x, *, weights):
        return x * np.asarray(weights)

    tg.defvjp(weighted, lambda g, out, x, *, weights: g * np.asarray(weights))
    x = leaf([1.0, 2.0])
    for weights in ([3.0, 4.0], np.array([3.0, 4.0])):
        y = weighted(x, weights=weights)
        weights[0] = 99.0
        x.grad = None
        np.sum(y).backward()
        np.testing.assert_array_equal(x.grad, [3, 4])
    weighted(x, weights=tg.tensor([1.0, 1.0]))
    with pytest.raises(TypeError, match="weighted has no derivative for weights="):
        weighted(x, weights=leaf([1.0, 1.0]))


def test_a_primitive_given_arrays_is_the_function_as_it_was():
    def twice(x):
        """Docs."""
        return 2 * x

    op = tg.primitive(twice)
    assert (op.__name__, op.__doc__) == ("twice", "Docs.")
    assert type(op(np.ones(2))) is np.ndarray
    assert op(3) == 6
    assert autodiff.key(op) is twice


def test_apply_runs_any_operation_of_the_table():
    x = leaf([1.0, 2.0])
    y = tg.apply(np.multiply, x, 3.0)
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [3, 3])
    array = np.arange(4.0).reshape(2, 2)
    shared = tg.apply(np.transpose, array)
    array[...] = 9
    np.testing.assert_array_equal(shared.numpy(), [[0, 2], [1, 3]])
    with pytest.raises(TypeError, match="no derivative rule"):
        tg.apply(np.i0, x)


@pytest.mark.parametrize(
    ("op", "called"),
    [(np.exp, "np.exp"), (np.linalg.norm, "np.linalg.norm"), (tg.sigmoid, "sigmoid"), (np.sum, "np.sum")],
)
def test_names(op, called):
    assert autodiff.name(op) == called


def test_an_operation_returns_one_array_of_numbers_that_is_not_its_argument(own_rules):
    for many in np.modf, tg.primitive(lambda x: (x, x)):
        with pytest.raises(TypeError, match="returned a tuple"):
            tg.apply(many, tg.tensor([1.5])) if many is np.modf else many(tg.tensor([1.5]))

    @tg.primitive
    def doubled(x):
        x *= 2
        return x

    tg.defvjp(doubled, lambda g, out, x: 2 * g)
    for x in tg.tensor([1.5]), leaf([1.5]):
        with pytest.raises(TypeError, match=r"doubled returned its own argument.*wrote.*x\.copy\(\)"):
            doubled(x)


@pytest.mark.parametrize("number", [Fraction(1, 2), Decimal(2), [Fraction(1, 2)], np.array([None])])
def test_numbers_that_are_not_numpys_are_refused(number):
    for x in leaf([1.0]), tg.tensor([1.0]):
        with pytest.raises(TypeError, match=r"np.multiply of .*(dtype object|unsupported)|unsupported operand"):
            x * number


@pytest.mark.parametrize(
    ("f", "error", "says"),
    [
        (lambda x: x + x[:1, :2], ValueError, r"np\.add of shapes \(2, 3\) and \(1, 2\): operands could not be broadc"),
        (lambda x: x * np.ones(2), ValueError, r"np\.multiply of shapes \(2, 3\) and \(2,\): operands could not"),
        (lambda x: np.ones(2) / x, ValueError, r"np\.divide of shapes \(2,\) and \(2, 3\): operands could not"),
        (lambda x: x @ x, ValueError, r"np\.matmul of shapes \(2, 3\) and \(2, 3\): matmul: Input operand 1 has a mis"),
        (lambda x: x.reshape(4), ValueError, r"np\.reshape of shape \(2, 3\): cannot reshape array of size 6"),
        (lambda x: x[5], IndexError, r"getitem of shape \(2, 3\): index 5 is out of bounds for axis 0 with size 2"),
        (lambda x: np.sum(x, axis=2), np.exceptions.AxisError, r"np\.sum of shape \(2, 3\): axis 2 is out of bounds"),
    ],
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_shapes_that_do_not_fit_are_named(f, error, says, requires_grad):
    with pytest.raises(error, match=says):
        f(tg.tensor(np.ones((2, 3)), requires_grad=requires_grad))


def test_tensors_given_by_name_or_in_containers(own_rules):
    @tg.primitive
    def ste(x, scale=1.0, y=2.0, *, weights=1.0):
        return np.round(x) * scale + y

    tg.defvjp(ste, lambda g, out, x, scale=1.0, y=2.0: g * scale, None, lambda g, out, x, scale=1.0, y=2.0: g)
    x, y, array = leaf([1.4]), leaf([5.0]), np.array([1.4])
    ste(x=x, scale=3.0).backward()
    np.testing.assert_array_equal(x.grad, [3])
    out = ste(array, y=y)
    np.testing.assert_array_equal(out.numpy(), [6])
    out.backward()
    np.testing.assert_array_equal(y.grad, [1])
    np.testing.assert_array_equal(tg.grad(lambda t: np.sum(tg.relu(x=t)))(array), [1])
    np.testing.assert_allclose(tg.grad(lambda t: tg.softmax(x=t, axis=0)[0])(np.zeros(2)), [0.25, -0.25])
    for call in (
        lambda: ste([x, y]),
        lambda: ste(array, weights={"a": [x]}),
        lambda: ste(x, weights=(y,)),
    ):
        with pytest.raises(TypeError, match=r"ste was given a tensor inside a (list|tuple), as (an argument|weights=)"):
            call()
    with pytest.raises(TypeError, match="ste has no derivative for weights="):
        ste(array, weights=y)


@pytest.mark.parametrize("wrong", [None, 2.0, [1.0]])
def test_a_rule_that_returns_no_array(own_rules, wrong):
    bad = tg.primitive(lambda x, y: x * y)
    tg.defvjp(bad, lambda g, out, x, y: g, lambda g, out, x, y: wrong)
    with pytest.raises(TypeError, match=r"lambda> for its argument number 2 gave .*return an array of shape \(1,\)"):
        bad(leaf([1.0]), leaf([2.0])).backward()


def test_recipes_without_an_operation_are_told_apart():
    ends = [autodiff.LEAF, autodiff.INPUT, autodiff.CLOSED, autodiff.FREED]
    assert all((a == b) == (i == j) for i, a in enumerate(ends) for j, b in enumerate(ends))
