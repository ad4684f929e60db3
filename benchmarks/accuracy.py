"""How well the recipes read, over several seeds: ``python -m benchmarks.accuracy [RECIPE …]``.

Each seed's net is trained as the recipe says and reads the test images once, after its last epoch.
"""

from __future__ import annotations

import argparse
import platform
from statistics import mean, stdev

import numpy as np

from tinygrad_digits.digits import RECIPES, evaluate, fit, load_mnist


def main() -> None:
    """Print a line a seed, and the mean and standard deviation of each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="*", default=[*RECIPES], metavar="RECIPE", help=f"of {', '.join(RECIPES)}: all")
    parser.add_argument("--seeds", type=int, default=5, help="how many (5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the others follow it (0)")
    arguments = parser.parse_args()
    digits = load_mnist()
    print(f"NumPy {np.__version__}, {platform.machine()}")
    for name in arguments.recipe:
        rows = []
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            trained = fit(RECIPES[name], digits, seed=seed)
            last, report = trained.history[-1], evaluate(trained.model, digits.test)
            halves = report.first_half, report.second_half
            rows.append((last.validation_accuracy, report.accuracy, *halves, last.seconds))
            print(f"{name} seed {seed}: {_told(rows[-1])}", flush=True)
        print(f"{name} mean:   {_told([mean(column) for column in zip(*rows, strict=True)])}")
        if len(rows) > 1:
            print(f"{name} sd:     {_told([stdev(column) for column in zip(*rows, strict=True)])}\n")


def _told(row: tuple[float, ...] | list[float]) -> str:
    validation, test, first, second, seconds = row
    return f"validation {validation:.2%}, test {test:.2%} (halves {first:.2%}, {second:.2%}), {seconds:.1f} s"


if __name__ == "__main__":
    main()
