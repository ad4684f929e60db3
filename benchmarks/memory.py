"""How much memory a step takes: what stays allocated between steps, and what comes on top within one."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from .steps import Rival

STEPS = 5


def memory(make: Callable[[], Rival], indices: Iterator[NDArray[np.int64]]) -> tuple[int, int]:
    """The bytes of arrays that a rival keeps, its parameters included, and the most that a step allocates beside them.

    In a thread of its own, so that memory which is kept for a thread counts too. Only what NumPy allocates is seen.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_measured, make, indices).result()


def _measured(make: Callable[[], Rival], indices: Iterator[NDArray[np.int64]]) -> tuple[int, int]:
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    chosen = [next(indices).copy() for _ in range(2 * STEPS)]
    tracemalloc.start()
    try:
        rival = make()
        for index in chosen[:STEPS]:
            rival.step(index)
        gc.collect()
        kept = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)
        more = 0
        for index in chosen[STEPS:]:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            rival.step(index)
            more = max(more, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return kept, more
