"""Pictures, drawn by matplotlib (the extra ``plot``), which is loaded when the first is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .runs import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(histories: Mapping[str, Sequence[Epoch]], path: str | Path) -> None:
    """Draw how the errors of several trainings fell, epoch by epoch, as a picture file.

    Solid lines are of the validation images, dotted ones of training images: where they part, a net learns by heart.

    Parameters
    ----------
    histories : mapping of str to sequence of Epoch
        The epochs of each training, by the name it is to have.
    path : path
        The picture, by its ending PNG, SVG or PDF.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    figure = _figure(8, 5)
    axes = figure.subplots()
    for name, epochs in histories.items():
        numbers = [epoch.epoch for epoch in epochs]
        mark = "o" if len(epochs) == 1 else ""
        (line,) = axes.plot(numbers, [_error(e.validation_accuracy) for e in epochs], marker=mark, label=name)
        axes.plot(numbers, [_error(e.training_accuracy) for e in epochs], ":", marker=mark, color=line.get_color())
    axes.set(
        yscale="log", xlabel="epoch", ylabel="images read wrong, %", title="validation (solid) and training (dotted)"
    )
    for formatter in axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter:
        formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=150)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "a picture needs matplotlib: python -m pip install 'tinygrad_digits[plot]'", name=error.name
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _error(accuracy: float) -> float:
    """In percent; at least 0.01, so that none at all can be shown too."""
    return max(100 * (1 - accuracy), 0.01)
