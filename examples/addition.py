"""A recurrent net that learns to add binary numbers, and then adds numbers far longer than any it has seen.

It reads two numbers digit by digit, the last digits first, and says a digit of their sum each time. Nobody tells it of
carrying: it has to find out that there is something to remember, and what.

Expect (nearly) all sums of 100 digits right after training on sums of 8, and a picture of its neurons at work,
addition.png: some of them have become the carry.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_digits as tg

rng = np.random.default_rng(0)


def sums(count, length):
    """Draw pairs of numbers, last digits first; give their digits, those of the sums, and the carries."""
    pairs = rng.integers(2, size=(count, length, 2))
    digits, carries = np.empty((2, count, length))
    carry = 0
    for step in range(length):
        carry, digits[:, step] = np.divmod(pairs[:, step].sum(axis=1) + carry, 2)
        carries[:, step] = carry
    return pairs.astype(np.float32), digits, carries


rnn, readout = tg.nn.RNN(2, 12, rng=rng), tg.nn.Linear(12, 1, rng=rng)
optimizer = tg.optim.Adam(rnn.parameters() + readout.parameters(), lr=0.02)
for step in range(1, 601):
    pairs, digits, _ = sums(64, length=8)
    outputs = readout(rnn(pairs))[..., 0]
    loss = tg.nn.binary_cross_entropy_with_logits(outputs, digits)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step}: loss {loss:.4f}")

with tg.no_grad():
    pairs, digits, carries = sums(1000, length=100)
    states = rnn(pairs)
    said = readout(states)[..., 0] > 0
print(f"{np.mean(np.all(said == digits, axis=1)):.1%} of 1,000 sums of 100 digits are right")

likeness = np.corrcoef(carries.ravel(), states.numpy().reshape(-1, 12).T)[0, 1:]
order = np.argsort(-np.abs(likeness))
shown = slice(0, 32)
rows = np.vstack([2 * pairs[0, shown].T - 1, 2 * carries[:1, shown] - 1, states[0, shown, order].numpy()])

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
image = axes.imshow(rows, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
axes.axhline(2.5, color="black")
neurons = [f"neuron {i} ({likeness[i]:+.2f})" for i in order]
axes.set_yticks(range(15), ["first number", "second number", "carry", *neurons])
axes.set(xlabel="digit, from the last", title="An addition, and the neurons (with their correlation with the carry)")
figure.colorbar(image, label="neurons: from -1 to 1; digits: brown is 0, violet 1", ticks=[-1, 0, 1])
figure.savefig("addition.png", dpi=120)
