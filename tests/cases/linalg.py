"""Products of matrices."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.testing import strategies as draw


@st.composite
def products(draw_from):
    found = draw_from(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=1, min_side=0, max_side=3)
    )
    return np.matmul, draw_from(st.tuples(*map(draw.numbers, found.input_shapes))), None


cases = {
    np.matmul: products(),
}
