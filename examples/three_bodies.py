"""Three stars that chase each other along a figure eight for ever, found by differentiating through their orbits.

As a rule the orbits of three stars are chaos. We look for initial velocities from which all are back where they began
after a time T, by Newton's method on a simulation of 200 steps: `jacobian` goes back through all of them.

Expect the distance from closing to fall below 1e-9, faster and faster, as it does only if the derivatives are right,
and a picture of the orbits on the way: three_bodies.png.

Moore, "Braids in classical dynamics", Physical Review Letters, 1993, found them.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_digits as tg


def start(vx, vy):
    """Put the stars in a row; the outer ones go one way, and the one between them the other, twice as fast."""
    outer = np.stack([vx, vy])
    return np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), np.stack([outer, outer, -2 * outer])


def acceleration(x):
    """Newton's law of gravity, for unit masses at x (3, 2)."""
    apart = x - x[:, None]
    squares = np.sum(apart**2, axis=2, keepdims=True) + np.eye(3)[..., None]  # no star pulls itself: avoid 0 / 0
    return np.sum(apart / squares**1.5, axis=1)


def simulate(x, v, time, steps=200):
    """Give all positions, and the last velocities, by leapfrog integration."""
    dt = time / steps
    path = [x]
    for _ in range(steps):
        x = x + v * (dt / 2)
        v = v + acceleration(x) * dt
        x = x + v * (dt / 2)
        path.append(x)
    return path, v


def gap(unknown):
    """Give what separates the end from the start. Two stars suffice, as the centre of mass stays where it is."""
    vx, vy, time = unknown
    x, v = start(vx, vy)
    path, v_end = simulate(x, v, time)
    return np.concatenate([(path[-1] - x)[:2], (v_end - v)[:2]]).ravel()


figure, panels = plt.subplots(1, 3, figsize=(11, 3), sharex=True, sharey=True, layout="constrained")
panels = dict(zip((0, 1, 11), panels, strict=True))  # by iteration
colours = "tab:blue", "tab:orange", "black"
unknown = np.array([0.4, 0.5, 6.0])  # a guess of vx, vy and T

for iteration in range(12):
    vx, vy, time = unknown
    error = gap(unknown)
    distance = np.linalg.norm(error)
    print(f"iteration {iteration:2}: velocity ({vx:.5f}, {vy:.5f}), T = {time:.5f}, {distance:.0e} from closing")
    if iteration in panels:
        axes = panels[iteration]
        x, v = start(vx, vy)
        path, _ = simulate(x, v, 2 * time, steps=400)
        for star, colour, width in zip(np.swapaxes(path, 0, 1), colours, (6, 4, 1), strict=True):
            axes.plot(*star.T, color=colour, linewidth=width)
            axes.plot(*star[-1], "o", color=colour, markersize=12)
        axes.set(title=f"iteration {iteration}: {distance:.0e} from closing", xlabel="x", aspect="equal")
    unknown = unknown - np.linalg.lstsq(tg.jacobian(gap)(unknown), error)[0]

panels[0].set(ylabel="y")
figure.savefig("three_bodies.png", dpi=120)
