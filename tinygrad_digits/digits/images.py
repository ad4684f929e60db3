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
    """The brightness of an image file, 0 to 1, reduced to about `LARGE` pixels."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith(("I", "F")):  # more than 8 bits: Pillow would cut them off
                values = np.asarray(image, np.float32)
                image = Image.fromarray(values / max(values.max(), 1.0))
            else:
                image = image.convert("RGBA")
            image = image.reduce(max(1, max(image.size) // LARGE))
            return np.asarray(image, float) if image.mode == "F" else _on_a_page(np.asarray(image, float) / 255)
    except FileNotFoundError:
        raise ImageError(f"there is no file {path}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image that can be read: give a PNG or JPEG file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read as an image ({error}): save it as PNG or JPEG") from error


def _on_a_page(rgba: NDArray[np.float64]) -> NDArray[np.float64]:
    """The brightness of an image with what is transparent shown on white; on black, if what is not is light."""
    brightness, alpha = rgba[..., :3] @ [0.299, 0.587, 0.114], rgba[..., 3]
    shown = np.sum(alpha)
    page = 0.0 if shown and np.min(alpha) < 1 and np.sum(brightness * alpha) > shown / 2 else 1.0
    return np.asarray(brightness * alpha + page * (1 - alpha))


def _ink(grey: NDArray[np.float64], path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """How much ink is where, 0 to 1: what differs from the paper, as it is seen at the image's border."""
    paper, spread = _paper(grey)
    ink = grey - paper
    if ink.max() < -ink.min():  # dark ink takes a part of the light that falls on it
        paper = np.maximum(paper, 0.05)
        ink, spread = -ink / paper, spread / float(np.mean(paper))
    darkest = ink.max()
    if darkest < max(0.05, NOISE * spread):
        raise ImageError(f"{path} shows no digit: no ink stands out from the paper")
    return np.where(ink < max(FAINT * darkest, NOISE * spread), 0, ink / darkest)


def _paper(grey: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The plane of brightness that fits the image's border best, and how much the border differs from that.

    Light falls on a page from one side. The plane is fitted twice, the second time without what is far off it: ink.
    """
    rows, columns = np.indices(grey.shape) / max(grey.shape)
    terms = np.stack([np.ones_like(grey), rows, columns], axis=-1)
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    at, seen = terms[border], grey[border]
    paper = np.ones(len(seen), bool)
    for _ in range(2):
        plane, *_ = np.linalg.lstsq(at[paper], seen[paper])
        off = np.abs(seen - at @ plane)
        paper = off <= 3 * max(float(np.median(off)), 0.01)
    return terms @ plane, float(np.median(off[paper]))


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
