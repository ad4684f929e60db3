"""The command line: ``tinygrad-digits train | evaluate | predict | info``.

What it prints is the same at a terminal and in a pipe, but for the progress bar. What goes wrong is said in one line on
standard error, with an exit status that is not zero.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..nn import Module
from ..ops.neural import softmax
from .data import SHIPPED, VARIABLE, DataError, Digits, as_floats, load_mnist
from .evaluation import Report, evaluate, outputs
from .images import ImageError, read_digit
from .pictures import curves
from .recipes import RECIPES, Recipe
from .runs import Epoch, Run, RunError, run_folder
from .training import Diverged, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT = next(iter(RECIPES))

HEADER = f"{'epoch':>5}  {'loss':>8}  {'training':>9}  {'validation':>10}  {'images/s':>9}"

INTERRUPTED = 130
"""The exit status of a program ended by Ctrl-C, by custom 128 + SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, or 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever a file is called, it can be printed
    arguments, unknown = _parser().parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except (DataError, RunError, ImageError, Diverged) as error:
        return _complain(error)
    except KeyboardInterrupt:
        _complain("stopped")
        return INTERRUPTED
    except OSError as error:  # whoever was reading has stopped, as `head` does; or the disk is full
        if not isinstance(error, BrokenPipeError):
            _complain(f"{error.strerror}{f': {error.filename}' * (error.filename is not None)}")
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


# ------------------------------------------------------------------------------------------------------------ commands


def train(arguments: argparse.Namespace) -> int:
    """Train a recipe's net, test it once, and keep it in a run folder."""
    if arguments.resume:
        return _resume(arguments)
    digits = load_mnist(arguments.data_dir)
    if arguments.compare:
        return _compare(arguments, digits)
    run = _create(arguments.recipe or DEFAULT, arguments.out, arguments)
    return 0 if _train(run, digits) else INTERRUPTED


def _create(name: str, folder: str | Path | None, arguments: argparse.Namespace) -> Run:
    """Make the run folder for a recipe with the settings of the command line."""
    data_dir = arguments.data_dir or os.environ.get(VARIABLE)
    return Run.create(
        folder,
        replace(RECIPES[name], **_chosen(arguments)),
        seed=arguments.seed or 0,
        eager=bool(arguments.eager),
        data_dir=data_dir and str(Path(data_dir).resolve()),
        version=__version__,
        numpy=np.__version__,
    )


def _chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of a recipe that the command line changes."""
    return {n: v for n in _SETTINGS if (v := getattr(arguments, n)) is not None}


def _train(run: Run, digits: Digits, *, resume: bool = False) -> bool:
    """Train a run's net and test it. False if it was stopped."""
    recipe = run.recipe
    print(f"{recipe.name}: {recipe.about} Expect {recipe.expect}.")
    print(f"{_sizes(digits)} images; {_settings(run)}\n")
    print(HEADER, flush=True)
    try:
        with _progress(recipe, len(digits.train.labels)) as on_batch:
            trained = fit(
                recipe,
                digits,
                seed=run.settings.get("seed", 0),
                run=run,
                resume=resume,
                compiled=_compiled(run),
                on_batch=on_batch,
                on_epoch=lambda e: print(_row(e), flush=True),
            )
    except Diverged as error:
        kept = f"What was learned before is in {run.folder}" if run.metrics() else "Nothing had been learned yet"
        raise Diverged(f"{error}. {kept}") from None
    if trained.interrupted:
        print(
            f"\nStopped after {_count(len(trained.history), 'whole epoch')}. The model so far is in {run.folder}\n"
            f"To go on from the last whole epoch: tinygrad-digits train --resume {run.folder}"
        )
        return False
    report = evaluate(trained.model, digits.test, compiled=_compiled(run))
    run.save_report(report)
    print(f"\n{_told(report)}\n\nTrained in {trained.history[-1].seconds:.1f} s. The run is in {run.folder}")
    return True


def _resume(arguments: argparse.Namespace) -> int:
    """Go on with a run that was stopped, or that is to have more epochs."""
    other = [n for n in ("recipe", "compare", "out", "seed", "eager", "data_dir", *_SETTINGS) if n != "epochs"]
    given = [n for n in other if getattr(arguments, n) is not None]
    if given:
        arguments.parser.error(
            f"--resume goes on with the settings of its run: leave out {', '.join(given).replace('_', '-')}"
        )
    run = Run.open(arguments.resume)
    run.change(**_chosen(arguments))
    digits = load_mnist(run.settings.get("data_dir") or SHIPPED)
    return 0 if _train(run, digits, resume=True) else INTERRUPTED


def _compare(arguments: argparse.Namespace, digits: Digits) -> int:
    """Train several recipes, and show them side by side in a table and a picture."""
    folder = run_folder(arguments.out, "compare")
    runs = {}
    for name in dict.fromkeys(arguments.compare):
        runs[name] = _create(name, folder / name, arguments)
        if not _train(runs[name], digits):
            return INTERRUPTED
        print()
    print(f"{'recipe':<12}{'parameters':>10}  {'epochs':>6}  {'seconds':>7}  {'validation':>10}  {'test':>7}")
    for name, run in runs.items():
        print(_compared(name, run))
    picture = folder / "curves.png"
    try:
        curves({name: run.metrics() for name, run in runs.items()}, picture)
    except ImportError as error:
        print(f"\nThe runs are in {folder}. Their curves were not drawn: {error}")
    else:
        print(f"\nThe runs are in {folder}, their curves in {picture}")
    return 0


def _compared(name: str, run: Run) -> str:
    last, report = run.metrics()[-1], run.report()
    size = sum(p.size for p in run.load_model().parameters())
    tested = f"{report.accuracy:>7.2%}" if report else ""
    return f"{name:<12}{size:>10,}  {last.epoch:>6}  {last.seconds:>7.1f}  {last.validation_accuracy:>10.2%}  {tested}"


def evaluate_run(arguments: argparse.Namespace) -> int:
    """Have a run's net read the test images."""
    run = Run.open(arguments.run)
    digits = load_mnist(arguments.data_dir or run.settings.get("data_dir") or SHIPPED)
    report = evaluate(run.load_model(), digits.test, compiled=_compiled(run))
    if not arguments.data_dir:
        run.save_report(report)
    print(_told(report))
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Read digits from image files."""
    run = Run.open(arguments.run)
    model = run.load_model()
    status = 0
    for path in arguments.image:
        try:
            probabilities = _probabilities(model, run.recipe, read_digit(path))
        except ImageError as error:
            status = _complain(error)
            continue
        order = np.argsort(-probabilities, kind="stable")
        print(f"{path}: {order[0]}   ({', '.join(f'{digit}: {probabilities[digit]:.1%}' for digit in order)})")
    return status


def info(arguments: argparse.Namespace) -> int:
    """Tell what a run is, and how it went."""
    run = Run.open(arguments.run)
    print(f"{run.recipe.name}: {run.recipe.about}\n{_settings(run)}\n\n{run.load_model()!r}\n\n{HEADER}")
    for epoch in run.metrics():
        print(_row(epoch))
    report = run.report()
    print(f"\n{_told(report) if report else 'Not tested: training did not end.'}")
    return 0


# ------------------------------------------------------------------------------------------------------ what is printed


def _row(epoch: Epoch) -> str:
    return (
        f"{epoch.epoch:>5}  {epoch.loss:>8.4f}  {epoch.training_accuracy:>9.2%}  {epoch.validation_accuracy:>10.2%}"
        f"  {epoch.images_per_second:>9,.0f}"
    )


def _told(report: Report) -> str:
    confusions = ", ".join(f"{c.digit} as {c.read_as} ({c.count})" for c in report.confusions[:5])
    return (
        f"Test accuracy {report.accuracy:.2%}: {report.first_half:.2%} on the first half of the images, "
        f"{report.second_half:.2%} on the second.\n"
        f"Read wrong most often: {confusions or 'none'}."
    )


def _compiled(run: Run) -> bool:
    """Whether a run's net is trained and read by programs."""
    return not run.settings.get("eager")


def _settings(run: Run) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {run.settings[name]}"
        for name in (*_SETTINGS, "optimizer", "schedule", "augment", "seed")
    )


def _sizes(digits: Digits) -> str:
    return ", ".join(f"{len(part.labels):,} {name}" for name, part in digits._asdict().items())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _probabilities(model: Module, recipe: Recipe, image: NDArray[Any]) -> NDArray[Any]:
    """How probable each digit is: by softmax of logits; sigmoid outputs are made to sum to 1."""
    (scores,) = outputs(model, as_floats(image[None]))
    if recipe.loss == "cross_entropy":
        return softmax(scores)
    return scores / scores.sum() if scores.any() else np.full(10, 0.1)


def _complain(error: Exception | str) -> int:
    print(f"tinygrad-digits: {error}", file=sys.stderr)
    return 1


@contextmanager
def _progress(recipe: Recipe, images: int) -> Iterator[Callable[[int, int], None]]:
    """Show a live bar at a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console()
    if not console.is_terminal:
        yield lambda epoch, done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"epoch 1/{recipe.epochs}", total=recipe.epochs * images)
        shown = 0.0

        def on_batch(epoch: int, done: int) -> None:
            nonlocal shown
            if (now := monotonic()) > shown + 0.1:
                shown = now
                bar.update(task, description=f"epoch {epoch}/{recipe.epochs}", completed=(epoch - 1) * images + done)

        yield on_batch


# -------------------------------------------------------------------------------------------------------- the arguments


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return number


def _real(least: float = 0.0, below: float = np.inf) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not least <= value < below:
            limit = "" if below == np.inf else f" and less than {below:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {least:g}{limit}")
        return value

    return number


_SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "epochs": (_whole(1), "passes over the training images"),
    "batch_size": (_whole(1), "images a step"),
    "lr": (_real(1e-9), "the learning rate"),
    "momentum": (_real(below=1.0), "how much of the last step's direction is kept"),
    "weight_decay": (_real(), "L2 regularisation"),
}
"""The settings of a recipe that the command line can change: how each is read, and what it is."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-digits", description="Teach a neural network to read handwritten digits."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = function.__doc__ or ""
        sub = commands.add_parser(name, help=text[0].lower() + text[1:-1], description=text)
        sub.set_defaults(command=function, parser=sub)
        return sub

    recipes = "\n".join(f"  {r.name:12}{r.about} Expect {r.expect}." for r in RECIPES.values())
    sub = command("train", train)
    sub.formatter_class = argparse.RawDescriptionHelpFormatter
    sub.epilog = f"recipes:\n{recipes}"
    sub.add_argument(
        "recipe",
        nargs="?",
        choices=RECIPES,
        metavar="RECIPE",
        help=f"what to train (default: {DEFAULT})",
    )
    sub.add_argument(
        "--compare",
        nargs="+",
        choices=RECIPES,
        metavar="RECIPE",
        help="train these one after another instead, and compare them in a table and a picture",
    )
    sub.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped, or has more --epochs to come")
    for name, (kind, text) in _SETTINGS.items():
        sub.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=f"{text} (default: the recipe's)")
    sub.add_argument(
        "--seed", type=_whole(0), metavar="N", help="of the initial weights and the shuffling (default: 0)"
    )
    sub.add_argument(
        "--eager", action="store_true", default=None, help="run each step as it is, not as a compiled program"
    )
    sub.add_argument(
        "--out", metavar="DIR", help="the run folder (default: runs/RECIPE-1, or runs/compare-1, or the next number)"
    )
    _add_data_dir(sub)

    sub = command("evaluate", evaluate_run)
    sub.add_argument("run", metavar="RUN", help="a run folder")
    _add_data_dir(sub)

    sub = command("predict", predict)
    sub.add_argument("run", metavar="RUN", help="a run folder")
    sub.add_argument("image", nargs="+", metavar="IMAGE", help="an image file of one digit: PNG, JPEG, …")

    sub = command("info", info)
    sub.add_argument("run", metavar="RUN", help="a run folder")
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help=f"a folder of four IDX files, raw or gzipped (default: MNIST, or what {VARIABLE} names)",
    )
