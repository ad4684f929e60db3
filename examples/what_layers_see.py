"""What each layer of a deep net sees: the numbers inside a convolutional net while it reads a digit.

The first filters find strokes and edges of one direction each; pooling keeps whether they were found, and roughly
where; the second filters combine them into corners, loops and ends; the last layer weighs these up for each digit.

Expect more than 95 % of the validation images read correctly after one pass over 10,000 training images, and a picture
of the filters and of what they find: what_layers_see.png.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_digits as tg
from tinygrad_digits.digits import accuracy, as_floats, batches, load_mnist

train, validation, _ = load_mnist()
rng = np.random.default_rng(0)
net = tg.nn.Sequential(
    tg.nn.Conv2d(1, 8, 5, rng=rng),
    tg.nn.MaxPool2d(2),
    tg.nn.ReLU(),
    tg.nn.Conv2d(8, 16, 5, rng=rng),
    tg.nn.MaxPool2d(2),
    tg.nn.ReLU(),
    tg.nn.Flatten(),
    tg.nn.Linear(256, 10, rng=rng),
)
optimizer = tg.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for images, labels in batches(as_floats(train.images[:10_000]), train.labels[:10_000], size=32, rng=rng):
    loss = tg.nn.cross_entropy(net(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{accuracy(net, as_floats(validation.images), validation.labels):.1%} of the validation images read correctly")

seen = [as_floats(validation.images[:1])]
with tg.no_grad():
    for layer in net:
        seen.append(layer(seen[-1]))
image, found, _, pooled, found_2, _, pooled_2, _, outputs = (x[0] for x in seen)

rows = {
    "the first filters, 5×5 weights: violet for ink, orange against it": net[0].weight[:, :, 0].numpy(),
    "where they find their pattern: Conv2d, 24×24": found,
    "that it was found near there: MaxPool2d and ReLU, 12×12": pooled,
    "where the second filters find theirs: Conv2d, 8×8": found_2,
    "that it was found near there: MaxPool2d and ReLU, 4×4": pooled_2,
}
figure, panels = plt.subplot_mosaic(
    [[left, right] for left, right in zip(["the image"] * 3 + ["the answer"] * 2, rows, strict=True)],
    width_ratios=(1, 4),
    height_ratios=(2, 2, 2, 1, 1),
    figsize=(12, 7),
    layout="constrained",
)
for title, axes in panels.items():
    axes.set_title(title)

panels["the image"].imshow(image, cmap="gray_r")
panels["the image"].set(xticks=[], yticks=[])
panels["the answer"].bar(range(10), tg.softmax(outputs), color="tab:purple")
panels["the answer"].set(xlabel="digit", ylabel="probability", xticks=range(10), ylim=(0, 1))

for title, row in rows.items():
    space = len(row) // 12 + 1
    channels = np.pad(row, ((0, 0), (0, space), (0, 0)), constant_values=np.nan)  # NaN is not drawn
    largest = np.max(np.abs(row))
    side_by_side = np.swapaxes(channels, 1, 2).reshape(len(row), -1)
    panels[title].imshow(side_by_side, cmap="PuOr", vmin=-largest, vmax=largest)
    panels[title].set_axis_off()
figure.savefig("what_layers_see.png", dpi=120)
