"""What a compiled step refuses, with the line of the user's code; and that it never leaves anything half done."""

import random
import re
import threading
from unittest.mock import Mock, call

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.program import CompileError
from tinygrad_digits.program.compiled import KEPT

X = np.random.default_rng(0).normal(size=(4, 3))
LABELS = np.array([0, 1, 1, 0])


class Trained:
    """A small net with its optimizer, and a step for it."""

    def __init__(self, *layers, optimizer=tg.optim.SGD, **settings):
        rng = np.random.default_rng(0)
        make = lambda *sizes: tg.nn.Linear(*sizes, rng=rng, dtype=float)
        self.model = tg.nn.Sequential(make(3, 5), *layers, tg.nn.Sigmoid(), make(5, 2))
        self.optimizer = optimizer(self.model.parameters(), **{"lr": 0.5, **settings})
        model, optimizer = self.model, self.optimizer

        def step(x, y):
            loss = tg.nn.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        self.step = step

    def left(self):
        """All that training changes."""
        grads = [None if p.grad is None else np.array(p.grad) for p in self.model.parameters()]
        kept = self.optimizer.state_dict().items()
        return {**self.model.state_dict(), **{f"optimizer.{k}": v for k, v in kept}}, grads


def same(found, expected, **tolerance):
    """Check that two nets, or what they have left, are the same: bit for bit, if no tolerance is given."""
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    (a, grads), (b, others) = (t.left() if isinstance(t, Trained) else t for t in (found, expected))
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key], b[key], err_msg=key, **tolerance)
    for g, h in zip(grads, others, strict=True):
        assert (g is None) == (h is None)
        if g is not None:
            np.testing.assert_allclose(g, h, **tolerance)


CLOSE = {"rtol": 1e-11, "atol": 1e-13}


# ------------------------------------------------------------------------------------------------- values that get out


ESCAPES = {
    "float": lambda t: float(np.sum(t)),
    "int": lambda t: int(np.sum(t)),
    "bool": lambda t: bool(np.sum(t) > 0),
    "if": lambda t: 1 if np.sum(t) > 0 else 2,
    "item": lambda t: np.sum(t).item(),
    "tolist": lambda t: t.tolist(),
    "numpy": lambda t: t.numpy(),
    "data": lambda t: t.data,
    "asarray": lambda t: np.asarray(t),
    "array": lambda t: np.array(t),
    "index": lambda t: range(np.sum(np.astype(t, int))),
    "in": lambda t: 1.0 in t,
    "iteration over values": lambda t: [float(v) for v in t[0]],
    "format": lambda t: f"{np.sum(t):.3f}",
    "captured array": lambda t: X[np.astype(t[0] > 0, int)],
    "nonzero": lambda t: np.nonzero(t),
    "where of one": lambda t: np.where(t > 0),
    "argwhere": lambda t: np.argwhere(t),
    "flatnonzero": lambda t: np.flatnonzero(t),
    "mask": lambda t: t[t > 0],
    "unique": lambda t: np.unique(t),
    "compress": lambda t: np.compress(t[0] > 0, t, axis=1),
    "extract": lambda t: np.extract(t > 0, t),
    "repeats": lambda t: np.repeat(t, np.astype(t[0] > 0, int), axis=1),
    "allclose": lambda t: np.allclose(t, 0),
    "array_equal": lambda t: np.array_equal(t, t),
    "isscalar then max": lambda t: max(t[0, 0], t[0, 1]),
    "pickle": lambda t: __import__("pickle").dumps(t),
    "copy to array": lambda t: np.copyto(np.empty(t.shape), t),
    "assign into array": lambda t: np.empty(t.shape).__setitem__(..., t),
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("what", ["argument", "parameter", "computed"])
def test_a_value_that_gets_out_is_an_error_that_names_the_line(escape, what):
    net = Trained()
    before = net.left()

    @tg.compile
    def step(x):
        w = net.model[0].weight
        t = {"argument": x, "parameter": w, "computed": (x @ w) * 2}[what]
        escape(t)
        return t

    with pytest.raises(TypeError) as error:
        step(X)
    if isinstance(error.value, CompileError):
        assert f"{__file__}, line {escape.__code__.co_firstlineno} (" in str(error.value)
    else:  # it is an error in any step
        with pytest.raises(TypeError, match=re.escape(str(error.value))):
            step.step(tg.tensor(X))
    same(net, before)


def fails(step, *args, match, line=None, error=CompileError):
    """Check that a step is refused, by a message with these words and the number of a line of this file."""
    with pytest.raises(error, match=match) as found:
        tg.compile(step)(*args)
    if line is not None:
        assert f"{__file__}, line {line} (" in str(found.value)


CAPTURED = np.zeros(3)
GENERATOR = np.random.default_rng(0)


def writes(x):
    CAPTURED[0] += 1
    return x * CAPTURED


RESULTS = {
    "a number": lambda x: 3.0,
    "a string in a dict": lambda x: {"loss": np.sum(x), "name": "sum"},
    "a shape": lambda x: (x, x.shape),
    "a set": lambda x: {1},
}


@pytest.mark.parametrize("step", RESULTS.values(), ids=RESULTS)
def test_what_is_no_tensor_is_not_returned(step):
    fails(
        step, X, match=r"returns a (float|str|int|set), which would be the same at each call: let it return\s+Tensors"
    )


RANDOM = {
    "Python's random": lambda x: x * random.random(),
    "np.random": lambda x: x + np.random.normal(size=3),  # noqa: NPY002
    "a Generator": lambda x: x + GENERATOR.normal(size=3),
}


@pytest.mark.parametrize("what", RANDOM)
def test_random_numbers_of_ones_own_are_refused(what):
    fails(RANDOM[what], X, match=f"draws random numbers from {what}: the program would use the same ones for ever")


def test_arguments_are_arrays_or_what_can_be_compared():
    fails(lambda x: x[0], [X], match="was given a list: give arrays as arguments of their own")
    fails(lambda x: x["x"], {"x": X}, match="was given a dict")
    w = tg.tensor(X, requires_grad=True)
    fails(lambda w: np.sum(w), w, match="a tensor that requires a gradient, as w: let the step find it")
    fails(3, X, match="compile takes a function, and was given 3", error=TypeError)


def test_writing_to_a_captured_array_is_refused():
    before = CAPTURED.copy()
    fails(writes, X, match=r"writes to an array from outside, of shape \(3,\)")
    CAPTURED[:] = before


def test_a_step_does_not_set_its_optimizer():
    net = Trained()

    def step(x, y):
        net.optimizer.lr = 0.1
        return net.step(x, y)

    before = net.left()
    fails(step, X, LABELS, match="sets lr of an optimizer. Set it before", line=step.__code__.co_firstlineno + 1)

    def step(x, y):
        net.optimizer.param_groups[0]["lr"] *= 0.5
        return net.step(x, y)

    fails(step, X, LABELS, match="sets lr of an optimizer. Set it before", line=step.__code__.co_firstlineno + 1)
    same(net, before)


def test_gradients_come_from_the_step():
    net = Trained()
    tg.nn.cross_entropy(net.model(X), LABELS).backward()
    before = net.left()

    def step(x, y):
        net.optimizer.step()

    fails(step, X, LABELS, match="computed outside of it: call backward", line=step.__code__.co_firstlineno + 1)
    same(net, before)


@pytest.mark.parametrize("called", [0, 1])
def test_gradients_are_zeroed_in_the_step(called):
    net = Trained()

    def step(x, y):
        tg.nn.cross_entropy(net.model(x), y).backward()
        net.optimizer.step()

    if not called:
        fails(step, X, LABELS, match="call optimizer.zero_grad")
        return
    tg.nn.cross_entropy(net.model(X), LABELS).backward()
    before = net.left()
    fails(step, X, LABELS, match="those of earlier steps are still there", line=step.__code__.co_firstlineno + 2)
    same(net, before)


def test_a_gradient_that_is_looked_at_is_of_the_step_alone():
    w = tg.tensor(np.ones(3), requires_grad=True)

    def step(x):
        np.sum(w * x).backward()
        return w.grad * 1

    fails(step, X, match="uses a gradient of shape .*, and then leaves it there, to be added to")

    def alone(x):
        w.grad = None
        return step(x)

    compiled = tg.compile(alone)
    for n in range(1, 4):
        np.testing.assert_array_equal(compiled(X * n).numpy(), np.sum(X * n, axis=0))
        np.testing.assert_array_equal(w.grad, np.sum(X * n, axis=0))

    @tg.compile
    def after(x):
        g = step(x)
        w.grad = None
        return g

    w.grad = None
    for n in range(1, 4):
        np.testing.assert_array_equal(after(X * n).numpy(), np.sum(X * n, axis=0))
        assert w.grad is None
    w.grad = np.ones(3)
    with pytest.raises(RuntimeError, match="one of before is still there: call"):
        after(X)
    np.testing.assert_array_equal(w.grad, np.ones(3))
    fails(after.step, X, match="those of earlier steps are still there", line=step.__code__.co_firstlineno + 2)


def test_a_graph_from_outside_is_refused():
    w = tg.tensor(X, requires_grad=True)
    outside = w * 2

    def step(x):
        return np.sum(outside * x)

    fails(step, X, match="computed outside of it and needs a gradient", line=step.__code__.co_firstlineno + 1)
    outside = outside.detach()
    assert tg.compile(step)(X).item() == np.sum(2 * X * X)


# ---------------------------------------------------------------------------------------------- steps that raise midway

KINDS = {
    "sgd": {"momentum": 0.9},
    "adam": {"optimizer": tg.optim.Adam, "eps": 1e-2},  # so that what is only rounding, before a norm, stays small
}


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_step_that_raises_changes_nothing(settings, calls):
    norm = tg.nn.BatchNorm1d(5, dtype=float)
    dropout = tg.nn.Dropout(0.5, rng=0)
    net = Trained(norm, dropout, **settings)
    step = tg.compile(net.step)
    for _ in range(calls):
        step(X, LABELS)
    leave_gradients(net)
    before, drawn = net.left(), dropout.rng.bit_generator.state
    for wrong in (LABELS + 1, LABELS - 3):
        with pytest.raises((IndexError, ValueError)):
            step(X, wrong)
        same(net, before)
    with pytest.raises(ValueError, match="shape"):
        step(X[:, :2], LABELS)
    with pytest.raises(ValueError, match="needs outputs"):
        step(X, LABELS[:2])
    same(net, before)
    dropout.rng.bit_generator.state = drawn
    other = Trained(tg.nn.BatchNorm1d(5, dtype=float), tg.nn.Dropout(0.5, rng=0), **settings)
    for _ in range(calls):
        other.step(X, LABELS)
    other.optimizer.zero_grad()
    leave_gradients(other)
    assert step(X, LABELS).item() == pytest.approx(other.step(X, LABELS).item(), rel=1e-12)
    other.optimizer.zero_grad()  # a program leaves no gradients that an optimizer has used
    same(net, other, **CLOSE)


class StopError(Exception):
    """What a step of ours raises."""


@pytest.mark.parametrize("calls", [0, 2])
def test_a_step_that_raises_after_its_update_changes_nothing(calls):
    net, ends = Trained(tg.nn.BatchNorm1d(5, dtype=float), momentum=0.9), []

    def step(x, y):
        loss = net.step(x, y)
        for end in ends:
            end(loss)
        return loss

    compiled = tg.compile(step)
    for _ in range(calls):
        compiled(X, LABELS)
    leave_gradients(net)
    before = net.left()

    def stop(loss):
        raise StopError

    for end, error in ((stop, StopError), (float, CompileError), (lambda loss: loss.reshape(7), ValueError)):
        ends[:] = [end]
        with pytest.raises(error):
            compiled(X[:3], LABELS[:3])
        same(net, before)


def test_tensors_that_change_places():
    a, b = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0])

    @tg.compile
    def step():
        kept = a.detach()
        a.data = b
        b.data = kept
        return a + b

    for n in range(1, 5):
        np.testing.assert_array_equal(step().numpy(), [4, 6])
        np.testing.assert_array_equal(a.numpy(), [[1, 2], [3, 4]][n % 2])
        np.testing.assert_array_equal(b.numpy(), [[3, 4], [1, 2]][n % 2])


def test_an_index_out_of_range_raises_at_each_call():
    table = tg.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    optimizer = tg.optim.SGD([table], lr=1.0)

    @tg.compile
    def step(rows):
        loss = np.sum(table[rows] ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for rows in ([0, 3], [-4, 0], [0, 2], [3, 3], [-4, -4], [0, -1], [-2, -2]):
        before = table.numpy()
        if max(rows) > 2 or min(rows) < -3:
            with pytest.raises(IndexError, match="out of bounds"):
                step(np.array(rows))
            np.testing.assert_array_equal(table.numpy(), before)
        else:
            assert step(np.array(rows)).item() == np.sum(before[rows] ** 2)
            expected = before.copy()
            np.subtract.at(expected, rows, 2 * before[rows])
            np.testing.assert_array_equal(table.numpy(), expected)


# ------------------------------------------------------------------------------------ what is done to a model meanwhile


def to_eval(net):
    net.model.eval()


def to_train(net):
    net.model.train()


def replace(net):
    weight = tg.tensor(net.model[0].weight.numpy() * 0.5, requires_grad=True)
    net.model[0].weight = weight


def replace_layer(net):
    last = tg.nn.Linear(5, 2, rng=np.random.default_rng(9), dtype=float)
    net.model.layers = (*net.model.layers[:-1], last)


def freeze(net):
    net.model[0].weight.requires_grad = False


def thaw(net):
    net.model[0].weight.requires_grad = True


def assign(net):
    net.model[0].weight.data = net.model[0].weight.numpy() * 0.5


def write(net):
    net.model[-1].weight.data[0] = 0.25


def load(net):
    net.model.load_state_dict({k: v * 0.9 for k, v in net.model.state_dict().items()})


def load_optimizer(net):
    net.optimizer.load_state_dict(
        {k: v * 0.5 if "." not in k or v.ndim else v for k, v in net.optimizer.state_dict().items()}
    )


def eager_step(net):
    net.step(X, LABELS)


def other_rate(net):
    net.optimizer.lr *= 0.5


def other_momentum(net):
    if hasattr(type(net.optimizer), "momentum"):
        net.optimizer.momentum = 0.5 if net.optimizer.momentum != 0.5 else 0.0


def in_place(net):
    with tg.no_grad():
        net.model[0].bias *= 0.5


def leave_gradients(net):
    tg.nn.cross_entropy(net.model(X), LABELS).backward()


def hold_arrays(net):
    net.held = [net.model[0].weight.data, net.model[0].bias.detach(), net.model[-1].weight.numpy()]


BETWEEN = [to_eval, to_train, replace, freeze, thaw, assign, write, load, load_optimizer]
BETWEEN += [eager_step, other_rate, other_momentum, in_place, leave_gradients, hold_arrays, replace_layer]


@given(
    st.lists(st.sampled_from(BETWEEN), min_size=1, max_size=8),
    st.sampled_from([*KINDS.values(), {}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}]),
)
def test_whatever_is_done_between_calls_a_program_does_as_the_step(done, settings):
    nets = [Trained(tg.nn.BatchNorm1d(5, dtype=float), tg.nn.Dropout(0.3, rng=0), **settings) for _ in range(2)]
    steps = [nets[0].step, tg.compile(nets[1].step)]
    for do in [None, *done, None]:
        if do in (other_momentum,) and settings.get("nesterov"):
            continue
        found = []
        for net, step in zip(nets, steps, strict=True):
            if do is not None:
                do(net)
            found.append(step(X, LABELS).item())
            net.optimizer.zero_grad()
        assert found[1] == pytest.approx(found[0], rel=1e-11)
        same(nets[1], nets[0], **CLOSE)
        for a, b in zip(*(getattr(net, "held", []) for net in nets), strict=True):
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), **CLOSE)


# -------------------------------------------------------------------------------------------- whose memory is whose


def test_what_a_step_returns_and_is_given_is_nobody_elses():
    nets = Trained(), Trained()
    step = tg.compile(lambda x, y: (nets[1].step(x, y), nets[1].model[0].weight, x, nets[1].model(x)))
    for _ in range(4):
        x, y = X.copy(), LABELS.copy()
        eager = nets[0].step(x, y)
        results = step(x, y)
        assert results[0].item() == pytest.approx(eager.item(), rel=1e-12)
        np.testing.assert_array_equal(results[2].numpy(), X)
        for t in results:
            assert t.is_leaf
            assert not t.requires_grad
            assert not any(np.shares_memory(t._array, p._array) for p in nets[1].model.parameters())
            t._array[...] = np.nan
        x[...] = np.nan
        y[...] = 0
    same_but_for_gradients(*nets)
    alone = tg.compile(nets[1].step)
    found = [alone(X, LABELS) for _ in range(4)]
    np.testing.assert_allclose([t.item() for t in found], [nets[0].step(X, LABELS).item() for _ in found], rtol=1e-11)


def test_a_result_is_what_it_was_when_the_step_had_it():
    """Parameters are written to in place, but what was computed from them before that stays."""
    w = tg.tensor(np.ones((2, 3)), requires_grad=True)
    v = tg.tensor(np.full((2, 3), 2.0), requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=1.0)

    @tg.compile
    def step():
        before, turned, product = w * 1, w.T, w * v
        optimizer.zero_grad()
        v.grad = None
        np.sum(product).backward()
        optimizer.step()
        return before, turned, w

    for n in range(4):
        before, turned, after = step()
        np.testing.assert_array_equal(before.numpy(), np.full((2, 3), 1 - 2.0 * n))
        np.testing.assert_array_equal(turned.numpy(), np.full((3, 2), 1 - 2.0 * n))
        np.testing.assert_array_equal(after.numpy(), np.full((2, 3), -1 - 2.0 * n))
        np.testing.assert_array_equal(v.grad, np.full((2, 3), 1 - 2.0 * n))


def test_data_in_a_users_hands_is_updated_as_by_the_step_itself():
    nets = Trained(momentum=0.9), Trained(momentum=0.9)
    steps = nets[0].step, tg.compile(nets[1].step)
    for calls in range(6):
        if calls in (0, 3):
            held = [(net.model[0].weight.data, net.model[-1].bias.data) for net in nets]
        for step in steps:
            step(X, LABELS)
        for a, b in zip(*held, strict=True):
            np.testing.assert_allclose(b, a, **CLOSE)
        if calls == 4:
            for arrays in held:
                arrays[0][0] = 0.125
    same_but_for_gradients(*nets)


def same_but_for_gradients(eager, compiled):
    eager.optimizer.zero_grad()
    compiled.optimizer.zero_grad()
    same(compiled, eager, **CLOSE)


def test_a_recorded_graph_notices_a_compiled_step():
    net = Trained()
    step = tg.compile(net.step)
    for _ in range(4):
        loss = tg.nn.cross_entropy(net.model(X), LABELS)
        step(X, LABELS)
        with pytest.raises(RuntimeError, match="was changed after it was used"):
            loss.backward()
        tg.nn.cross_entropy(net.model(X), LABELS).backward()


def test_steps_in_threads_are_taken_in_turn():
    nets = Trained(), Trained()
    calls, together = 50, threading.Barrier(2)
    step = tg.compile(nets[1].step)
    found = []

    def run():
        together.wait()
        for _ in range(calls):
            found.append(step(X, LABELS).item())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [nets[0].step(X, LABELS).item() for _ in range(2 * calls)]
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-11)
    same_but_for_gradients(*nets)


def test_two_steps_of_one_model_and_a_step_in_a_step():
    nets = Trained(momentum=0.9), Trained(momentum=0.9)

    def evaluate(net):
        return lambda x, y: np.mean(np.argmax(net.model(x), axis=1) == y)

    train, test = tg.compile(nets[1].step), tg.compile(evaluate(nets[1]))
    both = tg.compile(lambda x, y: (train(x, y), test(x, y)))
    for i in range(6):
        expected = nets[0].step(X, LABELS), evaluate(nets[0])(X, LABELS)
        found = both(X, LABELS) if i % 2 else (train(X, LABELS), test(X, LABELS))
        np.testing.assert_allclose([t.item() for t in found], [t.item() for t in expected], rtol=1e-11)
    same_but_for_gradients(*nets)
    assert "step" in train.source
    assert len(programs(train)) == len(programs(test)) == len(programs(both)) == 1


def programs(step):
    """All the programs that a compiled step keeps."""
    return [one for kept in step._programs.values() for one in kept]


# ------------------------------------------------------------------------------------------------- kinds of arguments


def test_keywords_and_what_is_no_array_are_part_of_the_program():
    seen = Mock()

    @tg.compile
    def step(x, power=1, *, scale=2.0, name=None):
        seen(power, scale, name)
        return x**power * scale

    assert step(X, 2, name="a").numpy() == pytest.approx(X**2 * 2)
    assert step(2 * X, 2, name="a").numpy() == pytest.approx(X**2 * 8)
    assert step(X).numpy() == pytest.approx(2 * X)
    assert step(x=X).numpy() == pytest.approx(2 * X)
    assert step(X, scale=3.0).numpy() == pytest.approx(3 * X)
    assert step(X, scale=tg.tensor(5.0)).numpy() == pytest.approx(5 * X)
    assert step(X, scale=np.array(7.0)).numpy() == pytest.approx(7 * X)
    assert step(X, True).numpy() == pytest.approx(2 * X)
    assert step(X, 1).numpy() == pytest.approx(2 * X)
    assert [call.args[0] for call in seen.call_args_list[:2]] == [2, 1]
    assert seen.call_count == 7


def test_each_shape_and_dtype_has_its_program_and_some_are_kept():
    seen = Mock()

    @tg.compile
    def step(x):
        if x.ndim != 2:
            raise ValueError("a batch has two axes")
        seen(x.shape)
        return np.sum(x * x, axis=0)

    shapes = [(n, 2) for n in range(1, KEPT + 1)]
    for shape in shapes * 2:
        np.testing.assert_array_equal(step(np.ones(shape)).numpy(), [shape[0]] * 2)
    assert seen.call_args_list == [call(shape) for shape in shapes]
    step(np.ones((1, 2), np.float32))
    assert seen.call_args_list[len(shapes) :] == [call((1, 2))]
    step(np.ones(shapes[1]))  # is kept
    assert seen.call_count == len(shapes) + 1
    step(np.ones(shapes[0]))  # was called longest ago, and has been forgotten
    assert seen.call_args_list[len(shapes) + 1 :] == [call((1, 2))]
    assert len(programs(step)) == KEPT
    for n in range(3):
        with pytest.raises(ValueError, match="a batch has two axes"):
            step(np.zeros(n))
    assert len(step._programs) == KEPT  # what failed leaves nothing


def test_memory_layouts_of_arguments_do_not_matter():
    step = tg.compile(lambda x: np.exp(x).T @ x)
    big = np.random.default_rng(0).normal(size=(8, 6))
    for x in (big[::2, ::2].copy(), big[::2, ::2], big[:4, 5:2:-1], np.asfortranarray(big[:4, :3]), tg.tensor(X)):
        plain = x.numpy() if isinstance(x, tg.Tensor) else x
        np.testing.assert_allclose(step(x).numpy(), np.exp(plain).T @ plain, rtol=1e-12)
    assert len(programs(step)) == 1


def test_gradients_add_up_where_no_optimizer_uses_them():
    nets = Trained(), Trained()

    def accumulate(net):
        def step(x, y):
            loss = tg.nn.cross_entropy(net.model(x), y)
            loss.backward()
            return loss

        return step

    steps = accumulate(nets[0]), tg.compile(accumulate(nets[1]))
    for i in range(6):
        for net, step in zip(nets, steps, strict=True):
            step(X * (i + 1), LABELS)
            if i == 3:
                net.optimizer.step()
                net.optimizer.zero_grad()
        same(nets[1], nets[0], **CLOSE)
    grad = nets[1].model[0].weight.grad
    assert type(grad) is np.ndarray
    kept = grad.copy()
    steps[1](X, LABELS)
    np.testing.assert_array_equal(grad, kept)  # is not written over


# --------------------------------------------------------------------------------------- what people look at


def test_debug_tells_of_a_number_that_changes_between_calls():
    w = tg.tensor(np.ones(3), requires_grad=True)
    counted = Mock()

    def step(x):
        counted()
        y = np.sin(w * x)
        return np.sum(y * float(1 + counted.call_count))

    right = tg.compile(lambda x, *, scale: np.sum(np.sin(w * x * scale)), debug=True)
    for _ in range(3):
        assert right(X, scale=LABELS[0] + 1.0).item() == pytest.approx(np.sum(np.sin(X)))
    wrong = tg.compile(step, debug=True)
    with pytest.raises(RuntimeError, match=r"the program and the step differ first at the line") as error:
        wrong(X)
    line = str(error.value).splitlines()[1].strip()
    assert line in wrong.source
    assert "multiply" in line
    silent = tg.compile(step)
    counted.reset_mock()
    assert silent(X).item() == silent(X).item()


def test_debug_changes_nothing():
    nets = [Trained(tg.nn.BatchNorm1d(5, dtype=float), tg.nn.Dropout(0.3, rng=0), momentum=0.9) for _ in range(2)]
    step = tg.compile(nets[1].step, debug=True)
    for _ in range(4):
        assert step(X, LABELS).item() == pytest.approx(nets[0].step(X, LABELS).item(), rel=1e-11)
        assert step.explain(X, LABELS, repeat=2)
    same_but_for_gradients(*nets)


def test_the_source_is_python_that_does_what_the_step_does():
    net, other = Trained(), Trained()
    step = tg.compile(net.step)
    with pytest.raises(RuntimeError, match="step has not been called yet"):
        step.source
    step(X, LABELS)
    training = step.source
    net.model.eval()
    net.model[0].weight.requires_grad = False
    step(X, LABELS)
    assert step.source != training
    net.model[0].weight.requires_grad = True
    step(X, LABELS)
    assert step.source == training
    bound, _ = programs(step)
    other.model.load_state_dict(net.model.state_dict())
    space = dict(bound.source.objects)
    exec(compile(step.source, "<source>", "exec"), space)
    arrays = [p._array for p in other.model.parameters()]
    names = re.findall(r"^    (\w+) = states\[\d+\]", step.source, re.M)
    known = {k.replace(".", "_"): p._array for k, p in other.model.named_parameters().items()}
    (found,) = space["program"]([known[n.removeprefix("model_")] for n in names])(X, LABELS)
    assert len(names) == len(arrays)
    assert found.item() == pytest.approx(step(X, LABELS).item(), rel=1e-12)
    same_but_for_gradients(net, other)


def test_what_a_program_costs_is_told_line_by_line():
    net = Trained()
    step = tg.compile(net.step)
    step(X, LABELS)
    before = net.left()
    text = step.explain(X, LABELS, repeat=3)
    same(net, before)
    body = [line.strip() for line in step.source.splitlines()]
    body = body[
        next(i for i, line in enumerate(body) if line.startswith("def step(")) + 1 : body.index("", 2)
        if "" in body[2:]
        else None
    ]
    for line in body:
        if line and not line.startswith(("return", "lr", "def ")):
            assert line in text, line
    numbers = [re.match(r" *([\d.]+) +([\d,]+) +([\d,]+)  (.*)", line) for line in text.splitlines()]
    rows = [[float(n.replace(",", "")) for n in found.groups()[:3]] for found in numbers if found]
    np.testing.assert_allclose(np.sum(rows[:-1], axis=0), rows[-1], atol=0.1 * len(rows))
    assert f"in {len(rows) - 1} lines" in text
    assert re.search(r"memory: [\d,]+ bytes in \d+ buffers for \d+ values, beside [\d,]+ bytes of state", text)
    products = 2 * 4 * (3 * 5 + 5 * 2) * 2 + 2 * 4 * 5 * 2  # forward and back, but not to the input
    assert products <= rows[-1][1] <= 3 * products


def test_a_program_is_drawn(tmp_path):
    net = Trained()
    step = tg.compile(net.step)
    step(X, LABELS)
    figure = step.draw(X, LABELS, repeat=2)
    figure.savefig(tmp_path / "step.png", dpi=20)
    assert (tmp_path / "step.png").stat().st_size > 1000
    assert "step" in figure.axes[0].get_title()
