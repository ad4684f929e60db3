"""What a compiled step finds around it and another time finds changed: it does what the step itself would do."""

import sys
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.program.surroundings import Place, found_by

X = np.ones((1, 3), np.float32)


def linear(seed=0):
    return nn.Linear(3, 2, rng=seed)


def zeros():
    return tg.tensor(np.zeros((3, 2)), dtype=np.float32, requires_grad=True)


def scaled_by(factor):
    return lambda x: x * factor.value


class Trainer:
    """Something with a net, as people write it."""

    def __init__(self):
        self.net, self.scale = linear(), 2.0

    def read(self, x):
        return self.net(x) * self.scale

    @tg.compile
    def compiled(self, x):
        return self.net(x) * self.scale


def of_a_list():
    nets = [linear(), linear(1)]
    return lambda x: nets[0](x), (
        lambda: setattr(nets[0], "weight", zeros()),
        lambda: nets.__setitem__(0, linear(2)),
        lambda: nets.insert(0, linear(3)),
    )


def of_a_dict():
    nets = {"first": linear()}
    return lambda x: nets["first"](x), (
        lambda: setattr(nets["first"], "bias", None),
        lambda: nets.update(first=linear(2)),
    )


def of_an_object_in_an_object():
    work = SimpleNamespace(trainer=Trainer())
    return lambda x: work.trainer.net(x) * work.trainer.scale, (
        lambda: setattr(work.trainer, "scale", 3.0),
        lambda: setattr(work.trainer, "net", linear(1)),
        lambda: setattr(work.trainer.net, "weight", zeros()),
        lambda: setattr(work, "trainer", Trainer()),
    )


def of_a_method():
    trainer = Trainer()
    return trainer.read, (lambda: setattr(trainer, "scale", -1.0), lambda: setattr(trainer.net, "weight", zeros()))


def of_a_module():
    net = nn.Sequential(linear(), np.tanh)
    return net, (
        lambda: setattr(net[0], "weight", zeros()),
        lambda: setattr(net, "layers", (linear(1), np.sin)),
    )


def of_a_module_with_a_list():
    class Net(nn.Module):
        def __init__(self):
            self.layers = [linear()]

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    return net, (lambda: net.layers.__setitem__(0, linear(1)), lambda: net.layers.append(nn.Linear(2, 2, rng=2)))


def of_a_partial():
    net, factor = linear(), SimpleNamespace(value=2.0)
    return partial(lambda net, factor, x: net(x) * factor.value, net, factor), (
        lambda: setattr(net, "weight", zeros()),
        lambda: setattr(factor, "value", 0.5),
    )


def of_a_function_it_calls():
    factor = SimpleNamespace(value=2.0)
    scale = scaled_by(factor)
    return lambda x: tg.asarray(scale(x)) + 0, (lambda: setattr(factor, "value", 0.5),)


def of_a_default():
    net, factor = linear(), SimpleNamespace(value=2.0)

    def step(x, net=net, *, factor=factor):
        return net(x) * factor.value

    return step, (
        lambda: setattr(net, "weight", zeros()),
        lambda: setattr(factor, "value", 3.0),
    )


WAYS = [
    of_a_default,
    of_a_list,
    of_a_dict,
    of_an_object_in_an_object,
    of_a_method,
    of_a_module,
    of_a_module_with_a_list,
    of_a_partial,
    of_a_function_it_calls,
]


@pytest.mark.parametrize("way", WAYS)
def test_what_has_changed_since_is_noticed(way):
    step, changes = way()
    compiled = tg.compile(step)
    for change in [lambda: None, lambda: None, *changes, lambda: None]:
        change()
        np.testing.assert_allclose(compiled(X).numpy(), step(X).numpy(), rtol=1e-6)


def test_a_method_can_be_compiled_where_it_is_defined():
    one, other = Trainer(), Trainer()
    other.scale = -2.0
    for trainer in one, other, one:
        np.testing.assert_allclose(trainer.compiled(X).numpy(), trainer.read(X).numpy(), rtol=1e-6)
    one.scale = 7.0
    np.testing.assert_allclose(one.compiled(X).numpy(), one.read(X).numpy(), rtol=1e-6)
    assert isinstance(Trainer.compiled, type(tg.compile(np.sin)))


def test_a_variable_without_a_value_does_no_harm():
    def step(x):
        return later(x) if later_on else np.sum(x)

    later_on = False
    compiled = tg.compile(step)
    assert compiled(X).item() == 3
    later = np.mean
    later_on = True
    assert compiled(X).item() == 1


def test_places_are_tested_by_what_they_are():
    numbers = [1.0, 2.0]
    assert Place(numbers, 1, 2.0).test("o", "v") == "len(o) == 2 and o[1] == v"
    assert Place({}, "net", numbers).test("o", "v") == "o.get('net') is v"
    assert Place({}, "floor", np.nan).test("o", "v") == "o.get('floor') is v"
    (place,), things = found_by(step := lambda: numbers, [5])
    assert place.test("o", "v") == "o.cell_contents is v"
    assert [id(thing) for thing in things] == [id(numbers), id(step), id(5)]
    assert found_by(np.add, []) == ([], [np.add])


def test_a_number_that_is_nan_may_be_found_and_passed():
    w, floor = tg.tensor([1.0, -1.0], requires_grad=True), np.nan
    step = tg.compile(lambda x, bottom: np.where(x > 0, w * x, floor) + np.where(x > 0, 0.0, bottom))
    for _ in range(2):
        np.testing.assert_array_equal(step(np.array([2.0, -2.0]), np.nan), [2, np.nan])


def test_steps_may_be_compiled_in_several_threads_at_once():
    """Each has a trace of its own, and Tensors are as they were when the last one has ended."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            found, together = [None] * 4, threading.Barrier(4)

            def work(i, found=found, together=together):
                w = tg.tensor(np.ones(3), requires_grad=True)
                step = tg.compile(lambda x: np.sum(np.exp(w * x) * x))
                together.wait(10)
                step(np.ones(3))
                w.data = np.zeros(3)
                found[i] = step(np.ones(3)).item()

            threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [3.0] * 4
    finally:
        sys.setswitchinterval(interval)
    assert tg.tensor(1.0).grad is None
    x = tg.tensor(2.0, requires_grad=True)
    (x * x).backward()
    assert x.grad == 4


class Noise(nn.Module):
    """A layer that draws by itself, and counts."""

    def __init__(self, seed=0):
        self.rng, self.seen, self.drawn = np.random.default_rng(seed), 0, np.zeros(3)

    def __call__(self, x):
        return x + self.rng.random(3)


class Counting(Noise):
    def __call__(self, x):
        self.seen += 1
        return x * 2


class Writing(Noise):
    def __call__(self, x):
        self.drawn[0] += 1
        return x * 2


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        (Noise, "draws random numbers from a Generator"),
        (Counting, "changes seen, outside of it"),
        (Writing, "writes to an array from outside"),
    ],
)
def test_layers_that_do_more_than_tensors_tell_are_refused(layer, complaint):
    net = nn.Sequential(nn.Dropout(0.5, rng=0), layer())
    with pytest.raises(tg.CompileError, match=complaint):
        tg.compile(lambda x: net(x))(np.ones(3))


def test_layers_that_draw_as_dropout_does_may_share_a_generator():
    (one, other), drawn = (nn.Sequential(nn.Dropout(0.5, rng=0), nn.Dropout(0.5, rng=1)) for _ in range(2)), []
    for net in one, other:
        net[1].rng = net[0].rng
        step = tg.compile(lambda x, net=net: net(x)) if net is one else net
        drawn.append([np.asarray(step(np.ones(50))) for _ in range(3)])
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("max_norm", [np.inf, 1e3, 0.5])
def test_clipping_tells_the_norm_and_changes_what_is_too_large_only(max_norm):
    def made():
        w = tg.tensor([3.0, 4.0], requires_grad=True)
        optimizer = tg.optim.SGD([w], lr=0.1)

        def step(x):
            loss = np.sum(w * x)
            optimizer.zero_grad()
            loss.backward()
            norm = tg.optim.clip_grad_norm([w], max_norm)
            optimizer.step()
            return norm if isinstance(norm, tg.Tensor) else tg.tensor(norm)

        return w, step

    (w, eager), (v, step) = made(), made()
    compiled = tg.compile(step)
    for x in np.array([3.0, 4.0]), np.array([0.0, 0.0]), np.array([0.1, 0.2]):
        assert compiled(x).item() == pytest.approx(eager(x).item())
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-15)
