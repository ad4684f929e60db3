"""What was measured, as one table in Markdown and one picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from .contests import Report
from .race import Result

PEERS = {"torch": "PyTorch", "jax": "JAX"}

ABOUT = """Medians: with one thread, of the processor's time; with several, of the time that passes. In parentheses, how
many times a rival's time ours takes, compiled, and what is wanted at most.
"""

ORDER = ("ours compiled", "ours eager", "by hand", "by hand, 16 at a time", "bare NumPy", "PyTorch", "JAX jit")
"""Of columns and colours."""


def machine() -> str:
    """The processor, its cores, and the versions of all that takes part or is missing."""
    blas = next(
        (f"{i['internal_api']} {i['version']}" for i in threadpool_info() if i["user_api"] == "blas"), "no BLAS"
    )
    found = [f"Python {platform.python_version()}, NumPy {np.__version__} with {blas}"]
    for package, name in PEERS.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed and left out")
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; {', '.join(found)}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def table(reports: list[Report], about: str) -> str:
    """Medians, and of each how many times it ours takes, compiled."""
    results = [result for report in reports for result in report.results]
    names = [name for name in ORDER if any(name in result.seconds for result in results)]
    lines = [f"{about}.\n", ABOUT]
    lines += _rows(["", "threads", *names])
    for result in results:
        lines += [_row([result.title, str(result.threads), *(_cell(result, name) for name in names)])]
    rows = {net: found for report in reports for net, found in report.memory.items()}
    if rows:
        names = [name for name in ORDER if any(name in found for found in rows.values())]
        lines += [
            "",
            "Memory of arrays that is kept, parameters included, and what a step allocates beside it, in kB.\n",
        ]
        lines += _rows(["", *names])
        for net, found in rows.items():
            sizes = (f"{found[n][0] / 1e3:,.0f} + {found[n][1] / 1e3:,.1f}" if n in found else "" for n in names)
            lines += [_row([net, *sizes])]
    return "\n".join(lines) + "\n"


def _cell(result: Result, name: str) -> str:
    if name not in result.seconds:
        return ""
    seconds = result.seconds[name]
    time = f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"
    return time if name == "ours compiled" else f"{time} ({result.ratio('ours compiled', name)})"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(head: list[str]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))


def picture(reports: list[Report], about: str, path: Path) -> None:
    """Draw a bar a contestant, race by race, and save it."""
    from matplotlib.figure import Figure

    results = [result for report in reports for result in report.results]
    down = -(-len(results) // 2)
    figure = Figure(figsize=(11, 1 + 2.1 * down), layout="constrained")
    axes = iter(figure.subplots(down, 2, squeeze=False).flat)
    for result in results:
        ax = next(axes)
        scale, unit = (1e6, "µs") if min(result.seconds.values()) < 1e-3 else (1e3, "ms")
        here = list(result.seconds)
        times = [result.seconds[name] * scale for name in here]
        bars = ax.barh(here, times, color=[f"C{ORDER.index(name)}" for name in here])
        ax.bar_label(bars, [f"{time:,.{1 if time < 100 else 0}f}" for time in times], padding=3)
        ax.invert_yaxis()
        ax.margins(x=0.15)
        ax.spines[["top", "right"]].set_visible(False)
        title = result.title.replace(": ", "\n", 1)
        ax.set_title(f"{title}; {result.threads} thread{'s' * (result.threads > 1)}", fontsize=9)
        ax.set_xlabel(unit)
    for ax in axes:
        ax.set_visible(False)
    figure.suptitle("Time, shorter is better", fontsize=11)
    figure.supxlabel(about, fontsize=7)
    figure.savefig(path, dpi=150)
