"""``python -m benchmarks.layers``: layers, losses and optimizers against PyTorch's, on the same weights, in float64.

For each, the largest difference of values and of gradients (by inputs and parameters), relative to the largest number;
for an optimizer, of the parameters after 20 steps. Exits with an error if one is beyond 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tinygrad_digits as tg
from tinygrad_digits import nn, optim

ALLOWED = 1e-6
Array = NDArray[Any]
Case = tuple[float, float]

rng = np.random.default_rng(0)
torch.set_default_dtype(torch.float64)


def normal(*shape: int) -> Array:
    """Draw from the standard normal distribution."""
    return rng.normal(size=shape)


def difference(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference between arrays, relative to the largest number in each; infinite for other shapes."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a), b.detach().numpy()
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf")
        worst = max(worst, float(np.max(np.abs(a - b), initial=0)) / max(float(np.max(np.abs(b), initial=0)), 1e-3))
    return worst


def compare(ours: Callable[..., Any], theirs: Callable[..., Any], *inputs: Array, weights: Any = ()) -> Case:
    """Values and gradients of two functions of the same inputs.

    `weights` holds our parameter and theirs by pairs, with what makes ours of theirs (a transpose, say) in the middle.
    """
    xs, ys = [tg.tensor(x, requires_grad=True) for x in inputs], [torch.tensor(x, requires_grad=True) for x in inputs]
    for p, to_ours, q in weights:
        p.data = to_ours(q.detach()).numpy()
        p.grad, q.grad = None, None
    out, expected = ours(*xs), theirs(*ys)
    seed = normal(*out.shape)
    out.backward(seed)
    expected.backward(torch.tensor(seed))
    gradients = [x.grad for x in xs] + [p.grad for p, _, _ in weights]
    peers = [y.grad for y in ys] + [to_ours(q.grad) for _, to_ours, q in weights]
    return difference([out.numpy()], [expected]), difference(gradients, peers)


def same(t: Any) -> Any:
    """The parameters lie as ours do."""
    return t


# ------------------------------------------------------------------------------------------------------------- layers


def linear() -> Case:
    ours, theirs = nn.Linear(3, 4, dtype=float), torch.nn.Linear(3, 4)
    weights = [(ours.weight, torch.t, theirs.weight), (ours.bias, same, theirs.bias)]
    return compare(ours, theirs, normal(2, 5, 3), weights=weights)


def channels_last(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A layer of PyTorch's, which has the channels first, for inputs that have them last."""
    return lambda x: torch.movedim(layer(torch.movedim(x, -1, 1)), 1, -1)


def conv2d(**settings: Any) -> Callable[[], Case]:
    def case() -> Case:
        ours, theirs = nn.Conv2d(3, 4, (3, 2), dtype=float, **settings), torch.nn.Conv2d(3, 4, (3, 2), **settings)
        pairs = [(ours.weight, lambda t: t.permute(2, 3, 1, 0), theirs.weight), (ours.bias, same, theirs.bias)]
        return compare(ours, channels_last(theirs), normal(2, 9, 8, 3), weights=pairs)

    return case


def pool(name: str, *settings: Any) -> Callable[[], Case]:
    ours, theirs = getattr(nn, name)(*settings), getattr(torch.nn, name)(*settings)
    return lambda: compare(ours, channels_last(theirs), normal(2, 9, 8, 3))


def batch_norm(ours: Any, theirs: Any, *shape: int, training: bool = True) -> Callable[[], Case]:
    """A normalisation of batches, channels last, in training after one step of it, or in evaluation mode."""

    def case() -> Case:
        one, other = ours(shape[-1], dtype=float), theirs(shape[-1])
        x = normal(*shape)
        one(x)
        channels_last(other)(torch.tensor(x))
        one.train(training)
        other.train(training)
        pairs = [(one.weight, same, other.weight), (one.bias, same, other.bias)]
        for _, _, q in pairs:
            q.data += torch.tensor(normal(*q.shape))
        found = compare(one, channels_last(other), normal(*shape), weights=pairs)
        averages = [one.running_mean.numpy(), one.running_var.numpy()], [other.running_mean, other.running_var]
        return max(found[0], difference(*averages)), found[1]

    return case


def layer_norm() -> Case:
    ours, theirs = nn.LayerNorm(4, dtype=float), torch.nn.LayerNorm(4)
    theirs.weight.data += torch.tensor(normal(4))
    pairs = [(ours.weight, same, theirs.weight), (ours.bias, same, theirs.bias)]
    return compare(ours, theirs, normal(3, 2, 4), weights=pairs)


def embedding() -> Case:
    ours, theirs, places = nn.Embedding(5, 3, dtype=float), torch.nn.Embedding(5, 3), np.array([[1, 4], [1, 0]])
    pairs = [(ours.weight, same, theirs.weight)]
    return compare(lambda: ours(places), lambda: theirs(torch.tensor(places)), weights=pairs)


def columns(order: tuple[int, ...]) -> Callable[[Any], Any]:
    """PyTorch's blocks of rows, one for each gate, as our blocks of columns."""

    def ours(weight: Any) -> Any:
        blocks = torch.chunk(weight, len(order))
        return torch.cat([blocks[i] for i in order]).mT if weight.ndim == 2 else torch.cat([blocks[i] for i in order])

    return ours


def recurrent(name: str, order: tuple[int, ...]) -> Callable[[], Case]:
    """A recurrent layer begun with a state; PyTorch's second bias is 0 where ours has one only."""

    def case() -> Case:
        one, other = getattr(nn, name)(3, 4, dtype=float), getattr(torch.nn, name)(3, 4, batch_first=True)
        other.bias_hh_l0.data[: 8 if name == "GRU" else None] = 0
        arranged = columns(order)
        pairs = [
            (one.weight, arranged, other.weight_ih_l0),
            (one.hidden_weight, arranged, other.weight_hh_l0),
            (one.bias, arranged, other.bias_ih_l0),
        ]
        if name == "GRU":
            pairs.append((one.hidden_bias, lambda bias: bias[8:], other.bias_hh_l0))
        if name == "LSTM":
            return compare(
                lambda x, h, c: one(x, (h, c)),
                lambda x, h, c: other(x, (h[None], c[None]))[0],
                *(normal(2, 5, 3), normal(2, 4), normal(2, 4)),
                weights=pairs,
            )
        return compare(one, lambda x, h: other(x, h[None])[0], normal(2, 5, 3), normal(2, 4), weights=pairs)

    return case


LAYERS: dict[str, Callable[[], Case]] = {
    "Linear": linear,
    "Conv2d": conv2d(),
    "Conv2d, padding and stride": conv2d(padding=(2, 1), stride=(2, 3)),
    "Conv2d, dilation, same": conv2d(padding="same", dilation=2),
    "MaxPool2d": pool("MaxPool2d", 2),
    "MaxPool2d, overlapping, padding": pool("MaxPool2d", (3, 2), (2, 1), (1, 1)),
    "AvgPool2d": pool("AvgPool2d", 2),
    "AvgPool2d, overlapping": pool("AvgPool2d", (3, 2), (2, 1)),
    "Sigmoid": lambda: compare(nn.Sigmoid(), torch.nn.Sigmoid(), normal(5, 3)),
    "Tanh": lambda: compare(nn.Tanh(), torch.nn.Tanh(), normal(5, 3)),
    "ReLU": lambda: compare(nn.ReLU(), torch.nn.ReLU(), normal(5, 3)),
    "LeakyReLU": lambda: compare(nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2), normal(5, 3)),
    "Softplus": lambda: compare(nn.Softplus(), torch.nn.Softplus(), normal(5, 3)),
    "SiLU": lambda: compare(nn.SiLU(), torch.nn.SiLU(), normal(5, 3)),
    "GELU": lambda: compare(nn.GELU(), torch.nn.GELU(approximate="tanh"), normal(5, 3)),
    "Softmax": lambda: compare(nn.Softmax(), torch.nn.Softmax(dim=-1), normal(5, 3)),
    "Embedding": embedding,
    "LayerNorm": layer_norm,
    "BatchNorm1d": batch_norm(nn.BatchNorm1d, torch.nn.BatchNorm1d, 5, 3),
    "BatchNorm1d, sequences": batch_norm(nn.BatchNorm1d, torch.nn.BatchNorm1d, 5, 2, 3),
    "BatchNorm1d, evaluation": batch_norm(nn.BatchNorm1d, torch.nn.BatchNorm1d, 5, 3, training=False),
    "BatchNorm2d": batch_norm(nn.BatchNorm2d, torch.nn.BatchNorm2d, 2, 4, 4, 3),
    "BatchNorm2d, evaluation": batch_norm(nn.BatchNorm2d, torch.nn.BatchNorm2d, 2, 4, 4, 3, training=False),
    "RNN": recurrent("RNN", (0,)),
    "GRU": recurrent("GRU", (0, 1, 2)),
    "LSTM": recurrent("LSTM", (0, 1, 3, 2)),
}

# ------------------------------------------------------------------------------------------------------------- losses

F = torch.nn.functional
LABELS = np.array([0, 2, 1, 2])

WEIGHT = np.array([1.0, 0.5, 2.0])
P = rng.dirichlet(np.ones(3), 4)


def of_elements(name: str, target: Callable[[], Array] = lambda: normal(4, 3), **settings: Any) -> Callable[[], Case]:
    """A loss that has one name, and the same settings, in both."""
    one, other = getattr(nn, name), getattr(F, name)
    return lambda: compare(
        lambda x, y: one(x, y, **settings), lambda x, y: other(x, y, **settings), normal(4, 3), target()
    )


def of_labels(name: str, **settings: Any) -> Callable[[], Case]:
    """The same for a loss of labels."""
    one, other, labels = getattr(nn, name), getattr(F, name), torch.tensor(LABELS)
    peers = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    return lambda: compare(lambda x: one(x, LABELS, **settings), lambda x: other(x, labels, **peers), normal(4, 3))


LOSSES: dict[str, Callable[[], Case]] = {
    **{
        f"{name}{reduction and ', ' + reduction}": of_elements(name, target, reduction=reduction or "mean")
        for name, target in (
            ("mse_loss", lambda: normal(4, 3)),
            ("l1_loss", lambda: normal(4, 3)),
            ("huber_loss", lambda: normal(4, 3)),
            ("binary_cross_entropy_with_logits", lambda: rng.random((4, 3))),
        )
        for reduction in ("", "sum", "none")
    },
    "huber_loss, delta": of_elements("huber_loss", delta=0.3),
    "cross_entropy": of_labels("cross_entropy"),
    "cross_entropy, sum": of_labels("cross_entropy", reduction="sum"),
    "cross_entropy, none": of_labels("cross_entropy", reduction="none"),
    "cross_entropy, weight": of_labels("cross_entropy", weight=WEIGHT),
    "cross_entropy, smoothing": of_labels("cross_entropy", label_smoothing=0.1),
    "cross_entropy, both": of_labels("cross_entropy", weight=WEIGHT, label_smoothing=0.1),
    "nll_loss": of_labels("nll_loss"),
    "nll_loss, weight": of_labels("nll_loss", weight=WEIGHT),
    # PyTorch divides by the number of classes too.
    "hinge_loss": lambda: compare(
        lambda x: nn.hinge_loss(x, LABELS), lambda x: 3 * F.multi_margin_loss(x, torch.tensor(LABELS)), normal(4, 3)
    ),
    "kl_div": lambda: compare(nn.kl_div, lambda x, p: F.kl_div(x, p, reduction="batchmean"), normal(4, 3), P),
    "kl_div, sum": lambda: compare(
        lambda x, p: nn.kl_div(x, p, reduction="sum"), lambda x, p: F.kl_div(x, p, reduction="sum"), normal(4, 3), P
    ),
}

# --------------------------------------------------------------------------------------------------------- optimizers


def steps(ours: Callable[..., Any], theirs: Callable[..., Any], clip: Callable[[Any, Any], None] | None = None) -> Case:
    """Two optimizers, given the same gradients of two parameters for 20 steps; two groups with their own rates."""
    starts = normal(3, 2), normal(4)
    xs, ys = [tg.tensor(x, requires_grad=True) for x in starts], [torch.tensor(x, requires_grad=True) for x in starts]
    one, other = (kind([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.02}]) for kind, ps in ((ours, xs), (theirs, ys)))
    for _ in range(20):
        for x, y in zip(xs, ys, strict=True):
            x.grad = normal(*x.shape)
            y.grad = torch.tensor(x.grad)
        if clip:
            clip(xs, ys)
        one.step()
        other.step()
    return difference([x.numpy() for x in xs], ys), 0.0


def clip_norm(xs: Any, ys: Any) -> None:
    optim.clip_grad_norm(xs, 1.5)
    torch.nn.utils.clip_grad_norm_(ys, 1.5)


def clip_value(xs: Any, ys: Any) -> None:
    optim.clip_grad_value(xs, 0.5)
    torch.nn.utils.clip_grad_value_(ys, 0.5)


def kind(name: str, **settings: Any) -> Callable[[], Case]:
    return lambda: steps(
        lambda ps: getattr(optim, name)(ps, lr=0.05, **settings),
        lambda ps: getattr(torch.optim, name)(ps, lr=0.05, **settings),
    )


def plain(clip: Callable[[Any, Any], None]) -> Callable[[], Case]:
    return lambda: steps(lambda ps: optim.SGD(ps, lr=0.05), lambda ps: torch.optim.SGD(ps, lr=0.05), clip)


OPTIMIZERS: dict[str, Callable[[], Case]] = {
    "SGD": kind("SGD"),
    "SGD, momentum": kind("SGD", momentum=0.9, weight_decay=0.01),
    "SGD, Nesterov": kind("SGD", momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": kind("Adam"),
    "Adam, betas": kind("Adam", betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
    "AdamW": kind("AdamW", weight_decay=0.1),
    "RMSprop": kind("RMSprop"),
    "RMSprop, momentum": kind("RMSprop", alpha=0.9, momentum=0.9, weight_decay=0.1),
    "Adagrad": kind("Adagrad", weight_decay=0.1),
    "clip_grad_norm": plain(clip_norm),
    "clip_grad_value": plain(clip_value),
}


def main() -> int:
    """Compare them all."""
    failed = 0
    for title, cases in ("layers", LAYERS), ("losses", LOSSES), ("optimizers", OPTIMIZERS):
        print(f"\n{title:40}{'values':>10}{'gradients':>12}")
        for name, case in cases.items():
            found = case()
            beyond = not max(found) <= ALLOWED
            failed += beyond
            print(f"{name:40}{found[0]:10.0e}{found[1]:12.0e}{'  beyond 1e-6' * beyond}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main() > 0)
