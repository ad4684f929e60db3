"""An operation that runs a program for each piece of a batch, in threads, and keeps what each adds up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..ops.threads import each
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
    """In the place of a line's operation: run a program for each piece of a batch.

    Attributes
    ----------
    program : Program
        For one piece. What it computes are new values of ``totals``; other states it has in common with the program
        that this is an operation of.
    count, rows : int
        How many pieces there are, of how many rows each.
    parts : list of (Rows or None)
        Of each input: along which axis a piece has part of it.
    totals : list of Value
        What it adds up, in the order in which it is to lie in memory.
    """

    program: Program
    count: int
    rows: int
    parts: list[Rows | None]
    totals: list[Value]

    def bind(self, make: Callable[..., Any], states: list[Any], sums: NDArray[Any]) -> Callable[..., None]:
        """What runs the program for all pieces, in threads if there are any: a function of the inputs.

        Parameters
        ----------
        make : callable
            What makes a function that runs it for one piece, in memory of its own, of a list of states.
        states : list of (array or None)
            The states in the order wanted; None for each of the totals.
        sums : array of shape (count, size of all totals)
            Where each piece's totals are to be.
        """
        runs = [make(list(self._with_totals(states, total))) for total in sums]

        def run(*arrays: Any) -> None:
            def one(number: int) -> None:
                runs[number](*[self._part(a, rows, number) for a, rows in zip(arrays, self.parts, strict=True)])

            each(one, range(self.count))

        return run

    def _with_totals(self, states: list[Any], sums: NDArray[Any]) -> Iterator[Any]:
        totals, end = iter(self.totals), 0
        for state in states:
            if state is None:
                total = next(totals)
                end += total.size
                state = sums[end - total.size : end].reshape(total.shape)
            yield state

    def _part(self, array: NDArray[Any], rows: Rows | None, number: int) -> NDArray[Any]:
        if rows is None:
            return array
        length = self.rows * rows.places
        part: NDArray[Any] = array[(slice(None),) * rows.axis + (slice(number * length, (number + 1) * length),)]
        return part


__all__ = ["Pieces", "Rows"]
