"""Reading IDX files and cutting mini-batches."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_digits.digits import DataError, as_floats, batches, load_mnist
from tinygrad_digits.digits import data as module

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    """A folder with a small data set in raw IDX files."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (count, 28, 28))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(rng.integers(0, 10, count)))
    return tmp_path


def test_mnist_comes_with_the_package(monkeypatch):
    monkeypatch.delenv(module.VARIABLE, raising=False)
    digits = load_mnist()
    assert [part.images.shape for part in digits] == [(50_000, 28, 28), (10_000, 28, 28), (10_000, 28, 28)]
    assert [part.labels.shape for part in digits] == [(50_000,), (10_000,), (10_000,)]
    for part in digits:
        assert part.images.dtype == part.labels.dtype == np.uint8
        assert not part.images.flags.writeable
        assert not part.labels.flags.writeable
    # Facts about MNIST that do not come from our code: how many there are of each digit, and its mean darkness.
    whole = np.concatenate([digits.train.labels, digits.validation.labels])
    assert np.bincount(whole).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(digits.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(np.concatenate([digits.train.images, digits.validation.images]).mean() / 255, 4) == 0.1307


def test_the_shipped_files_are_those_on_record():
    for name, digest in module.SHA256.items():
        content = gzip.decompress((module.SHIPPED / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest


def test_a_shipped_file_that_was_changed_is_refused(folder, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", folder)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is not the file that was shipped.*install"):
        load_mnist()


@pytest.mark.parametrize("how", ["argument", "variable"])
@pytest.mark.parametrize("zipped", [False, True])
def test_another_folder_raw_or_gzipped(folder, monkeypatch, how, zipped):
    expected = np.frombuffer((folder / NAMES[0]).read_bytes()[16:], np.uint8).reshape(12, 28, 28)
    if zipped:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    if how == "variable":
        monkeypatch.setenv(module.VARIABLE, str(folder))
    digits = load_mnist(folder if how == "argument" else None)
    np.testing.assert_array_equal(digits.train.images, expected[:10])
    np.testing.assert_array_equal(digits.validation.images, expected[10:])
    assert len(digits.test.labels) == 5


def damage(name, change):
    """Make a function that changes a file of a folder."""

    def apply(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def shortened(count, part):
    """Make a function that leaves so few images and labels of a part."""

    def apply(folder):
        damage(f"{part}-images-idx3-ubyte", lambda b: idx(np.zeros((count, 28, 28))))(folder)
        damage(f"{part}-labels-idx1-ubyte", lambda b: idx(np.zeros(count)))(folder)

    return apply


def zipped(change):
    """Make a function that puts a broken gzip file in a raw one's place."""

    def apply(folder):
        path = folder / NAMES[0]
        path.with_name(f"{path.name}.gz").write_bytes(change(gzip.compress(path.read_bytes())))
        path.unlink()

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / NAMES[3]).unlink(), rf"has neither {NAMES[3]} nor {NAMES[3]}\.gz"),
        (damage(NAMES[0], lambda b: b[:-1]), r"should have 9,424 bytes for its shape \(12, 28, 28\), and has 9,423"),
        (damage(NAMES[0], lambda b: b + b"\0"), "and has 9,425"),
        (damage(NAMES[0], lambda b: b[:9]), "cut off within its header"),
        (damage(NAMES[0], lambda b: b""), "begins with nothing"),
        (damage(NAMES[0], lambda b: b"\x89PNG" + b[4:]), "begins with 89 50 4e 47, and should with 00 00 08 03"),
        (damage(NAMES[1], lambda b: idx(np.zeros((12, 2)))), "is not an IDX file of bytes with 1 axes"),
        (damage(NAMES[1], lambda b: idx(np.zeros(11))), "has 12 images but 11 labels"),
        (damage(NAMES[1], lambda b: b[:-1] + b"\x0a"), "has a label 10: there are ten classes, 0 to 9"),
        (damage(NAMES[2], lambda b: idx(np.zeros((5, 32, 32)))), "32×32 pixels: 28×28 are needed"),
        (damage(NAMES[2], lambda b: idx(np.zeros((0, 28, 28)))), "is empty"),
        (shortened(5, "train"), "5 training and 5 test images: 6 and 2 are needed"),
        (shortened(1, "t10k"), "12 training and 1 test images: 6 and 2 are needed"),
        (zipped(lambda b: b[:-9]), r"\.gz is not a whole gzip file"),
        (zipped(lambda b: b[:20] + b"????" + b[24:]), r"\.gz is not a whole gzip file"),
        (zipped(lambda b: b"not gzip"), r"\.gz is not a whole gzip file"),
        (lambda folder: ((folder / NAMES[0]).unlink(), (folder / NAMES[0]).mkdir()), "cannot read"),
    ],
)
def test_bad_files_are_named(folder, spoil, words):
    spoil(folder)
    with pytest.raises(DataError, match=words):
        load_mnist(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*absent.*--data-dir or TINYGRAD_DIGITS_DATA"):
        load_mnist(tmp_path / "absent")


def test_as_floats():
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    inputs = as_floats(images)
    assert inputs.shape == (2, 28, 28, 1)
    assert inputs.dtype == np.float32
    assert inputs.max() == 1
    np.testing.assert_allclose(inputs[..., 0], images / 255, rtol=1e-6)
    assert not inputs.flags.writeable


@given(count=st.integers(0, 20), size=st.integers(1, 25), shuffle=st.booleans(), drop_last=st.booleans())
def test_batches_hold_each_example_once(count, size, shuffle, drop_last):
    x, y = np.arange(2 * count).reshape(count, 2), np.arange(count)
    rng = np.random.default_rng(0) if shuffle else None
    pieces = list(batches(x, y, size=size, rng=rng, drop_last=drop_last))
    assert len(pieces) == (count // size if drop_last else -(-count // size))
    assert all(len(a) == size for a, _ in pieces[:-1])
    seen = [i for _, b in pieces for i in b]
    assert len(set(seen)) == len(seen) == (count - count % size if drop_last else count)
    for a, b in pieces:
        np.testing.assert_array_equal(a, x[b])
        assert not a.flags.writeable
    if not shuffle:
        assert seen == list(range(len(seen)))
        assert all(np.shares_memory(a, x) for a, _ in pieces)


def test_batches_are_shuffled_by_the_generator_alone():
    def order(seed):
        return [int(i) for (b,) in batches(np.arange(50), size=7, rng=np.random.default_rng(seed)) for i in b]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != list(range(50))


def test_lists_and_a_seed_will_do():
    assert [b.tolist() for (b,) in batches([1, 2, 3], size=2)] == [[1, 2], [3]]
    first, again = ([b.tolist() for (b,) in batches(range(9), size=2, rng=5)] for _ in range(2))
    assert first == again


def test_each_epoch_is_shuffled_anew():
    rng = np.random.default_rng(0)
    first, second = (list(batches(np.arange(50), size=50, rng=rng)) for _ in range(2))
    assert np.any(first[0][0] != second[0][0])


@pytest.mark.parametrize(("arrays", "size"), [([np.ones(2), np.ones(3)], 1), ([np.ones(2)], 0), ([], 1)])
def test_batches_of_unequal_arrays_or_no_size(arrays, size):
    with pytest.raises(ValueError, match="need size ≥ 1, and equal lengths"):
        batches(*arrays, size=size)
