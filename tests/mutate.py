"""Mutation testing of the derivative rules: change one, and see whether the tests of what uses it notice.

``python tests/mutate.py [SHARE [NAMES …]]``: a share of all mutants, 1 if not given; of the rules whose name or file
contains one of the names. Each is a rule, or a function that rules use, with one thing changed in its syntax tree: a
sign, factor, term, argument, transpose, axis, keyword, comparison or condition. It is compiled, put in place of the
original's code, and tried by the tests of the rules that run that code, until one fails. What survives and is not
listed as equivalent is a hole in the tests. All mutants take five minutes.
"""

import ast
import gc
import inspect
import itertools
import random
import sys
import time
import types
import warnings
from collections import Counter
from functools import _lru_cache_wrapper, cached_property, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import tinygrad_digits as tg
from tinygrad_digits import autodiff

sys.path.insert(0, str(Path(__file__).parent))
import test_convolution
import test_linalg
import test_ops
import test_program_ops
import test_threads
from cases import cases
from cases.convolution import small_blocks

EXAMPLES = 30
OPS = Path(tg.__file__).parent / "ops"
PROPERTIES = [
    test_ops.test_value_is_numpys,
    test_ops.test_derivatives_to_second_order,
    test_ops.test_single_precision_stays_single,
    test_ops.test_layout_in_memory_does_not_matter,
    test_ops.test_invariants,
    test_program_ops.test_an_operation_compiled_is_the_operation,
]
"""What must hold of any case of an operation. The first two are tried on all that are drawn, the rest on six."""

MODULES = test_ops, test_linalg, test_convolution, test_threads
"""Whose other tests are run too."""

settings.register_profile(
    "mutants",
    max_examples=5,
    database=None,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutants")

CACHES = [f for f in gc.get_objects() if isinstance(f, _lru_cache_wrapper) and f.__module__.startswith(tg.__name__)]
FLIPPED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMMUTATIVE = {"min", "max", "minimum", "maximum", "multiply", "hypot", "convolve", "not_equal", "result_type", "gcd"}
COMMUTATIVE |= {"broadcast_shapes", "joint_shape", "clip"}  # clip, as min(max(x, low), high)

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "normalisation: slope_of_standardised",
        "means_of_products(g, out, axis) → means_of_products(out, g, axis)",
    ): "factors commute",
    ("elementwise: finite", "0 → 1"): "exp(-inf) is 0 whatever finite number is taken from -inf",
    ("convolution: to_images_into", "width * channels → width"): "how much is done at a time",
    ("convolution: to_images_into", "width * channels → channels"): "how much is done at a time",
    ("convolution: to_images_into", "2 → 3"): "how much is done at a time",
    (
        "convolution: meeting",
        "lambda p: ((p - low) % apart, p) → lambda p: 2 * ((p - low) % apart, p)",
    ): "the order is the same",
    (
        "convolution: kernel_order",
        "lambda k: (k % apart, -k) → lambda k: 2 * (k % apart, -k)",
    ): "the order is the same",
    ("threads: each", "len(left) - 1 → len(left)"): "one more thread finds nothing to do",
    ("threads: each", "len(left) - 1 → len(left) + 1"): "one more thread finds nothing to do",
    ("convolution: meeting", "0 → 1"): "where no lines begin",
    ("convolution: added_up", "len(parts) + 1 → len(parts)"): "in which order is added only rounds otherwise",
    ("convolution: blocks_of", "1 → 2"): "how much is done at a time",
    ("convolution: blocks_of", "2 → 3"): "how much is done at a time",
    ("pooling: to_largest_into", "top.size * prod(size) → top.size"): "the other way is only slower",
    ("pooling: to_largest_into", "top.size * prod(size) → prod(size)"): "the other way is only slower",
    ("pooling: to_largest_into", "top.size * prod(size) → top.size / prod(size)"): "the other way is only slower",
    ("pooling: to_taps", "np.multiply(tie, share, out=given) → np.multiply(tie, share)"): "in memory of its own",
    ("pooling: to_taps", "3 → 4"): "only the first two numbers are used",
    ("pooling: shared", "np.divide(g, count, out=share) → np.divide(g, count)"): "in memory of its own",
    ("pooling: to_windows_into", "3 → 4"): "only the first two numbers are used",
    ("pooling: combine", "3 → 4"): "only the first two numbers are used",
    (
        "pooling: combine",
        "function(lines, x[:, down[1]], out=scratch('lines', lines.shape, out.dtype)) → function(lines, x[:, down[1]])",
    ): "in memory of its own",
    (
        "pooling: combine",
        "function(lines, x[:, down[1]], out=scratch('lines', lines.shape, out.dtype)) → "
        "function(x[:, down[1]], lines, out=scratch('lines', lines.shape, out.dtype))",
    ): "the largest, and the sum, are the same in any order",
    (
        "convolution: windows_of",
        "zip((*stride, *dilation), between * 2, strict=True) → zip(between * 2, (*stride, *dilation), strict=True)",
    ): "factors commute",
    (
        "neural: counted",
        "np.arange(n, dtype=dtype if np.can_cast(np.min_scalar_type(n), dtype) else None) → np.arange(n)",
    ): "comparing two dtypes is only slower",
    (
        "neural: counted",
        "dtype if np.can_cast(np.min_scalar_type(n), dtype) else None → None",
    ): "comparing two dtypes is only slower",
    (
        "recurrent: elman_into",
        "h.dot(weight, out=scratch(f'fed {t % 2}', h.shape, h.dtype)) → h.dot(weight)",
    ): "in memory of its own",
    (
        "recurrent: elman_into",
        "np.tanh(np.add(x[:, t], fed, out=fed), out=fed) → np.tanh(np.add(x[:, t], fed, out=fed))",
    ): "in memory of its own",
    ("recurrent: elman_into", "np.add(x[:, t], fed, out=fed) → np.add(x[:, t], fed)"): "in memory of its own",
    ("recurrent: elman_into", "np.add(x[:, t], fed, out=fed) → np.add(fed, x[:, t], out=fed)"): "terms commute",
    ("recurrent: elman_into", "t % 2 → t"): "in more memory",
    ("recurrent: elman_into", "2 → 3"): "in more memory",
    ("recurrent: elman_into", "t % 2 → 2"): "NumPy copies what a product would be written over",
    (
        "scratch: scratch",
        "blocks[what].nbytes < nbytes → blocks[what].nbytes <= nbytes",
    ): "in new memory of the same size",
    (
        "scratch: scratch",
        "len(views) == VIEWS → len(views) != VIEWS",
    ): "how many are kept, for which there is test_scratch",
    ("elementwise: modf", "0 → 1"): "no whole number has a fraction",
    ("linalg: but_rounding", "np.abs(d) <= bound → np.abs(d) < bound"): "the bound is met by accident, or 0 for 0",
    ("linalg: sign", "np.linalg.det(u) * np.linalg.det(vh) → np.linalg.det(u) / np.linalg.det(vh)"): "they are ±1",
    ("linalg: cofactor_slopes", "third_slopes(h, g, x) → third_slopes(g, h, x)"): "third derivatives are symmetric",
    ("linalg: matrix_power", "half @ half @ a → a @ (half @ half)"): "powers of a matrix commute",
    ("products: vdot", "np.matmul(np.ravel(a), np.ravel(b)) → np.matmul(np.ravel(b), np.ravel(a))"): "factors commute",
    (
        "products: vdot",
        "np.matmul(np.ravel(a), np.ravel(b)) → np.matmul(np.ravel(a).T, np.ravel(b))",
    ): "it has one axis",
    (
        "products: vdot",
        "np.matmul(np.ravel(a), np.ravel(b)) → np.matmul(np.ravel(a), np.ravel(b).T)",
    ): "it has one axis",
    ("products: dot", "of_b <= 2 → of_b < 2"): "tensordot makes the same product of matrices",
    ("indexing: in_dtype", "x if x.dtype == dtype else x.astype(dtype) → x.astype(dtype)"): "only a copy more",
    ("cumulative: gradient", "0.0 → 1.0"): "any number of Python's will do",
    ("products: multi_dot", "einsum(*pairs, ends, optimize=True) → einsum(*pairs, ends)"): "only slower",
    ("products: multi_dot", "True → False"): "only slower",
    (
        "products: einsum",
        "summed_product(*operands, subscripts=subscripts, optimize=optimize) → "
        "summed_product(*operands, subscripts=subscripts)",
    ): "only slower",
    (
        "products: others",
        "summed_product(*(factor for _, factor in factors), subscripts=','.join((letters for letters, _ "
        "in factors)) + '->' + wanted, optimize=bool(optimize)) → summed_product(*(factor for _, factor "
        "in factors), subscripts=','.join((letters for letters, _ in factors)) + '->' + wanted)",
    ): "only slower",
    (
        "products: others",
        "zip(letters, np.shape(factor), strict=True) → zip(np.shape(factor), letters, strict=True)",
    ): "a factor of ones more is only slower",
    ("products: others", "np.eye(n, dtype=x.dtype) → np.eye(n)"): "of a dtype too wide, which the sweep narrows",
    ("cumulative: recurrence", "steps < b.shape[-1] → steps <= b.shape[-1]"): "one round more adds zeros",
    (
        "neural: rows",
        "x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1]) → x.reshape(prod(x.shape[:-1]), x.shape[-1])",
    ): "a matrix in its own shape; only slower",
    (
        "neural: summed",
        "rows.T.dot(ones(rows.shape[0], rows.dtype)) → rows.T.dot(ones(rows.shape[0], rows.dtype).T)",
    ): "a vector is its own transpose",
    ("grids: ends", "0.0 → 1.0"): "only its dtype counts",
    (
        "ordering: percent",
        "a.dtype.type(100) if a.dtype.kind == 'f' else 100 → a.dtype.type(100)",
    ): "a whole number is itself",
}
"""(file and function, change): why no derivative is changed by it."""


# ------------------------------------------------------------------------------------------------------- the mutants


def changes(node):
    """Nodes that may stand in place of one."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in OTHER:
                yield ast.BinOp(left, OTHER[type(op)](), right)
            if not isinstance(op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr) and ast.dump(left) != ast.dump(right):
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
            if len(args) > 1 and in_order(function, *args[:2]):
                yield ast.Call(function, [args[1], args[0], *args[2:]], keywords)
            if getattr(function, "attr", "") in ("matmul", "dot"):
                for i, a in enumerate(args):
                    yield ast.Call(function, [*args[:i], ast.Attribute(a, "T", ast.Load()), *args[i + 1 :]], keywords)
            for i in (i for i, keyword in enumerate(keywords) if keyword.arg != "strict"):
                yield ast.Call(function, args, keywords[:i] + keywords[i + 1 :])
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Lambda(arguments, body) if "zeros_like" not in ast.unparse(body):  # 0 has neither sign nor size
            yield ast.Lambda(arguments, ast.UnaryOp(ast.USub(), body))
            yield ast.Lambda(arguments, ast.BinOp(ast.Constant(2), ast.Mult(), body))


def in_order(function, first, second):
    """Whether a function's first two arguments are different, and mean something else when swapped."""
    commutative = getattr(function, "attr", getattr(function, "id", "")) in COMMUTATIVE
    starred = isinstance(first, ast.Starred) or isinstance(second, ast.Starred)
    return not commutative and not starred and ast.dump(first) != ast.dump(second)


def mutants(path, share, names):
    """Some mutants of a file: where each is, what was changed, and the pairs of code that differ, outer first."""
    pick = random.Random(0)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    imports = [statement for statement in body if isinstance(statement, ast.Import | ast.ImportFrom)]
    for statement in body:
        decorated = any("primitive" in ast.unparse(d) for d in getattr(statement, "decorator_list", ()))
        if decorated or not isinstance(statement, ast.FunctionDef | ast.Expr | ast.For | ast.With):
            continue
        place = f"{path.stem}: {getattr(statement, 'name', ast.unparse(statement).split(',')[0].split('(')[-1])}"
        if names and not any(n in place for n in names):
            continue
        original = compiled([*imports, statement], path)
        for node, new, replace in replacements(statement):
            if pick.random() < share:
                new = ast.fix_missing_locations(ast.copy_location(new, node))
                replace(new)
                pairs = list(different(original, compiled([*imports, statement], path)))
                replace(node)
                if pairs:
                    yield place, node.lineno, f"{ast.unparse(node)} → {ast.unparse(new)}", pairs


def replacements(statement):
    """Each node of a statement, what may stand in its place, and a function that puts a node there."""
    kept = {id(inner) for node in ast.walk(statement) if beside_the_point(node) for inner in ast.walk(node)}
    for parent in ast.walk(statement):
        if isinstance(parent, ast.Expr) or id(parent) in kept:  # an expression: the call of defvjp itself
            continue
        for field, value in ast.iter_fields(parent):
            if isinstance(parent, ast.FunctionDef) and field != "body":
                continue
            if isinstance(value, list):
                for i, node in enumerate(value):
                    for new in changes(node):
                        yield node, new, partial(value.__setitem__, i)
            else:
                for new in changes(value):
                    yield value, new, partial(setattr, parent, field)


def beside_the_point(node):
    """Whether a node is of a signature (defaults are NumPy's), of an error's message, only guards, or has a sign."""
    signed = isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)
    guard = isinstance(node, ast.keyword) and node.arg == "strict"
    return isinstance(node, ast.arguments | ast.Raise) or signed or guard


def compiled(body, path):
    """The code of a module; methods of modules that it imports are called in a way of their own."""
    return compile(ast.Module(body, []), str(path), "exec", dont_inherit=True)


def where(code):
    """What tells a piece of code from others: code objects that have been run are not equal to those that have not."""
    return code.co_filename, code.co_qualname, *code.co_positions()


def different(old, new):
    """Pairs of code objects, from the outside in, that are not the same in two versions of a statement."""
    inner = [[c for c in code.co_consts if isinstance(c, types.CodeType)] for code in (old, new)]
    for a, b in zip(*inner, strict=False):
        if a != b:
            yield a, b
            yield from different(a, b)


# --------------------------------------------------------------------------------------------------------- their tests


def reached(op):
    """The code of all functions that an operation and its rules call, and theirs."""
    row = autodiff.rules.get(op) or (autodiff.composites[op],)
    stack = [op, row.rule] if hasattr(row, "rule") else [op, *row]
    found, seen = set(), set()
    while stack:
        function = stack.pop()
        if not isinstance(function, types.FunctionType) or function in seen:  # all primitives share a wrapper's code
            continue
        seen.add(function)
        codes = [function.__code__]
        for code in codes:
            codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
            found.add(code)
            stack += [function.__globals__[n] for n in code.co_names if n in function.__globals__]
            stack += [made for op, made in autodiff.composites.items() if op.__name__ in code.co_names]
        stack += [cell.cell_contents for cell in function.__closure__ or ()]
        stack += (function.__kwdefaults__ or {}).values()
        stack += [f for f in (getattr(function, "primitive", None),) if f]
    return set(map(where, found))


class Fixed:
    """In place of Hypothesis's data: gives a drawn case first, and then a layout, each in its turn."""

    def __init__(self, case, turn):
        layouts = list(test_ops.draw.LAYOUTS.values())
        self.values = iter((case, layouts[turn % len(layouts)]))

    def draw(self, strategy):
        return next(self.values)


def drawn(op):
    """Cases of an operation, of shapes as different as may be, the larger first; the same each time."""
    found, seen = [], Counter()

    def keep(case):
        shapes = tuple(np.shape(x) for x in case[1])
        found.append((seen[shapes], 0 in map(np.prod, shapes), -sum(map(np.prod, shapes)), len(found), case))
        seen[shapes] += 1

    settings(max_examples=4 * EXAMPLES)(given(cases[op])(keep))()
    return [case for *_, case in sorted(found)[:EXAMPLES]]


def properties(op):
    """What must hold of an operation, as functions to be called."""
    for turn, case in enumerate(drawn(op)):
        for test in PROPERTIES if turn < 6 else PROPERTIES[:2]:
            yield lambda test=test, case=case, turn=turn: test.hypothesis.inner_test(op, Fixed(case, turn))


def examples():
    """All other tests that draw nothing and need no fixture but one, with each of their parameters, to be called."""
    for name, test in [pair for module in MODULES for pair in vars(module).items()]:
        if name.startswith("test_") and not hasattr(test, "hypothesis"):
            marks = getattr(test, "pytestmark", ())
            action = "ignore" if any(mark.name == "filterwarnings" for mark in marks) else "error"
            for parts in itertools.product(*(parameters(mark) for mark in marks if mark.name == "parametrize")):
                given_all = {name: value for part in parts for name, value in part.items()}
                if given_all.keys() == inspect.signature(test).parameters.keys() - {"monkeypatch"}:
                    yield partial(quietly, action, test, given_all)


def parameters(mark):
    """What a mark gives a test, each time by name."""
    names, rows = mark.args
    return [{names: row} if isinstance(names, str) else dict(zip(names, row, strict=True)) for row in rows]


def quietly(action, test, keywords):
    """Run a test with the warnings filter and the fixture that it asks for."""
    with warnings.catch_warnings(action=action), pytest.MonkeyPatch.context() as patch:
        test(**keywords, **({"monkeypatch": patch} if "monkeypatch" in inspect.signature(test).parameters else {}))


class Test:
    """A test, and which code it runs."""

    def __init__(self, run):
        self.run = run

    @cached_property
    def codes(self):
        """The code it runs when nothing is changed."""
        codes = {}
        sys.setprofile(lambda frame, event, _: codes.setdefault(id(frame.f_code), frame.f_code))
        try:
            self.run()
        finally:
            sys.setprofile(None)
        return {where(code) for code in codes.values() if Path(code.co_filename).parent == OPS}

    def kills(self, pairs, functions):
        """Whether it fails while functions have the second code of a pair in place of the first."""
        for cache in CACHES:
            cache.cache_clear()
        changed = [(function, new, old) for old, new in pairs for function in functions.get(where(old), ())]
        for function, new, _ in changed:
            function.__code__ = new
        try:
            self.run()
        except (Exception, pytest.fail.Exception):
            return True
        finally:
            for function, _, old in changed:
                function.__code__ = old
        return False


@small_blocks()
def main(share=1.0, *names):
    """Try the mutants, and report."""
    warnings.simplefilter("error")
    started = time.perf_counter()
    found = [mutant for path in sorted(OPS.glob("*.py")) for mutant in mutants(path, share, names)]
    reach = {op: reached(autodiff.key(op)) for op in cases}
    general = list(map(Test, examples()))
    of_op = {}
    functions = {}
    for f in gc.get_objects():
        if isinstance(f, types.FunctionType):
            functions.setdefault(where(f.__code__), []).append(f)

    def batches(codes):
        """The general tests, and those of one operation after another that uses the codes: used ones first."""
        yield general
        users = [op for op in cases if not codes.isdisjoint(reach[op])]
        for op in sorted(users, key=lambda op: (op not in of_op, len(reach[op]))):
            if op not in of_op:
                of_op[op] = list(map(Test, properties(op)))
            yield of_op[op]

    listed, survivors = set(), 0
    for place, line, change, pairs in found:
        if (place, change) in EQUIVALENT:
            listed.add((place, change))
            continue
        codes = {where(old) for old, _ in pairs}
        for tests in batches(codes):
            reaching = (test for test in tests if not codes.isdisjoint(test.codes))
            killer = next((test for test in reaching if test.kills(pairs, functions)), None)
            if killer:
                tests.remove(killer)
                tests.insert(0, killer)  # it may kill others
                break
        else:
            survivors += 1
            print(f"survived  {place}, line {line}: {change}", flush=True)
    if share == 1 and not names:
        for place, change in EQUIVALENT.keys() - listed:
            print(f"listed as equivalent, but not made  {place}: {change}")
    tried = sum((place, change) not in listed for place, _, change, _ in found)
    took = time.perf_counter() - started
    print(
        f"{len(found)} mutants: {tried - survivors} killed, {len(found) - tried} equivalent, {survivors} survived; "
        f"{took:.0f} s"
    )
    return survivors


if __name__ == "__main__":
    arguments = sys.argv[1:]
    raise SystemExit(bool(main(*map(float, arguments[:1]), *arguments[1:])))
