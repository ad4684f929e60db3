"""What a compiled step finds around it and another time finds changed: it does what the step itself would do."""

import sys
import threading
from functools import cache, partial
from types import MethodType, ModuleType, SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.program.surroundings import Numbers, Place, found_by

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


def of_settings():
    settings = {"scale": 2.0, "deep": {"shift": 1.0}, "kept": np.ones(3), "more": SimpleNamespace(shift=0.5)}
    return lambda x: tg.asarray(x) * settings["scale"] + settings["deep"]["shift"] * settings["kept"], (
        lambda: settings.update(scale=3.0),
        lambda: settings["deep"].update(shift=-1.0),
        lambda: settings.update(deep={"shift": 7.0}),
        lambda: settings.update(kept=np.zeros(3)),
    )


def of_settings_with_nets():
    settings = {"net": linear(), "scale": 2.0, "deep": {"shift": 1.0}}
    return lambda x: settings["net"](x) * settings["scale"] + settings["deep"]["shift"], (
        lambda: settings.update(scale=3.0),
        lambda: settings["deep"].update(shift=-1.0),
        lambda: settings.update(net=linear(1)),
    )


def of_lists_of_numbers():
    numbers, more = [2.0, 3.0, 1.0], {"shifts": [[1.0, 2.0, 3.0]]}
    return lambda x: np.power(tg.asarray(x) + 1, numbers) + tg.tensor(more["shifts"]), (
        lambda: numbers.__setitem__(0, -1.0),
        lambda: more["shifts"][0].__setitem__(1, 0.0),
        lambda: more.update(shifts=[7.0]),
    )


def of_functions_in_places():
    settings, plain = {"k": 2.0}, SimpleNamespace(k=1.0)

    def scale(x):
        return x * settings["k"]

    class Net(nn.Module):
        def __init__(self):
            self.act = lambda x: x * plain.k

        def __call__(self, x):
            return self.act(x)

    net = nn.Sequential(linear(), lambda x: x * settings["k"], Net())
    registry, several = {"scale": scale}, [[scale]]
    return lambda x: registry["scale"](net(x)) + several[0][0](1.0), (
        lambda: settings.update(k=3.0),
        lambda: setattr(plain, "k", -1.0),
    )


def of_a_function_as_default():
    settings = {"k": 2.0}

    def step(x, scale=lambda x: x * settings["k"]):
        return tg.asarray(scale(x))

    return step, (lambda: settings.update(k=3.0),)


def of_a_function_given_to_a_partial():
    settings = {"k": 2.0}
    return partial(lambda scale, x: tg.asarray(scale(x)), lambda x: x * settings["k"]), (
        lambda: settings.update(k=3.0),
    )


def of_a_method_that_is_overridden():
    class Base:
        def scaled(self, x):
            return x * self.factor

    class Derived(Base):
        def scaled(self, x):
            return super().scaled(x) + 1

    one = Derived()
    one.factor = 2.0
    return lambda x: tg.asarray(one.scaled(x)), (lambda: setattr(one, "factor", 5.0),)


def of_a_function_within():
    settings = {"k": 2.0}

    def step(x):
        def scale():
            return settings["k"]

        return tg.asarray(x) * scale()

    return step, (lambda: settings.update(k=3.0),)


def of_one_method_of_several_objects():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def of(self, x):
            return x * self.factor

    methods = [Scale(2.0).of, Scale(3.0).of]
    return lambda x: tg.asarray(methods[1](methods[0](x))), (
        lambda: setattr(methods[0].__self__, "factor", 5.0),
        lambda: setattr(methods[1].__self__, "factor", -1.0),
    )


def of_a_global_module_of_python():
    settings = ModuleType("settings")
    settings.scale = 2.0
    space = {"__name__": __name__, "settings": settings, "tg": tg}
    exec("def step(x): return tg.asarray(x) * settings.scale", space)
    return space["step"], (lambda: setattr(settings, "scale", 3.0),)


def of_slots_and_what_is_overridden():
    class Base:
        __slots__ = ("empty", "factor")

        def scale(self):
            return 1.0

    class Derived(Base):
        scale = 3.0

    one = Derived()
    one.factor = 2.0
    return lambda x: tg.asarray(x) * one.factor * one.scale if one.factor else one.empty, (
        lambda: setattr(one, "factor", 4.0),
        lambda: setattr(Derived, "scale", 5.0),
    )


def of_odd_keys():
    nets = {linear: linear(), nn.Linear: linear(6), (1, 2): linear(2)}
    nets["itself"], more = nets, [linear(3)]
    more.append(more)
    return lambda x: nets[linear](x) + nets[nn.Linear](x) + nets[1, 2](x) + more[0](x), (
        lambda: nets.update({linear: linear(1)}),
        lambda: nets.update({(1, 2): linear(4)}),
        lambda: nets.update({nn.Linear: linear(7)}),
        lambda: more.__setitem__(0, linear(5)),
    )


def of_a_compiled_step():
    settings = SimpleNamespace(k=2.0)
    inner = tg.compile(lambda x: tg.asarray(x) * settings.k)
    return lambda x: inner(x) + 1, (lambda: setattr(settings, "k", 5.0),)


def of_classes():
    class Base:
        scale = 2.0

    class Derived(Base):
        pass

    one = Derived()
    return lambda x: tg.asarray(x) * Derived.scale + one.scale, (
        lambda: setattr(Base, "scale", 3.0),
        lambda: setattr(Derived, "scale", -1.0),
        lambda: setattr(one, "scale", 0.5),
        lambda: delattr(one, "scale"),
    )


def of_methods():
    class Schedule:
        __slots__ = ("factor", "inner", "more")

        def __init__(self):
            self.factor, self.inner = 2.0, SimpleNamespace(shift=1.0)

        def scale(self):
            return self.factor

        @property
        def shift(self):
            return self.inner.shift

        @staticmethod
        def doubled(number):
            return number * numbers["two"]

        @classmethod
        def tripled(cls, number):
            return number * cls.three()

        @classmethod
        def three(cls):
            return numbers["three"]

        def __getitem__(self, i):
            return numbers["items"] * i

        def __call__(self):
            return numbers["called"]

    numbers = {"two": 2.0, "three": 3.0, "items": 1.0, "called": 1.0}
    one = Schedule()

    def step(x):
        return tg.asarray(x) * one.scale() + one.doubled(one.shift) + one.tripled(1.0) * one[1] + one()

    return step, (
        lambda: setattr(one, "factor", 3.0),
        lambda: setattr(one.inner, "shift", 0.5),
        lambda: numbers.update(two=5.0),
        lambda: numbers.update(three=0.0),
        lambda: numbers.update(items=-3.0),
        lambda: numbers.update(called=9.0),
        lambda: setattr(Schedule, "scale", lambda self: -self.factor),
    )


def of_a_module_of_python():
    settings = ModuleType("settings")
    settings.scale, settings.deep = 2.0, ModuleType("settings.deep")
    settings.deep.shift = 1.0
    return lambda x: tg.asarray(x) * settings.scale + settings.deep.shift, (
        lambda: setattr(settings, "scale", 3.0),
        lambda: setattr(settings.deep, "shift", -1.0),
    )


def of_what_a_net_holds():
    class Net(nn.Module):
        factor = 1.0

        def __init__(self):
            self.layer, self.settings, self.more = linear(), {"scale": 2.0}, SimpleNamespace(shift=1.0)

        def __call__(self, x):
            return self.layer(x) * self.settings["scale"] * self.factor + self.more.shift + outer["shift"]

    outer, net = {"shift": 1.0}, Net()
    return lambda x: net(x), (
        lambda: net.settings.update(scale=3.0),
        lambda: setattr(net.more, "shift", -1.0),
        lambda: setattr(Net, "factor", 2.0),
        lambda: outer.update(shift=5.0),
    )


def of_functions_made_alike():
    factors = [SimpleNamespace(value=2.0), SimpleNamespace(value=3.0)]
    one, other = map(scaled_by, factors)
    bound = partial(lambda settings, x: x * settings["scale"], {"scale": 2.0})
    return lambda x: tg.asarray(one(other(bound(x)))), (
        lambda: setattr(factors[1], "value", 1.0),
        lambda: setattr(factors[0], "value", -1.0),
        lambda: bound.args[0].update(scale=5.0),
    )


def of_what_is_passed_on():
    def outer(thing):
        return inner(thing)

    def inner(thing):
        return thing.number

    one = SimpleNamespace(number=2.0)
    return lambda x: tg.asarray(x) * outer(one), (lambda: setattr(one, "number", 3.0),)


WAYS = [
    of_settings,
    of_settings_with_nets,
    of_classes,
    of_methods,
    of_a_module_of_python,
    of_what_a_net_holds,
    of_functions_made_alike,
    of_what_is_passed_on,
    of_lists_of_numbers,
    of_functions_in_places,
    of_a_function_as_default,
    of_a_function_given_to_a_partial,
    of_a_method_that_is_overridden,
    of_a_function_within,
    of_one_method_of_several_objects,
    of_a_global_module_of_python,
    of_slots_and_what_is_overridden,
    of_odd_keys,
    of_a_compiled_step,
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


@pytest.mark.parametrize("way", WAYS)
def test_a_program_is_kept_while_nothing_has_changed(way):
    step, _ = way()
    traced = Mock()

    def counted(x):
        traced()
        return step(x)

    compiled = tg.compile(counted)
    for _ in range(3):
        compiled(X)
    assert traced.call_count == 1


def test_a_step_that_counts_is_refused():
    seen = {"steps": 0}

    def step(x):
        seen["steps"] += 1
        return x * 2

    with pytest.raises(tg.CompileError, match="step changes steps, outside of it"):
        tg.compile(step)(X)


@pytest.mark.parametrize("module", ["hypothesis.somewhere", "tinygrad_digits.somewhere"])
@pytest.mark.parametrize("form", [lambda step: step, partial])
def test_a_steps_own_module_is_looked_through_though_it_be_a_librarys(form, module):
    space = {"__name__": module, "number": 2.0, "np": np}
    exec("def step(x): return x * number * np.pi", space)
    places, _ = found_by(form(space["step"]), [])
    assert [place.key for place in places] == ["number"]


def test_a_librarys_step_is_looked_through_with_what_it_calls_of_its_own_library():
    helper = {"__name__": "hypothesis.elsewhere", "number": 2.0}
    exec("def helper(x): return x * number", helper)
    space = {"__name__": "hypothesis.somewhere", "helper": helper["helper"]}
    exec("def step(x): return helper(x)", space)
    places, _ = found_by(space["step"], [])
    assert {place.key for place in places} == {"helper", "number"}


def test_what_is_kept_beside_what_the_step_reads_may_change():
    class Net(nn.Module):
        def __init__(self):
            self.layer, self.losses = linear(), []

        def loss(self, x):
            return np.mean(self.layer(x))

    class Meter:
        total = 0.0

        def __call__(self, number):
            self.total += number

    class Training:
        ravel = 0

        def __init__(self):
            self.sum = 0.0
            self.net, self.loss, self.mean, self.verbose = Net(), [], np.zeros(3), False
            self.state = {"scale": 2.0, "losses": [], "seen": set(), "steps": 0, "loss": 0.0}
            self.ones, self.error, self.things = np.ones(3), 0.0, [Meter(), SimpleNamespace(ones=1)]

        def step(self, x):
            """A "step" of the "loss"."""
            traced()
            if self.verbose:
                print(self.loss[-1])
            scale = self.net.layer.weight.sum() * self.net.layer.weight.ravel()[0]
            return {"error": self.net.loss(x) * self.state["scale"] * scale * np.mean(self.ones)}["error"]

    training, traced = Training(), Mock()
    compiled = tg.compile(training.step)
    for i in range(4):
        loss = compiled(X).item()
        for losses in training.loss, training.net.losses, training.state["losses"]:
            losses.append(loss)
        training.state["seen"].add(i)
        training.state["steps"] += 1
        training.state["loss"] = training.error = loss
        training.things[0](loss)
        training.things[1].ones += 1
        training.mean = training.mean + 1
        training.sum += 1
        Training.ravel += 1
    assert traced.call_count == 1


def test_many_functions_and_things_are_looked_through_in_no_time():
    things = [SimpleNamespace(number=1.0) for _ in range(2000)]
    space = {"__name__": __name__, "things": things}
    lines = [f"def f{i}(x, thing=things[{i}]): return f{i + 1}(x) * thing.number" for i in range(800)]
    exec("\n".join([*lines, "def f800(x): return x * len(things)"]), space)
    places, _ = found_by(space["f0"], [])
    assert sum(place.key == "number" for place in places) == 800


def test_what_is_made_once_and_kept_is_no_change():
    class Masking:
        mask = None

        def __call__(self, x):
            if self.mask is None:
                self.mask = np.array([1.0, 0.0, 2.0])
            return x * self.mask

    masking = Masking()
    step = tg.compile(lambda x: tg.asarray(masking(x)))
    for _ in range(2):
        np.testing.assert_array_equal(step(X).numpy(), [[1, 0, 2]])
    masking.mask = np.ones(3)
    np.testing.assert_array_equal(step(X).numpy(), X)


@pytest.mark.parametrize("kept", [lambda y: y, lambda y: [y], lambda y: {"y": y}])
def test_what_is_kept_of_tensors_is_a_change(kept):
    one = SimpleNamespace(first=None)

    def step(x):
        if one.first is None:
            one.first = kept(x * 2)
        return x * 3

    with pytest.raises(tg.CompileError, match="step changes first, outside of it"):
        tg.compile(step)(X)


def test_methods_of_other_kinds_than_functions():
    class Several:
        factor = 2.0

        @tg.compile
        def compiled(self, x):
            return tg.asarray(x) * self.factor

        @cache  # noqa: B019 - there is one object only
        def cached(self):
            return 3.0

    one = Several()
    compiled, cached, odd = one.compiled, one.cached, MethodType(partial(lambda y, x: x + y, 1.0), 2.0)
    step = tg.compile(lambda x: compiled(x) * cached() + odd())
    np.testing.assert_array_equal(step(X).numpy(), X * 6 + 3)
    inside = tg.compile(lambda x: one.compiled(x) + 1)
    np.testing.assert_array_equal(inside(X).numpy(), X * 2 + 1)
    one.factor = 4.0
    np.testing.assert_array_equal(step(X).numpy(), X * 12 + 3)
    np.testing.assert_array_equal(inside(X).numpy(), X * 4 + 1)


@pytest.mark.parametrize("listed", [[np.ones(3)], [np.ones(3), np.ones(3)], [[1.0], [2.0]], [np.float64(2)]], ids=repr)
def test_lists_of_all_kinds_may_be_computed_with(listed):
    step = tg.compile(lambda x: tg.asarray(x) * listed)
    for _ in range(2):
        np.testing.assert_array_equal(step(X).numpy(), X * np.array(listed))


def test_nothing_is_run_only_to_look_at_it():
    class Lazy:
        def __get__(self, owner, kind=None):
            raise RuntimeError("not connected")

    class Base:
        size = Lazy()

    one, nameless = Base(), type("Nameless", (), {"__module__": None, "k": 2.0})()
    odd = {nn.Linear: 1.0, threading.Lock(): 2.0}
    step = tg.compile(lambda x: tg.asarray(x) * x.size * nameless.k * odd[nn.Linear] if one else x)
    np.testing.assert_array_equal(step(X).numpy(), X * 6)


def test_libraries_are_not_looked_through():
    approx, wrapped = pytest.approx, settings(max_examples=1)(lambda: factor)
    factor = 2.0
    places, _ = found_by(lambda: (approx(1), wrapped()), [])
    assert {place.key for place in places} == {"approx", "wrapped", "factor"}


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
    assert Place(numbers, 1, 2.0).test("o", "k", "v") == "len(o) == 2 and o[1] == v"
    assert Place({}, "net", numbers).test("o", "k", "v") == "o.get('net') is v"
    assert Place({}, "floor", np.nan).test("o", "k", "v") == "o.get('floor') is v"
    (place,), things = found_by(step := lambda: numbers, [5])
    assert place.test("o", "k", "v") == "o.cell_contents is v"
    assert Place(numbers, "numbers", Numbers(numbers)).test("o", "k", "v") == "v(o)"
    assert Place(SimpleNamespace(), "k", 2.0).test("o", "k", "v") == "getattr(o, 'k', None) == v"
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
