"""Random steps: whatever a step computes and however it is trained, its program does the same as the step itself."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.ops import convolution
from tinygrad_digits.ops.threads import image_threads
from tinygrad_digits.program import cut

# --------------------------------------------------------------------------------------------------- what steps are of

UNARY = {
    "tanh": np.tanh,
    "sin": np.sin,
    "relu": tg.relu,
    "sigmoid": tg.sigmoid,
    "softplus": tg.softplus,
    "absolute": np.abs,
    "negative": np.negative,
    "square": np.square,
    "bell": lambda a: np.exp(-np.square(a)),
    "root": lambda a: np.sqrt(np.square(a) + 1),
    "fraction": lambda a: 1 / (1 + a * a),
    "cube": lambda a: a**3,
    "halved": lambda a: a * 0.5,
    "less_2": lambda a: 2 - a,
    "third": lambda a: a / 3,
    "one_times": lambda a: 1 * (a + 0),
    "positive_part": lambda a: np.where(a > 0, a, 0.0),
    "chosen": lambda a: np.where(a > 0.1, np.sin(a), -a),
    "maximum_0": lambda a: np.maximum(a, 0),
    "clipped": lambda a: np.clip(a, -0.7, 0.7),
    "detached": lambda a: a.detach() * a if isinstance(a, tg.Tensor) else a * a,
    "wide": lambda a: a.astype(np.float64).astype(a.dtype),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "flipped": np.flip,
    "new_axis": lambda a: a[np.newaxis],
    "last_axis": lambda a: a[..., None],
    "repeated": lambda a: np.broadcast_to(a, (2, *np.shape(a))),
    "squeezed": np.squeeze,
    "with_itself": lambda a: np.concatenate([np.ravel(a), np.ravel(a * 2)]),
    "mirrored": lambda a: np.fliplr(a) if a.ndim > 1 else a,
    "turned": lambda a: np.rot90(a) * 2 if a.ndim > 1 else np.rot90(a[None, None]),
    "real": np.real,
    "diagonal": lambda a: np.diagonal(a) if a.ndim > 1 else a,
    "upper": lambda a: np.triu(a) if a.ndim > 1 else a,
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, -1) if a.ndim and a.shape[-1] > 1 else a,
    "sorted": lambda a: np.sort(a, axis=None),
    "rolled": lambda a: np.roll(a, 1),
    "repeats": lambda a: np.repeat(a, 2, axis=None),
    "padded": lambda a: np.pad(a, 1),
    "piled": lambda a: np.stack([a, np.cos(a)]),
    "added_up": lambda a: np.cumsum(np.ravel(a)) * 0.1,
}
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "quotient": lambda a, b: a / (b * b + 1),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "selected": lambda a, b: np.where(a > b, a, b * 0.3),
    "hypot": lambda a, b: np.hypot(a, b + 2.5),
    "lerp": lambda a, b: a + (b - a) * 0.25,
}
REDUCING = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "std": np.std,
    "var": np.var,
    "logsumexp": tg.logsumexp,
}
ALONG = {"softmax": tg.softmax, "log_softmax": tg.log_softmax}
OPS = {
    **UNARY,
    **BINARY,
    **REDUCING,
    **ALONG,
    "matmul": np.matmul,
    "reshape": np.reshape,
    "part": lambda a, index: a[index],
    "rows": lambda a, index: a[index],
    "taken": lambda a, index: np.take(a, index, axis=0),
}
CALLS = 3


def computed(instructions, pool):
    """All that a list of instructions makes of what there is: names of operations, places of operands, settings."""
    pool = list(pool)
    for name, operands, settings in instructions:
        pool.append(OPS[name](*[pool[i] for i in operands], **settings))
    return pool


@st.composite
def instructions(draw, pool, indices):
    """Instructions that can be carried out with arrays like these; `indices` is the place of whole numbers."""
    made = []
    shapes = [np.shape(a) for a in pool]
    fitting = [i for i in range(len(pool)) if i != indices]
    for _ in range(draw(st.integers(1, 8))):
        a = draw(st.sampled_from(fitting))
        shape = shapes[a]
        kinds = [UNARY, UNARY, BINARY, BINARY]
        if shape and 0 not in shape:
            kinds.append(REDUCING)
        if shape and shape[0]:
            kinds += [ALONG, ("part", "rows", "taken")]
        if shape:
            kinds += [("matmul",), ("reshape",)]
        name = draw(st.sampled_from(sorted(draw(st.sampled_from(kinds)))))
        others, settings = [], {}
        if name in BINARY or name == "matmul":
            others = [draw(st.sampled_from([i for i in fitting if _fits(name, shape, shapes[i])] or [None]))]
            if others == [None]:
                continue
        elif name in REDUCING:
            settings = {"axis": draw(st.sampled_from([None, *range(-len(shape), len(shape))]))}
            if name != "logsumexp" or settings["axis"] is not None:
                settings |= {"keepdims": True} if draw(st.booleans()) else {}
        elif name in ALONG:
            settings = {"axis": draw(st.sampled_from(range(-len(shape), len(shape))))}
            if not shape[settings["axis"]]:
                continue
        elif name == "reshape":
            settings = {"shape": draw(st.sampled_from([(-1,), (1, *shape), shape[::-1], (*shape, 1)]))}
            if -1 in settings["shape"] and 0 in shape:
                continue
        elif name == "part":
            ends = st.integers(-shape[0], shape[0])
            step = draw(st.sampled_from([None, 1, 2, -1]))
            index = draw(st.one_of(st.integers(-shape[0], shape[0] - 1), st.builds(slice, ends, ends, st.just(step))))
            settings = {"index": draw(st.sampled_from([index, (..., slice(0, 1)), (index, ...)]))}
        elif name in ("rows", "taken"):
            if shape[0] < 3:  # `indices` counts up to 2
                continue
            others = [indices]
        one = name, (a, *others), settings
        with np.errstate(all="ignore"):
            new = computed([one], pool)[-1]
        if np.size(new) > 200 or np.ndim(new) > 4:
            continue
        made.append(one)
        pool = [*pool, new]
        shapes.append(np.shape(new))
        fitting.append(len(pool) - 1)
    return made


def _fits(name, a, b):
    """Whether an operation of two takes arrays of these shapes."""
    if name == "matmul":
        if not a or not b or a[-1] != b[-2 if len(b) > 1 else 0]:
            return False
        a, b = a[:-2], b[:-2]
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------- how they are trained

THREADS = st.sampled_from([1, 2, 3])


class Everything:
    """It contains all there is."""

    def __contains__(self, thing):
        return True


@contextmanager
def sharing(threads):
    """Have programs that are made and run here cut their batches for so many threads, whether it pays or not."""
    with pytest.MonkeyPatch.context() as patch, image_threads(threads):
        patch.setattr(cut, "LARGE", Everything())
        patch.setattr(convolution, "BLOCK", 0)
        yield


RATES = st.sampled_from([0.03, 0.1])
DECAYS = st.sampled_from([0.0, 0.01])
# Where a gradient is 0 but for rounding, its size decides nothing as long as eps is much larger.
OPTIMIZERS = st.one_of(
    st.builds(dict, kind=st.just(tg.optim.SGD), lr=RATES, weight_decay=DECAYS),
    st.builds(
        dict,
        kind=st.just(tg.optim.SGD),
        lr=RATES,
        weight_decay=DECAYS,
        momentum=st.sampled_from([0.5, 0.9]),
        nesterov=st.booleans(),
    ),
    st.builds(
        dict,
        kind=st.sampled_from([tg.optim.Adam, tg.optim.AdamW]),
        lr=RATES,
        weight_decay=DECAYS,
        betas=st.just((0.8, 0.95)),
        eps=st.just(1e-3),
    ),
    st.builds(
        dict,
        kind=st.just(tg.optim.RMSprop),
        lr=RATES,
        weight_decay=DECAYS,
        momentum=st.sampled_from([0.0, 0.9]),
        eps=st.just(1e-3),
    ),
    st.builds(dict, kind=st.just(tg.optim.Adagrad), lr=RATES, weight_decay=DECAYS, eps=st.just(1e-3)),
)

SIDES = st.integers(0, 4)
SHAPES = st.one_of(
    st.just(()),
    st.tuples(SIDES),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([(3, 3), (3, 4), (1, 3), (3, 1), (2, 1, 3), (0, 3)]),
)
LOSSES = st.sampled_from(["sum_of_squares", "mean", "mse", "cross_entropy", "binary", "two"])
CLIPS = st.sampled_from([None, None, tg.optim.clip_grad_norm, tg.optim.clip_grad_value])


@st.composite
def trainings(draw):
    """A step with all that is trained by it, as plain facts."""
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=3))
    params = [rng.normal(0, 0.5, shape).astype(dtype) for shape in shapes]
    shape = draw(SHAPES)
    counted = draw(st.sampled_from([(), (3,), (2, 2)]))
    inputs = [(rng.normal(0, 0.5, shape).astype(dtype), rng.integers(0, 3, counted)) for _ in range(CALLS)]
    return {
        "params": params,
        "inputs": inputs,
        "instructions": draw(instructions([*params, *inputs[0]], len(params) + 1)),
        "loss": draw(LOSSES),
        "settings": draw(OPTIMIZERS),
        "grouped": draw(st.booleans()),
        "clip": draw(CLIPS),
        "updated": draw(st.sampled_from([True, True, True, False])),
        "zeroed": draw(st.booleans()),
    }


def loss_of(kind, last):
    """A number to be made small, of the last thing that was computed."""
    if kind == "mean" and last.size:
        return np.mean(last)
    if kind == "mse":
        return tg.nn.mse_loss(last * 1, np.full(last.shape, 0.25, last.dtype)) if last.size else np.sum(last)
    if kind == "cross_entropy" and last.ndim == 2 and last.size:
        return tg.nn.cross_entropy(last, np.arange(len(last)) % last.shape[1])
    if kind == "binary" and last.size:
        return tg.nn.binary_cross_entropy_with_logits(last, np.ones(last.shape, last.dtype))
    if kind == "two" and last.size:
        return np.sum(last * last) * 0.5 + np.max(last)
    return np.sum(last * last)


def built(training, handed_out):
    """The step of a training, its parameters and optimizer."""
    params = [tg.tensor(a, requires_grad=True) for a in training["params"]]
    settings = dict(training["settings"])
    kind = settings.pop("kind")
    groups = [{"params": params[:1]}]
    if params[1:]:
        groups.append({"params": params[1:], "lr": 0.05})
    optimizer = kind(groups if training["grouped"] else params, **settings)

    def step(x, index):
        *_, last = pool = computed(training["instructions"], [*params, x, index])
        loss = loss_of(training["loss"], last) + np.sum(params[0] * params[0]) * 0.1
        some = (
            [last * 1, pool[len(pool) // 2] * 2] if handed_out else []
        )  # before the update writes over what they view
        if training["zeroed"] or training["updated"]:
            optimizer.zero_grad()
        loss.backward()
        if training["clip"] and (training["zeroed"] or training["updated"]):
            training["clip"](params, 0.5)
        if training["updated"]:
            optimizer.step()
        return {"loss": loss, "some": some}

    return step, params, optimizer


def trained(training, *, compiled, handed_out=True, **more):
    """What each call gives, and what is left after all: parameters and the optimizer's state."""
    step, params, optimizer = built(training, handed_out)
    run = tg.compile(step, **more) if compiled else step
    found = []
    for x, index in training["inputs"]:
        for group in optimizer.param_groups:
            group["lr"] *= 0.9
        results = run(x, index)
        if not training["updated"]:
            found += [p.grad.copy() for p in params if p.grad is not None]
        found += [tg.asarray(t).numpy() for t in (results["loss"], *results["some"])]
    return found + [p.numpy() for p in params] + [kept for _, kept in sorted(optimizer.state_dict().items())]


def agree(found, expected):
    """Check that all arrays are the same but for rounding, measured by each one's largest number.

    In float64 there may be what was computed from parameters in float32.
    """
    assert len(found) == len(expected)
    coarsest = max((np.finfo(b.dtype).eps for b in expected if b.dtype.kind == "f" and b.size), default=0.0)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        eps = coarsest if b.dtype.kind == "f" else 0.0
        size = float(np.max(np.abs(b), initial=0))
        np.testing.assert_allclose(a, b, rtol=1e4 * eps, atol=1e3 * eps * max(size, 0.01))


@given(trainings(), THREADS, st.booleans())
def test_a_random_steps_program_does_the_same(training, threads, handed_out):
    with np.errstate(all="ignore"), sharing(threads):
        expected = trained(training, compiled=False, handed_out=handed_out)
        assume(all(np.max(np.abs(a), initial=0) < 1e6 for a in expected))
        agree(trained(training, compiled=True, handed_out=handed_out), expected)
