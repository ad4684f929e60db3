"""Convolution and pooling: the layers, their settings, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.ops import convolution, pooling, scratch
from tinygrad_digits.ops.threads import image_threads
from tinygrad_digits.testing import check_grads
from tinygrad_digits.testing import strategies as draw

SIZES = st.integers(1, 2) | st.tuples(st.integers(1, 2), st.integers(1, 2))


@given(
    data=st.data(),
    kernel_size=SIZES,
    stride=SIZES,
    padding=st.integers(0, 1) | st.sampled_from(["same", "valid", (0, 1)]),
    dilation=SIZES,
    bias=st.booleans(),
)
def test_gradients_of_conv2d(data, kernel_size, stride, padding, dilation, bias):
    x = data.draw(draw.arrays(st.just((1, 3, 4, 2))))
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    layer = nn.Conv2d(2, 1, kernel_size, bias=bias, bias_init=nn.init.normal, dtype=np.float64, rng=0, **settings)
    expected = tg.conv2d(x, layer.weight.numpy(), layer.bias.numpy() if bias else None, **settings)
    np.testing.assert_array_equal(layer(x).numpy(), expected)
    check_grads(layer, x, order=1, invariants=False)  # to second order, test_ops checks what it is made of


@pytest.mark.parametrize(
    ("n", "kernel", "settings", "expected"),
    [
        (4, 3, {"padding": "valid"}, [6, 9]),
        (4, 3, {"padding": "same"}, [3, 6, 9, 7]),
        (4, 2, {"padding": "same"}, [3, 5, 7, 4]),  # an odd pixel comes after
        (4, 3, {"padding": "same", "stride": 2}, [6, 7]),
        (5, 3, {"padding": "same", "stride": 2}, [3, 9, 9]),
        (5, 2, {"padding": "same", "stride": 3}, [3, 9]),
        (4, 1, {"padding": "same", "stride": 2}, [1, 3]),
        (4, 3, {"padding": "same", "dilation": 2}, [4, 6, 4, 6]),
    ],
)
def test_sums_of_neighbours_by_hand(n, kernel, settings, expected):
    x, weight = np.arange(1.0, n + 1).reshape(1, n, 1, 1), np.ones((kernel, 1, 1, 1))
    np.testing.assert_array_equal(tg.conv2d(x, weight, **settings).ravel(), expected)
    across, weight = x.reshape(1, 1, n, 1), weight.reshape(1, kernel, 1, 1)
    np.testing.assert_array_equal(tg.conv2d(across, weight, **settings).ravel(), expected)


@given(x=draw.separated((1, 4, 5, 1)), size=st.integers(1, 3), stride=st.none() | SIZES, padding=st.integers(0, 1))
def test_gradients_of_pools(x, size, stride, padding):
    padding = min(padding, size // 2)
    largest, mean = nn.MaxPool2d(size, stride, padding), nn.AvgPool2d(size, stride)
    np.testing.assert_array_equal(largest(x), tg.max_pool2d(x, size, stride, padding))
    np.testing.assert_array_equal(mean(x), tg.avg_pool2d(x, size, stride))
    check_grads(largest, x, order=1, invariants=False)  # to second order, test_ops checks what they are made of
    check_grads(mean, x, order=1, invariants=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_keep_their_dtype(dtype):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, dtype=dtype, rng=0), nn.MaxPool2d(2), nn.AvgPool2d((1, 2)), nn.Flatten())
    out = net(np.ones((3, 6, 6, 1), dtype))
    np.sum(out).backward()
    assert out.shape == (3, 4)
    assert out.dtype == dtype
    assert [p.grad.dtype for p in net.parameters()] == [dtype, dtype]


def test_layers_make_float32_unless_told_otherwise():
    assert {p.dtype for p in nn.Conv2d(1, 1, 1).parameters()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("given_as", [np.asarray, tg.tensor, np.ndarray.tolist])
def test_layers_take_arrays_tensors_and_lists(given_as):
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    assert isinstance(nn.Conv2d(1, 1, 2)(given_as(x)), tg.Tensor)
    for pool in nn.MaxPool2d(2), nn.AvgPool2d(2):
        out = pool(given_as(x))
        assert isinstance(out, tg.Tensor if given_as is tg.tensor else np.ndarray)
        assert out.shape == (1, 2, 2, 1)


def test_functions_take_tensors_for_any_argument():
    x, weight, bias = np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 1)), np.ones(1)
    for i in range(3):
        arrays = [x.tolist(), weight.tolist(), bias.tolist()]
        arrays[i] = tg.tensor(arrays[i], requires_grad=True)
        out = tg.conv2d(*arrays)
        np.testing.assert_array_equal(out.numpy(), np.full((1, 2, 2, 1), 2.0))
        assert out.requires_grad


def test_no_images_give_no_outputs_and_gradients_of_zero():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.MaxPool2d(2), nn.AvgPool2d(2))
    out = net(np.ones((0, 10, 10, 1), np.float32))
    assert out.shape == (0, 2, 2, 2)
    np.sum(out).backward()
    assert not any(p.grad.any() for p in net.parameters())


def test_whole_numbers_are_convolved_and_pooled_as_such():
    x = np.arange(16).reshape(1, 4, 4, 1)
    assert tg.conv2d(x, np.ones((2, 2, 1, 1), int)).dtype == int
    np.testing.assert_array_equal(
        tg.max_pool2d(-x, 2, padding=1)[0, :, :, 0], [[0, -1, -3], [-4, -5, -7], [-12, -13, -15]]
    )
    assert tg.avg_pool2d(x, 2).dtype == float
    np.testing.assert_array_equal(tg.avg_pool2d(np.full((1, 2, 2, 1), 200, np.uint8), 2), [[[[200]]]])


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.Conv2d(3, 8, 5), "Conv2d(3, 8, 5)  # 608 parameters"),
        (nn.Conv2d(1, 2, (3, 1), stride=2, padding="same"), "Conv2d(1, 2, (3, 1), stride=2, padding='same')  # 8"),
        (
            nn.Conv2d(1, 1, 1, padding=(1, 0), dilation=2, bias=False),
            "Conv2d(1, 1, 1, padding=(1, 0), dilation=2, bias=F",
        ),
        (nn.MaxPool2d(2), "MaxPool2d(2)"),
        (nn.MaxPool2d(3, 2, 1), "MaxPool2d(3, stride=2, padding=1)"),
        (nn.MaxPool2d((2, 1), (2, 1)), "MaxPool2d((2, 1))"),
        (nn.AvgPool2d(2, stride=(1, 2)), "AvgPool2d(2, stride=(1, 2))"),
    ],
)
def test_repr_shows_what_is_not_usual(layer, says):
    assert repr(layer).startswith(says)
    assert says.startswith(repr(layer)[: len(says)])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nn.Conv2d(0, 1, 3), ValueError, r"Conv2d\(0, 1, 3\): .* at least 1 channel"),
        (lambda: nn.Conv2d(1, 0, 3), ValueError, r"Conv2d\(1, 0, 3\): .* at least 1 channel"),
        (lambda: nn.Conv2d(1.0, 1, 3), TypeError, r"Conv2d\(1.0, 1, 3\): 'float' object"),
        (lambda: nn.Conv2d(1, 1, 0), ValueError, r"Conv2d\(1, 1, 0\): kernel_size=0: it must be at least 1"),
        (lambda: nn.Conv2d(1, 1, (3, 2, 1)), TypeError, r"kernel_size=\(3, 2, 1\): give a whole number, or two"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, r"Conv2d\(1, 1, 3\): stride=0: it must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, stride=1.5), TypeError, r"stride=1.5: give a whole number"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, r"padding=-1: it must be at least 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), TypeError, r"padding='full': give a whole number"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=(1, 0)), ValueError, r"dilation=\(1, 0\): it must be at least 1"),
        (lambda: nn.MaxPool2d(0), ValueError, r"MaxPool2d\(0\): size=0: it must be at least 1"),
        (lambda: nn.MaxPool2d(2, 0), ValueError, r"MaxPool2d\(2\): stride=0: it must be at least 1"),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError, r"padding=\(2, 2\) .* size \(3, 3\): it may be half of it"),
        (
            lambda: nn.MaxPool2d(4, padding=1)(np.ones((1, 1, 1, 1))),
            ValueError,
            r"MaxPool2d\(4, padding=1\): windows of 4×4 pixels on images of shape \(1, 1, 1, 1\)",
        ),
        (lambda: nn.AvgPool2d("2"), TypeError, r"AvgPool2d\(2\): size='2': give a whole number"),
        (
            lambda: nn.Conv2d(1, 2, 3)(np.ones((4, 9, 9, 3))),
            ValueError,
            r"Conv2d\(1, 2, 3\): images of shape \(4, 9, 9, 3\) and a weight of shape \(3, 3, 1, 2\)",
        ),
        (lambda: nn.Conv2d(1, 2, 3)(np.ones((4, 9, 9))), ValueError, r"Conv2d\(1, 2, 3\): images of shape \(4, 9, 9\)"),
        (lambda: nn.Conv2d(1, 2, 3)(1.0), ValueError, r"images of shape \(\) and a weight"),
        (
            lambda: nn.Conv2d(1, 2, (1, 5), dilation=2)(np.ones((4, 7, 8, 1))),
            ValueError,
            r"weight of shape \(1, 5, 1, 2\) reaches over 1×9 pixels, .* shape \(4, 7, 8, 1\)",
        ),
        (lambda: nn.Conv2d(1, 2, (5, 1), padding=1)(np.ones((4, 2, 4, 1))), ValueError, r"shape \(4, 4, 6, 1\): give"),
        (
            lambda: nn.MaxPool2d(2)(np.ones((4, 9, 1, 3))),
            ValueError,
            r"MaxPool2d\(2\): windows of 2×2 .* \(4, 9, 1, 3\)",
        ),
        (
            lambda: nn.MaxPool2d(2)(np.ones((4, 9, 9))),
            ValueError,
            r"MaxPool2d\(2\): windows of 2×2 .* shape \(4, 9, 9\)",
        ),
        (lambda: nn.AvgPool2d(2)(1.0), ValueError, r"AvgPool2d\(2\): windows of 2×2 pixels on images of shape \(\)"),
        (
            lambda: tg.conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 2)), np.ones(3)),
            ValueError,
            r"bias of shape \(3,\) for a weight of shape \(3, 3, 1, 2\): give it \(2,\)",
        ),
        (
            lambda: tg.conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 0))),
            ValueError,
            r"weight of shape \(3, 3, 1, 0\)",
        ),
        (lambda: tg.conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3))), ValueError, r"a weight of shape \(3, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_the_second_derivative_at_a_tie():
    f = lambda x: np.sum(tg.max_pool2d(x, 2) ** 2)
    x, v = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [7.0, 0.0]])
    shape = (1, 2, 2, 1)
    np.testing.assert_array_equal(tg.grad(f)(x.reshape(shape))[0, :, :, 0], [[1, 1], [0, 0]])
    np.testing.assert_array_equal(tg.hvp(f)(x.reshape(shape), v.reshape(shape))[0, :, :, 0], [[0.5, 0.5], [0, 0]])


def test_glorot_counts_the_pixels_of_a_kernel():
    drawn = nn.init.glorot_uniform((5, 3, 20, 40), np.random.default_rng(0))
    bound = np.sqrt(6 / (15 * 20 + 15 * 40))
    assert 0.99 * bound < np.abs(drawn).max() <= bound


@pytest.mark.parametrize("shape", [(5, 4, 3, 2, 2, 1), (1, 1, 1, 1, 1, 1), (2, 7, 2, 1, 3, 2)])
def test_blocks_hold_every_window_once_and_as_many_as_fit(shape):
    line, image = np.prod(shape[2:]), np.prod(shape[1:])
    for size in range(1, np.prod(shape) + 2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution, "BLOCK", size)
            found = list(convolution.blocks(shape))
        count = np.zeros(shape, int)
        for block in found:
            count[block] += 1
        assert np.all(count == 1)
        most = np.size(count[found[0]])
        assert most <= size or most == line
        least = size if size < image else (min(size, count.size) - image) / 2  # for there to be an even number
        assert most + (image if size >= image else line) > least


def test_long_lines_of_windows_are_laid_out_as_they_lie_and_short_ones_transposed():
    for width, channels, transposed in (5, 1, True), (3, 2, False), (2, 3, False), (1, 5, True):
        seen = convolution.windows(np.arange(120.0).reshape(2, 2, 6, 5)[..., :channels], (2, width), (1, 1), (1, 1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution, "SHORT", 6)
            matrix = convolution.laid_out(seen)
        np.testing.assert_array_equal(matrix, seen.reshape(2 * (7 - width), 2 * width * channels))
        assert matrix.flags.f_contiguous == transposed


def test_a_window_may_be_as_large_as_an_image_with_its_padding():
    np.testing.assert_array_equal(nn.MaxPool2d(3, padding=1)(np.full((1, 1, 1, 1), 7.0)), np.full((1, 1, 1, 1), 7))
    np.testing.assert_array_equal(nn.AvgPool2d([1, np.int64(2)])(np.ones((1, 1, 2, 1))), np.ones((1, 1, 1, 1)))


def test_threads_that_share_the_images_change_nothing(monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", 300)
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(7, 9, 8, 2)), rng.normal(size=(3, 2, 2, 4)), rng.normal(size=4)

    def gradients():
        return tg.grad(lambda *xs: np.sum(np.sin(tg.conv2d(*xs, padding=1))), argnums=(0, 1, 2))(x, weight, bias)

    alone = gradients()
    with image_threads(3):
        together = gradients()
    assert all(map(np.array_equal, alone, together))


def test_threads_see_what_numpy_is_told_and_pass_on_errors(monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", 10)
    x = np.full((4, 5, 5, 1), 1e300)
    with image_threads(2):
        with np.errstate(over="ignore", invalid="ignore"):
            assert np.all(tg.conv2d(x, np.full((2, 2, 1, 1), 1e300)) == np.inf)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            tg.conv2d(x, np.full((2, 2, 1, 1), 1e300))


def test_many_images_are_cut_in_half_until_they_fit(monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", 30)
    assert pooling.shares(np.empty((0, 2, 5, 1))) == []
    assert pooling.shares(np.empty((3, 2, 5, 1))) == [slice(0, 3)]
    assert pooling.shares(np.empty((4, 2, 5, 1))) == [slice(0, 2), slice(2, 4)]
    assert pooling.shares(np.empty((7, 2, 5, 1))) == [slice(0, 2), slice(2, 4), slice(4, 7)]


def test_the_sum_over_a_batch_is_that_of_its_halves_to_the_last_bit(monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", 60)
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(24, 5, 5, 1)).astype("f"), rng.normal(size=(24, 4, 4, 3)).astype("f")

    def total(part):
        return convolution.to_weight(x[part], g[part], kernel=(2, 2), stride=(1, 1), dilation=(1, 1))

    np.testing.assert_array_equal(total(slice(24)), total(slice(12)) + total(slice(12, 24)))


@pytest.mark.parametrize("part", [1, 4, 99])
@pytest.mark.parametrize(
    ("lines", "kernel", "stride", "dilation"),
    [
        (9, 3, 1, 1),
        (12, 3, 2, 1),
        (12, 3, 1, 2),
        (33, 3, 2, 2),
        (45, 4, 6, 4),
        (9, 2, 4, 3),
        (14, 2, 5, 1),
        (20, 3, 1, 3),
    ],
)
def test_lines_of_a_kernel_meet_an_images_lines_side_by_side(lines, kernel, stride, dilation, part):
    places = (lines - dilation * (kernel - 1) - 1) // stride + 1
    kernel_order = convolution.kernel_order(kernel, stride, dilation)
    assert sorted(kernel_order) == list(range(kernel))
    seen = set()
    for start in range(0, lines, part):
        stop = min(start + part, lines)
        some, apart, found = convolution.meeting(start, stop, places, kernel, stride, dilation, 1)
        assert convolution.meeting(start, stop, places, kernel, stride, dilation, 3) == (
            *(some, apart),
            [tuple(slice(3 * part.start, 3 * part.stop) for part in parts) for parts in found],
        )
        needed = range(places)[some]
        order = [p for first in range(apart) for p in needed[first::apart]]
        for line, (of_places, of_kernel) in zip(range(start, stop), found, strict=True):
            seen |= {(line, p, k) for p, k in zip(order[of_places], kernel_order[of_kernel], strict=True)}
        assert len(needed) <= 1 + (stop - start + dilation * (kernel - 1) - 1) // stride  # and no others
    assert seen == {(p * stride + k * dilation, p, k) for p in range(places) for k in range(kernel)}


def test_large_images_are_laid_out_some_lines_at_a_time(monkeypatch):
    """And each line of places for the lines of the image that it meets only."""
    monkeypatch.setattr(convolution, "BLOCK", 2**14)
    kept = scratch._memory.blocks
    kept.clear()
    scratch._memory.views.clear()
    g, weight = np.ones((1, 200, 40, 8), np.float32), np.ones((3, 3, 8, 8), np.float32)
    back = convolution.to_images(g, weight, shape=(1, 202, 42, 8), stride=(1, 1), dilation=(1, 1))
    assert back.sum() == g.size * weight[..., 0].size
    assert max(array.nbytes for array in kept.values()) <= 4 * 2**14
