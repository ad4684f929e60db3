"""``python -m benchmarks``: print how fast we are, side by side with peers."""

from __future__ import annotations

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from tinygrad_digits.ops.convolution import image_threads

from . import chain, steps
from .race import race


def main() -> None:
    """Run all races."""
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with threadpool_limits(threads, user_api="blas"):
            print(f"\n{threads} thread{'s' * (threads > 1)}")
            if threads == 1:
                title = "784-30-10, sigmoid, batch 10"
                race(title, steps.nielsen(), repeat=300, wanted={"by hand": 2.0, "PyTorch": 1 / 3})
                ops = {"bare NumPy": 4.0, "PyTorch": 1 / 3}
                race("2,000 operations of four kinds on two numbers", chain.mixed(), repeat=5, wanted=ops)
                race("2,000 products of two numbers: the worst case", chain.multiply(), repeat=5, wanted=ops)
            race("784-512-256-10, ReLU, momentum, batch 128", steps.mlp(), repeat=5, wanted={"PyTorch": 1.25})
        with threadpool_limits(1, user_api="blas"), image_threads(threads):  # as a recipe's threads are set to work
            net = "two convolutions, pooling, two dense layers, batch 64"
            race(net, steps.lenet(), repeat=5, wanted={"PyTorch": {1: 1.2, 2: 1.7}[threads]})


if __name__ == "__main__":
    main()
