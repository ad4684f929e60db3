"""Gradient descent, watched: four ways down the same valley from the same place.

The valley is steep across and almost flat along. Across, a step of the learning rate times the slope leads to the other
side and higher up as soon as the learning rate is above 2 / curvature; along, the same step is far too short. Momentum
helps: it adds up what the steps have in common, and what they do not cancels out.

Expect a picture of the four paths, gradient_descent.png.

Goh, "Why momentum really works", Distill, 2017.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_digits as tg


def height(point):
    """A valley along x. The lowest point is (0, 0)."""
    x, y = point
    return (x**2 + 20 * y**2) / 2


def descend(steps=40, **settings):
    """Give the points that gradient descent visits."""
    point = tg.tensor([-9.0, 1.0], requires_grad=True)
    optimizer = tg.optim.SGD([point], **settings)
    path = [point.numpy()]
    for _ in range(steps):
        optimizer.zero_grad()
        height(point).backward()
        optimizer.step()
        path.append(point.numpy())
    return np.array(path)


along, across = np.linalg.eigvalsh(tg.hessian(height)(np.zeros(2)))
print(f"curvatures {along:g} and {across:g}: learning rates above {2 / across:g} are too large")

runs = {
    "too small": {"lr": 0.005},
    "about right": {"lr": 0.08},
    "too large": {"lr": 0.1025},
    "with momentum": {"lr": 0.08, "momentum": 0.7},
}
figure, panels = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
x, y = np.meshgrid(np.linspace(-10, 4, 200), np.linspace(-3, 3, 200))

for (name, settings), axes in zip(runs.items(), panels.flat, strict=True):
    path = descend(**settings)
    title = f"{name}: {', '.join(f'{key} = {value}' for key, value in settings.items())}"
    print(f"{title:42} height {height(path[-1]):7.1e} after {len(path) - 1} steps")
    axes.contourf(x, y, height((x, y)), levels=np.linspace(0, 11, 12) ** 2, cmap="Blues_r")
    axes.plot(*path.T, "o-", color="tab:orange", markersize=3.5, linewidth=1)
    axes.plot(0, 0, "*", color="white", markersize=12)
    axes.set(title=title, xlim=(-10, 4), ylim=(-3, 3))
figure.supxlabel("x, along the valley")
figure.supylabel("y, across it")
figure.savefig("gradient_descent.png", dpi=120)
