"""Time contestants side by side, alternating, so that a busy machine is unfair to all of them alike."""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter

ROUNDS = 30


def race(title: str, contestants: dict[str, Callable[[], object]], *, repeat: int, wanted: dict[str, float]) -> None:
    """Print each contestant's median time, and how many times another's ours takes.

    Parameters
    ----------
    title : str
        What is measured.
    contestants : dict of str to callable
        What to run, by name. ``"ours"`` is compared with each of the others.
    repeat : int
        Calls a round; of each of the `ROUNDS` rounds the mean is taken, and of the means the median.
    wanted : dict of str to float
        The ratio to each other contestant that we aim to stay within.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        for _ in range(repeat):
            run()
    gc.collect()
    gc.freeze()  # the collector need not look through all that the peers have imported
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            start = perf_counter()
            for _ in range(repeat):
                run()
            times[name].append((perf_counter() - start) / repeat)
    medians = {name: median(values) for name, values in times.items()}
    print(f"\n{title}")
    for name, seconds in medians.items():
        line = f"  {name:<22}{seconds * 1e6:>12,.1f} µs"
        if name in wanted:
            line += f"   ours takes {medians['ours'] / seconds:.2f} × this; at most {wanted[name]:.2f} is wanted"
        print(line, flush=True)
