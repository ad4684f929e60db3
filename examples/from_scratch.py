"""A net that reads handwritten digits, from bare arithmetic: no layers, no loss functions, no optimizer.

Tensors take NumPy's functions, and remember what was computed with them. `backward` then fills the gradient of each
parameter, and the parameter goes a small step downhill.

Expect more than 95 % of the validation images read correctly, after three passes over the training images.
"""

import numpy as np

import tinygrad_digits as tg
from tinygrad_digits.digits import batches, load_mnist

train, validation, _ = load_mnist()
rng = np.random.default_rng(0)


def weights(inputs, outputs):
    """Draw initial weights such that each weighted sum has a variance of about 1."""
    return tg.tensor(rng.normal(0, inputs**-0.5, (inputs, outputs)), dtype=np.float32, requires_grad=True)


def biases(outputs):
    """Begin with biases of 0."""
    return tg.tensor(np.zeros(outputs), dtype=np.float32, requires_grad=True)


parameters = W1, b1, W2, b2 = weights(784, 60), biases(60), weights(60, 10), biases(10)


def net(images):
    """Map images to ten numbers each, the larger the likelier is the digit."""
    x = images.reshape(-1, 784) / np.float32(255)
    return np.tanh(x @ W1 + b1) @ W2 + b2


def cross_entropy(outputs, labels):
    """Give the mean of -log(probability of the right digit)."""
    outputs = outputs - np.max(outputs, axis=1, keepdims=True)  # changes nothing, but exp does not overflow
    return np.mean(np.log(np.sum(np.exp(outputs), axis=1)) - outputs[np.arange(len(labels)), labels])


learning_rate = 0.3
for epoch in range(1, 4):
    for images, labels in batches(*train, size=50, rng=rng):
        loss = cross_entropy(net(images), labels)
        loss.backward()
        with tg.no_grad():
            for p in parameters:
                p -= learning_rate * p.grad
                p.grad = None

    with tg.no_grad():
        right = np.mean(np.argmax(net(validation.images), axis=1) == validation.labels)
    print(f"epoch {epoch}: {right:.1%} of {len(validation.labels):,} validation images read correctly")
