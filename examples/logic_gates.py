"""Logic gates from perceptrons, and a half adder from NAND gates.

A perceptron weighs its inputs, adds a bias, and gives 1 if the sum is positive, else 0. Weights of -2 and a bias of 3
make it a NAND gate. Any circuit can be built of NAND gates, so networks of perceptrons can compute what computers can.

Expect the truth tables of AND, OR and NAND, and the two digits of a + b.

Nielsen, "Neural Networks and Deep Learning", chapter 1.
"""

import numpy as np

import tinygrad_digits as tg


def gate(weights, bias):
    """Make a perceptron with two inputs, its weights set by hand."""
    linear = tg.nn.Linear(2, 1)
    linear.load_state_dict({"weight": np.reshape(weights, (2, 1)), "bias": [bias]})
    perceptron = tg.nn.Sequential(linear, tg.nn.Step())
    return lambda a, b: perceptron(np.stack([a, b], axis=-1))[..., 0]


AND = gate([2, 2], bias=-3)
OR = gate([2, 2], bias=-1)
NAND = gate([-2, -2], bias=3)


def half_adder(a, b):
    """Add two binary digits: give the sum's last digit and the carry."""
    nand = NAND(a, b)
    return NAND(NAND(a, nand), NAND(nand, b)), NAND(nand, nand)


a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
digit, carry = half_adder(a, b)

print("a  b  AND  OR  NAND   a + b")
for row in np.stack([a, b, AND(a, b), OR(a, b), NAND(a, b), carry, digit], axis=1).astype(int).tolist():
    print("{}  {}   {}   {}    {}      {}{}".format(*row))
