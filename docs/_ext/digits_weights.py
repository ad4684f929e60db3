"""Make _static/widgets/digits-weights.js, by which drawn digits are read: ``python docs/_ext/digits_weights.py``.

The net is trained by the recipe `sigmoid`. Its weights are shipped in 8 bits each: whole numbers from -127 to 127,
times one number for each neuron.
"""

import json
from base64 import b64encode
from pathlib import Path

import numpy as np

from tinygrad_digits import nn
from tinygrad_digits.digits import RECIPES, fit, load_mnist

FILE = Path(__file__).parents[1] / "_static" / "widgets" / "digits-weights.js"


def main() -> None:
    """Train, round, write."""
    model = fit(RECIPES["sigmoid"], load_mnist()).model
    layers = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            weight, bias = layer.weight.numpy(), layer.bias.numpy()
            scale = np.abs(weight).max(axis=0) / 127
            small = np.rint(weight / scale).astype(np.int8)
            layers.append(
                {
                    "scale": [float(f"{s:.6g}") for s in scale],
                    "bias": [float(f"{b:.6g}") for b in bias],
                    "weight": b64encode(small.tobytes()).decode(),  # by inputs, then neurons
                }
            )
    lines = ",\n".join(json.dumps(layer, separators=(",", ":")) for layer in layers)
    FILE.write_text(f"/* Made by docs/_ext/digits_weights.py. */\nwindow.digitsWeights = [\n{lines}\n];\n")


if __name__ == "__main__":
    main()
