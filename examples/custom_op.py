"""An operation and a layer of your own, and the check that finds a wrong derivative.

The operation is a function of arrays and, for each argument, one line of calculus. The layer is an object with tensors
that can be called. `check_grads` compares the derivatives of either, first and second, with numeric ones.

Expect two tables of small errors, a sum of six bells that has learned a sine, and the report of what is wrong with a
rule in which a square was forgotten.
"""

import numpy as np

import tinygrad_digits as tg


@tg.primitive
def bell(x, width):
    """Gauss's curve, exp(-x² / 2 width²)."""
    return np.exp(-((x / width) ** 2) / 2)


# A rule is given g, the gradient of what comes after; out, the result; and the arguments.
# fmt: off
tg.defvjp(bell, lambda g, out, x, width: -g * out * x / width**2,
                lambda g, out, x, width: g * out * x**2 / width**3)
# fmt: on


class Bells(tg.nn.Module):
    """Bells along a line: each input (N, 1) becomes its height under each of them, (N, count)."""

    def __init__(self, count, low, high):
        spacing = (high - low) / (count - 1)
        self.centre = tg.tensor(np.linspace(low, high, count), requires_grad=True)
        self.width = tg.tensor(np.full(count, spacing), requires_grad=True)

    def __call__(self, x):
        """Measure how near the inputs are to the centres."""
        return bell(x - self.centre, self.width)


print(tg.testing.check_grads(bell, np.linspace(-2, 2, 5), 0.7), end="\n\n")
print(tg.testing.check_grads(Bells(4, low=-3, high=3), np.array([[-1.0], [0.5]])), end="\n\n")

x = np.linspace(-3, 3, 100)[:, None]
net = tg.nn.Sequential(Bells(6, low=-3, high=3), tg.nn.Linear(6, 1, dtype=float, rng=0))
optimizer = tg.optim.Adam(net.parameters(), lr=0.05)
for _ in range(300):
    loss = tg.nn.mse_loss(net(x), np.sin(x))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"after 300 steps six bells are {loss.item() ** 0.5:.2f} from a sine", end="\n\n")

# fmt: off
tg.defvjp(bell, lambda g, out, x, width: -g * out * x / width**2,
                lambda g, out, x, width: g * out * x / width**3)  # wrong: x should be squared
# fmt: on
try:
    tg.testing.check_grads(bell, 0.5, 0.7)
except AssertionError as report:
    print(report)
