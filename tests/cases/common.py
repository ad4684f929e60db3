"""What the families share."""

from functools import partial

from hypothesis import strategies as st

from tinygrad_digits.testing import strategies as draw

NON_EMPTY = draw.shapes(min_side=1)
ALL = (-2, 2)
AWAY = {"away_from": (0.0,)}
POSITIVE = (0.3, 3)


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
