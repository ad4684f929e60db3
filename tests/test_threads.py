"""Threads that share the images of a batch."""

import threading
import time
from contextvars import copy_context

import numpy as np
import pytest

from tinygrad_digits.ops import threads
from tinygrad_digits.ops.threads import image_threads, thread_count


def test_there_are_as_many_threads_as_asked_for_the_caller_among_them():
    seen, together = [], threading.Barrier(3)

    def meet(_):
        together.wait(timeout=20)  # for three at once
        seen.append((threading.get_ident(), thread_count()))

    assert thread_count() == 1
    with image_threads(3):
        assert thread_count() == 3
        threads.each(meet, range(3))
        assert thread_count() == 3
    assert len({ident for ident, _ in seen}) == 3
    assert threading.get_ident() in {ident for ident, _ in seen}
    assert {count for _, count in seen} == {1}  # what is shared is not shared again
    with image_threads(1):
        assert thread_count() == 1
    seen.clear()
    together = threading.Barrier(2)
    with image_threads(5):
        threads.each(meet, range(2))
    assert len(seen) == 2


def test_all_threads_have_ended_when_one_fails():
    ended = []

    def fail(i):
        if not i:
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(i)

    with image_threads(2), pytest.raises(ZeroDivisionError):
        threads.each(fail, range(3))
    assert ended == [1, 2]


def test_threads_are_counted_by_whole_numbers_from_one():
    with image_threads(2), image_threads(np.int64(1)):
        assert thread_count() == 1
    for wrong, error in (0, ValueError), (-3, ValueError), (1.5, TypeError), ("2", TypeError):
        with pytest.raises(error, match=r"image_threads\(.*\): give"), image_threads(wrong):
            pass


def test_nothing_waits_for_threads_that_are_busy_or_gone():
    busy = threading.Event()
    with image_threads(2):
        context = copy_context()
        waiting = threads._pool.get().submit(busy.wait, 20)
        seen = []
        threads.each(seen.append, range(3))
        busy.set()
        assert waiting.result()
        assert seen == [0, 1, 2]
    context.run(threads.each, seen.append, range(2))
    assert seen == [0, 1, 2, 0, 1]
