"""XOR, and why one layer cannot learn it.

A single neuron divides the plane by a straight line. No line has the two points where exactly one input is 1 on one
side, and the other two on the other: it gets at most three of the four right. A hidden layer bends the line.

Expect at most 75 % from one layer, 100 % from two, and a picture of where each net says 1: xor.png.

Minsky and Papert, "Perceptrons", 1969.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_digits as tg

inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
targets = np.array([[0], [1], [1], [0]], np.float32)

nets = {
    "one layer": tg.nn.Sequential(tg.nn.Linear(2, 1, rng=0)),
    "a hidden layer of 4": tg.nn.Sequential(tg.nn.Linear(2, 4, rng=0), tg.nn.Tanh(), tg.nn.Linear(4, 1, rng=1)),
}
figure, panels = plt.subplots(1, len(nets), figsize=(9, 4.2), layout="constrained")
x, y = np.meshgrid(np.linspace(-0.5, 1.5, 200), np.linspace(-0.5, 1.5, 200))

for (name, net), axes in zip(nets.items(), panels, strict=True):
    optimizer = tg.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for _ in range(300):
        loss = tg.nn.binary_cross_entropy_with_logits(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with tg.no_grad():
        right = np.mean((net(inputs) > 0) == targets)
        probability = tg.sigmoid(net(np.stack([x, y], axis=-1)))[..., 0]
    print(f"{name:20} loss {loss:.3f}, {right:.0%} right")

    shades = axes.contourf(x, y, probability, levels=np.linspace(0, 1, 11), cmap="PuOr")
    for value, marker in (0, "o"), (1, "s"):
        points = inputs[targets[:, 0] == value]
        axes.scatter(*points.T, s=120, marker=marker, c="white", edgecolors="black", label=f"XOR is {value}")
    axes.set(title=f"{name}: {right:.0%} right", xlabel="first input", ylabel="second input")
    axes.set(xticks=[0, 1], yticks=[0, 1], aspect="equal")
axes.legend(loc="upper right")
figure.colorbar(shades, ax=panels, label="the net's probability of 1")
figure.savefig("xor.png", dpi=120)
