"""Passes: functions from program to program, each of which makes it better in one way."""

from __future__ import annotations

from collections.abc import Callable

from .clean import eliminate, fold, share, simplify
from .cut import cut
from .fuse import fuse
from .hoist import hoist
from .ir import Program
from .lower import lower
from .transpose import transpose

Pass = Callable[[Program], Program]

PASSES: dict[str, Pass] = {
    "lower": lower,
    "fold": fold,
    "simplify": simplify,
    "share": share,
    "hoist": hoist,
    "eliminate": eliminate,
    "transpose": transpose,
    "cut": cut,
    "fuse": fuse,
}
"""In the order in which they are applied."""
