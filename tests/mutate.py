"""Mutation testing of the derivative rules: change one, and see whether that operation's tests notice.

``python tests/mutate.py [SHARE [NAMES …]]``: a share of all mutants, 1 if not given; of the rules whose name or file
contains one of the names. All mutants take some minutes. Each is a rule, or a function that rules use, with one thing
changed in its syntax tree: a sign, factor, term, argument, transpose, axis, keyword, comparison or condition. It is
compiled, put in place of the original's code, and tried on drawn cases of the operations that reach it, by the very
tests of test_ops.py, and on all kinks. What survives and is not listed as equivalent is a hole in the tests.
"""

import ast
import copy
import gc
import random
import sys
import time
import types
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

import tinygrad_digits as tg
from tinygrad_digits import autodiff

sys.path.insert(0, str(Path(__file__).parent))
import test_ops
from cases import cases

EXAMPLES = 25
OPS = Path(tg.__file__).parent / "ops"
TESTS = [
    test_ops.test_value_is_numpys,
    test_ops.test_derivatives_to_second_order,
    test_ops.test_single_precision_stays_single,
    test_ops.test_layout_in_memory_does_not_matter,
    test_ops.test_invariants,
]
FLIPPED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}

EQUIVALENT: dict[tuple[str, str], str] = {}
"""(file and function, change): why no derivative is changed by it."""


# ------------------------------------------------------------------------------------------------------- the mutants


def changes(node):
    """Nodes that may stand in place of one."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in OTHER:
                yield ast.BinOp(left, OTHER[type(op)](), right)
            if not isinstance(op, ast.Add | ast.Mult):
                yield ast.BinOp(right, op, left)
            if not isinstance(op, ast.MatMult):
                yield left
                yield right
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield operand
        case ast.Compare(left, [op], [right]) if type(op) in FLIPPED:
            for other in FLIPPED[type(op)]:
                yield ast.Compare(left, [other()], [right])
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Attribute(value, "T" | "mT"):
            yield value
        case ast.Call(function, args, keywords):
            if len(args) > 1 and not any(isinstance(a, ast.Starred) for a in args[:2]):
                yield ast.Call(function, [args[1], args[0], *args[2:]], keywords)
            if getattr(function, "attr", "") in ("matmul", "dot"):
                for i, a in enumerate(args):
                    yield ast.Call(function, [*args[:i], ast.Attribute(a, "T", ast.Load()), *args[i + 1 :]], keywords)
            for i in range(len(keywords)):
                yield ast.Call(function, args, keywords[:i] + keywords[i + 1 :])
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Lambda(arguments, body):
            yield ast.Lambda(arguments, ast.UnaryOp(ast.USub(), body))
            yield ast.Lambda(arguments, ast.BinOp(ast.Constant(2), ast.Mult(), body))


def mutants(path):
    """Each mutant of a file: its place, what was changed, and the changed module's tree."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for statement in tree.body:
        decorated = any("primitive" in ast.unparse(d) for d in getattr(statement, "decorator_list", ()))
        if decorated or not isinstance(statement, ast.FunctionDef | ast.Expr | ast.For | ast.With):
            continue
        for parent in ast.walk(statement):
            if isinstance(parent, ast.arguments | ast.Expr):  # defaults; the call of defvjp itself
                continue
            for field, value in ast.iter_fields(parent):
                nodes = value if isinstance(value, list) else [value]
                for i, node in enumerate(nodes):
                    if isinstance(node, ast.AST) and not (isinstance(parent, ast.FunctionDef) and field != "body"):
                        for new in changes(node):
                            text = f"{ast.unparse(node)} → {ast.unparse(ast.fix_missing_locations(copy.deepcopy(new)))}"
                            yield (
                                statement,
                                text,
                                replaced(tree, parent, field, i if isinstance(value, list) else None, new),
                            )


def replaced(tree, parent, field, i, new):
    """A function that compiles the tree with one node replaced."""

    def compiled(filename):
        old = getattr(parent, field) if i is None else getattr(parent, field)[i]
        new_there = ast.fix_missing_locations(ast.copy_location(new, old))
        if i is None:
            setattr(parent, field, new_there)
        else:
            getattr(parent, field)[i] = new_there
        try:
            return compile(tree, filename, "exec", dont_inherit=True)
        finally:
            if i is None:
                setattr(parent, field, old)
            else:
                getattr(parent, field)[i] = old

    return compiled


def different(old, new):
    """Pairs of code objects, from the outside in, that are not the same in two versions of a module."""
    for a, b in zip(old.co_consts, new.co_consts, strict=False):
        if isinstance(a, types.CodeType) and isinstance(b, types.CodeType) and a != b:
            yield a, b
            yield from different(a, b)


# --------------------------------------------------------------------------------------------------------- their tests


def reached(op):
    """The code of all functions that an operation's rules call, and theirs."""
    row = autodiff.rules.get(op) or (autodiff.composites[op],)
    stack = [row.rule] if hasattr(row, "rule") else list(row)
    found = set()
    while stack:
        function = stack.pop()
        if not isinstance(function, types.FunctionType) or function.__code__ in found:
            continue
        found.add(function.__code__)
        codes = [function.__code__]
        for code in codes:
            codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
            found.add(code)
            stack += [function.__globals__[n] for n in code.co_names if n in function.__globals__]
        stack += [cell.cell_contents for cell in function.__closure__ or ()]
        stack += [f for f in (getattr(function, "primitive", None),) if f]
    return {code for code in found if Path(code.co_filename).parent == OPS}


class Fixed:
    """In place of Hypothesis's data: gives a drawn case first, and then a layout, each in its turn."""

    def __init__(self, case, turn):
        layouts = list(test_ops.draw.LAYOUTS.values())
        self.values = iter((case, layouts[turn % len(layouts)]))

    def draw(self, strategy):
        return next(self.values)


def drawn(op):
    """Cases of an operation, the same each time."""
    found = []
    quiet = settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    quiet(given(cases[op])(lambda case: found.append(case)))()
    return sorted(found, key=lambda case: sum(np.size(x) for x in case[1]) < 2)


def kinks():
    """All examples of gradients where calculus is silent, as functions to be called."""
    for test in (
        test_ops.test_gradient_where_calculus_is_silent,
        test_ops.test_second_derivative_where_calculus_is_silent,
    ):
        values = [
            mark.args[1] for mark in test.pytestmark if mark.name == "parametrize" and not isinstance(mark.args[0], str)
        ]
        for value in values[0]:
            for recorded in (False, True) if "kink" not in test.__name__ and "second" not in test.__name__ else (None,):
                yield (
                    lambda test=test, value=value, r=recorded: (
                        test(*value) if r is None else test(*value, create_graph=r)
                    )
                )


def failure(ops, examples, kinks):
    """What the first test of the operations that fails says, or None."""
    try:
        for kink in kinks:
            kink()
        for op in ops:
            for turn, case in enumerate(examples[op]):
                for test in TESTS if turn < 6 else TESTS[:2]:
                    test.hypothesis.inner_test(op, Fixed(case, turn))
    except Exception as error:
        return error
    return None


def main(share=1.0, *names):
    """Try the mutants, and report."""
    warnings.simplefilter("error")
    started = time.perf_counter()
    reach = {op: reached(autodiff.key(op)) for op in cases}
    examples = {op: drawn(op) for op in reach}
    silent = list(kinks())
    for op in reach:
        error = failure([op], examples, silent)
        if error:
            raise SystemExit(f"the tests of {autodiff.name(op)} fail without any mutant: {error}")
    functions = {}
    for f in gc.get_objects():
        if isinstance(f, types.FunctionType) and Path(f.__code__.co_filename).parent == OPS:
            functions.setdefault(f.__code__, []).append(f)
    print(f"{len(reach)} operations, {sum(map(len, examples.values()))} cases, {len(silent)} kinks", flush=True)
    killed, equivalent, survivors = 0, 0, []
    pick = random.Random(0)
    for path in sorted(OPS.glob("*.py")):
        original = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
        for statement, change, compiled in list(mutants(path)):
            place = f"{path.stem}: {getattr(statement, 'name', ast.unparse(statement).split(',')[0].split('(')[-1])}"
            if (names and not any(n in place for n in names)) or pick.random() >= share:
                continue
            pairs = list(different(original, compiled(str(path))))
            affected = [op for op, codes in reach.items() if any(old in codes for old, _ in pairs)]
            live = [(f, new, old) for old, new in pairs for f in functions.get(old, ())]
            if not affected or not live:
                continue  # nothing that is checked uses it
            if (place, change) in EQUIVALENT:
                equivalent += 1
                continue
            for f, new, _ in live:
                f.__code__ = new
            try:
                alive = not failure(affected, examples, silent)
            finally:
                for f, _, old in live:
                    f.__code__ = old
            killed += not alive
            if alive:
                survivors.append((place, change))
                print(f"survived  {place}, line {statement.lineno}: {change}", flush=True)
    total = killed + equivalent + len(survivors)
    took = time.perf_counter() - started
    print(f"{total} mutants: {killed} killed, {equivalent} equivalent, {len(survivors)} survived; {took:.0f} s")
    return len(survivors)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    raise SystemExit(bool(main(*map(float, arguments[:1]), *arguments[1:])))
