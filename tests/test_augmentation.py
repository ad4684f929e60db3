"""Moved and distorted images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.digits import Distortion, Shift, as_floats, load_mnist
from tinygrad_digits.digits.augmentation import _sampled
from tinygrad_digits.tensor import _fixed_memory

SEEDS = st.integers(0, 2**32 - 1)


def dot(row, column, size=9):
    """An image with one pixel of ink, as a mini-batch of one."""
    image = np.zeros((1, size, size, 1), np.float32)
    image[0, row, column] = 1
    return image


def centre(images):
    """Where the ink of each image is in the mean, counted from the middle: (N, 2)."""
    y, x = np.mgrid[: images.shape[1], : images.shape[2]] - (np.array(images.shape[1:3])[:, None, None] - 1) / 2
    ink = images[..., 0] / images[..., 0].sum(axis=(1, 2), keepdims=True)
    return np.stack([(ink * y).sum(axis=(1, 2)), (ink * x).sum(axis=(1, 2))], axis=1)


# --------------------------------------------------------------------------------------------------------------- Shift


@given(pixels=st.integers(0, 3), seed=SEEDS, shape=hnp.array_shapes(min_dims=3, max_dims=4, max_side=5))
def test_a_shift_moves_all_images_alike_and_leaves_zeros(pixels, seed, shape):
    images = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    moved = Shift(pixels)(images, np.random.default_rng(seed))
    rows, columns = np.random.default_rng(seed).integers(-pixels, pixels + 1, 2)
    expected = np.zeros_like(images)
    for i, j in np.ndindex(shape[1:3]):
        if 0 <= i - rows < shape[1] and 0 <= j - columns < shape[2]:
            expected[:, i, j] = images[:, i - rows, j - columns]
    np.testing.assert_array_equal(moved, expected)
    assert _fixed_memory(moved)


def test_a_shift_goes_everywhere_within_reach():
    rng = np.random.default_rng(0)
    seen = {tuple(np.argwhere(Shift(1)(dot(1, 1, 3), rng)[0, ..., 0])[0]) for _ in range(200)}
    assert seen == {(i, j) for i in range(3) for j in range(3)}


@pytest.mark.parametrize("pixels", [-1, 0.5, "1"])
def test_a_shift_is_of_whole_pixels(pixels):
    with pytest.raises(ValueError, match="whole pixels"):
        Shift(pixels)


# ---------------------------------------------------------------------------------------------------------- Distortion


@given(seed=SEEDS, count=st.integers(0, 3), sides=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_no_distortion_changes_nothing(seed, count, sides):
    rng = np.random.default_rng(seed)
    images = rng.random((count, *sides, 1), dtype=np.float32)
    np.testing.assert_allclose(Distortion()(images, rng), images, atol=1e-6)


@given(seed=SEEDS, sides=st.tuples(st.integers(1, 5), st.integers(1, 5)), points=st.lists(st.floats(-4, 4), min_size=2))
def test_sampling_interpolates_between_pixels_and_finds_zero_beyond_the_edge(seed, sides, points):
    image = np.random.default_rng(seed).random((1, *sides, 1), dtype=np.float32)
    ys, xs = np.resize(points, sides[0] * sides[1]), np.resize(points[::-1], sides[0] * sides[1])
    found = _sampled(image, np.float32(ys)[None], np.float32(xs)[None])
    pixel = lambda i, j: image[0, i, j, 0] if 0 <= i < sides[0] and 0 <= j < sides[1] else 0.0
    for value, y, x in zip(found.ravel(), np.float32(ys), np.float32(xs), strict=True):
        y, x = y + (sides[0] - 1) / 2, x + (sides[1] - 1) / 2
        near = [(int(np.floor(y)) + i, int(np.floor(x)) + j) for i in (0, 1) for j in (0, 1)]
        expected = sum(pixel(i, j) * (1 - abs(y - i)) * (1 - abs(x - j)) for i, j in near)
        assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "most"),
    [("shift", 2.0), ("rotation", 30.0), ("scale", 0.3), ("shear", 0.4)],
)
def test_each_kind_moves_a_dot_as_far_as_it_says(kind, most):
    """A dot three pixels right of the middle: where it comes to lie, in many draws."""
    images = np.repeat(dot(10, 13, 21), 4000, axis=0)
    y, x = centre(Distortion(**{kind: most})(images, np.random.default_rng(0))).T
    angle = np.radians(most)
    reach = {  # lowest and highest y, and x; a dot is where the inverse of the matrix takes it
        "shift": ((-2, 2), (1, 5)),
        "rotation": ((-3 * np.sin(angle), 3 * np.sin(angle)), (3 * np.cos(angle), 3)),
        "scale": ((0, 0), (3 / 1.3, 3 / 0.7)),
        "shear": ((0, 0), (3, 3)),
    }[kind]
    for values, (low, high) in zip((y, x), reach, strict=True):
        assert values.min() == pytest.approx(low, abs=0.25)
        assert values.max() == pytest.approx(high, abs=0.25)


def test_shear_slants_rows_and_keeps_them():
    images = np.repeat(dot(5, 10, 21), 4000, axis=0)  # five rows above the middle
    y, x = centre(Distortion(shear=0.4)(images, np.random.default_rng(0))).T
    np.testing.assert_allclose(y, -5, atol=1e-5)
    assert (x.min(), x.max()) == pytest.approx((-2, 2), abs=0.1)


@given(elastic=st.floats(0.5, 3), smoothness=st.floats(2, 6))
def test_elastic_displacements_have_the_size_and_smoothness_that_are_asked_for(elastic, smoothness):
    field = Distortion(elastic=elastic, smoothness=smoothness)._elastic(2000, 20, 24, np.random.default_rng(0))
    field = field.reshape(2000, 2, 20, 24)
    np.testing.assert_allclose(np.sqrt(np.mean(field**2, axis=0)), elastic, rtol=0.1)
    related = np.mean(field[..., 5:15, :, None] * field[..., 5:15, None, :], axis=(0, 1, 2)) / elastic**2
    columns = np.arange(24)
    expected = np.exp(-(((columns[:, None] - columns) / smoothness) ** 2) / 4)  # of bumps side by side without gaps
    np.testing.assert_allclose(related, expected, atol=0.12)


def test_images_of_a_mini_batch_are_distorted_each_in_its_own_way_and_by_the_seed():
    images = as_floats(load_mnist().train.images[:1]).repeat(3, axis=0)
    distortion = Distortion(shift=2, rotation=15, scale=0.1, shear=0.1, elastic=1)
    first, again = (distortion(images, np.random.default_rng(seed)) for seed in (0, 0))
    np.testing.assert_array_equal(first, again)
    assert np.any(first[0] != first[1])
    assert np.any(first != distortion(images, np.random.default_rng(1)))
    assert first.dtype == np.float32
    assert _fixed_memory(first)
    assert 0 <= first.min() <= first.max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [{"shift": -1}, {"rotation": "10"}, {"elastic": np.inf}, {"smoothness": 0}, {"scale": 1.0}, {"shear": True}],
)
def test_a_distortion_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="|".join(wrong)):
        Distortion(**wrong)
