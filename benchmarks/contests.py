"""All races at a number of threads, in a process of its own: what is wanted of each, and what is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tinygrad_digits.ops.threads import image_threads

from . import chain
from .memory import memory
from .race import Contestant, Result, Wanted, race
from .steps import NETS, Net, Rival, check, data, rivals, shuffled

WANTED: dict[tuple[str, int], Wanted] = {
    ("784-30-10", 1): {
        "ours compiled": {"by hand": 1.05, "PyTorch": 0.2, "JAX jit": 0.7},
        "ours eager": {"by hand": 2.0, "PyTorch": 1 / 3},
    },
    ("784-100-10", 1): {"ours compiled": {"by hand": 1.05, "PyTorch": 0.4, "JAX jit": 0.75}},
    ("784-512-256-10", 1): {"ours compiled": {"by hand": 1.0, "PyTorch": 0.95}, "ours eager": {"PyTorch": 1.25}},
    ("784-512-256-10", 2): {
        "ours compiled": {"by hand": 1.0, "PyTorch": 1.05, "JAX jit": 1.05},
        "ours eager": {"PyTorch": 1.25},
    },
    ("LeNet", 1): {
        "ours compiled": {"by hand": 1.0, "by hand, 16 at a time": 1.0, "PyTorch": 0.9},
        "ours eager": {"PyTorch": 1.2},
    },
    ("LeNet", 2): {
        "ours compiled": {"by hand": 1.0, "by hand, 16 at a time": 1.0, "PyTorch": 1.05, "JAX jit": 0.5},
        "ours eager": {"PyTorch": 1.7},
    },
}
"""By net and number of threads: of each other's time, how many times it ours aim to take at most."""

CHAINS = {
    "2,000 operations of four kinds on two numbers": chain.mixed,
    "2,000 products of two numbers, the worst case": chain.multiply,
}

CHAIN_WANTED: Wanted = {"ours compiled": {"PyTorch": 1 / 3}, "ours eager": {"bare NumPy": 4.0, "PyTorch": 1 / 3}}


@dataclass
class Report:
    """What was measured at a number of threads.

    Attributes
    ----------
    results : list of Result
    memory : dict of str to (dict of str to (int, int))
        By net and contestant, see `memory.memory`.
    programs : dict of str to str
        By net, what each line of its program takes.
    """

    results: list[Result] = field(default_factory=list)
    memory: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)


def contests(threads: int, rounds: int, only: str) -> Report:
    """Hold those races whose titles contain `only`; chains, lines and memory with one thread only."""
    report = Report()
    with image_threads(threads):  # as a recipe's threads are set to work
        for net in NETS:
            if only in net.name:
                _step(report, net, threads, rounds)
    for title, contestants in CHAINS.items() if threads == 1 else ():
        if only in title:
            found = race(title, contestants(), threads=1, repeat=1, rounds=rounds, wanted=CHAIN_WANTED)
            report.results.append(found)
    return report


def _step(report: Report, net: Net, threads: int, rounds: int) -> None:
    digits = data()
    makers = rivals(net, digits, threads)
    racing = {name: make() for name, make in makers.items()}
    check(net, racing, count=len(digits.labels))
    contestants = {name: Contestant(_fed(rival, net.batch), rival.blas) for name, rival in racing.items()}
    wanted = WANTED.get((net.name, threads), {})
    title = f"{net.name}: {net.about}"
    report.results.append(race(title, contestants, threads=threads, repeat=net.repeat, rounds=rounds, wanted=wanted))
    if threads == 1:
        explain = racing["ours compiled"].explain
        assert explain is not None
        report.programs[net.name] = explain(next(shuffled(net.batch)))
        ours = {name: make for name, make in makers.items() if name.startswith(("ours", "by hand"))}
        report.memory[net.name] = {name: memory(make, shuffled(net.batch)) for name, make in ours.items()}


def _fed(rival: Rival, batch: int) -> Callable[[], object]:
    indices = shuffled(batch)
    return lambda: rival.step(next(indices))
