"""``python -m benchmarks``: print how fast we are, against peers; exit with status 1 if a limit is not kept."""

from __future__ import annotations

import sys

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from . import chain, steps
from .race import race


def main() -> int:
    """Run all races."""
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}")
    kept = True
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with threadpool_limits(threads, user_api="blas"):
            print(f"\n{threads} BLAS thread{'s' * (threads > 1)}")
            if threads == 1:
                kept &= race(
                    "784-30-10, sigmoid, batch 10",
                    steps.nielsen(),
                    repeat=300,
                    limits={"by hand": 2.0, "PyTorch": 1 / 3},
                )
                limits = {"bare NumPy": 4.0, "PyTorch": 1 / 3}
                kept &= race("2,000 × (y * c), two numbers", chain.multiply(), repeat=5, limits=limits)
                kept &= race("2,000 mixed operations, two numbers", chain.mixed(), repeat=5, limits=limits)
            kept &= race("784-512-256-10, ReLU, momentum, batch 128", steps.mlp(), repeat=5, limits={"PyTorch": 1.25})
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
