"""The data: MNIST as it is shipped with the package, any other folder of IDX files, and mini-batches.

Nothing here goes online. Images are uint8, 0 for paper and 255 for ink; `as_floats` turns them into a net's inputs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..tensor import Frozen

Array = NDArray[Any]

SHIPPED = Path(__file__).with_name("mnist")
"""The folder of the MNIST files in the package."""

VARIABLE = "TINYGRAD_DIGITS_DATA"
"""The environment variable that names another folder."""

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of the unpacked bytes of the MNIST files."""


class DataError(Exception):
    """A data file is missing, or is not what it should be."""


class Examples(NamedTuple):
    """Images of digits, and which digits they are.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, 28, 28), read-only
    labels : ndarray of uint8, shape (N,), read-only
    """

    images: Array
    labels: Array


class Digits(NamedTuple):
    """A data set in three parts: one to learn from, one to choose settings by, one to be tested on once.

    In MNIST the writers of the test images wrote none of the others, so that a net cannot do well by remembering a
    hand. Its two halves, 5,000 images each, come from different groups of writers: one is harder than the other.
    """

    train: Examples
    validation: Examples
    test: Examples


def load_mnist(data_dir: str | os.PathLike[str] | None = None) -> Digits:
    """Load MNIST: 50,000 training, 10,000 validation and 10,000 test images.

    The validation images are the last sixth of the training file.

    Parameters
    ----------
    data_dir : path, optional
        A folder with other files of the same four names and the IDX format, raw or gzipped (``.gz``), such as
        Fashion-MNIST. If not given, the folder that the environment variable ``TINYGRAD_DIGITS_DATA`` names; if there
        is none, the MNIST that comes with the package, whose SHA-256 is checked.

    Raises
    ------
    DataError
        If a file is missing, truncated, corrupt, or not what its name says.

    Examples
    --------
    >>> from tinygrad_digits.digits import load_mnist
    >>> train, validation, test = load_mnist()
    >>> train.images.shape, validation.images.shape, test.images.shape
    ((50000, 28, 28), (10000, 28, 28), (10000, 28, 28))
    >>> train.labels[:5]
    array([5, 0, 4, 1, 9], dtype=uint8)
    """
    folder = Path(data_dir or os.environ.get(VARIABLE) or SHIPPED)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}. Check --data-dir or {VARIABLE}, or leave them out to use MNIST")
    whole, test = (_load_part(folder, part) for part in ("train", "t10k"))
    if len(whole.labels) < 6 or len(test.labels) < 2:
        raise DataError(
            f"{folder} has {len(whole.labels)} training and {len(test.labels)} test images: 6 and 2 are needed"
        )
    cut = len(whole.labels) - len(whole.labels) // 6
    return Digits(
        Examples(whole.images[:cut], whole.labels[:cut]), Examples(whole.images[cut:], whole.labels[cut:]), test
    )


def _load_part(folder: Path, part: str) -> Examples:
    images = read_idx(folder / f"{part}-images-idx3-ubyte", ndim=3)
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte", ndim=1)
    if images.shape[1:] != (28, 28):
        raise DataError(
            f"the images of {folder} ({part}) have {images.shape[1]}×{images.shape[2]} pixels: 28×28 are needed"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{folder} ({part}) has {len(images):,} images but {len(labels):,} labels: they belong together one by one"
        )
    if labels.max() > 9:
        raise DataError(f"{folder} ({part}) has a label {labels.max()}: there are ten classes, 0 to 9")
    return Examples(images, labels)


def read_idx(path: Path, *, ndim: int) -> Array:
    """Read a file of unsigned bytes in the IDX format, raw or with ``.gz`` after its name, as a read-only array.

    The format: two zero bytes, one for the type (8: unsigned byte) and one for the number of axes; each axis' length as
    four bytes, the highest first; then the numbers. A file in the package's own folder must have the SHA-256 on record.
    """
    content, source = _unpacked(path)
    start = 4 + 4 * ndim
    if content[:4] != bytes([0, 0, 8, ndim]):
        raise DataError(
            f"{source} is not an IDX file of bytes with {ndim} axes: it begins with "
            f"{content[:4].hex(' ') or 'nothing'}, "
            f"and should with {bytes([0, 0, 8, ndim]).hex(' ')}"
        )
    if len(content) < start:
        raise DataError(f"{source} is cut off within its header: copy or download it again")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(
            f"{source} should have {expected:,} bytes for its shape {shape}, and has "
            f"{len(content):,}: copy or download it again"
        )
    if 0 in shape:
        raise DataError(f"{source} is empty: its shape is {shape}")
    if path.parent == SHIPPED and hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise DataError(f"{source} is not the file that was shipped (its SHA-256 differs): install the package again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unpacked(path: Path) -> tuple[bytes, Path]:
    zipped = path.with_name(f"{path.name}.gz")
    try:
        if path.exists():
            return path.read_bytes(), path
        return gzip.decompress(zipped.read_bytes()), zipped
    except FileNotFoundError:
        raise DataError(
            f"{path.parent} has neither {path.name} nor {zipped.name}: all four IDX files of a set are needed"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{zipped} is not a whole gzip file ({error}): copy or download it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})") from error


def as_floats(images: Array) -> NDArray[np.float32]:
    """Turn uint8 images (N, 28, 28) into a network's inputs: read-only float32, (N, 28, 28, 1), from 0 to 1."""
    inputs = np.multiply(images, np.float32(1 / 255), dtype=np.float32)[..., None]
    inputs.flags.writeable = False
    return inputs


def batches(
    *arrays: Array, size: int, rng: Generator | int | None = None, drop_last: bool = False
) -> Iterator[tuple[Array, ...]]:
    """Cut arrays into mini-batches along their first axis.

    Parameters
    ----------
    *arrays : ndarray
        Of equal length: images and labels, say.
    size : int
        Examples a batch.
    rng : Generator or int, optional
        Shuffles them (an int seeds a Generator); without it they come in order.
    drop_last : bool
        Leave out the last batch if it is smaller.

    Yields
    ------
    tuple of ndarray
        One piece of each array, read-only: a copy if shuffled, else a view.

    Raises
    ------
    ValueError
        If the arrays differ in length, or the size is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_digits.digits import batches
    >>> [piece for (piece,) in batches(np.arange(5), size=2)]
    [array([0, 1]), array([2, 3]), array([4])]
    """
    arrays = tuple(map(np.asarray, arrays))
    count = len(arrays[0]) if arrays else 0
    if not arrays or size < 1 or any(len(a) != count for a in arrays):
        raise ValueError(
            f"batches of {size} from arrays of lengths {[len(a) for a in arrays]}: need size ≥ 1, and equal lengths"
        )
    return _batches(
        arrays,
        size,
        None if rng is None else np.random.default_rng(rng).permutation(count),
        count - count % size if drop_last else count,
    )


def _batches(arrays: tuple[Array, ...], size: int, order: Array | None, count: int) -> Iterator[tuple[Array, ...]]:
    for start in range(0, count, size):
        stop = min(start + size, count)
        if order is None:
            pieces = [a[start:stop] for a in arrays]
            for piece in pieces:
                piece.flags.writeable = False
            yield tuple(pieces)
        else:
            rows = order[start:stop]
            pieces = []
            for a in arrays:
                piece = Frozen((stop - start, *a.shape[1:]), a.dtype)  # need not be copied when it is recorded
                a.take(rows, 0, piece, "clip")  # the rows are known to be there: nothing to check
                pieces.append(piece.seal())
            yield tuple(pieces)
