"""What the report of a failed check says besides numbers: what leaves the graph, and how to see it again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from textwrap import indent
from typing import Any

import numpy as np

from ..autodiff import key
from ..nn import Module
from ..tensor import Tensor, asarray, no_grad
from .functions import Arrays, title

LONG = 1000  # of so many elements, each is printed
PACKAGE = Tensor.__module__.split(".")[0]


def leaving(call: Callable[..., Any], arrays: Arrays) -> str:
    """Say by which means a function takes numbers out of the graph, and what to do; or nothing."""
    methods = {m: getattr(Tensor, m).__code__ for m in ("item", "numpy", "detach", "tolist")}
    watched = {code: f".{name}()" for name, code in methods.items()}
    watched[Tensor.data.fget.__code__] = ".data"  # type: ignore[attr-defined]
    watched[type(no_grad()).__enter__.__code__] = "no_grad()"
    seen: dict[str, None] = {}

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in watched:
            caller = frame.f_back.f_globals.get("__name__", "") if frame.f_back else ""
            if not caller.startswith(f"{PACKAGE}.") and getattr(frame.f_locals["self"], "requires_grad", True):
                seen[watched[frame.f_code]] = None

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call(*[asarray(x, requires_grad=True) for x in arrays])
    finally:
        sys.setprofile(before)
    if not seen:
        return ""
    return (
        f"\n  The function leaves the graph: it uses {', '.join(seen)} where a gradient is needed, and what is "
        "computed from that has none.\n  Stay in it with NumPy's functions and Tensor's operators"
    )


def again(f: Any, args: Sequence[Any], order: int, seed: int) -> str:
    """Lines of Python that run the check again, to be pasted into a test."""
    lines = ["import numpy as np", "from tinygrad_digits.testing import check_grads"]
    bound = []
    while isinstance(f, partial):
        bound.append(f)
        f = f.func
    if bound:
        lines.insert(0, "from functools import partial")
    line, short = _named(f)
    lines += [line] * bool(line)
    for part in reversed(bound):
        extra = [*map(code, part.args), *[f"{k}={code(v)}" for k, v in part.keywords.items()]]
        short = f"partial({', '.join([short, *extra])})"
    lines.append(f"check_grads({', '.join([short, *map(code, args)])}, order={order}, seed={seed})")
    return indent("\n".join(lines), "    ")


def _named(f: Any) -> tuple[str, str]:
    """A line that makes a function known, or says where it is; and its name from there on."""
    from pathlib import Path  # takes milliseconds to load

    short, module, qualified = title(f), getattr(f, "__module__", None), getattr(f, "__qualname__", "<unknown>")
    if short.startswith("np."):
        return "", short
    if isinstance(f, Module):
        return f"model = {_shown(f)}  # with these parameters", "model"
    written: Any = getattr(key(f), "__code__", None)
    where = f"{Path(written.co_filename).name}, line {written.co_firstlineno}" if written else str(module)
    if "<lambda>" in short:
        return f"f = ...  # the lambda of {where}", "f"
    if module in (None, "__main__") or "<" in qualified or "." in qualified:
        return f"{short.split('.')[0]} = ...  # {short} is in {where}", short
    return f"from {module} import {short}", short


def _shown(model: Module) -> str:
    """A module as Python code, as far as it shows itself so, or what it is made of as a comment."""
    text = " ".join(line.split("#")[0].strip() for line in repr(model).splitlines())
    return f"...  # {text}" if ": " in text else text


def code(value: Any) -> str:
    """A value as Python code."""
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, np.ndarray | np.generic):
        if value.size > LONG:
            return f"...  # an array of shape {value.shape} and dtype {value.dtype}, too long to print\n"
        if value.size > LONG // 5 and np.all(value == value.flat[0]):
            return f"np.full({value.shape}, {value.flat[0].item()!r}, '{value.dtype.str}')"
        dtype = "" if value.dtype in (np.float64, np.int64, np.bool_) else f", dtype='{value.dtype.str}'"
        order = ", order='F'" if value.ndim > 1 and value.flags.f_contiguous and not value.flags.c_contiguous else ""
        text = f"np.array({value.tolist()!r}{dtype}{order})"
        if not value.size:
            text = f"np.zeros({value.shape}{dtype or ', dtype=' + repr(value.dtype.str)})"
        return re.sub(r"(?<![\w.])(nan|inf)\b", r"np.\1", text)
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        inner = ", ".join(map(code, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {code(v)}" for k, v in value.items()) + "}"
    if isinstance(value, np.random.Generator):
        return f"np.random.default_rng({getattr(value.bit_generator.seed_seq, 'entropy', 0)})"
    if callable(value):
        return title(value)
    return re.sub(r"^(-?)(nan|inf)$", r"\1np.\2", repr(value))
