"""Batches cut into a piece for each thread: what is computed is the same, and what cannot be cut is not."""

import re
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from test_program_random import agree, sharing

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.ops import convolution, scratch
from tinygrad_digits.ops.threads import image_threads

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 7, 6, 2))
LABELS = RNG.integers(0, 3, 40)


def across_images(x):
    """Something that mixes numbers of several images, by their places in memory."""
    rows = np.reshape(x, (x.shape[1], -1))
    return x + np.reshape(rows * np.sum(rows, axis=0), x.shape)


LAYERS = {
    "convolution": lambda rng: nn.Conv2d(2, 2, 3, padding=1, rng=rng),
    "kernel of 1": lambda rng: nn.Conv2d(2, 2, 1, rng=rng),
    "far apart": lambda rng: nn.Conv2d(2, 2, 2, stride=2, dilation=2, padding=2, rng=rng),
    "largest": lambda rng: nn.MaxPool2d(2),
    "largest, overlapping": lambda rng: nn.MaxPool2d(3, 1, 1),
    "mean": lambda rng: nn.AvgPool2d(2, 1),
    "relu": lambda rng: nn.ReLU(),
    "tanh": lambda rng: nn.Tanh(),
    "dropout": lambda rng: nn.Dropout(0.3, rng=rng),
    "batch norm": lambda rng: nn.BatchNorm2d(2),
    "layer norm": lambda rng: nn.LayerNorm(2),
    "mean over images": lambda rng: nn.Lambda(lambda x: x - np.mean(x, axis=0)),
    "of the largest image": lambda rng: nn.Lambda(lambda x: x / (1 + np.max(np.abs(x)))),
    "channels first": lambda rng: nn.Lambda(lambda x: np.moveaxis(np.transpose(x, (3, 0, 1, 2)) * 2, 0, -1)),
    "as rows": lambda rng: nn.Lambda(lambda x: np.reshape(np.reshape(x, (-1, x.shape[-1])) * 2, x.shape)),
    "mirrored": lambda rng: nn.Lambda(lambda x: x + np.flip(x, 1)),
    "upside down": lambda rng: nn.Lambda(lambda x: x + np.flip(x, 0)),
    "next image": lambda rng: nn.Lambda(lambda x: x + np.roll(x, 1, 0)),
    "first image": lambda rng: nn.Lambda(lambda x: x - x[:1]),
    "an image before": lambda rng: nn.Lambda(lambda x: x + np.pad(x, ((1, 0), (0, 0), (0, 0), (0, 0)))[:-1]),
    "lines of all images": lambda rng: nn.Lambda(across_images),
    "sum of channels": lambda rng: nn.Lambda(lambda x: x + np.sum(np.transpose(x, (3, 0, 1, 2)), axis=0)[..., None]),
    "own weights": lambda rng: nn.Lambda(lambda x: x * tg.tensor(np.linspace(1, 2, len(x))[:, None, None, None])),
    "where positive": lambda rng: nn.Lambda(lambda x: np.where(x > 0, x, 0.5 * x)),
    "clipped": lambda rng: nn.Lambda(lambda x: np.clip(x, -1, 1)),
    "weighted images": lambda rng: nn.Lambda(lambda x: x * np.linspace(1, 2, len(x))[:, None, None, None]),
}


@st.composite
def nets(draw):
    """A net's layers, by name."""
    return draw(st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=5))


class Net:
    """A net in training, on float64 for rounding to be small."""

    def __init__(self, names, form, *, gathered=True, hands_out=False, classes=3):
        rng = np.random.default_rng(3)
        body = nn.Sequential(*[LAYERS[name](rng) for name in names], nn.Flatten())
        with tg.no_grad():
            width = body.eval()(IMAGES[:2]).shape[1]
        self.model = nn.Sequential(body.train(), nn.Linear(width, classes, rng=rng))
        for p in self.model.parameters():
            p.data = p.numpy().astype(float)
        self.optimizer = tg.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)

        def descend(x, y):
            outputs = self.model(x)
            loss = nn.cross_entropy(outputs, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return (loss, outputs) if hands_out else (loss,)

        images, labels = tg.tensor(IMAGES), tg.tensor(LABELS)
        self.step = form((lambda rows: descend(images[rows], labels[rows])) if gathered else descend)
        self.gathered = gathered

    def train(self, size, steps=3):
        """What each step gives, and what is left."""
        found = []
        for i in range(steps):
            rows = np.arange(i, i + size)
            results = self.step(rows) if self.gathered else self.step(IMAGES[rows], LABELS[rows])
            found += [t.numpy() for t in results]
        return found + list(self.model.state_dict().values())


@given(nets(), st.sampled_from([2, 3, 4]), st.sampled_from([4, 6, 7, 12]), st.booleans(), st.booleans())
def test_a_net_in_pieces_learns_the_same(names, threads, size, gathered, hands_out):
    settings = {"gathered": gathered, "hands_out": hands_out}
    try:
        eager = Net(names, lambda step: step, **settings)
    except ValueError:
        reject()  # images became smaller than a window
    expected = eager.train(size)
    with sharing(threads):
        agree(Net(names, tg.compile, **settings).train(size), expected)


def pieces_of(net):
    """How many rows of how many a piece has, and the operations that are run for each."""
    source = net.step.source
    if "def piece(" not in source:
        return None
    piece, whole = re.split(r"(?=^def program)", source, flags=re.M)
    rows, of = map(int, re.search(r"# (\d+) of (\d+) rows", piece).groups())
    return rows, of, piece, whole


PLAIN = ["convolution", "largest", "relu", "convolution", "tanh", "dropout"]


@pytest.mark.parametrize("gathered", [True, False])
def test_each_thread_has_a_piece_of_the_batch(gathered):
    with sharing(2):
        net = Net(PLAIN, tg.compile, gathered=gathered)
        net.train(12)
    rows, of, piece, whole = pieces_of(net)
    assert (rows, of) == (6, 12)
    assert not re.search(r"(convolved|to_images|to_weight|largest|exp)\w*\(", whole.split("def step")[1])
    assert "generator" in whole  # draws for the whole batch, in their order
    assert "generator" not in piece


@pytest.mark.parametrize(
    ("threads", "size", "rows"),
    [(1, 12, None), (2, 7, None), (4, 6, 2), (3, 12, 4), (5, 12, 3), (8, 2, None), (3, 2, 1)],
)
def test_a_batch_is_cut_into_as_many_pieces_as_threads_can_have(threads, size, rows):
    with sharing(threads):
        net = Net(PLAIN, tg.compile)
        net.train(size)
    found = pieces_of(net)
    assert (found and found[0]) == rows


def test_only_large_batches_of_images_are_cut(monkeypatch):
    with image_threads(2):
        small = Net(PLAIN, tg.compile)
        small.train(12)
        monkeypatch.setattr(convolution, "BLOCK", 12 * 7 * 6 * 2 - 1)
        large = Net(PLAIN, tg.compile)
        large.train(12)
        dense = Net(["tanh"], tg.compile)
        dense.train(12)
    assert pieces_of(small) is None
    assert pieces_of(dense) is None
    assert pieces_of(large)[:2] == (6, 12)


@pytest.mark.parametrize("names", [["convolution", "batch norm", "tanh"], ["mean over images", "convolution", "tanh"]])
def test_what_needs_the_whole_batch_is_outside_with_all_that_it_needs(names):
    with sharing(2):
        net = Net(names, tg.compile)
        net.train(12)
    _, _, piece, whole = pieces_of(net)
    inside, outside = (bool(re.search(r"convolved\w*\(", text.split("def step")[1])) for text in (piece, whole))
    assert (inside, outside) == ((True, False) if names[0] == "mean over images" else (False, True))
    assert "np.mean" not in piece


def test_what_is_handed_out_is_computed_outside_with_all_that_it_needs():
    with sharing(2):
        net = Net(PLAIN, tg.compile, hands_out=True)
        net.train(12)
    _, _, piece, whole = pieces_of(net)
    assert "convolved" in whole.split("def step")[1]
    assert not re.search(r"convolved\w*\(", piece)


def test_sums_of_two_dtypes_are_not_cut():
    model = nn.Conv2d(2, 2, 3, rng=0)

    def step(x, y):
        outputs = np.mean(model(x), axis=(1, 2))
        loss = nn.cross_entropy(outputs, y)
        model.parameters()[0].grad = None
        loss.backward()
        return loss, np.sum(outputs.detach().astype(np.float64))

    with sharing(2):
        compiled = tg.compile(step)
        found = [t.item() for t in compiled(IMAGES[:8].astype(np.float32), LABELS[:8] % 2)]
    expected = [t.item() for t in step(IMAGES[:8].astype(np.float32), LABELS[:8] % 2)]
    assert "def piece" not in compiled.source
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_program_is_right_with_other_threads_than_it_was_made_for():
    net, eager = Net(PLAIN, tg.compile), Net(PLAIN, lambda step: step)
    for threads in sharing(2), nullcontext(), image_threads(3):
        with threads:
            found = net.train(12, 2)
        assert pieces_of(net)
        agree(found, eager.train(12, 2))


def test_an_error_in_a_piece_changes_nothing():
    with sharing(2):
        net = Net(PLAIN, tg.compile, gathered=False)
        net.train(12)
        before = {name: array.copy() for name, array in net.model.state_dict().items()}
        x = IMAGES[:12].copy()
        x[11] = 1.7e308
        with np.errstate(over="raise", invalid="raise"), pytest.raises(FloatingPointError):
            net.step(x, LABELS[:12])
        with pytest.raises(ValueError, match="label"):
            net.step(IMAGES[:12], LABELS[:12] + 3)
        for name, array in net.model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        loss = net.step(IMAGES[:12], LABELS[:12])[0].item()
    assert np.isfinite(loss)


def test_pieces_allocate_no_arrays():
    with sharing(2):
        net = Net(PLAIN, tg.compile)
        net.train(12)
        rows = np.arange(12)
        arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
        kept = tracemalloc.Filter(inclusive=False, filename_pattern=scratch.__file__)  # by a thread's first convolution
        tracemalloc.start()
        try:
            for _ in range(5):
                net.step(rows)
            left = tracemalloc.take_snapshot().filter_traces([arrays, kept])
        finally:
            tracemalloc.stop()
    assert sum(trace.size for trace in left.traces) < 1000


def test_a_piece_is_explained_and_drawn_line_by_line():
    with sharing(2):
        net = Net(PLAIN, tg.compile)
        net.train(12)
        before = [array.copy() for array in net.model.state_dict().values()]
        text = net.step.explain(np.arange(12), repeat=2)
        figure = net.step.draw(np.arange(12), repeat=2)
        agree(list(net.model.state_dict().values()), before)
    table = text.splitlines()
    numbers = [re.match(r" *([\d.]+) +([\d,]+) +([\d,]+)  ( *)(.*)", line) for line in table]
    rows = [[*(float(n.replace(",", "")) for n in m.groups()[:3]), len(m[4]), m[5]] for m in numbers if m]
    (whole,) = [row for row in rows if row[4].startswith("run_pieces(")]
    inner = [row for row in rows if row[3]]
    assert [sum(row[i] for row in inner) for i in (1, 2)] == whole[1:3]
    outer = [row for row in rows[:-1] if not row[3]]
    assert [sum(row[i] for row in outer) for i in (1, 2)] == rows[-1][1:3]
    assert rows[-1][4] == f"in {len(rows) - 1} lines"
    kept = re.findall(r"np.empty\((\d+), np.uint8\)", pieces_of(net)[2]) * 2 + re.findall(
        r"np.empty\((\d+), np.uint8\)", pieces_of(net)[3]
    )
    assert f"memory: {sum(map(int, kept)):,} bytes in {len(kept)} buffers" in text
    bars = figure.axes[0].patches
    assert len(bars) >= len(rows) - 2
    end = max(bar.get_x() + bar.get_width() for bar in bars)
    assert f": {end:,.0f} µs in {len(rows) - 1} lines" in figure.axes[0].get_title()
    assert sum(bar.get_width() for bar in bars) == pytest.approx(end)
    done = sum(bar.get_width() * bar.get_height() * 1e3 for bar in bars)
    assert done == pytest.approx(rows[-1][1], rel=1e-3)


def test_the_step_is_compared_line_by_line_with_the_batch_in_one_piece():
    with sharing(2):
        net = Net(PLAIN, lambda step: tg.compile(step, debug=True))
        net.train(12)
    assert pieces_of(net) is None


@pytest.mark.parametrize("name", ["an image before", "lines of all images", "sum of channels", "own weights"])
def test_what_mixes_images_or_treats_each_in_its_own_way(name):
    expected = Net([name, "convolution", "tanh"], lambda step: step).train(12)
    with sharing(2):
        net = Net([name, "convolution", "tanh"], tg.compile)
        agree(net.train(12), expected)
    _, _, piece, _ = pieces_of(net)
    assert bool(re.search(r"np\.add\.reduce\(\w+, axis=0,", piece)) == (name == "sum of channels")  # each image's own


def test_an_image_that_is_added_to_a_batch_is_added_once():
    layer = nn.Conv2d(2, 2, 3, rng=0)

    def step(x):
        more = np.pad(layer(x), ((1, 0), (0, 0), (0, 0), (0, 0)), constant_values=3)
        return np.sum(more * more)

    expected = step(IMAGES[:6]).item()
    with sharing(2):
        assert tg.compile(step)(IMAGES[:6]).item() == pytest.approx(expected, rel=1e-5)


def test_a_kernel_that_is_as_high_as_a_batch_is_large_is_not_cut():
    scale = tg.tensor(np.array(2.0), requires_grad=True)

    def step(x, weight):
        loss = np.sum(np.square(tg.conv2d(x * scale, weight)))
        scale.grad = None
        loss.backward()
        return loss

    weight = RNG.normal(size=(4, 2, 2, 3))
    expected = step(IMAGES[:4], weight).item(), scale.grad
    with sharing(2):
        found = tg.compile(step)(IMAGES[:4], weight).item(), scale.grad
    np.testing.assert_allclose(found, expected)


def test_sums_of_half_precision_are_not_cut_up():
    """NumPy adds them up in single precision, so that parts of a sum may overflow where it does not."""
    x = np.full((4, 3, 3, 1), 9000, np.float16) / 4
    x[2:] *= -0.5
    weight = tg.tensor(np.ones((1, 1, 1, 1), np.float16), requires_grad=True)

    def step(x):
        return np.sum(tg.conv2d(x, weight) * np.float16(2))

    with sharing(2):
        assert tg.compile(step)(x).item() == step(x).item() == 40512
