"""Optimizers against their published formulas, what they keep, clipping, and schedules."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import optim


def quadratic(x):
    return np.sum(x * x * np.array([0.5, 2.0]))


@given(
    lr=st.floats(0, 0.4),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
def test_sgd_follows_its_formula(lr, momentum, nesterov, weight_decay):
    nesterov = nesterov and momentum > 0
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(4):
        optimizer.zero_grad()
        quadratic(x).backward()
        optimizer.step()
        g = np.array([1.0, 4.0]) * p + weight_decay * p
        v = momentum * v + g
        p = p - lr * (g + momentum * v if nesterov else v)
        np.testing.assert_allclose(x.numpy(), p, rtol=1e-12, atol=1e-15)


def test_momentum_can_be_changed_between_steps():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for momentum in (0.0, 0.9, 0.9, 0.5):
        optimizer.momentum = momentum
        optimizer.zero_grad()
        quadratic(x).backward()
        optimizer.step()
        g = np.array([1.0, 4.0]) * p
        v = momentum * v + g if momentum else v
        p = p - 0.1 * (v if momentum else g)
        np.testing.assert_allclose(x.numpy(), p, rtol=1e-12)


def test_a_step_leaves_the_gradient_as_it_is():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        quadratic(x).backward()
        before = x.grad.copy()
        optimizer.step()
        np.testing.assert_array_equal(x.grad, before)


def test_gradients_add_up_until_zero_grad():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    quadratic(x).backward()
    quadratic(x).backward()
    np.testing.assert_array_equal(x.grad, [2, -16])
    optimizer.zero_grad()
    assert x.grad is None


def test_a_parameter_without_gradient_stays():
    x, y = (tg.tensor([1.0, 1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([x, y], lr=0.1, weight_decay=1.0)
    quadratic(x).backward()
    optimizer.step()
    np.testing.assert_array_equal(y.numpy(), [1, 1])
    assert np.all(x.numpy() < 1)


def test_the_dtype_is_kept_whatever_the_learning_rates_is():
    x = tg.tensor([1.0], requires_grad=True, dtype=np.float32)
    optimizer = optim.SGD([x], lr=np.float64(0.1), momentum=0.9, weight_decay=1e-3)
    np.sum(x * x).backward()
    optimizer.step()
    assert x.dtype == np.float32


def test_a_recorded_gradient_will_do():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    quadratic(x).backward(create_graph=True)
    optim.SGD([x], lr=0.5).step()
    np.testing.assert_array_equal(x.numpy(), [0.5, 2.0])
    x.grad = None


def test_a_step_between_forward_and_backward_is_noticed():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    quadratic(x).backward()
    loss = quadratic(x)
    optimizer.step()
    with pytest.raises(RuntimeError, match="was changed after it was used"):
        loss.backward()


def test_steps_go_into_shared_memory():
    array = np.array([1.0, -2.0])
    x = tg.asarray(array, requires_grad=True)
    quadratic(x).backward()
    optim.SGD([x], lr=0.5).step()
    np.testing.assert_array_equal(array, [0.5, 2.0])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: optim.SGD([], lr=1), ValueError, "no parameters.*requires_grad=True"),
        (lambda x: optim.SGD(x, lr=1), TypeError, "was given one Tensor: put it in a list"),
        (lambda x: optim.SGD(tg.nn.Flatten(), lr=1), TypeError, "one Flatten: pass model.parameters()"),
        (lambda x: optim.SGD([x], lr="0.1"), ValueError, "lr='0.1'"),
        (lambda x: optim.SGD([np.ones(2)], lr=1), TypeError, "was given ndarray"),
        (lambda x: optim.SGD([x * 2], lr=1), ValueError, "leaves that require a gradient.*made by np.multiply"),
        (lambda x: optim.SGD([tg.tensor([1.0])], lr=1), ValueError, "leaves that require a gradient"),
        (lambda x: optim.SGD([x, x], lr=1), ValueError, "twice"),
        (lambda x: optim.SGD([x], lr=-1), ValueError, r"SGD\(lr=-1\): it must be a number of 0 or more"),
        (lambda x: optim.SGD([x], lr=np.nan), ValueError, "lr=nan"),
        (lambda x: optim.SGD([x], lr=1, momentum=1), ValueError, "momentum=1.*less than 1"),
        (lambda x: optim.SGD([x], lr=1, weight_decay=-1), ValueError, "weight_decay=-1"),
        (lambda x: optim.SGD([x], lr=1, nesterov=True), ValueError, "needs a momentum"),
    ],
)
def test_what_sgd_refuses(make, error, words):
    with pytest.raises(error, match=words):
        make(tg.tensor([1.0], requires_grad=True))


def test_read_only_memory_is_refused():
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optim.SGD([tg.asarray(array, requires_grad=True)], lr=1)


# ------------------------------------------------------------------------------------- the others, and their formulas


def adam(g, p, t, kept, *, lr, betas, eps, weight_decay):
    g = g + weight_decay * p
    m = kept["m"] = betas[0] * kept.get("m", 0) + (1 - betas[0]) * g
    v = kept["v"] = betas[1] * kept.get("v", 0) + (1 - betas[1]) * g**2
    return p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw(g, p, t, kept, *, lr, weight_decay, **settings):
    return adam(g, p, t, kept, lr=lr, weight_decay=0, **settings) - lr * weight_decay * p


def rmsprop(g, p, t, kept, *, lr, alpha, eps, momentum, weight_decay):
    g = g + weight_decay * p
    v = kept["v"] = alpha * kept.get("v", 0) + (1 - alpha) * g**2
    u = kept["u"] = momentum * kept.get("u", 0) + g / (np.sqrt(v) + eps)
    return p - lr * u


def adagrad(g, p, t, kept, *, lr, eps, weight_decay):
    g = g + weight_decay * p
    v = kept["v"] = kept.get("v", 0) + g**2
    return p - lr * g / (np.sqrt(v) + eps)


SHARES = st.sampled_from([0.0, 0.5, 0.9, 0.999])
COMMON = {"lr": st.floats(0, 0.5), "weight_decay": st.sampled_from([0.0, 0.1]), "eps": st.sampled_from([1e-8, 0.5])}
FORMULAS = [
    (optim.Adam, adam, COMMON | {"betas": st.tuples(SHARES, SHARES)}),
    (optim.AdamW, adamw, COMMON | {"betas": st.tuples(SHARES, SHARES)}),
    (optim.RMSprop, rmsprop, COMMON | {"alpha": SHARES, "momentum": st.sampled_from([0.0, 0.9])}),
    (optim.Adagrad, adagrad, COMMON),
]
KINDS = [
    lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    lambda params: optim.Adam(params, lr=0.1, weight_decay=0.1),
    lambda params: optim.AdamW(params, lr=0.1),
    lambda params: optim.RMSprop(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    lambda params: optim.Adagrad(params, lr=0.1, weight_decay=0.1),
]
every_kind = pytest.mark.parametrize(
    "make", KINDS, ids=lambda make: type(make([tg.Tensor([1.0], requires_grad=True)])).__name__
)


@pytest.mark.parametrize(("kind", "formula", "drawn"), FORMULAS, ids=[kind.__name__ for kind, _, _ in FORMULAS])
@given(data=st.data())
def test_optimizers_follow_their_formulas(kind, formula, drawn, data):
    settings = data.draw(st.fixed_dictionaries(drawn))
    x = tg.tensor([1.0, -2.0, 0.0], requires_grad=True)
    optimizer = kind([x], **settings)
    p, kept = x.numpy(), {}
    for t, g in enumerate(np.random.default_rng(0).normal(size=(4, 3)), start=1):
        x.grad = g.copy()
        optimizer.step()
        np.testing.assert_array_equal(x.grad, g)
        p = formula(g, p, t, kept, **settings)
        np.testing.assert_allclose(x.numpy(), p, rtol=1e-9, atol=1e-12)


@every_kind
def test_a_new_optimizer_has_the_defaults_of_pytorchs(make):
    x = tg.tensor([1.0], requires_grad=True)
    usual = {
        optim.SGD: {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
        optim.Adam: {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
        optim.AdamW: {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
        optim.RMSprop: {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
        optim.Adagrad: {"lr": 1e-2, "eps": 1e-10, "weight_decay": 0.0},
    }
    kind = type(make([x]))
    (group,) = (kind([x], lr=7) if kind is optim.SGD else kind([x])).param_groups
    assert group == {"params": [x], **({"lr": 7} if kind is optim.SGD else {}), **usual[kind]}


@every_kind
def test_updates_allocate_nothing(make):
    params = [tg.tensor(np.ones(shape), requires_grad=True) for shape in (100_000, (300, 300))]
    optimizer = make(params)
    for p in params:
        p.grad = np.ones(p.shape)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000


@every_kind
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_update_keeps_the_dtype_and_survives_a_gradient_of_zeros(make, dtype):
    x = tg.tensor([1.0, 2.0], requires_grad=True, dtype=dtype)
    x.grad = np.zeros(2, dtype)
    optimizer = make([x])
    optimizer.lr, optimizer.weight_decay = np.float64(0.1), 0
    optimizer.step()
    assert x.dtype == dtype
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    assert all(np.isfinite(kept).all() for kept in optimizer.state_dict().values())


@every_kind
def test_parameters_of_many_shapes_and_dtypes_are_updated_as_each_alone(make):
    shapes = [((2, 3), np.float32), ((), np.float64), ((7,), np.float32), ((0, 2), np.float64), ((1, 2, 2), np.float64)]
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(dtype) for shape, dtype in shapes]
    together, alone = ([tg.tensor(start, requires_grad=True) for start in starts] for _ in range(2))
    optimizer, optimizers = make(together), [make([p]) for p in alone]
    for _ in range(3):
        for p, q in zip(together, alone, strict=True):
            p.grad = rng.normal(size=p.shape).astype(p.dtype)
            q.grad = p.grad.copy()
        for one in (optimizer, *optimizers):
            one.step()
    for p, q in zip(together, alone, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@every_kind
def test_a_parameter_without_gradient_stays_and_counts_no_step(make):
    x, y = (tg.tensor([1.0, 1.0], requires_grad=True) for _ in range(2))
    optimizer = make([x, y])
    quadratic(x).backward()
    optimizer.step()
    np.testing.assert_array_equal(y.numpy(), [1, 1])
    assert np.all(x.numpy() < 1)
    assert not any(".params.1." in name for name in optimizer.state_dict())


def test_a_setting_reaches_all_groups_and_groups_have_their_own():
    x, y, z = (tg.tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [x]}, {"params": iter([y]), "lr": 0.5}], lr=0.25)
    optimizer.add_param_group({"params": [z], "weight_decay": 1.0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.5, 0.25]
    assert optimizer.params == [x, y, z]
    for p in optimizer.params:
        p.grad = np.ones(1)
    optimizer.step()
    assert [p.item() for p in optimizer.params] == [0.75, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"each their own lr, \[0.25, 0.5, 0.25\]: read optimizer.param_groups"):
        optimizer.lr
    optimizer.lr = 1
    assert optimizer.lr == 1.0
    assert [group["lr"] for group in optimizer.param_groups] == [1, 1, 1]
    optimizer.zero_grad()
    assert [p.grad for p in optimizer.params] == [None] * 3


# ------------------------------------------------------------------------------------------- saving, and going on


def trained(make, steps, tmp_path=None):
    """Parameters after some steps; with a path, saved, and restored in another optimizer, half way."""
    rng = np.random.default_rng(0)
    x, y = (tg.tensor(rng.normal(size=(2, 3)), requires_grad=True, dtype=np.float32) for _ in range(2))
    optimizer = make([{"params": [x]}, {"params": [y], "lr": 0.05}])
    for step in range(steps):
        if tmp_path and step == steps // 2:
            tg.save(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
            optimizer = make([{"params": [x]}, {"params": [y]}])
            optimizer.load_state_dict(tg.load(tmp_path / "optimizer.safetensors"))
        optimizer.zero_grad()
        np.sum(np.sin(x * y + rng.normal(size=(2, 3)).astype(np.float32))).backward()
        optimizer.param_groups[0]["lr"] = 0.3 / (step + 1)
        optimizer.step()
    return [x.numpy(), y.numpy(), *optimizer.state_dict().values()]


@every_kind
def test_training_goes_on_from_a_saved_state_bit_for_bit(make, tmp_path):
    for found, expected in zip(trained(make, 6, tmp_path), trained(make, 6), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


@every_kind
def test_a_state_is_a_copy_and_loading_one_copies(make):
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    x.grad = np.ones(2)
    optimizer = make([x])
    optimizer.step()
    state = optimizer.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    for kept in (optimizer, other := make([x])):
        kept.load_state_dict(state)
        kept.step()
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)
    other.load_state_dict(make([x]).state_dict())  # of before the first step
    assert set(other.state_dict()) == set(make([x]).state_dict())


def test_the_names_of_a_state():
    x, y = (tg.tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
    y.grad = np.ones(2)
    optimizer = optim.Adam([x, y], lr=0.5)
    optimizer.step()
    state = {name: array.tolist() for name, array in optimizer.state_dict().items()}
    assert state == {
        "param_groups.0.lr": 0.5,
        "param_groups.0.betas": [0.9, 0.999],
        "param_groups.0.eps": 1e-8,
        "param_groups.0.weight_decay": 0.0,
        "param_groups.0.params.1.step": 1,
        "param_groups.0.params.1.mean": pytest.approx([0.1, 0.1]),
        "param_groups.0.params.1.mean_square": pytest.approx([0.001, 0.001]),
    }


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("param_groups.0.lr"), KeyError, "does not fit this Adam; missing: param_groups.0.lr"),
        (lambda s: s.pop("param_groups.0.params.0.mean"), KeyError, "missing: param_groups.0.params.0.mean"),
        (lambda s: s.update({"param_groups.1.lr": 1.0}), KeyError, "not of it: param_groups.1.lr"),
        (
            lambda s: s.update({"param_groups.0.params.0.mean": [[1.0, 2.0]]}),
            ValueError,
            r"shape \(2,\).*shape \(1, 2\)",
        ),
        (lambda s: s.update({"param_groups.0.params.0.mean": [1j, 2j]}), ValueError, "float64, and has .*complex128"),
        (lambda s: s.update({"param_groups.0.params.0.step": [1]}), ValueError, r"params.0.step is to have shape \(\)"),
        (lambda s: s.update({"param_groups.0.lr": -1.0}), ValueError, r"Adam\(lr=-1.0\)"),
        (lambda s: s.update({"param_groups.0.betas": [0.9]}), ValueError, r"betas=\[0.9\]\): it must be 2 numbers"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error, words):
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    x.grad = np.ones(2)
    optimizer = optim.Adam([x])
    optimizer.step()
    before = optimizer.state_dict()
    state = {name: array + 1 if "mean" in name else array for name, array in before.items()}
    change(state)
    with pytest.raises(error, match=words):
        optimizer.load_state_dict(state)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_path_is_no_state():
    with pytest.raises(TypeError, match=r"a dict of names and arrays, and this is str: tg.load"):
        optim.Adam([tg.Tensor([1.0], requires_grad=True)]).load_state_dict("optimizer.safetensors")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda x: optim.Adam([x], betas=(0.9, 1)),
            ValueError,
            r"Adam\(betas=\(0.9, 1\)\): .* 2 numbers .* less than 1",
        ),
        (lambda x: optim.Adam([x], betas=0.9), ValueError, r"2 numbers"),
        (lambda x: optim.AdamW([x], eps=0), ValueError, r"AdamW\(eps=0\): it must be a number more than 0"),
        (lambda x: optim.RMSprop([x], alpha=1), ValueError, "less than 1"),
        (lambda x: optim.RMSprop([x], momentum=1), ValueError, "less than 1"),
        (lambda x: optim.RMSprop([x], alpha=-0.1), ValueError, r"RMSprop\(alpha=-0.1\)"),
        (lambda x: optim.Adagrad([x], lr=np.inf), ValueError, r"Adagrad\(lr=inf\)"),
        (lambda x: optim.Adam([{"params": [x], "lr": -1}]), ValueError, r"Adam\(lr=-1\)"),
        (lambda x: optim.Adam([{"params": [x], "momentum": 1}]), TypeError, "no setting momentum: it has lr, betas"),
        (lambda x: optim.Adam([{"params": [x]}, {"params": [x]}]), ValueError, "twice"),
        (lambda x: optim.Adam({"params": [x]}), TypeError, "was given one dict: put it in a list"),
        (lambda x: optim.Adam([{"lr": 1}]), TypeError, "a group of parameters is a dict"),
        (lambda x: optim.Adam([{"params": [x]}, x]), TypeError, "a group of parameters is a dict"),
        (lambda x: optim.Adam([{"params": []}]), ValueError, "no parameters"),
        (lambda x: setattr(optim.Adam([x]), "lr", -0.1), ValueError, r"Adam\(lr=-0.1\)"),
        (lambda x: setattr(optim.SGD([x], lr=1), "momentum", 1.0), ValueError, "less than 1"),
        (lambda x: optim.Optimizer([x]).step(), TypeError, "Optimizer does not say how to take a step"),
    ],
)
def test_what_optimizers_refuse(make, error, words):
    with pytest.raises(error, match=words):
        make(tg.tensor([1.0], requires_grad=True))


# ------------------------------------------------------------------------------------------------------------ clipping


def with_gradients(*gradients, dtype=np.float64):
    params = [tg.tensor(np.zeros(np.shape(g)), requires_grad=True, dtype=dtype) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = np.array(g, dtype)
    return [*params, tg.tensor([1.0], requires_grad=True)]


@given(a=st.lists(st.floats(-3, 3), max_size=4), b=st.floats(-3, 3), max_norm=st.sampled_from([0.01, 1.0, 2.5, np.inf]))
def test_the_norm_of_gradients_is_clipped(a, b, max_norm):
    params = with_gradients(a, b)
    whole = np.array([*a, b])
    norm = np.sqrt(np.sum(whole**2))
    assert optim.clip_grad_norm(params, max_norm) == pytest.approx(norm)
    found = np.append(params[0].grad, params[1].grad)
    if norm <= max_norm:
        np.testing.assert_array_equal(found, whole)
    else:
        np.testing.assert_allclose(found, whole * max_norm / norm)
    assert params[2].grad is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", ["max", "tiny", "smallest_subnormal"])
def test_a_norm_whose_square_is_out_of_range(dtype, size):
    top = float(getattr(np.finfo(dtype), size))
    params = with_gradients([top / 2, 0], [top / 2], dtype=dtype)
    expected = np.hypot(*(float(p.grad[0]) for p in params[:2]))
    assert optim.clip_grad_norm(params, 1.0) == pytest.approx(expected, rel=1e-3, abs=0)
    if size == "max":
        np.testing.assert_allclose(params[0].grad, [0.5**0.5, 0], rtol=1e-3)


def test_gradients_are_clipped_number_by_number():
    params = with_gradients([[-3.0, 0.25]], 0.5)
    optim.clip_grad_value(params, 0.5)
    np.testing.assert_array_equal(params[0].grad, [[-0.5, 0.25]])
    assert params[1].grad == 0.5


def test_a_recorded_gradient_is_replaced_when_it_is_clipped():
    for clip in (lambda params: optim.clip_grad_norm(params, 1.0), lambda params: optim.clip_grad_value(params, 1.0)):
        x = tg.tensor([3.0], requires_grad=True)
        np.sum(x * x).backward(create_graph=True)
        recorded = x.grad
        clip([x])
        assert x.grad.item() == 1
        assert recorded.item() == 6
        x.grad = None


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda ps: optim.clip_grad_norm(ps, 0), ValueError, r"max_norm=0\): it must be more than 0"),
        (lambda ps: optim.clip_grad_value(ps, np.nan), ValueError, r"limit=nan"),
        (lambda ps: optim.clip_grad_norm(ps[0], 1), TypeError, "takes a list of Tensors.* got a Tensor"),
        (lambda ps: optim.clip_grad_value(1, 1), TypeError, "got a int"),
        (lambda ps: optim.clip_grad_value([np.ones(2)], 1), TypeError, "got a list of ndarray"),
        (lambda ps: optim.clip_grad_norm(ps, 1), ValueError, r"gradient of the tensor of shape \(2,\).* has inf in it"),
        (lambda ps: optim.clip_grad_norm(ps[1:], 1), ValueError, "has nan in it"),
    ],
)
def test_what_clipping_refuses(call, error, words):
    params = with_gradients([np.inf, 1.0], [np.nan])
    with pytest.raises(error, match=words):
        call(params)
    np.testing.assert_array_equal(params[0].grad, [np.inf, 1])


# ----------------------------------------------------------------------------------------------------------- schedules


SCHEDULES = {
    "constant": (optim.constant, lambda x: 1.0),
    "linear": (optim.linear, lambda x: 1 - x),
    "exponential": (optim.exponential, lambda x: 0.01**x),
    "exponential to a tenth": (lambda lr, n: optim.exponential(lr, n, final=0.1), lambda x: 0.1**x),
    "cosine": (optim.cosine, lambda x: (1 + np.cos(np.pi * x)) / 2),
    "cosine to a half": (lambda lr, n: optim.cosine(lr, n, final=0.5), lambda x: 0.75 + np.cos(np.pi * x) / 4),
    "step_decay": (optim.step_decay, lambda x: [1, 0.1, 0.01, 0.01][int(3 * x + 1e-9)]),
    "one_cycle by default": (
        optim.one_cycle,
        lambda x: (
            0.52 - 0.48 * np.cos(np.pi * x / 0.3)
            if x < 0.3
            else 4e-6 + (1 - 4e-6) * np.cos(np.pi * (x - 0.3) / 1.4) ** 2
        ),
    ),
    "one_cycle": (
        lambda lr, n: optim.one_cycle(lr, n, rise=0.25, initial=0.2, final=0.1),
        lambda x: 0.6 - 0.4 * np.cos(4 * np.pi * x) if x < 0.25 else 0.55 + 0.45 * np.cos(np.pi * (x - 0.25) / 0.75),
    ),
}


@pytest.mark.parametrize(("make", "share"), SCHEDULES.values(), ids=SCHEDULES)
@given(steps=st.integers(1, 30), lr=st.floats(1e-3, 10))
def test_schedules_follow_their_formulas_and_stay_at_their_end(make, share, steps, lr):
    schedule = make(lr, steps)
    for step in range(steps + 1):
        np.testing.assert_allclose(schedule(step), lr * share(step / steps), rtol=1e-9, atol=1e-12)
    assert schedule(steps + 1) == schedule(1000 * steps) == schedule(steps)
    assert schedule(-1) == schedule(0)


def test_a_warm_up_leads_into_the_schedule():
    schedule, plain = optim.warm_up(optim.cosine(0.5, 10), 4), optim.cosine(0.5, 10)
    for step in range(12):
        assert schedule(step) == pytest.approx(plain(step) * min(1, (step + 1) / 4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.linear(1.0, 0), r"linear\(steps=0\): a schedule is of 1 step at least"),
        (lambda: optim.warm_up(optim.linear(1.0, 5), -1), r"warm_up\(steps=-1\)"),
        (lambda: optim.step_decay(1.0, 0), r"step_decay\(steps=0\)"),
        (lambda: optim.step_decay(1.0, 5, factor=0), "by a factor above 0"),
        (lambda: optim.step_decay(1.0, 5, drops=-1), "0 or more"),
        (lambda: optim.exponential(1.0, 5, final=0), "Use linear or cosine"),
        (lambda: optim.one_cycle(1.0, 5, rise=1.0), r"one_cycle\(rise=1.0\)"),
    ],
)
def test_what_schedules_refuse(make, words):
    with pytest.raises(ValueError, match=words):
        make()
