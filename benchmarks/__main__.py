"""``python -m benchmarks``: how fast we are, side by side with all peers that are installed; a table and a picture."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from .contests import CHAINS, Report, contests
from .race import ROUNDS
from .report import machine, picture, table
from .steps import NETS


def main() -> None:
    """Hold all races, each number of threads in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="the folder to write to")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="how many, one race after another (1 2)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns that each has in a race ({ROUNDS})")
    parser.add_argument("--only", default="", metavar="TEXT", help="hold the races whose names contain this")
    arguments = parser.parse_args()
    about = machine()
    print(about)
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if more := [threads for threads in arguments.threads if threads > there]:
        print(f"Left out: {more} threads, as there are {there} processors")
    reports = [_apart(n, arguments.rounds, arguments.only) for n in arguments.threads if n <= there]
    if not any(report.results for report in reports):
        names = "; ".join([net.name for net in NETS] + [f"{title} (1 thread)" for title in CHAINS])
        parser.error(f"no race was held, as none of them has {arguments.only!r} in its name: {names}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "table.md").write_text(table(reports, about), encoding="utf-8")
    picture(reports, about, arguments.out / "times.png")
    for report in reports:
        for net, lines in report.programs.items():
            (arguments.out / f"program {net}.txt").write_text(lines + "\n", encoding="utf-8")
    print(f"\nWritten to {arguments.out}: table.md, times.png, and what each line of our programs takes")


def _apart(threads: int, rounds: int, only: str) -> Report:
    with _held_to(threads), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(contests, threads, rounds, only).result()


@contextmanager
def _held_to(threads: int) -> Iterator[None]:
    """Let a process that is started now have so many threads and processors, whatever its libraries ask for."""
    os.environ |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    if not hasattr(os, "sched_setaffinity"):  # only Linux has it; JAX then uses as many as it likes
        yield
        return
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


if __name__ == "__main__":
    main()
