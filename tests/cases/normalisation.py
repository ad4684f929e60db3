"""Operations of normalisation layers."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.ops import normalisation
from tinygrad_digits.testing import strategies as draw


def by_hand(x, axis, eps):
    axes = tuple(range(x.ndim - 1)) if axis == 0 else -1
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axes, keepdims=True) + eps)


@st.composite
def rows_of_features(draw_from):
    keywords = {"axis": draw_from(st.sampled_from([0, 1])), "eps": draw_from(st.sampled_from([0.1, 1.0]))}
    x = draw_from(draw.arrays(draw.shapes(min_dims=2, max_dims=3, min_side=1)))
    return partial(normalisation.standardised, **keywords), (x,), partial(by_hand, **keywords)


@st.composite
def scales_and_shifts(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=2, max_dims=3)))
    scale, shift = (draw_from(draw.numbers(x.shape[-1:])) for _ in range(2))
    return normalisation.affine, (x, scale, shift), lambda x, scale, shift: x * scale + shift


cases = {normalisation.standardised: rows_of_features(), normalisation.affine: scales_and_shifts()}
