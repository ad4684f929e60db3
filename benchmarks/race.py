"""Time contestants side by side, alternating, so that a busy machine is unfair to all of them alike."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import perf_counter, process_time, sleep

from threadpoolctl import ThreadpoolController

ROUNDS = 30

PAUSE = 0.05
"""Seconds before a contestant's turn, in which the threads of the one before come to rest, if there are several."""


Wanted = dict[str, dict[str, float]]
"""Of ours, the times of others' that they aim to take at most: ``{"ours eager": {"PyTorch": 0.5}}``."""


@dataclass(frozen=True)
class Contestant:
    """What is run, and how many threads BLAS has meanwhile; all if it is not said."""

    run: Callable[[], object]
    blas: int | None = None


@dataclass(frozen=True)
class Result:
    """How a race went.

    Attributes
    ----------
    title : str
        What was measured.
    threads : int
        How many there were.
    seconds : dict of str to float
        Each contestant's median time.
    wanted : Wanted
        What ours aim at.
    """

    title: str
    threads: int
    seconds: dict[str, float]
    wanted: Wanted = field(default_factory=dict)

    def ratio(self, ours: str, other: str) -> str:
        """How many times another's time ours takes, beside what is wanted if something is."""
        found, wanted = self.seconds[ours] / self.seconds[other], self.wanted.get(ours, {}).get(other)
        return f"{found:.2f}" + (f" {'≤' if found <= wanted else '>'} {wanted:.2f}" if wanted else "")


def race(
    title: str,
    contestants: dict[str, Contestant],
    *,
    threads: int,
    repeat: int,
    rounds: int = ROUNDS,
    wanted: Wanted | None = None,
) -> Result:
    """Let contestants take turns; print how long each took, and how many times that ours took.

    With one thread it is the time that the processor worked for it, which on a busy machine is not much more than on an
    idle one. With several threads it is the time that passed.

    Parameters
    ----------
    title, threads, wanted
        As in `Result`.
    contestants : dict of str to Contestant
        Who takes part, by name; ours are named so.
    repeat : int
        Calls a turn, after one that is not counted. Of all calls of all turns the median is taken: what comes between
        is in few of them.
    rounds : int
        How many turns each has.
    """
    clock = process_time if threads == 1 else perf_counter
    controller = ThreadpoolController()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for one in contestants.values():
        for _ in range(repeat):
            one.run()
    gc.collect()
    gc.freeze()  # the collector need not look through all that the peers have imported
    order, shuffle = list(contestants), Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)  # none is to come after the same one always, whose threads and caches it finds
        for name in order:
            one = contestants[name]
            with controller.limit(limits=one.blas or threads, user_api="blas"):
                if threads > 1:
                    sleep(PAUSE)
                one.run()
                for _ in range(repeat):
                    start = clock()
                    one.run()
                    times[name].append(clock() - start)
    result = Result(title, threads, {name: median(values) for name, values in times.items()}, wanted or {})
    ours = [name for name in contestants if name.startswith("ours")]
    print(f"\n{title}, {threads} thread{'s' * (threads > 1)}")
    for name, seconds in result.seconds.items():
        ratios = "".join(f"   {mine}: {result.ratio(mine, name):<12}" for mine in ours if name not in ours)
        print(f"  {name:<22}{seconds * 1e6:>12,.1f} µs{ratios}", flush=True)
    return result
