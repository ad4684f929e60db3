"""What importing the package costs beside importing NumPy, both compiled already: ``python -m benchmarks.imports``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter

ROUNDS = 20


def main() -> None:
    """Start fresh interpreters in turn; print the medians."""
    times: dict[str, list[float]] = {"pass": [], "import numpy": [], "import tinygrad_digits": []}
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        for turn in range(ROUNDS + 1):
            for program, row in times.items():
                start = perf_counter()
                subprocess.run([sys.executable, "-c", program], env=environment, check=True)
                if turn:  # the first run compiles
                    row.append(perf_counter() - start)
    for program, row in times.items():
        print(f"{program:<24}{median(row) * 1e3:7.1f} ms")
    more = median(times["import tinygrad_digits"]) - median(times["import numpy"])
    print(f"{'beside NumPy':<24}{more * 1e3:7.1f} ms; at most 30 is wanted")


if __name__ == "__main__":
    main()
