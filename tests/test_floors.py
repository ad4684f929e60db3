"""Imports only ever point down, and importing the package loads NumPy and the framework only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tinygrad_digits"

FLOORS = {
    "autodiff": 0,
    "tensor": 1,
    "ops": 2,
    "transforms": 3,
    "nn": 3,
    "optim": 3,
    "program": 3,
    "graph": 3,
    "io": 3,
    "testing": 4,
    "digits": 5,
    "__main__": 6,
    "__init__": 5,  # the public face hands on names of the framework's
}

MODULES = [path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]


def imports(source, module):
    """What a module imports: absolute names, with those of this package as ("tinygrad_digits", part, …)."""
    inside = ("tinygrad_digits", *module[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield base
            if base == ("tinygrad_digits",):
                yield from ((*base, alias.name) for alias in node.names)


def complaints(source, module):
    """What in a module's imports the floors do not allow."""
    floor, first = FLOORS[module[0]], module[0]
    for name in imports(source, module):
        if name[0] != "tinygrad_digits":
            if floor <= 2 and name[0] not in {"numpy", "__future__"} | sys.stdlib_module_names:
                yield f"{name[0]} is neither NumPy nor of Python"
            continue
        target = name[1] if len(name) > 1 else None
        if target is None:
            continue  # the names that follow are looked at one by one
        if target == first:
            continue
        if target not in FLOORS:
            if floor < 5:
                yield f"{target} comes from the public face, which is above"
        elif first == "ops" and target != "autodiff":
            yield f"{target}: a file of rules imports NumPy, Python's own modules, the table and other rules"
        elif FLOORS[target] >= floor and not (floor == FLOORS[target] == 3):
            yield f"{target} is not below"


@pytest.mark.parametrize("module", MODULES, ids="/".join)
def test_imports_point_down(module):
    assert module[0] in FLOORS, "say in FLOORS where it belongs"
    source = PACKAGE.joinpath(*module).with_suffix(".py").read_text(encoding="utf-8")
    assert list(complaints(source, module)) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (("autodiff",), "from .tensor import Tensor"),
        (("autodiff",), "import tinygrad_digits.tensor"),
        (("autodiff",), "import scipy"),
        (("tensor",), "from .ops import neural"),
        (("tensor",), "from . import ops"),
        (("tensor",), "from tinygrad_digits import grad"),
        (("ops", "neural"), "from ..tensor import Tensor"),
        (("ops", "neural"), "from .. import transforms"),
        (("nn", "layers"), "from ..digits import data"),
        (("optim",), "def f():\n    from .testing import check_grads"),
        (("testing", "gradients"), "from ..digits.data import load"),
        (("__init__",), "from .digits import data"),
    ],
)
def test_an_import_that_points_up_is_found(module, line):
    assert list(complaints(line, module)) != []


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys, tinygrad_digits; print(*sorted({name.split('.')[0] for name in sys.modules} | set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert "tinygrad_digits.tensor" in loaded
    unwanted = {"hypothesis", "pytest", "rich", "PIL", "matplotlib", "torch", "tinygrad_digits.digits"}
    unwanted |= {"tinygrad_digits.program", "tinygrad_digits.testing"}  # until they are asked for
    assert unwanted.isdisjoint(loaded)


def test_what_is_loaded_later_is_there():
    code = """
import tinygrad_digits as tg
assert {"program", *tg.__all__} <= set(dir(tg))
assert tg.program.PASSES and tg.program.compile is tg.compile
assert tg.compile is tg.compile and tg.testing.check_grads
from tinygrad_digits import *
assert compile is tg.compile and issubclass(CompileError, TypeError)
tg.compiled
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'tinygrad_digits' has no attribute 'compiled'" in ran.stderr.splitlines()[-1]


def test_check_grads_needs_numpy_only():
    code = "import sys, tinygrad_digits.testing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "tinygrad_digits.testing.gradients" in loaded
    assert "hypothesis" not in loaded
