"""Threads that share the images of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from operator import index
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("pool", default=None)


@contextmanager
def image_threads(count: int) -> Iterator[None]:
    """Have so many threads share the images in this block of code: those of each convolution, or of a program's batch.

    It is for a BLAS that is held to one thread: two threads that each do half of the images need less time than two
    that each do half of every product. Convolutions give the same results; a program (see `tinygrad_digits.compile`)
    that is made here gives each thread a piece of the batch for the whole step, where that can be done, and adds up
    their gradients: the same but for rounding.
    """
    try:
        others = index(count) - 1  # whoever calls `each` is one, too
    except TypeError:
        raise TypeError(f"image_threads({count!r}): give a whole number of threads") from None
    if others < 0:
        raise ValueError(f"image_threads({count!r}): give 1 thread or more")
    with _threads(others) as pool:
        token = _pool.set(pool)
        try:
            yield
        finally:
            _pool.reset(token)


def _threads(count: int) -> Any:
    if not count:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # takes milliseconds to load

    return ThreadPoolExecutor(count)


def thread_count() -> int:
    """How many threads share the images here."""
    pool = _pool.get()
    return pool._max_workers + 1 if pool else 1


def each(function: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call a function with each item: in order, or in threads if there are any, which take one after another."""
    pool, left = _pool.get(), deque(items)
    if pool is None or len(left) < 2:
        for item in left:
            function(item)
        return

    def work() -> None:
        _pool.set(None)  # it is one thread's share, and not to be shared again
        while left:
            try:
                item = left.popleft()
            except IndexError:  # another has taken the last
                return
            function(item)

    others = []
    with suppress(RuntimeError):  # there are no more threads to be had, as the block has been left
        others += [pool.submit(copy_context().run, work) for _ in range(min(pool._max_workers, len(left) - 1))]
    try:
        copy_context().run(work)
    finally:
        begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.exception()
    for other in begun:
        other.result()
