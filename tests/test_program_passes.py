"""Each pass alone, and the memory plan: what comes out is what should, and computes the same as what went in."""

import operator
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_program_random import THREADS, agree, built, sharing, trained, trainings

import tinygrad_digits as tg
from tinygrad_digits.program import PASSES, kernels
from tinygrad_digits.program.compiled import traced
from tinygrad_digits.program.ir import Line, Program, Scalar, Value, mapped, values_in
from tinygrad_digits.program.memory import parted, plan, view_of
from tinygrad_digits.program.pieces import Pieces
from tinygrad_digits.program.trace import Slot

# ------------------------------------------------------------------------------------------------------- the evaluator


def number(scalar):
    """What a Scalar comes to."""
    if not isinstance(scalar, Scalar):
        return scalar
    if scalar.op is None:
        owner, key = scalar.args
        return owner[key[0]][key[1]] if isinstance(key, tuple) else owner.get(key, 0)
    return scalar.op(*map(number, scalar.args))


def begin(program, inputs):
    """What all values are that no line computes."""
    known = dict(zip(program.inputs, inputs, strict=True))
    for value in {*program.writes, *program.ends(), *(v for line in program.lines for v in line.reads())}:
        if value.kind == "state":
            slot = value.source
            shape = value.shape[::-1] if slot.transposed else value.shape
            nothing = np.zeros(shape, value.dtype)
            kept = nothing if slot.kept is None else slot.kept.get(slot.key, nothing)
            array = kept if slot.tensor is None else slot.tensor._array
            known[value] = array.T.copy() if slot.transposed else array.copy()
        elif value.kind == "constant":
            known[value] = value.source
        elif value.kind == "scalar":
            known[value] = number(value.source)
    return known


def computed(line, known):
    """What a line computes."""
    args, kwargs = mapped((line.args, line.kwargs), Value, known.__getitem__)
    if isinstance(line.op, Pieces):
        return in_pieces(line.op, args, dict(zip(line.args, args, strict=True)))
    with np.errstate(**{"all": "ignore", **line.errors}):
        return line.op(*args, **kwargs)


def in_pieces(op, args, states):
    """What a program for a piece of a batch adds up, for each piece."""
    found = []
    for i in range(op.count):
        given = [
            a if rows is None else np.split(a, op.count, rows.axis)[i] for a, rows in zip(args, op.parts, strict=False)
        ]
        known = begin(op.program, given) | states
        for line in op.program.lines:
            known[line.out] = np.array(computed(line, known))
            assert (known[line.out].shape, known[line.out].dtype) == (line.out.shape, line.out.dtype)
        found.append(np.concatenate([np.ravel(known[op.program.writes[total]]) for total in op.totals]))
    return np.array(found)


def evaluated(program, *inputs):
    """What a program hands out, and what it writes: each value computed in memory of its own, line by line."""
    known = begin(program, inputs)
    for line in program.lines:
        made = computed(line, known)
        if line.out is not None:
            made = np.array(made)
            assert (made.shape, made.dtype) == (line.out.shape, line.out.dtype)
            known[line.out] = made
    return outcome(program, known)


def place_of(slot):
    """Where a state is kept, whichever way a program works with it."""
    return id(slot.tensor if slot.kept is None else slot.kept), slot.key


def outcome(program, known):
    results = [known[v] for v in values_in(program.results)] + [known[v] for v in values_in(program.gradients)]
    writes = {}
    for state, new in program.writes.items():
        slot = state.source
        writes[place_of(slot)] = known[new].T if slot.transposed else known[new]
    return results, writes


def same(found, expected):
    """Check that two outcomes are the same but for rounding."""
    agree([*found[0]], [*expected[0]])
    assert found[1].keys() == expected[1].keys()
    agree([found[1][place] for place in expected[1]], [*expected[1].values()])


# ----------------------------------------------------------------------------------------------- programs made by hand


class Making:
    """A program, made line by line."""

    def __init__(self):
        self.inputs, self.lines, self.writes = [], [], {}
        self.samples, self.owners, self.products = {}, [], {}

    def input(self, array):
        return self._keep(self.inputs, "input", array)

    def state(self, array, name=""):
        tensor = tg.tensor(array, requires_grad=array.dtype.kind == "f")
        self.owners.append(tensor)
        return self._keep([], "state", array, Slot(tensor), name)

    def constant(self, array, own=True):
        value = self._keep([], "constant", np.asarray(array), np.asarray(array))
        value.own = own
        return value

    def scalar(self, **settings):
        ((key, value),) = settings.items()
        made = Value("scalar", (), np.dtype(float), source=Scalar(self, value, None, settings, key))
        self.samples[made] = value
        return made

    def _keep(self, places, kind, array, source=None, name=""):
        value = Value(kind, array.shape, array.dtype, name, source)
        places.append(value)
        self.samples[value] = array
        return value

    def __call__(self, op, *args, errors=None, pure=True, **kwargs):
        line = Line(op, args, kwargs, None, "", errors or {}, pure)
        array = np.asarray(computed(line, self.samples))
        line.out = self._keep([], "computed", array)
        self.lines.append(line)
        return line.out

    def program(self, *results, **more):
        return Program(self.inputs, self.lines, results, self.writes, **more)

    def arrays(self):
        return [self.samples[v] for v in self.inputs]


X = np.random.default_rng(0).normal(size=(4, 3))
W = np.random.default_rng(1).normal(size=(3, 5))
NUMBERS = np.array([2, 0, 1, 1])


def ops(program):
    return [line.op for line in program.lines]


def after(name, make, *results):
    """The operations of a program after a pass, which must have changed no value."""
    program = make.program(*results)
    expected = evaluated(program, *make.arrays())
    passed = PASSES[name](program)
    same(evaluated(passed, *make.arrays()), expected)
    return passed


# fmt: off
LOWERED = [
    # the operation, its arguments (arrays become inputs), keywords, and the operations it becomes
    (operator.ge,        (X, 0.5),                  {},                    [np.greater_equal]),
    (operator.lt,        (X, X[0]),                 {},                    [np.less]),
    (operator.eq,        (X, X),                    {},                    [np.equal]),
    (np.sum,             (X,),                      {},                    [np.add.reduce]),
    (np.sum,             (X, 1),                    {},                    [np.add.reduce]),
    (np.sum,             (X,),                      {"axis": (0, 1), "keepdims": True}, [np.add.reduce]),
    (np.sum,             (X,),                      {"axis": 0, "dtype": np.float32}, [np.sum]),
    (np.max,             (X,),                      {"axis": -1, "keepdims": True}, [np.maximum.reduce]),
    (np.min,             (X,),                      {"axis": 0},           [np.minimum.reduce]),
    (np.prod,            (X,),                      {"axis": None},        [np.multiply.reduce]),
    (np.mean,            (X,),                      {"axis": 0},           [np.add.reduce, np.divide]),
    (np.mean,            (X.astype("f"),),          {"keepdims": True},    [np.add.reduce, np.divide]),
    (np.mean,            (X, (0, 1)),               {},                    [np.add.reduce, np.divide]),
    (np.mean,            (NUMBERS,),                {},                    [np.mean]),
    (np.mean,            (np.full(99, 999, "f2"),), {},                    [np.mean]),  # whose sum is too large
    (np.where,           (X > 0, X, 0),             {},                    [kernels.bits, kernels.masked]),
    (np.where,           (X > 0, X.astype("f"), 0.0), {},                  [kernels.bits, kernels.masked]),
    (np.where,           (X > 0, X, -0.0),          {},                    [np.where]),
    (np.where,           (X > 0, X[0], 0),          {},                    [np.where]),
    (np.where,           (X[0] > 0, X, 0),          {},                    [np.where]),
    (np.where,           (X > 0, X, 1.0),           {},                    [np.where]),
    (np.where,           (X > 0, X, X),             {},                    [np.where]),
    (operator.getitem,   (W, NUMBERS),              {},                    [kernels.within, kernels.gathered]),
    (operator.getitem,   (W, NUMBERS - 3),          {},                    [kernels.within, kernels.gathered]),
    (operator.getitem,   (W, NUMBERS.reshape(2, 2)), {},                   [kernels.within, kernels.gathered]),
    (operator.getitem,   (W, NUMBERS.astype("u1")), {},                    [kernels.within, kernels.gathered]),
    (operator.getitem,   (W, (slice(None), NUMBERS)), {},                  [operator.getitem]),
    (operator.getitem,   (W, (slice(1, None), 0)),  {},                    [operator.getitem]),
    (np.take,            (W, NUMBERS),              {"axis": 0},           [kernels.within, kernels.gathered]),
    (np.take,            (W, NUMBERS),              {"axis": 1},           [np.take]),
    (np.take,            (W, NUMBERS),              {},                    [np.take]),
    (np.take,            (W, NUMBERS + 1),          {"axis": 0, "mode": "clip"}, [np.take]),
    (np.dot,             (X, W),                    {},                    [np.matmul]),
    (np.dot,             (X[0], W),                 {},                    [np.matmul]),
    (np.dot,             (X, 2.0),                  {},                    [np.dot]),
    (np.squeeze,         (X[None],),                {},                    [np.reshape]),
    (np.transpose,       (X,),                      {"axes": None},        [np.transpose]),
    (np.maximum,         (X, 0),                    {},                    [np.maximum]),
    (np.maximum,         (np.tile(X, (200, 10)), 0), {},                   [np.maximum]),
]
# fmt: on


@pytest.mark.parametrize("row", LOWERED, ids=lambda row: f"{tg.autodiff.name(row[0])}-{len(row[2])}")
def test_lower_says_it_in_functions_that_write_to_memory(row):
    op, args, kwargs, expected = row
    make = Making()
    args = mapped(args, np.ndarray, make.input)
    out = make(op, *args, **kwargs)
    assert ops(after("lower", make, out)) == expected


def test_lower_picks_an_element_of_each_row():
    make = Making()
    x, columns = make.input(X), make.input(NUMBERS)
    rows, others = make.constant(np.arange(4)), make.constant(np.array([0, 1, 3, 2]))
    a = make(operator.getitem, x, (rows, columns))
    b = make(operator.getitem, x, (others, columns))
    assert ops(after("lower", make, a, b)) == [kernels.picked, operator.getitem]


def test_lower_checks_indices():
    for wrong in (np.array([3]), np.array([-4]), np.array([0, 1, 99])):
        make = Making()
        w = make.input(W)
        out = make(operator.getitem, w, make.input(np.zeros_like(wrong)))
        passed = PASSES["lower"](make.program(out))
        with pytest.raises(IndexError, match=r"index -?\d+ is out of bounds for 3 rows"):
            evaluated(passed, W, wrong)


def test_fold_computes_what_depends_on_constants_of_its_own():
    make = Making()
    x, two, theirs = make.input(X), make.constant(2.0), make.constant(X[0], own=False)
    folded = make(np.add, make(np.multiply, two, 3.0), make(np.exp, two))
    kept = make(np.multiply, theirs, two)
    drawn = make(np.sqrt, two, pure=False)
    infinite = make(np.divide, two, make.constant(0.0), errors={"divide": "ignore"})
    out = make(np.multiply, x, folded)
    passed = after("fold", make, out, kept, drawn, infinite)
    assert ops(passed) == [np.multiply, np.sqrt, np.multiply]
    assert passed.lines[-1].args[1].source == 6 + np.exp(2)
    assert passed.lines[-1].args[1].own


# fmt: off
NOTHING_CHANGED = [
    (np.multiply,     lambda x: (x, 1),          True),
    (np.multiply,     lambda x: (1.0, x),        True),
    (np.divide,       lambda x: (x, 1.0),        True),
    (np.divide,       lambda x: (1.0, x),        False),
    (np.multiply,     lambda x: (x, 2),          False),
    (np.positive,     lambda x: (x,),            True),
    (np.astype,       lambda x: (x, x.dtype),    True),
    (np.astype,       lambda x: (x, np.dtype("f2")), False),
    (np.reshape,      lambda x: (x, x.shape),    True),
    (np.reshape,      lambda x: (x, (-1,)),      False),
    (np.broadcast_to, lambda x: (x, x.shape),    True),
    (np.broadcast_to, lambda x: (x, (2, *x.shape)), False),
    (np.transpose,    lambda x: (x,),            False),
    (np.add,          lambda x: (x, 0),          False),  # -0.0 + 0 is 0.0
]
# fmt: on


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", NOTHING_CHANGED, ids=lambda row: tg.autodiff.name(row[0]))
def test_simplify_leaves_out_what_changes_nothing(row, dtype):
    op, arguments, nothing = row
    make = Making()
    x = make.input(X.astype(dtype))
    out = make(np.exp, make(op, *arguments(x)))
    assert ops(after("simplify", make, out)) == ([np.exp] if nothing else [op, np.exp])


def test_simplify_keeps_what_changes_shapes_and_dtypes():
    make = Making()
    whole, column = make.input(NUMBERS), make.input(X[:, :1])
    outs = [
        make(np.multiply, whole, 1.0),
        make(np.multiply, column, make.constant(np.ones(3))),
        make(np.divide, whole, 1),
        make(np.transpose, make.input(X[0])),
        make(np.reshape, make.input(X), (4, 3), order="F"),
    ]
    passed = after("simplify", make, *outs)
    assert ops(passed) == [np.multiply, np.multiply, np.divide]
    assert passed.lines[0].out.dtype == float


def test_simplify_knows_constants_that_hold_one_number():
    make = Making()
    x = make.input(X)
    ones = make.constant(np.broadcast_to(np.float64(1), (4, 3)))
    half, other = make.constant(np.float64(0.5)), make.constant(np.float32(0.5))
    a, b, c = make(np.multiply, x, ones), make(np.multiply, x, half), make(np.multiply, x, other)
    passed = after("simplify", make, a, b, c)
    assert [line.args[1] for line in passed.lines] == [0.5, other]


def test_share_computes_once_what_is_the_same():
    make = Making()
    x, y = make.input(X), make.input(X + 4)
    first = make(np.add, x, y)
    outs = [
        first,
        make(np.add, x, y),
        make(np.add, y, x),
        make(np.subtract, x, y),
        make(np.subtract, y, x),
        make(np.exp, first),
        make(np.exp, make(np.add, y, x)),
        make(np.sum, x, axis=0),
        make(np.sum, x, axis=1),
        make(np.multiply, x, 2),
        make(np.multiply, 2, x),
        make(np.multiply, x, 2.0),
        make(np.multiply, x, True),
        make(np.sqrt, y, pure=False),
        make(np.sqrt, y, pure=False),
        make(np.log, y, errors={"invalid": "ignore"}),
        make(np.log, y, errors={"invalid": "ignore"}),
        make(np.log, y, errors={"divide": "ignore"}),
        make(operator.getitem, x, (slice(0, 1),)),
        make(operator.getitem, x, (slice(1, 2),)),
    ]
    make.lines.append(Line(np.shape, (x,), {}, None, pure=False))
    make.lines.append(Line(np.shape, (x,), {}, None, pure=False))
    passed = after("share", make, *outs)
    counts = Counter(ops(passed))
    assert counts[np.add] == counts[np.exp] == 1
    assert counts[np.subtract] == counts[np.sum] == counts[np.sqrt] == counts[np.log] == 2
    assert counts[np.multiply] == 3  # by 2, by 2.0, by True
    assert counts[operator.getitem] == counts[np.shape] == 2


def test_eliminate_leaves_out_what_nothing_depends_on():
    make = Making()
    x, w = make.input(X), make.state(W)
    make(np.exp, make(np.sin, x))
    needed = make(np.multiply, x, 3)
    drawn = make(np.sqrt, make(np.abs, x), pure=False)
    make(np.negative, drawn)
    make.lines.append(Line(np.shape, (make(np.cos, x),), {}, None, pure=False))
    make.writes[w] = make(np.tanh, w)
    left = make(np.floor, x)
    program = make.program(needed, gradients={"somebody": (left, False)})
    passed = PASSES["eliminate"](program)
    same(evaluated(passed, X), evaluated(program, X))
    assert ops(passed) == [np.multiply, np.abs, np.sqrt, np.cos, np.shape, np.tanh, np.floor]


# ------------------------------------------------------------------------------------------------------------- hoisting


def network(make, *, rows=6, sizes=(7, 5, 3), lr):
    """A net's forward and backward sweep, written out; its gradients times lr taken off its weights."""
    rng = np.random.default_rng(0)
    x = make.input(rng.normal(size=(rows, sizes[0])))
    weights = [make.state(rng.normal(size=pair)) for pair in pairwise(sizes)]
    layers = [x]
    for w in weights:
        layers.append(make(np.tanh, make(np.matmul, layers[-1], w)))
    d = make(np.subtract, layers[-1], 0.5)
    loss = make(np.sum, make(np.multiply, d, d))
    gradients = {}
    for w, before, out in reversed(list(zip(weights, layers, layers[1:], strict=False))):
        slope = make(np.subtract, 1.0, make(np.multiply, out, out))
        d = make(np.multiply, d, slope)
        gradients[w] = make(np.matmul, make(np.transpose, before), d)
        d = make(np.matmul, d, make(np.transpose, w))
    for w, g in gradients.items():
        make.writes[w] = make(np.subtract, w, make(np.multiply, g, lr))
    return loss


def multiplied(program, scalar):
    """How many elements are multiplied by a number."""
    return sum(line.out.size for line in program.lines if line.op is np.multiply and scalar in line.args)


@pytest.mark.parametrize("kind", ["number", "scalar"])
def test_hoist_multiplies_where_there_is_least(kind):
    make = Making()
    lr = 0.125 if kind == "number" else make.scalar(lr=0.125)
    loss = network(make, lr=lr)
    before = multiplied(make.program(loss), lr)
    passed = after("hoist", make, loss)
    assert before == 7 * 5 + 5 * 3
    assert multiplied(passed, lr) == 6 * 3


def test_hoist_leaves_alone_what_is_seen_without_the_factor():
    make = Making()
    lr = make.scalar(lr=0.125)
    loss = network(make, lr=lr)
    gradients = [line.args[0] for line in make.lines if line.op is np.multiply and lr in line.args]
    assert multiplied(after("hoist", make, loss, *gradients), lr) == 7 * 5 + 5 * 3


def test_hoist_makes_one_product_of_two_numbers():
    make = Making()
    x = make.input(X)
    y = make(np.multiply, make(np.multiply, make(np.exp, x), 0.5), 4.0)
    passed = after("hoist", make, y)
    assert ops(passed) == [np.exp, np.multiply]
    assert passed.lines[-1].args[1] == 2.0


def test_hoist_takes_two_products_by_the_same_number_one_by_one():
    make = Making()
    x = make.input(X)
    once = make(np.multiply, make(np.flip, x), 2)
    twice = make(np.multiply, once, 2)
    make(np.exp, once)
    passed = after("hoist", make, twice)
    assert ops(passed).count(np.multiply) <= 2


def test_hoist_loses_no_factor_of_many():
    """As of layers, each of whose outputs is halved: on the way back there is one product after another."""
    make = Making()
    d = make(np.exp, make.input(X))
    for w in (W @ W.T, W @ W.T, W):
        d = make(np.matmul, make(np.multiply, d, 0.5), make.input(w))
    after("hoist", make, make(np.multiply, d, 0.5))


LINEAR = [
    (lambda make, a, b: make(np.multiply, a, 0.5)),
    (lambda make, a, b: make(np.multiply, 0.5, a)),
    (lambda make, a, b: make(np.multiply, a, 3.0)),
    (lambda make, a, b: make(np.multiply, a, make.lr)),
    (lambda make, a, b: make(np.matmul, a, b)),
    (lambda make, a, b: make(np.transpose, a)),
    (lambda make, a, b: make(np.negative, a)),
    (lambda make, a, b: make(np.add, a, b)),
    (lambda make, a, b: make(np.subtract, a, b)),
    (lambda make, a, b: make(np.multiply, a, b)),
    (lambda make, a, b: make(np.divide, a, 7.0)),
    (lambda make, a, b: make(np.tanh, a)),
    (lambda make, a, b: make(kernels.add_reduce, a, axis=0)),
]


@given(st.data())
def test_hoist_changes_no_value_of_products_and_sums(data):
    make = Making()
    make.lr = make.scalar(lr=0.25)
    values = [make.input(np.random.default_rng(seed).normal(size=(3, 3))) for seed in range(2)]
    for _ in range(data.draw(st.integers(3, 12))):
        a, b = (data.draw(st.sampled_from(values[-4:])) for _ in range(2))
        made = data.draw(st.sampled_from(LINEAR))(make, a, b)
        values.append(made if made.shape == (3, 3) else make(np.broadcast_to, made, (3, 3)))
    after("hoist", make, *data.draw(st.sets(st.sampled_from(values[-3:]), min_size=1).map(list)))


# ---------------------------------------------------------------------------------------------------------- transposing


@pytest.mark.parametrize(("rows", "outputs"), [(10, 6), (16, 6), (17, 6), (16, 208), (16, 209)])
def test_transpose_lays_weights_so_that_few_rows_read_them_fast(rows, outputs):
    make = Making()
    lr = make.scalar(lr=0.125)
    loss = network(make, rows=rows, sizes=(300, outputs, 3), lr=lr)
    passed = after("transpose", make, loss)
    turned = [state for state in passed.writes if state.source.transposed]
    assert [state.shape for state in turned] == ([(outputs, 300)] if rows <= 16 and outputs <= 208 else [])


def test_transpose_leaves_alone_what_is_handed_out():
    make = Making()
    loss = network(make, rows=4, sizes=(300, 6, 3), lr=0.5)
    (state,) = (state for state in make.writes if state.shape == (300, 6))
    for given_out in (state, make.writes[state]):
        passed = after("transpose", make, loss, given_out)
        assert not any(state.source.transposed for state in passed.writes)


# ------------------------------------------------------------------------------------------------------ the memory plan


def evaluated_by(made, program, *inputs):
    """As `evaluated`, but with each value where a plan says, so that what is written over too early is seen."""
    known = begin(program, inputs)
    states = {state: known[state] for state in known if state.kind == "state"}
    memory = {}
    for buffer in made.buffers:
        memory[buffer] = np.full(buffer.nbytes, 255, np.uint8)
        if buffer.state is not None:
            array = states[buffer.state]
            memory[buffer] = array.reshape(-1).view(np.uint8)
            assert np.shares_memory(memory[buffer], array) or not array.size
    for line in made.lines:
        array = computed(line, known)
        out = line.out
        if out is None:
            continue
        if out in made.views:
            known[out] = view_of(line, known[line.args[0]])
            np.testing.assert_array_equal(known[out], array)
        elif out in made.fresh:
            known[out] = np.array(array)
        else:
            place = memory[made.place[out]]
            known[out] = place[: out.nbytes].view(out.dtype).reshape(out.shape)
            known[out][...] = array
    news = [np.array(known[new]) for _, new in made.copies]
    for (state, _), new in zip(made.copies, news, strict=True):
        states[state][...] = new
    results, _ = outcome(program, known)
    ends = {}
    for state in program.writes:
        slot = state.source
        ends[place_of(slot)] = states[state].T if slot.transposed else states[state]
    return results, ends


@pytest.mark.parametrize("share", [True, False])
def test_a_plan_writes_over_nothing_that_is_needed(share):
    make = Making()
    loss = network(make, rows=9, sizes=(8, 7, 6, 5), lr=make.scalar(lr=0.5))
    program = PASSES["lower"](make.program(loss))
    made = plan(program, share_memory=share)
    same(evaluated_by(made, program, *make.arrays()), evaluated(program, *make.arrays()))
    values = sum(len(buffer.values) for buffer in made.buffers)
    if share:
        assert not made.copies  # each weight is updated in place
        assert sum(b.nbytes for b in made.buffers if b.state is None) < sum(v.nbytes for v in made.place) / 2
    else:
        assert values == len(made.buffers)
        assert len(made.copies) == len(program.writes)


def test_a_plan_updates_states_after_what_may_fail():
    make = Making()
    w, x, index = make.state(W), make.input(X), make.input(NUMBERS)
    make.writes[w] = make(np.multiply, w, 0.5)
    looked_up = make(np.take, x, index)
    program = make.program(looked_up)
    made = plan(program)
    assert [line.op for line in made.lines] == [np.take, np.multiply]
    assert made.place[make.writes[w]].state is w


def test_a_state_is_not_written_over_while_it_is_read():
    make = Making()
    v, w, x = make.state(X[:3]), make.state(W[:, :3]), make.input(X[:3] + 1)
    make.writes[v] = make(np.matmul, v, x)
    make.writes[w] = make(np.add, w, make(np.transpose, w))
    program = make.program()
    made = plan(program)
    same(evaluated_by(made, program, *make.arrays()), evaluated(program, *make.arrays()))
    assert len(made.copies) == 2


def test_memory_is_kept_while_a_line_may_give_a_view_of_it():
    make = Making()
    x = make.input(X)
    flipped = make(np.fliplr, make(np.exp, x))
    others = make(np.sin, make(np.cos, make(np.tanh, x)))
    program = make.program(make(np.multiply, flipped, others))
    made = plan(program)
    assert flipped in made.fresh
    known = begin(program, make.arrays())
    memory = {buffer: np.empty(buffer.nbytes, np.uint8) for buffer in made.buffers}
    for line in made.lines:
        known[line.out] = computed(line, known)
        if line.out in made.place:
            place = memory[made.place[line.out]].view(line.out.dtype).reshape(line.out.shape)
            place[...] = known[line.out]
            known[line.out] = place
    np.testing.assert_array_equal(known[program.results[0]], evaluated(program, X)[0][0])


def test_states_that_change_places_are_copied():
    make = Making()
    a, b = make.state(W), make.state(W + 1)
    make.writes |= {a: b, b: a}
    program = parted(make.program(a, make(np.transpose, b)))
    made = plan(program)
    assert len(made.copies) == 2
    same(evaluated_by(made, program), evaluated(program))
    np.testing.assert_array_equal(evaluated_by(made, program)[0][1], (W + 1).T)


# ---------------------------------------------------------------------------------------------------------- any program


def raw_program(training, handed_out):
    """The program of a random step, as it was traced, and what it is to be called with."""
    step, *_ = built(training, handed_out)
    inputs = training["inputs"][0]
    bound = traced(step, inputs, {}, {})
    return bound.raw, inputs


@given(trainings(), THREADS, st.booleans())
def test_each_pass_computes_the_same_alone_and_after_the_others(training, threads, handed_out):
    with np.errstate(all="ignore"), sharing(threads):
        program, inputs = raw_program(training, handed_out)
        expected = evaluated(program, *inputs)
        assume(all(np.max(np.abs(a), initial=0) < 1e6 for a in [*expected[0], *expected[1].values()]))
        for alone in PASSES.values():
            same(evaluated(alone(program), *inputs), expected)
        for one in PASSES.values():
            program = one(program)
            same(evaluated(program, *inputs), expected)
        again = PASSES["eliminate"](PASSES["share"](program))
        assert len(again.lines) == len(program.lines)
        program = parted(program)
        for share in (True, False):
            same(evaluated_by(plan(program, share_memory=share), program, *inputs), expected)


@given(trainings(), st.sets(st.sampled_from(sorted(PASSES)), min_size=1), THREADS)
def test_each_pass_can_be_switched_off(training, off, threads):
    passes = {name: one for name, one in PASSES.items() if name not in off}
    with np.errstate(all="ignore"), sharing(threads):
        expected = trained(training, compiled=False)
        assume(all(np.max(np.abs(a), initial=0) < 1e6 for a in expected))
        agree(trained(training, compiled=True, passes=passes), expected)
