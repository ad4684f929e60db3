"""An operation that runs a program for one piece of a batch after another, and adds up what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..ops.convolution import each
from .ir import Program, Value


class Rows(NamedTuple):
    """Along which axis a value has the rows of the batch, and how many places there are for each of them."""

    axis: int
    places: int = 1

    def of(self, value: Value, count: int) -> tuple[int, ...]:
        """The shape of so many rows of a value."""
        return (*value.shape[: self.axis], count * self.places, *value.shape[self.axis + 1 :])


@dataclass(eq=False)
class Pieces:
    """An operation: run a program for one piece of a batch after another; what it returns are the sums, end to end.

    Attributes
    ----------
    program : Program
        For one piece. It adds to states of its own, ``totals``, and knows the others of the whole program.
    count, rows, shares : int
        How many pieces there are, of how many rows each; and how many threads can have pieces of their own.
    parts : list of (Rows or None)
        Of each input: along which axis a piece has part of it.
    totals : list of Value
        The states of the program that are added to, in the order in which the sums lie.
    """

    program: Program
    count: int
    rows: int
    shares: int
    parts: list[Rows | None]
    totals: list[Value]
    __name__ = "pieces"

    def __call__(self, *args: Any) -> Any:
        """Nothing: it is `bind` that makes what runs."""
        raise NotImplementedError

    def bind(self, make: Callable[..., Any], states: list[Any], sums: NDArray[Any]) -> Callable[..., None]:
        """What runs all pieces: a function of the inputs.

        Parameters
        ----------
        make : callable
            What makes a function that runs one piece, of a list of states.
        states : list of (array or None)
            The states in the order wanted; None for each of the totals.
        sums : array of shape (shares, size of all totals)
            Where the sums are to be.
        """
        each_share = [make(list(self._with_totals(states, total))) for total in sums]
        turns = self.count // self.shares

        def share(number: int, arrays: tuple[Any, ...]) -> None:
            sums[number].fill(0)
            for turn in range(number * turns, (number + 1) * turns):
                each_share[number](*(self._part(a, rows, turn) for a, rows in zip(arrays, self.parts, strict=True)))

        def run(*arrays: Any) -> None:
            each(lambda number: share(number, arrays), range(self.shares))

        return run

    def _with_totals(self, states: list[Any], sums: NDArray[Any]) -> Iterator[Any]:
        totals, end = iter(self.totals), 0
        for state in states:
            if state is None:
                total = next(totals)
                end += total.size
                state = sums[end - total.size : end].reshape(total.shape)
            yield state

    def _part(self, array: NDArray[Any], rows: Rows | None, turn: int) -> NDArray[Any]:
        if rows is None:
            return array
        step = self.rows * rows.places
        index: NDArray[Any] = array[(slice(None),) * rows.axis + (slice(turn * step, (turn + 1) * step),)]
        return index


__all__ = ["Pieces", "Rows"]
