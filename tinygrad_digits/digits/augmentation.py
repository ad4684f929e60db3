"""Augmentation: a digit moved, turned, slanted, stretched or wobbled a little is the same digit, and one more example.

All images of a mini-batch are dealt with at once, and what is drawn comes from a seeded Generator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..tensor import Frozen

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shift:
    """Moves a mini-batch by whole pixels up or down and left or right, at random, all its images alike.

    Called with images (N, height, width, …) of any dtype and a Generator, it gives new ones, 0 where an image has moved
    away from its edge; read-only. It takes a fortieth of the time of a `Distortion`.

    Attributes
    ----------
    pixels : int
        How far at most.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_digits.digits import Shift
    >>> Shift(1)(np.arange(1, 5).reshape(1, 2, 2), np.random.default_rng(0))
    array([[[0, 0],
            [1, 2]]])
    """

    pixels: int

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, int) or self.pixels < 0:
            raise ValueError(f"Shift({self.pixels!r}): a number of whole pixels, 0 or more, is needed")

    def __call__(self, images: NDArray[Any], rng: Generator) -> NDArray[Any]:
        """Move all images."""
        rows, columns = (int(n) for n in rng.integers(-self.pixels, self.pixels + 1, 2))
        moved = Frozen(images.shape, images.dtype)
        moved[...] = 0
        moved[:, _slice(rows), _slice(columns)] = images[:, _slice(-rows), _slice(-columns)]
        return moved.seal()


def _slice(move: int) -> slice:
    """The part of an axis that is filled when what is on it moves."""
    return slice(move, None) if move >= 0 else slice(None, move)


@dataclass(frozen=True)
class Distortion:
    """How far images are distorted at most, each by amounts drawn anew each time.

    Called with images (N, height, width, 1) of float32 and a Generator, it gives new ones of the same shape, read-only.
    What is beyond an image's edge counts as 0, paper.

    Attributes
    ----------
    shift : float
        Pixels up or down, and left or right.
    rotation : float
        Degrees either way.
    scale : float
        Stretching of each axis, as a fraction: 0.1 stands for 0.9 to 1.1.
    shear : float
        Slant, as columns a row.
    elastic : float
        Root mean square, in pixels, of a smooth random displacement of each point in each direction. The 34 that Simard
        and others multiply their field with makes 1.4.
    smoothness : float
        Pixels over which that displacement is about the same: their standard deviation, 4.

    References
    ----------
    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_digits.digits import Distortion
    >>> images = np.zeros((100, 28, 28, 1), np.float32)
    >>> distort = Distortion(shift=2, rotation=15, elastic=1)
    >>> distort(images, np.random.default_rng(0)).shape
    (100, 28, 28, 1)
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    smoothness: float = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise ValueError(f"Distortion({field.name}={value!r}): it must be a number of 0 or more")
        if not self.smoothness or self.scale >= 1:
            raise ValueError(f"{self}: smoothness must be more than 0, and scale less than 1")

    def __call__(self, images: Floats, rng: Generator) -> Floats:
        """Distort each image in its own way."""
        count, height, width = images.shape[:3]
        points = self._affine(count, rng) @ _grid(height, width)
        if self.elastic:
            points += self._elastic(count, height, width, rng)
        return _sampled(images, *points.swapaxes(0, 1))

    def _affine(self, count: int, rng: Generator) -> Floats:
        """For each image the matrix (2, 3) that tells where in it a point, counted from the centre, is taken from."""
        angle = np.radians(self.rotation) * rng.uniform(-1, 1, count)
        shear = self.shear * rng.uniform(-1, 1, count)
        stretch = 1 + self.scale * rng.uniform(-1, 1, (2, count))
        matrix = np.empty((count, 2, 3), np.float32)
        matrix[:, 0, 0] = np.cos(angle) * stretch[0]
        matrix[:, 0, 1] = -np.sin(angle) * stretch[1]
        matrix[:, 1, 0] = (np.sin(angle) + shear * np.cos(angle)) * stretch[0]
        matrix[:, 1, 1] = (np.cos(angle) - shear * np.sin(angle)) * stretch[1]
        matrix[:, :, 2] = rng.uniform(-self.shift, self.shift, (count, 2))
        return matrix

    def _elastic(self, count: int, height: int, width: int, rng: Generator) -> Floats:
        """For each image a random vector field (2, height · width), as smooth as a sum of wide Gaussian bumps."""
        rows, columns = _bumps(height, self.smoothness), _bumps(width, self.smoothness)
        shape = count, 2, rows.shape[1], columns.shape[1]
        heights: Floats = rng.standard_normal(shape, dtype=np.float32) * np.float32(self.elastic)
        return np.matmul(rows @ heights, columns.T, dtype=np.float32).reshape(count, 2, height * width)


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> Floats:
    """The points of an image counted from its centre, as (y, x, 1): shape (3, height · width)."""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    return np.stack([y - (height - 1) / 2, x - (width - 1) / 2, np.ones(height * width)]).astype(np.float32)


@lru_cache(maxsize=8)
def _bumps(length: int, width: float) -> Floats:
    """Gaussian bumps of a width, as far apart, along an axis: (length, bumps). The squares at each point sum to 1."""
    centres = np.arange(-2 * width, length + 2 * width, width)
    bumps = np.exp(-(((np.arange(length)[:, None] - centres) / width) ** 2) / 2)
    unit: Floats = (bumps / np.linalg.norm(bumps, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _sampled(images: Floats, y: Floats, x: Floats) -> Floats:
    """Each image's values at points counted from its centre (N, points), between pixels by bilinear interpolation."""
    count, height, width = images.shape[:3]
    padded = np.zeros((count, height + 3, width + 3), np.float32)  # 0 around, as far as points are looked up
    padded[:, 1:-2, 1:-2] = images.reshape(count, height, width)
    (y, row), (x, column) = _cell(y, height), _cell(x, width)
    first = row * (width + 3) + column + (np.arange(count, dtype=np.int32) * ((height + 3) * (width + 3)))[:, None]
    corner = padded.reshape(-1).take
    left, right = (corner(first + i) + y * (corner(first + i + width + 3) - corner(first + i)) for i in (0, 1))
    moved = Frozen(images.shape, np.float32)
    np.add(left, x * (right - left), out=moved.reshape(count, height * width))
    return moved.seal()


def _cell(points: Floats, length: int) -> tuple[Floats, NDArray[np.int32]]:
    """How far points are into the pixel they are in, and which that is in the padded image."""
    points = np.clip(points + np.float32((length - 1) / 2 + 1), 0, length + 1)
    whole = points.astype(np.int32)
    return points - whole.astype(np.float32), whole
