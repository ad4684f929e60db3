"""The table of operations as a page: ``{operations} FAMILY`` shows what one file of `tinygrad_digits.ops` enters.

All is read from the table and its tests: the rules from their source, the kinks from the tests that pin them, the
orders from the tests that check them. Where a function of numbers is defined is found by calling it. Only what matrices
have to be is said here.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import tinygrad_digits as tg
from tinygrad_digits import autodiff, ops
from tinygrad_digits.digits import RECIPES

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import test_ops

PROBES = np.array([-100.5, -2.5, -1, -0.5, 0, 0.5, 1, 2.5, 100.5])

WHERE_DEFINED: dict[int, dict[str, Callable[..., object]]] = {
    1: {
        "everywhere": lambda x: x == x,
        "x ≠ 0": lambda x: x != 0,
        "x > 0": lambda x: x > 0,
        "x ≥ 0": lambda x: x >= 0,
        "x > -1": lambda x: x > -1,
        "x ≥ 1": lambda x: x >= 1,
        "-1 < x < 1": lambda x: abs(x) < 1,
        "-1 ≤ x ≤ 1": lambda x: abs(x) <= 1,
    },
    2: {
        "everywhere": lambda x, y: (x == x) & (y == y),
        "y ≠ 0": lambda x, y: (x == x) & (y != 0),
        "x > 0; x = 0, if y ≥ 0; x < 0, if y is whole": lambda x, y: (
            (x > 0) | ((x == 0) & (y >= 0)) | ((x < 0) & (y % 1 == 0))
        ),
    },
}

COLUMNS = "operation", "gradient of each argument", "where", "at kinks and limits", "order"

SQUARE = "square matrices"
NEEDS = {
    np.linalg.inv: f"{SQUARE}, not singular",
    np.linalg.solve: f"{SQUARE}, not singular",
    np.linalg.tensorinv: "what makes a square matrix, not singular",
    np.linalg.tensorsolve: "what makes a square matrix, not singular",
    np.linalg.det: SQUARE,
    np.linalg.slogdet: f"{SQUARE}, not singular",
    np.linalg.matrix_power: f"{SQUARE}; not singular for negative powers",
    np.linalg.cholesky: "symmetric matrices, positive definite; the lower triangle is read",
    np.linalg.eigh: "symmetric matrices; vectors, where all values differ",
    np.linalg.eigvalsh: "symmetric matrices, of which one triangle is read",
    np.linalg.svd: "matrices; vectors, where all values differ and none is 0",
    np.linalg.qr: "matrices of full rank",
    np.linalg.pinv: "matrices, near which the rank does not change",
    np.linalg.cond: "matrices, not singular",
}


def unwrapped(rule: autodiff.Rule) -> autodiff.Rule:
    """The rule that `quietly` was given."""
    return rule.__closure__[0].cell_contents if rule.__qualname__.startswith("quietly") else rule


def family(op: autodiff.Op) -> str:
    """The file of `ops` that says what becomes of a tensor in an operation."""
    op = autodiff.key(op)
    source = autodiff.composites.get(op)
    if autodiff.key(source) in autodiff.rules:
        return family(source)
    if source is None:
        row = autodiff.rules[op]
        given = map(unwrapped, row) if isinstance(row, tuple) else [row.rule]
        source = next(rule for rule in given if rule.__module__ != autodiff.__name__)  # None is a rule made there
    return inspect.unwrap(source).__module__.rpartition(".")[2]


def label(op: autodiff.Op) -> str:
    """What a user calls an operation: np.exp, tg.relu; a bare name for what is within the package."""
    name = autodiff.name(op)
    return f"tg.{name}" if autodiff.key(getattr(tg, name, None)) is autodiff.key(op) else name


# --------------------------------------------------------------------------------------------------------------- rules


@cache
def lambdas(module: str) -> dict[tuple[int, tuple[str, ...]], ast.Lambda]:
    """All lambdas of a module, by the line they begin in and the names of their arguments."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return {(node.lineno, tuple(a.arg for a in node.args.args)): node for node in found}


def said(rule: autodiff.Rule) -> str:
    """The rule of one argument, as its file says it."""
    if rule.__qualname__.startswith(autodiff._no_derivative.__name__):
        return "none"
    rule = unwrapped(rule)
    code = rule.__code__
    if rule.__name__ != "<lambda>":
        return f"{rule.__name__}(…)"
    return ast.unparse(lambdas(rule.__module__)[code.co_firstlineno, code.co_varnames[: code.co_argcount]].body)


def rules(op: autodiff.Op) -> Iterator[str]:
    """The rule of each argument."""
    row = autodiff.rules[autodiff.key(op)]
    yield from map(said, row) if isinstance(row, tuple) else [said(row.rule)]


# -------------------------------------------------------------------------------------------- domains, kinks and orders


def domain(op: autodiff.Op) -> str:
    """Where an operation has a derivative, kinks apart."""
    if op in NEEDS:
        return NEEDS[op]
    if not isinstance(op, np.ufunc) or op.signature or op.nin > 2 or op.nout > 1:
        return "any"
    xs = np.meshgrid(*[PROBES] * op.nin)
    try:
        with np.errstate(all="ignore"):
            finite = np.isfinite(op(*xs))
    except TypeError:  # it takes whole numbers
        return "any"
    for text, predicate in WHERE_DEFINED[op.nin].items():
        if np.array_equal(finite, predicate(*xs)):
            return text
    raise ExtensionError(f"where is {autodiff.name(op)} defined? None of WHERE_DEFINED describes it")


def operations(t: tg.Tensor) -> Iterator[autodiff.Op]:
    """The operations that a tensor was computed by."""
    if getattr(t, "_recipe", None) and t._recipe[0]:
        yield t._recipe[0]
        for argument in t._recipe[1]:
            yield from operations(argument)


@cache
def kinks() -> dict[autodiff.Op, list[str]]:
    """For each operation, what its gradient is where calculus is silent."""
    found: dict[autodiff.Op, list[str]] = {}
    known = {autodiff.name(op).rpartition(".")[2]: autodiff.key(op) for op in [*autodiff.composites, *autodiff.rules]}
    known |= {"abs": np.absolute, "update": autodiff.key(tg.index_update)}
    for name, f, xs, gradient in test_ops.KINKS:
        word = re.match(r"\w*", name).group()
        if word in known and not name.startswith("x**"):
            op, rest = known[word], name[len(word) :].removeprefix(":").strip()
        else:
            with np.errstate(all="ignore"):
                out = f(*[tg.tensor(x, requires_grad=True) for x in xs])
            op, rest = next((o for o in operations(out) if o not in (np.sum, np.multiply)), np.sum), name
        where = (rest or f"of {short(xs)}").replace("*", "\\*")
        found.setdefault(op, []).append(f"{where}: **{short(gradient)}**")
    return found


def short(arrays: list) -> str:
    """The numbers of some arrays as a person would write them."""
    special = {1 / 2: "½", 1 / 3: "⅓", 2 / 3: "⅔", 1 / 4: "¼", 3 / 4: "¾", 1 / 256: "1/256", np.inf: "∞", -np.inf: "-∞"}
    written = [[special.get(v, f"{v:.4g}") for v in np.ravel(a)] for a in arrays]
    return "; ".join(f"{a[0]} each" if len(a) > 8 and len({*a}) == 1 else " ".join(a) for a in written)


@cache
def orders() -> dict[autodiff.Op, int]:
    """Up to which derivative each operation is checked."""
    third = next(m for m in test_ops.test_derivatives_to_third_order.pytestmark if m.name == "parametrize").args[1]
    return dict.fromkeys(test_ops.cases, 2) | dict.fromkeys(third, 3)


# ----------------------------------------------------------------------------------------------------------- directives


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def row(op: autodiff.Op) -> str:
    """A row of the table."""
    checked = {autodiff.key(known): order for known, order in orders().items()}.get(autodiff.key(op), "")
    made = "made of others" if op in autodiff.composites else "<br>".join(f"`{cell(rule)}`" for rule in rules(op))
    at = "<br>".join(cell(kink) for kink in kinks().get(autodiff.key(op), ()))
    return f"| `{label(op)}` | {made} | {cell(domain(op))} | {at} | {checked} |"


class Operations(SphinxDirective):
    """The operations of a family: rules of their own first, then what is made of others."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A table."""
        name = self.arguments[0]
        module = getattr(ops, name)
        for path in module.__file__, autodiff.__file__, test_ops.__file__:
            self.env.note_dependency(path)
        self.env.metadata[self.env.docname].setdefault("families", []).append(name)
        everything = [op for op in dict.fromkeys([*autodiff.rules, *autodiff.composites]) if family(op) == name]
        everything.sort(key=lambda op: "." not in label(op))  # what is within the package last
        head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
        table = self.parse_text_to_nodes("\n".join(head + [row(op) for op in everything]))
        for node in table:
            node["classes"].append("operations")
        return table


class Others(SphinxDirective):
    """What is not in the table: ``nondifferentiable``, ``writers`` or ``advice``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A list of names, or a table of names and what to do."""
        which = getattr(autodiff, self.arguments[0])
        names = sorted(which, key=label)
        if isinstance(which, dict):
            quote = "`" if self.arguments[0] == "writers" else ""
            rows = [f"| `{label(op)}` | {quote}{cell(which[op])}{quote} |" for op in names]
            return self.parse_text_to_nodes("\n".join(["| function | instead |", "|---|---|", *rows]))
        return self.parse_text_to_nodes(", ".join(f"`{label(op)}`" for op in names) + ".")


class Recipes(SphinxDirective):
    """The nets that ``train`` knows."""

    def run(self) -> list[nodes.Node]:
        """A table."""
        rows = [f"| `{r.name}` | {cell(r.about)} | {cell(r.expect)} |" for r in RECIPES.values()]
        return self.parse_text_to_nodes("\n".join(["| recipe | net | expect |", "|---|---|---|", *rows]))


def check_complete(app: Sphinx, env: BuildEnvironment) -> None:
    """Raise if a family of operations is on no page."""
    shown = {name for data in env.metadata.values() for name in data.get("families", ())}
    if missing := {family(op) for op in [*autodiff.rules, *autodiff.composites]} - shown:
        raise ExtensionError(f"no page shows the operations of {', '.join(sorted(missing))}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("operations", Operations)
    app.add_directive("other-functions", Others)
    app.add_directive("recipes", Recipes)
    app.connect("env-check-consistency", check_complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
