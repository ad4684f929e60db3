"""Memory that a thread keeps for operations to work in."""

import threading

import numpy as np
import pytest

from tinygrad_digits.ops.scratch import VIEWS, _memory, scratch


@pytest.fixture(autouse=True)
def nothing_kept():
    _memory.blocks.clear()
    _memory.views.clear()


def test_the_same_array_is_given_again():
    first = scratch("some", (2, 3), np.dtype(float))
    assert first.shape == (2, 3)
    assert first.dtype == float
    assert scratch("some", (2, 3), np.dtype(float)) is first
    assert not np.shares_memory(scratch("other", (2, 3), np.dtype(float)), first)


def test_other_shapes_and_dtypes_are_over_the_same_memory():
    first = scratch("some", (2, 3), np.dtype(float))
    for shape, dtype in ((3, 2), float), ((5,), np.float32), ((), bool), ((0, 4), float):
        again = scratch("some", shape, np.dtype(dtype))
        assert (again.shape, again.dtype) == (shape, np.dtype(dtype))
        assert np.shares_memory(again, first) == bool(again.size)


def test_larger_memory_takes_the_place_of_what_was_there():
    small = scratch("some", (2,), np.dtype(float))
    large = scratch("some", (3,), np.dtype(float))
    assert not np.shares_memory(large, small)
    assert np.shares_memory(scratch("some", (2,), np.dtype(float)), large)
    assert _memory.blocks["some"].nbytes == 24


def test_no_more_than_so_many_arrays_are_kept():
    kept = [scratch("some", (n,), np.dtype(float)) for n in range(3 * VIEWS, 0, -1)]
    assert len(_memory.views) <= VIEWS
    assert scratch("some", (1,), np.dtype(float)) is kept[-1]
    assert scratch("some", (2,), np.dtype(float)) is kept[-2]


def test_each_thread_has_its_own():
    found = []
    thread = threading.Thread(target=lambda: found.append(scratch("some", (2,), np.dtype(float))))
    thread.start()
    thread.join()
    assert not np.shares_memory(found[0], scratch("some", (2,), np.dtype(float)))
