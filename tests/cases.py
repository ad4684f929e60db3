"""For every operation in the table of rules: how to draw arguments at which it is smooth, and how to call it.

A case is a strategy that draws ``(function, arrays, reference)``. The function calls the operation with its keywords,
and is to be differentiated by all the arrays; the reference computes the same from NumPy arrays by other means, or is
None if the operation is NumPy's own and can be called with arrays itself.
"""

import operator
from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits.ops import indexing, neural, shapes
from tinygrad_digits.testing import strategies as draw

NON_EMPTY = draw.shapes(min_side=1)


def elementwise(op, *ranges, **kwargs):
    return draw.broadcastable(*ranges, **kwargs).map(lambda xs: (op, xs, None))


def on(arrays, keywords, op, reference=None):
    """A function of one array, with keywords that depend on the array drawn."""

    def bind(x):
        return keywords(x).map(
            lambda kw: (partial(op, **kw), (x,), None if reference is None else partial(reference, **kw))
        )

    return arrays.flatmap(bind)


def axis_and_keepdims(x):
    return st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim), "keepdims": st.booleans()})


def fixed(**keywords):
    return lambda x: st.fixed_dictionaries({k: st.just(v) for k, v in keywords.items()})


def spread_out(x):
    """Keywords for std and var, with more elements than ``ddof``."""
    return st.fixed_dictionaries({"ddof": st.sampled_from([0, 0.5])}, optional={"keepdims": st.booleans()})


@st.composite
def comparable(draw_from, op):
    """Two arrays without ties."""
    x, y = draw_from(draw.broadcastable((-10, 10), (-10, 10)))
    return op, (np.round(x) / 5, np.round(y) / 5 + 0.1), None


@st.composite
def divisions(draw_from, op):
    """Two arrays no element of which goes into the other without rest."""
    x, y = draw_from(draw.broadcastable((-10, 10), (1, 5)))
    sign = draw_from(st.sampled_from([1, -1]))
    return op, (np.round(x) / 5 + 0.1, sign * np.round(y) / 5), None


@st.composite
def powers(draw_from):
    """Positive bases with any exponent, or any base but 0 with a whole number for exponent."""
    kind = draw_from(st.sampled_from(["any", "special", "constant"]))
    if kind == "any":
        return draw_from(elementwise(np.power, (0.3, 2), (-2, 3)))
    if kind == "special":
        x, y = draw_from(draw.broadcastable((0.3, 2), (-2, 3)))
        return np.power, (x, np.round(y)), None
    exponent = draw_from(st.sampled_from([0, 1, 2, 3, -1, -2, 2.0]))
    x = draw_from(st.sampled_from([1, -1])) * draw_from(draw.arrays(low=0.3, high=2))
    return (lambda x: x**exponent), (x,), None


@st.composite
def clips(draw_from):
    x = draw_from(draw.arrays(away_from=(-1.0, 0.5)))
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.clip(x, -1, 0.5),
                lambda x: np.clip(x, a_min=-1, a_max=None),
                lambda x: np.clip(x, None, 0.5),
                lambda x: np.clip(x, min=-1),
                lambda x: np.clip(x, max=0.5),
                lambda x: np.clip(x, min=-1, max=0.5),
                lambda x: x.clip(-1, 0.5),
                lambda x: x.clip(max=0.5),
            ]
        )
    )
    return call, (x,), None


@st.composite
def selections(draw_from):
    c, x, y = draw_from(draw.broadcast_shapes(3))
    condition = draw_from(hnp.arrays(bool, c))
    return (lambda x, y: np.where(condition, x, y)), draw_from(st.tuples(draw.numbers(x), draw.numbers(y))), None


@st.composite
def products(draw_from):
    found = draw_from(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=1, min_side=0, max_side=3)
    )
    return np.matmul, draw_from(st.tuples(*map(draw.numbers, found.input_shapes))), None


@st.composite
def reshapes(draw_from):
    x = draw_from(draw.arrays())
    order = draw_from(st.permutations(x.shape))
    shape = draw_from(
        st.sampled_from([tuple(order), (-1,), (1, x.size), x.size, [x.size, 1]] if x.size else [(0, 2), 0])
    )
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.reshape(x, shape),
                lambda x: np.reshape(x, shape=shape, order="C"),
                lambda x: x.reshape(shape),
            ]
        )
    )
    return call, (x,), None


@st.composite
def transposes(draw_from):
    x = draw_from(draw.arrays())
    order = tuple(i - x.ndim * draw_from(st.booleans()) for i in draw_from(st.permutations(range(x.ndim))))
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.transpose(x),
                lambda x: np.transpose(x, order),
                lambda x: np.transpose(x, axes=list(order)),
                lambda x: x.transpose(*order),
                lambda x: x.T,
            ]
        )
    )
    return call, (x,), None


def pair_of_axes(x):
    one = st.integers(-x.ndim, x.ndim - 1)
    return st.fixed_dictionaries({"axis1": one, "axis2": one})


@st.composite
def moves(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1)))
    count = draw_from(st.integers(1, x.ndim))
    source = draw_from(st.permutations(range(x.ndim)))[:count]
    destination = [i - x.ndim for i in draw_from(st.permutations(range(x.ndim)))[:count]]
    return (lambda x: np.moveaxis(x, source, destination)), (x,), None


@st.composite
def squeezes(draw_from):
    x = draw_from(draw.arrays(st.sampled_from([(), (1,), (1, 2, 1), (3, 1), (0, 1)])))
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    axis = draw_from(st.sampled_from([None, tuple(ones), *ones, *[i - x.ndim for i in ones]]))
    return partial(np.squeeze, axis=axis), (x,), None


@st.composite
def expansions(draw_from):
    x = draw_from(draw.arrays(draw.shapes(max_dims=2)))
    axis = draw_from(st.integers(-x.ndim - 1, x.ndim) | st.just((0, -1)) | st.just(()))
    return (lambda x: np.expand_dims(x, axis)), (x,), None


@st.composite
def broadcasts(draw_from):
    found = draw_from(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
    x = draw_from(draw.numbers(found.input_shapes[0]))
    return (lambda x: np.broadcast_to(x, found.result_shape)), (x,), None


@st.composite
def concatenations(draw_from, join, primitive):
    shape = draw_from(draw.shapes(min_dims=1, max_dims=2))
    count = draw_from(st.integers(1, 3))
    joins_along = primitive is shapes.concatenated
    axis = draw_from(st.integers(-len(shape), len(shape) - joins_along) | st.just(None) if joins_along
                     else st.integers(-len(shape) - 1, len(shape)))  # fmt: skip
    if joins_along and axis is None:
        parts = [draw_from(draw.arrays(draw.shapes(max_dims=2))) for _ in range(count)]
    else:
        sides = [[*shape] for _ in range(count)]
        if joins_along:
            for side in sides:
                side[axis] = draw_from(st.integers(0, 3))
        parts = [draw_from(draw.numbers(tuple(side))) for side in sides]
    if draw_from(st.booleans()):
        return (lambda *xs: join(xs, axis)), tuple(parts), None
    return (lambda *xs: primitive(*xs, axis=axis)), tuple(parts), lambda *xs: join(xs, axis)


@st.composite
def subscripts(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_side=0)))
    index = draw_from(draw.indices(x.shape))
    return (lambda x: x[index]), (x,), None


@st.composite
def scatters(draw_from):
    shape = draw_from(draw.shapes(min_dims=1))
    index = draw_from(draw.indices(shape))
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(np.array(i, np.intp) if isinstance(i, list | tuple) else i for i in index)
    g = draw_from(draw.numbers(np.zeros(shape)[index].shape))

    def one_by_one(g):
        x = np.zeros(shape, g.dtype)
        targets = np.arange(x.size).reshape(shape)[index]
        for target, number in zip(np.ravel(targets), np.ravel(g), strict=True):
            x.flat[target] += number
        return x

    return partial(indexing.scatter, index=index, shape=shape), (g,), one_by_one


@st.composite
def dense_layers(draw_from):
    batch = draw_from(draw.shapes(max_dims=2, max_side=2))
    m, n = draw_from(st.tuples(st.integers(0, 3), st.integers(1, 3)))
    xs = draw_from(st.tuples(draw.numbers((*batch, m)), draw.numbers((m, n)), draw.numbers((n,))))
    return neural.linear, xs, lambda x, w, b: np.einsum("...m,mn->...n", x, w) + b


def exponential_sum(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def normalised(x, axis=-1):
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def softmax_axes(x):
    return st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim)})


@st.composite
def squared_errors(draw_from):
    scale = draw_from(st.sampled_from([1.0, 0.25]))
    xs = draw_from(draw.broadcastable((-2, 2), (-2, 2)))
    return partial(neural.squared_error, scale=scale), xs, lambda x, y: scale * np.sum((x - y) ** 2)


@st.composite
def classifications(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=2, max_dims=2, min_side=1, max_side=4)))
    labels = draw_from(hnp.arrays(np.int64, x.shape[:1], elements=st.integers(0, x.shape[1] - 1)))
    picked = np.arange(len(labels)), labels
    return (
        partial(neural.softmax_cross_entropy, labels=labels),
        (x,),
        lambda x: -np.mean(np.log(normalised(x)[picked])),
    )


@st.composite
def yes_or_no(draw_from):
    a, b = draw_from(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=1, max_side=3).map(
            lambda f: f.input_shapes
        )
    )
    xs = draw_from(st.tuples(draw.numbers(a, away_from=(0.0,)), draw.numbers(b, 0, 1)))

    def reference(x, y):
        p = 1 / (1 + np.exp(-x))
        return np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p))

    return neural.sigmoid_cross_entropy, xs, reference


ALL = (-2, 2)
AWAY = {"away_from": (0.0,)}
POSITIVE = (0.3, 3)

cases = {
    # arithmetic
    np.add: elementwise(np.add, ALL, ALL),
    np.subtract: elementwise(np.subtract, ALL, ALL),
    np.multiply: elementwise(np.multiply, ALL, ALL),
    np.divide: elementwise(np.divide, ALL, (0.3, 3)) | elementwise(np.divide, ALL, (-3, -0.3)),
    np.negative: elementwise(np.negative, ALL),
    np.positive: elementwise(np.positive, ALL),
    np.reciprocal: elementwise(np.reciprocal, POSITIVE) | elementwise(np.reciprocal, (-3, -0.3)),
    np.square: elementwise(np.square, ALL),
    np.sqrt: elementwise(np.sqrt, POSITIVE),
    np.power: powers(),
    # exponentials and logarithms
    np.exp: elementwise(np.exp, ALL),
    np.expm1: elementwise(np.expm1, ALL),
    np.exp2: elementwise(np.exp2, ALL),
    np.log: elementwise(np.log, POSITIVE),
    np.log1p: elementwise(np.log1p, (-0.7, 3)),
    np.log2: elementwise(np.log2, POSITIVE),
    np.log10: elementwise(np.log10, POSITIVE),
    np.logaddexp: elementwise(np.logaddexp, ALL, ALL),
    # circles and hyperbolas
    np.sin: elementwise(np.sin, (-5, 5)),
    np.cos: elementwise(np.cos, (-5, 5)),
    np.tan: elementwise(np.tan, (-1.2, 1.2)),
    np.arctan: elementwise(np.arctan, ALL),
    np.sinh: elementwise(np.sinh, ALL),
    np.cosh: elementwise(np.cosh, ALL),
    np.tanh: elementwise(np.tanh, ALL),
    # kinks, ties and selections
    np.absolute: elementwise(np.absolute, ALL, **AWAY),
    np.maximum: comparable(np.maximum),
    np.minimum: comparable(np.minimum),
    np.clip: clips(),
    np.where: selections(),
    # copies
    np.copy: elementwise(np.copy, ALL) | elementwise(lambda x: x.copy(), ALL),
    np.astype: elementwise(lambda x: np.astype(x, x.dtype), ALL) | elementwise(lambda x: x.astype(x.dtype), ALL),
    # steps
    np.sign: elementwise(np.sign, ALL, **AWAY),
    np.floor: elementwise(np.floor, (0.1, 0.9)),
    np.ceil: elementwise(np.ceil, (0.1, 0.9)),
    np.trunc: elementwise(np.trunc, (-0.9, 0.9)),
    np.rint: elementwise(np.rint, (-0.4, 0.4)),
    np.round: on(draw.arrays(low=-0.04, high=0.04), fixed(decimals=1), np.round),
    np.floor_divide: divisions(np.floor_divide),
    np.remainder: divisions(np.remainder),
    # reductions
    np.sum: on(draw.arrays(), axis_and_keepdims, np.sum),
    np.mean: on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.mean),
    np.var: on(draw.arrays(NON_EMPTY), spread_out, np.var) | on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.var),
    np.std: on(NON_EMPTY.filter(lambda s: np.prod(s) > 1).flatmap(draw.separated), spread_out, np.std)
    | on(draw.shapes(min_dims=2, min_side=2).flatmap(draw.separated), fixed(axis=(0, -1), keepdims=True), np.std),
    np.max: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.max),
    np.min: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.min),
    # shapes
    np.reshape: reshapes(),
    np.ravel: elementwise(np.ravel, ALL) | elementwise(lambda x: x.ravel(), ALL),
    np.squeeze: squeezes(),
    np.expand_dims: expansions(),
    np.transpose: transposes(),
    np.swapaxes: on(draw.arrays(draw.shapes(min_dims=1)), pair_of_axes, np.swapaxes),
    np.moveaxis: moves(),
    np.flip: on(draw.arrays(), lambda x: st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim)}), np.flip),
    np.broadcast_to: broadcasts(),
    shapes.concatenated: concatenations(np.concatenate, shapes.concatenated),
    shapes.stacked: concatenations(np.stack, shapes.stacked),
    # indexing
    operator.getitem: subscripts(),
    indexing.scatter: scatters(),
    # linear algebra
    np.matmul: products(),
    # neural networks
    neural.linear: dense_layers(),
    tg.sigmoid: draw.arrays().map(lambda x: (tg.sigmoid, (x,), lambda x: 1 / (1 + np.exp(-x)))),
    tg.relu: draw.arrays(**AWAY).map(lambda x: (tg.relu, (x,), lambda x: np.where(x > 0, x, 0))),
    tg.logsumexp: on(draw.arrays(NON_EMPTY), axis_and_keepdims, tg.logsumexp, exponential_sum),
    tg.softmax: on(draw.arrays(draw.shapes(min_dims=1)), softmax_axes, tg.softmax, normalised),
    tg.log_softmax: on(
        draw.arrays(draw.shapes(min_dims=1)),
        softmax_axes,
        tg.log_softmax,
        lambda x, axis=-1: np.log(normalised(x, axis)),
    ),
    neural.squared_error: squared_errors(),
    neural.softmax_cross_entropy: classifications(),
    neural.sigmoid_cross_entropy: yes_or_no(),
}
