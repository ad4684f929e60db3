"""Modules, layers, initialisers and losses."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.testing import check_grads


def tensor(*shape, **settings):
    return tg.tensor(np.zeros(shape), requires_grad=True, **settings)


# ------------------------------------------------------------------------------------------------------------- modules


class Tied(nn.Module):
    """Has every kind of place in which a tensor can be held."""

    def __init__(self):
        self.shared = tensor(2)
        self.blocks = [nn.Linear(2, 3, rng=0), {"gate": tensor(4), "again": self.shared}]
        self.frozen = tg.tensor(np.zeros(5))
        self.name = "not a tensor"
        self.tail = nn.Sequential(nn.Linear(3, 1, bias=False, rng=0), np.tanh)

    def __call__(self, x):
        return self.tail(self.blocks[0](x))


def test_parameters_are_found_in_order_under_dotted_names_and_once():
    model = Tied()
    assert list(model.named_parameters()) == [
        "shared",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.gate",
        "tail.layers.0.weight",
    ]
    assert [p.shape for p in model.parameters()] == [(2,), (2, 3), (3,), (4,), (3, 1)]


def test_results_kept_on_a_module_are_not_its_parameters():
    model = Tied()
    model.last = model(np.ones((1, 2), np.float32))
    assert "last" not in model.named_parameters()
    assert "last" not in model.state_dict()


def test_a_frozen_tensor_is_state_but_no_parameter():
    model = Tied()
    assert "frozen" in model.state_dict()
    model.blocks[0].weight.requires_grad = False
    assert "blocks.0.weight" not in model.named_parameters()
    assert "blocks.0.weight" in model.state_dict()


def test_modules_that_hold_each_other_are_walked_once():
    a, b = nn.Flatten(), nn.Flatten()
    a.other, b.other = b, a
    assert list(a.modules()) == [a, b]
    assert a.generators() == {}


def test_state_is_a_copy_and_loads_back():
    model, other = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1)
    state = model.state_dict()
    state["weight"][:] = 7
    assert not np.any(model.weight.numpy() == 7)
    other.load_state_dict(model.state_dict())
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    assert other.weight.requires_grad


def test_loading_a_state_casts_to_the_models_dtype():
    model = nn.Linear(1, 1, rng=0)
    model.load_state_dict({"weight": np.array([[0.1]]), "bias": np.array([0.2])})
    assert model.weight.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("bias"), KeyError, ["missing: bias"]),
        (lambda s: s.update(biass=s["bias"]), KeyError, ["not of this model: biass"]),
        (lambda s: s.update(bias=np.zeros(5)), ValueError, ["bias", "(2,)", "(5,)"]),
        (lambda s: s.update(bias=np.zeros(2, complex)), ValueError, ["bias", "float32", "complex128"]),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error, words):
    model = nn.Linear(3, 2, rng=0)
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(error) as caught:
        model.load_state_dict(state)
    assert all(word in str(caught.value) for word in words)
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


def test_train_and_eval_reach_all_modules():
    model = Tied()
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())
    assert nn.Flatten().training


def test_repr_shows_the_tree_with_parameter_counts():
    assert repr(Tied()) == (
        "Tied(  # 18 parameters\n"
        "  blocks.0: Linear(2, 3)  # 9 parameters\n"
        "  tail: Sequential(  # 3 parameters\n"
        "    layers.0: Linear(3, 1, bias=False)  # 3 parameters\n"
        "    layers.1: np.tanh\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"
    model = nn.Flatten()
    model.itself = model
    assert repr(model) == "Flatten(\n  itself: Flatten(…)\n)"


def test_two_tensors_under_one_name_are_refused():
    model = nn.Flatten()
    model.twins = {"1": tensor(1), 1: tensor(1)}
    with pytest.raises(ValueError, match=r"two tensors of this Flatten have the name 'twins.1': rename one"):
        model.parameters()


def test_a_path_is_no_state():
    with pytest.raises(TypeError, match=r"is a dict of names and arrays, and this is str: tg.load"):
        nn.Flatten().load_state_dict("model.safetensors")


def test_an_initialiser_must_keep_to_the_shape():
    with pytest.raises(ValueError, match=r"zeros was asked for shape \(2, 1\) and gave \(3, 3\)"):
        nn.Linear(2, 1, weight_init=zeros)


def zeros(shape, rng):
    return np.zeros((3, 3))


def test_a_module_without_call_says_so():
    with pytest.raises(TypeError, match=r"Module does not say what it computes: define __call__"):
        nn.Module()(1)


def test_a_dropped_model_is_freed_at_once():
    model = Tied()
    np.sum(model(np.ones((1, 2), np.float32))).backward()
    gone = weakref.ref(model.shared)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


# -------------------------------------------------------------------------------------------------------------- layers


@given(
    x=hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), elements=st.floats(-2, 2)
    ),
    features=st.integers(1, 4),
    bias=st.booleans(),
)
def test_linear_is_weighted_sums(x, features, bias):
    x = np.repeat(x[..., None], 3, axis=-1) * np.arange(1.0, 4.0)
    layer = nn.Linear(3, features, bias=bias, bias_init=nn.init.normal, dtype=np.float64, rng=0)
    expected = np.einsum("...i,ij->...j", x, layer.weight.numpy()) + (layer.bias.numpy() if bias else 0)
    out = layer(x)
    assert isinstance(out, tg.Tensor)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-12)
    arguments = [x, layer.weight.numpy()] + ([layer.bias.numpy()] if bias else [])

    def linear(x, weight, bias=None):
        layer.weight, layer.bias = weight, bias
        return layer(x)

    check_grads(linear, *arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_keeps_its_dtype(dtype, bias):
    layer = nn.Linear(3, 2, bias=bias, dtype=dtype, rng=0)
    out = layer(np.ones((4, 3), dtype))
    np.sum(out).backward()
    assert out.dtype == dtype
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(dtype)}


def test_layers_make_float32_unless_told_otherwise():
    assert {p.dtype for p in nn.Linear(2, 2).parameters()} == {np.dtype(np.float32)}


def test_an_input_of_the_wrong_width_is_named():
    with pytest.raises(
        ValueError, match=r"Linear\(3, 2\) takes inputs of shape \(…, 3\), and was given shape \(5, 4\)"
    ):
        nn.Linear(3, 2)(np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"was given shape \(\)"):
        nn.Linear(3, 2)(1.0)


def test_a_linear_layer_needs_sizes():
    with pytest.raises(ValueError, match=r"Linear\(0, 2\): both sizes must be at least 1"):
        nn.Linear(0, 2)


def test_a_seed_gives_the_same_layer_again():
    a, b = nn.Linear(5, 5, rng=3), nn.Linear(5, 5, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(a.weight.numpy(), b.weight.numpy())
    assert np.any(nn.Linear(5, 5).weight.numpy() != nn.Linear(5, 5).weight.numpy())


SAMPLES = np.array([-1e4, -2.0, -0.5, 0.0, 0.5, 2.0, 1e4])


@pytest.mark.parametrize(
    ("layer", "oracle"),
    [
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-np.clip(x, -700, 700)))),
        (nn.Tanh(), np.tanh),
        (nn.ReLU(), lambda x: x * (x > 0)),
        (nn.Step(), lambda x: (x > 0) * 1.0),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.Softplus(), lambda x: np.where(x > 100, x, np.log1p(np.exp(np.minimum(x, 100))))),
        (nn.SiLU(), lambda x: x / (1 + np.exp(-np.clip(x, -700, 700)))),
        (nn.GELU(), lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2),
    ],
)
@pytest.mark.parametrize("given_as", [np.asarray, tg.tensor, list])
def test_activations_against_numpy(layer, oracle, given_as):
    out = layer(given_as(SAMPLES))
    assert isinstance(out, tg.Tensor if given_as is tg.tensor else np.ndarray)
    np.testing.assert_allclose(np.asarray(out), oracle(SAMPLES), atol=1e-12)
    assert layer(SAMPLES.astype(np.float32)).dtype == np.float32
    assert repr(layer) == f"{type(layer).__name__}({'0.2' * isinstance(layer, nn.LeakyReLU)})"


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Step(), nn.LeakyReLU(), nn.Softplus(), nn.SiLU(), nn.GELU()),
        *(nn.Softmax(), nn.Softmax(axis=0)),
    ],
)
def test_gradients_of_activations(layer):
    check_grads(layer, np.array([-2.0, -0.5, 0.5, 2.0]))


def test_softmax_makes_probabilities_along_its_axis():
    x = np.array([[0.0, 1.0], [2.0, -1.0]])
    np.testing.assert_allclose(nn.Softmax()(x), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(nn.Softmax(0)(x), np.exp(x) / np.exp(x).sum(axis=0))
    assert repr(nn.Softmax()) == "Softmax()"
    assert repr(nn.Softmax(0)) == "Softmax(axis=0)"


def test_the_slope_of_a_step_is_zero():
    x = tg.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    np.sum(nn.Step()(x)).backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 0])


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 4), (3,), (0, 2, 2), (3, 0, 2)])
def test_flatten(shape):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    for images in (x, tg.tensor(x, requires_grad=True), x.tolist() if x.size else x):
        out = nn.Flatten()(images)
        assert out.shape == (shape[0], int(np.prod(shape[1:])))
        np.testing.assert_array_equal((out.detach() if isinstance(out, tg.Tensor) else out).ravel(), x.ravel())


def test_sequential_passes_through_modules_and_functions():
    model = nn.Sequential(nn.Linear(2, 3, rng=0), np.tanh, nn.Linear(3, 1, rng=0))
    x = np.ones((4, 2), np.float32)
    np.testing.assert_array_equal(model(x).numpy(), model[2](np.tanh(model[0](x))).numpy())
    assert len(model) == 3
    assert list(model) == [model[0], np.tanh, model[2]]
    np.testing.assert_array_equal(model[2:](model[:2](x)).numpy(), model(x).numpy())
    assert model[:2].parameters() == model[0].parameters()


def test_sequential_takes_layers_one_by_one():
    with pytest.raises(TypeError, match="one by one"):
        nn.Sequential([nn.Flatten()])


# -------------------------------------------------------------------------------------------------------- initialisers


@pytest.mark.parametrize(
    ("initialiser", "deviation"),
    [
        (nn.init.normal, 1),
        (nn.init.lecun_normal, np.sqrt(1 / 300)),
        (nn.init.he_normal, np.sqrt(2 / 300)),
        (nn.init.glorot_uniform, np.sqrt(2 / 500)),
    ],
)
def test_the_spread_of_initialisers(initialiser, deviation):
    drawn = initialiser((300, 200), np.random.default_rng(0))
    assert drawn.shape == (300, 200)
    np.testing.assert_allclose(drawn.std(), deviation, rtol=0.01)
    np.testing.assert_allclose(drawn.mean(), 0, atol=0.01 * deviation * 5)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 3, 4), (1, 1), (3,)])
def test_orthogonal_matrices(shape):
    drawn = nn.init.orthogonal(shape, np.random.default_rng(0))
    assert drawn.shape == shape
    matrix = drawn.reshape(-1, shape[-1])
    small = matrix.T @ matrix if len(matrix) >= shape[-1] else matrix @ matrix.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_orthogonal_matrices_prefer_no_direction():
    rng = np.random.default_rng(0)
    drawn = np.array([nn.init.orthogonal((2, 2), rng) for _ in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.mean(drawn**2, axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(np.mean(np.linalg.det(drawn)), 0, atol=0.06)


def test_zeros():
    assert not nn.init.zeros((3,), np.random.default_rng(0)).any()


def test_layers_and_losses_take_subclasses_of_tensors():
    class Mine(tg.Tensor):
        pass

    x = Mine([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    np.sum(nn.Linear(2, 3, rng=0)(x)).backward()
    assert x.grad.shape == (2, 2)
    x.grad = None
    nn.mse_loss(np.zeros((2, 2)), x).backward()
    np.testing.assert_array_equal(x.grad, [[0.5, 1], [1.5, 2]])
