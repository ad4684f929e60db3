"""A person's image files as MNIST would have them: light ink on dark paper, in the middle of 28×28 pixels."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

BOX = 20
"""MNIST's digits were scaled to fit 20×20 pixels, and laid with their centre of mass in the middle of 28×28."""

MIDDLE = 14.5
"""That middle, in pixels from the edge: as measured on MNIST's images, the centre of the fifteenth."""

FAINT = 0.05
"""What is fainter than this part of the darkest ink counts as paper."""

NOISE = 5
"""So does what differs from the paper by less than this many times the paper's own spread."""

LARGE = 112
"""A larger image is reduced to about this many pixels first, four times what is needed, to average its noise away."""


class ImageError(Exception):
    """A file is not an image, or shows no digit."""


def read_digit(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file (PNG, JPEG, …; dark on light or light on dark; any size) as MNIST would have it.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        0 for paper, 255 for ink.

    Raises
    ------
    ImageError
        If the file cannot be read as an image, or is all of one shade.
    """
    return centred(_ink(_grey(path), path))


def _grey(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """The brightness of an image file, 0 to 1, transparent parts shown on white."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image = image.reduce(max(1, max(image.size) // LARGE))
            if image.mode.startswith(("I", "F")):  # more than 8 bits: Pillow would cut them off
                values = np.asarray(image, float)
                return values / max(values.max(), 1.0)
            page = Image.new("RGBA", image.size, "white")
            page.alpha_composite(image.convert("RGBA"))
            return np.asarray(page.convert("L"), float) / 255
    except FileNotFoundError:
        raise ImageError(f"there is no file {path}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image that can be read: give a PNG or JPEG file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read as an image ({error}): save it as PNG or JPEG") from error


def _ink(grey: NDArray[np.float64], path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """How much ink is where, 0 to 1: what differs from the shade of the image's border."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(border)
    spread = np.median(np.abs(border - paper))
    ink = grey - paper if grey.max() - paper > paper - grey.min() else paper - grey
    darkest = ink.max()
    if darkest < max(0.05, NOISE * spread):
        raise ImageError(f"{path} shows no digit: it is all of one shade")
    return np.where(ink < max(FAINT * darkest, NOISE * spread), 0, ink / darkest)


def centred(ink: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale what ink there is (0 to 1) to fit 20×20 pixels, and lay its centre of mass in the middle of 28×28."""
    from PIL import Image

    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    crop = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(crop.shape)
    height, width = (max(1, round(n * scale)) for n in crop.shape)
    small = Image.fromarray(crop.astype(np.float32)).resize(
        (width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    )
    digit = np.clip(np.asarray(small, float), 0, 1)
    digit /= digit.max()
    top, left = (_offset(digit.sum(axis=1 - axis)) for axis in (0, 1))
    page = np.zeros((28, 28))
    page[top : top + height, left : left + width] = digit
    return np.rint(page * 255).astype(np.uint8)


def _offset(profile: NDArray[np.float64]) -> int:
    """Where to begin so that a profile's centre of mass is in the middle of 28 pixels, and all of it inside."""
    centre = np.average(np.arange(len(profile)) + 0.5, weights=profile)
    return int(np.clip(round(MIDDLE - centre), 0, 28 - len(profile)))
