"""Rules of the functions that join arrays, and those that split them: concatenate, stack, block, split, …."""

import operator
from itertools import pairwise

import numpy as np

from ..autodiff import advice, composites, defvjp_each, into, key, primitive
from .shapes import along


@primitive
def concatenated(*parts, axis=0):
    """`numpy.concatenate`, with the parts as arguments of their own."""
    return np.concatenate(parts, axis=axis)


@primitive
def stacked(*parts, axis=0):
    """`numpy.stack`, with the parts as arguments of their own."""
    return np.stack(parts, axis=axis)


def concatenated_into(out, *parts, axis=0):
    """`concatenated`, in an array that is there."""
    np.concatenate(parts, axis=axis, out=out)


def stacked_into(out, *parts, axis=0):
    """`stacked`, in an array that is there."""
    np.stack(parts, axis=axis, out=out)


into |= {key(concatenated): concatenated_into, key(stacked): stacked_into}


def part(g, out, position, *parts, axis=0):
    """What a concatenation's gradient says of one of the parts."""
    if axis is None:
        before = sum(np.size(p) for p in parts[:position])
        return np.reshape(g[before : before + np.size(parts[position])], np.shape(parts[position]))
    before = sum(p.shape[axis] for p in parts[:position])
    return g[along(axis, slice(before, before + parts[position].shape[axis]))]


defvjp_each(concatenated, part)
defvjp_each(stacked, lambda g, out, position, *parts, axis=0: g[along(axis, position)])


# ------------------------------------------------------------------------------------------------------------- joining


def concatenate(arrays, axis=0):
    """`numpy.concatenate`."""
    return concatenated(*arrays, axis=axis)


def stack(arrays, axis=0):
    """`numpy.stack`."""
    return stacked(*arrays, axis=axis)


def hstack(tup):
    """`numpy.hstack`: join along the second axis; vectors and numbers end to end."""
    arrays = [np.atleast_1d(x) for x in tup]
    return concatenated(*arrays, axis=0 if np.ndim(arrays[0]) == 1 else 1)


def vstack(tup):
    """`numpy.vstack`: join along the first axis; vectors and numbers as rows."""
    return concatenated(*[np.atleast_2d(x) for x in tup])


def dstack(tup):
    """`numpy.dstack`: join along the third axis."""
    return concatenated(*[np.atleast_3d(x) for x in tup], axis=2)


def column_stack(tup):
    """`numpy.column_stack`: join along the second axis; vectors and numbers as columns."""
    return concatenated(*[x if np.ndim(x) > 1 else np.transpose(np.atleast_2d(x)) for x in tup], axis=1)


def block(arrays):
    """`numpy.block`: join nested lists, the innermost along the last axis."""

    def depth(tree):
        if not isinstance(tree, list):
            return 0
        depths = set(map(depth, tree))
        if len(depths) != 1:
            raise ValueError("np.block needs lists nested equally deep, none of them empty")
        return 1 + depths.pop()

    def dimensions(tree):
        return max(map(dimensions, tree)) if isinstance(tree, list) else np.ndim(tree)

    def joined(tree, level):
        if level:
            return concatenated(*[joined(branch, level - 1) for branch in tree], axis=-level)
        return np.reshape(tree, (1,) * (ndim - np.ndim(tree)) + np.shape(tree))

    levels = depth(arrays)
    ndim = max(levels, dimensions(arrays))
    return joined(arrays, levels)


def append(arr, values, axis=None):
    """`numpy.append`: without an axis, both are flattened."""
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return concatenated(arr, values, axis=axis)


# ----------------------------------------------------------------------------------------------------------- splitting


def array_split(ary, indices_or_sections, axis=0):
    """`numpy.array_split`: at indices, or into a number of parts of which the first may be longer by one."""
    side = np.shape(ary)[axis]
    if np.ndim(indices_or_sections):
        bounds = [0, *map(operator.index, indices_or_sections), side]
    else:
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError(f"np.array_split into {sections} parts: give a number larger than 0")
        length, longer = divmod(side, sections)
        bounds = [i * length + min(i, longer) for i in range(sections + 1)]
    return [ary[along(axis, slice(a, b))] for a, b in pairwise(bounds)]


def split(ary, indices_or_sections, axis=0):
    """`numpy.split`: `array_split`, but parts of a number must be of equal length."""
    parts = array_split(ary, indices_or_sections, axis)
    if not np.ndim(indices_or_sections) and np.shape(ary)[axis] % indices_or_sections:
        raise ValueError(
            f"np.split of an axis of length {np.shape(ary)[axis]} into {indices_or_sections} equal parts: take a "
            "number that divides it, or np.array_split"
        )
    return parts


def split_along(axis, function):
    """`numpy.hsplit` and its kin: `split` along a fixed axis."""

    def composite(ary, indices_or_sections):
        if np.ndim(ary) < (2, 1, 3)[axis]:
            raise ValueError(f"np.{function.__name__} of an array of {np.ndim(ary)} dimensions: it splits axis {axis}")
        return split(ary, indices_or_sections, min(axis, np.ndim(ary) - 1))

    return composite


composites |= {
    np.concatenate: concatenate,
    np.stack: stack,
    np.hstack: hstack,
    np.vstack: vstack,
    np.dstack: dstack,
    np.column_stack: column_stack,
    np.block: block,
    np.append: append,
    np.unstack: lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)),
    np.array_split: array_split,
    np.split: split,
    np.hsplit: split_along(1, np.hsplit),
    np.vsplit: split_along(0, np.vsplit),
    np.dsplit: split_along(2, np.dsplit),
}

advice |= {
    np.apply_along_axis: "use functions that take an axis, or np.stack the results for each row",
    np.apply_over_axes: "use functions that take several axes: np.sum(x, axis=(0, 1))",
}
