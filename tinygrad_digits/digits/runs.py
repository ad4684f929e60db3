"""The run folder: what was trained, how it went, and the model.

``settings.json`` holds the recipe's settings and the seed, ``metrics.jsonl`` a line an epoch, ``model.safetensors`` the
weights, ``training.safetensors`` what it takes to go on from the last epoch's end, and ``test.json`` how the test
images were read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..io import load, save, write_atomically
from ..nn import Module
from .evaluation import Confusion, Report
from .recipes import RECIPES, Recipe


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Attributes
    ----------
    epoch : int
        Its number, from 1.
    loss : float
        The mean over its mini-batches, each taken before its step.
    training_accuracy, validation_accuracy : float
        The fraction classified correctly at its end, of the first 10,000 training images and of the validation images.
    learning_rate : float
        At its last step.
    images_per_second : float
        In training, measuring left out.
    seconds : float
        From the start of training, measuring included.
    """

    epoch: int
    loss: float
    training_accuracy: float
    validation_accuracy: float
    learning_rate: float
    images_per_second: float
    seconds: float


SETTINGS, METRICS, MODEL, TEST = "settings.json", "metrics.jsonl", "model.safetensors", "test.json"
STATE = "training.safetensors"


Record = TypeVar("Record")


class RunError(Exception):
    """A run folder is in the way, or is not one, or is broken."""


class Run:
    """A run folder that exists.

    Attributes
    ----------
    folder : Path
        Where it is.
    settings : dict
        What is in ``settings.json``.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = settings

    @classmethod
    def create(cls, folder: str | Path | None, recipe: Recipe, **settings: Any) -> Run:
        """Make a new run folder, ``runs/NAME-1`` or the next number if none is named.

        Raises
        ------
        RunError
            If the folder is there already and not empty, or cannot be made.
        """
        chosen = {
            "recipe": recipe.name,
            "augment": repr(recipe.augment) if recipe.augment else None,
            **{f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in _UNSAVED},
        }
        run = cls(run_folder(folder, recipe.name), {**chosen, **settings})
        write_atomically(run.folder / SETTINGS, _json(run.settings))
        return run

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open a run folder.

        Raises
        ------
        RunError
            If there is none, or its settings cannot be read.
        """
        folder = Path(folder)
        try:
            settings = json.loads((folder / SETTINGS).read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{folder} is not a run folder: it has no {SETTINGS}. `tinygrad-digits train` makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{folder / SETTINGS} cannot be read ({error}): train again") from error
        run = cls(folder, settings)
        if not isinstance(settings, dict) or settings.get("recipe") not in [*RECIPES]:
            raise RunError(f"{folder / SETTINGS} names no recipe of this version: it knows {', '.join(RECIPES)}")
        if not isinstance(settings.get("data_dir"), str | None):
            raise RunError(f"{folder / SETTINGS} has a data_dir that is no path: {settings['data_dir']!r}")
        if not isinstance(settings.get("seed", 0), int):
            raise RunError(f"{folder / SETTINGS} has a seed that is no whole number: {settings['seed']!r}")
        try:
            _ = run.recipe
        except (KeyError, ValueError) as error:
            raise RunError(f"{folder / SETTINGS} is not complete, or has settings that cannot be ({error})") from error
        return run

    @property
    def recipe(self) -> Recipe:
        """The recipe, with the settings of this run."""
        recipe = RECIPES[self.settings["recipe"]]
        return replace(recipe, **{f.name: self.settings[f.name] for f in fields(recipe) if f.name not in _UNSAVED})

    def add(self, epoch: Epoch, model: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]) -> None:
        """Keep an epoch's metrics and model, and the state of the training."""
        with (self.folder / METRICS).open("a") as file:
            file.write(_line(epoch))
        self.save_model(model)
        save(state, self.folder / STATE)

    def change(self, **settings: Any) -> None:
        """Write other settings."""
        self.settings |= settings
        write_atomically(self.folder / SETTINGS, _json(self.settings))

    def cut(self, count: int) -> list[Epoch]:
        """Keep the metrics of so many epochs, and return them; what followed is to be trained again."""
        epochs = self.metrics()[:count]
        if len(epochs) < count:
            raise RunError(f"{self.folder / METRICS} has {len(epochs)} epochs, of the {count} that were trained")
        write_atomically(self.folder / METRICS, "".join(map(_line, epochs)).encode())
        return epochs

    def load_state(self) -> dict[str, NDArray[Any]] | None:
        """Read the state of the training; None if no epoch has been completed.

        Raises
        ------
        RunError
            If it is broken.
        """
        path = self.folder / STATE
        try:
            return load(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({error})") from error

    def metrics(self) -> list[Epoch]:
        """Read the metrics."""
        try:
            lines = (self.folder / METRICS).read_text().splitlines()
        except FileNotFoundError:
            return []
        try:
            return [_record(Epoch, json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.folder / METRICS} has a line that cannot be read ({error})") from error

    def save_model(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Write the weights."""
        save(state, self.folder / MODEL)

    def load_model(self) -> Module:
        """Build the recipe's net and give it the weights.

        Raises
        ------
        RunError
            If they are missing, broken, or another net's.
        """
        model = self.recipe.build(np.random.default_rng(0)).eval()
        path = self.folder / MODEL
        try:
            model.load_state_dict(load(path))
        except FileNotFoundError:
            raise RunError(f"{self.folder} has no {MODEL}: its training did not get that far") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror})") from error
        except (KeyError, ValueError) as error:
            raise RunError(
                f"{path} does not hold the weights of the recipe {self.recipe.name}: {error.args[0]}"
            ) from error
        return model

    def report(self) -> Report | None:
        """Read what the reading of the test images gave, if there has been one."""
        try:
            found = json.loads((self.folder / TEST).read_text())
            confusions = tuple(_record(Confusion, c) for c in found.pop("confusions"))
            return _record(Report, {**found, "confusions": confusions})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self.folder / TEST} cannot be read ({error}): evaluate the run again") from error

    def save_report(self, report: Report) -> None:
        """Write what the reading of the test images gave."""
        write_atomically(self.folder / TEST, _json(asdict(report)))


_UNSAVED = {"name", "about", "expect", "build", "augment"}


def _record(kind: type[Record], found: dict[str, Any]) -> Record:
    """Make a record of what a file says; TypeError if it says anything else."""
    record = kind(**found)
    wrong = [f.name for f in fields(record) if f.type in ("int", "float") and type(found[f.name]) not in (int, float)]  # type: ignore[arg-type]
    if wrong:
        raise TypeError(f"{', '.join(wrong)} should be a number")
    return record


def _line(epoch: Epoch) -> str:
    return json.dumps(asdict(epoch)) + "\n"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def run_folder(folder: str | Path | None, name: str) -> Path:
    """Make an empty folder: the one that is named, or ``runs/NAME-1``, or the next number.

    Raises
    ------
    RunError
        If it is there already and not empty, or cannot be made.
    """
    return _numbered(name) if folder is None else _made(Path(folder))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder} is there already and not empty: choose another --out, or remove it")
    except OSError as error:
        raise RunError(f"cannot make the run folder {folder} ({error.strerror}): choose another --out") from error
    return folder


def _numbered(name: str) -> Path:
    """Make ``runs/NAME-1``, or the first number that is free."""
    number = 1
    while True:
        folder = Path("runs", f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunError(
                f"cannot make the run folder {folder} ({error.strerror}): name another with --out"
            ) from error
        else:
            return folder
