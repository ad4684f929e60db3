"""The pictures to touch, in a real browser: from a file, by mouse and by keyboard, against the package itself."""

import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.digits import as_floats, load_mnist
from tinygrad_digits.digits.images import centred

WIDGETS = Path(__file__).parents[1] / "docs" / "_static" / "widgets"
WEIGHTS = WIDGETS / "digits-weights.js"
# As a person draws them, in tenths of the paper: not as the widget's own samples are.
DRAWN = {
    0: ["5.2 1.6 3.4 3.2 3.2 5.6 4.4 7.8 6.2 7.6 7.2 5.6 6.8 3 5.4 1.7"],
    1: ["5 1.5 5 8.4"],
    2: ["3 3.2 4.2 1.8 6 1.9 6.8 3.2 5.8 5 4.2 6.6 3 8.2", "3 8.2 7.2 8"],
    3: ["3.2 2 5.4 1.6 6.6 2.8 5.8 4.2 4.4 4.6 6 4.8 7 6.4 5.8 8 3.2 8"],
    4: ["3.6 1.8 3.2 5.2 7 5", "6.4 3 6.2 8.4"],
    5: ["3.8 1.8 3.6 4.6 5.4 4 6.8 5.2 6.4 7.4 4.6 8.2 3 7.4", "3.8 1.8 7 1.6"],
    6: ["6.2 1.4 4.2 3.2 3.2 5.8 3.8 7.8 5.4 8.4 6.8 7.2 6.2 5.6 4.8 5.4 3.6 6.6"],
    7: ["2.8 2 7 1.8 5.6 4.8 4.6 8.4"],
    8: ["6.4 2.6 5 1.6 3.6 2.8 5 4.8 6.6 6.6 5.2 8.4 3.6 7 4.8 5 6.4 2.8"],
    9: ["6.6 2.8 5 1.8 3.6 3.2 4.4 5 6.2 4.4 6.7 2.8 6.4 5.6 6 8.4"],
}


@pytest.fixture
def show(browser, tmp_path):
    """Put a widget on a page of its own and open it from disk; nothing may be reported or asked for meanwhile."""
    complaints, contexts = [], []

    def complain_of(request):
        if not request.url.startswith("file:"):
            complaints.append(request.url)

    def open_page(name, width=800, **settings):
        styles = [f'<link rel="stylesheet" href="{path.as_uri()}">' for path in WIDGETS.glob("widgets.css")]
        scripts = [f'<script src="{path.as_uri()}"></script>' for path in sorted(WIDGETS.glob(f"{name}-*.js"))]
        scripts.append(f'<script src="{(WIDGETS / name).as_uri()}.js"></script>')
        file = tmp_path / "page.html"
        file.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'{"".join(styles)}<div class="widget" data-widget="{name}">Without script.</div>{"".join(scripts)}'
        )
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", complain_of)
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def status(page):
    return page.get_by_role("status").inner_text()


def numbers(text):
    """The numbers of a sentence."""
    return [float(found.replace("−", "-")) for found in re.findall("[-−]?[0-9]+(?:[.][0-9]+)?", text)]


def slide(page, label, value):
    page.get_by_label(label, exact=True).fill(str(value))


@pytest.mark.parametrize("name", ["descent", "digits", "perceptron", "sigmoid"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_control_has_a_name_and_fits_on_a_phone(show, name, theme):
    page = show(name, width=360, color_scheme=theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for control in page.locator("input, select, button, canvas, svg").all():
        named = control.evaluate(
            "e => e.ariaLabel || (e.labels && e.labels.length ? e.labels[0].innerText : e.innerText)"
        )
        assert named.strip()
    assert "Without script" not in page.locator(".widget").inner_text()


# ------------------------------------------------------------------------------------------------------------- descent


def valleys(w):
    return np.sum(w**4 / 4 - w**2 + 0.3 * w)


def narrow(w):
    return (w[0] ** 2 + 12 * w[1] ** 2) / 2


@pytest.mark.parametrize(
    ("landscape", "cost", "start", "reach"),
    [("a curve", valleys, [2.1], [(-2.4, 2.4)]), ("a long narrow", narrow, [-6.0, 1.0], [(-7, 3), (-1.6, 1.6)])],
)
@pytest.mark.parametrize(("notch", "momentum"), [(15, 0.0), (40, 0.5), (60, 0.8)])
def test_the_ball_goes_where_sgd_goes(show, landscape, cost, start, reach, notch, momentum):
    page = show("descent")
    select = page.get_by_label("landscape")
    select.select_option(label=next(o for o in select.locator("option").all_inner_texts() if o.startswith(landscape)))
    slide(page, "learning rate", notch)
    slide(page, "momentum", momentum)
    w = tg.tensor(start, requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.01 * 100 ** (notch / 100), momentum=momentum)
    step = page.get_by_role("button", name="Step")
    step.focus()
    for k in range(1, 6):
        optimizer.zero_grad()
        cost(w).backward()
        optimizer.step()
        step.press("Enter")
        if not all(low <= x <= high for x, (low, high) in zip(w.numpy(), reach, strict=True)):
            assert status(page) == f"The ball flew off in step {k}."
            break
        assert numbers(status(page))[: 1 + len(start)] == pytest.approx([k, *w.numpy()], abs=0.0051)


def test_the_ball_comes_to_rest_in_the_near_valley_or_jumps_out_of_it(show):
    page = show("descent", reduced_motion="reduce")  # all steps at once
    run = page.get_by_role("button", name="Run")
    found = {}
    for notch in (15, 50, 85, 100):
        slide(page, "learning rate", notch)
        page.get_by_role("button", name="Back to the start").click()
        run.click()
        found[notch] = status(page)
    assert numbers(found[15])[1] == pytest.approx(1.33, abs=0.01)
    assert numbers(found[50])[1] == pytest.approx(1.33, abs=0.01)
    assert numbers(found[85])[1] < 0
    assert "flew off" in found[100]
    page.get_by_role("button", name="Step").click()
    assert status(page) == found[100]  # it is gone


def test_sliders_are_moved_by_keys(show):
    page = show("descent")
    start = page.get_by_label("start", exact=True)
    for key in ("Home", "ArrowRight", "ArrowRight"):
        start.press(key)
    assert start.get_attribute("aria-valuetext") == "−2.30"
    assert numbers(status(page))[0] == -2.3


def test_the_ball_rolls_and_can_be_stopped(show):
    page = show("descent")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("document.querySelector('.status').innerText.includes('3 steps')")
    page.get_by_role("button", name="Stop").click()
    stopped = status(page)
    page.wait_for_timeout(500)
    assert status(page) == stopped


def test_the_ball_is_put_where_the_mouse_is(show):
    page = show("descent")
    frame = page.locator("svg").bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 4, frame["y"] + 20)
    assert numbers(status(page))[0] == pytest.approx(-1.2, abs=0.06)
    slide(page, "start", 0.5)
    assert numbers(status(page))[0] == pytest.approx(0.5)


# -------------------------------------------------------------------------------------------------------------- digits


@pytest.fixture(scope="module")
def layers():
    """The shipped weights, as the widget takes them."""
    text = WEIGHTS.read_text()
    found = []
    for layer in json.loads(text[text.index("[") : text.rindex("]") + 1]):
        scale, bias = np.array(layer["scale"]), np.array(layer["bias"])
        weight = np.frombuffer(b64decode(layer["weight"]), np.int8).reshape(-1, len(bias))
        found.append((weight * scale, bias))
    return found


def logits(layers, images):
    (w, b), (v, c) = layers
    return tg.sigmoid(images.reshape(len(images), -1) @ w + b) @ v + c


def test_the_shipped_weights_read_as_the_recipe_promises(layers):
    test = load_mnist().test
    said = logits(layers, as_floats(test.images).astype(float)).argmax(axis=1)
    assert np.mean(said == test.labels) > 0.983


def test_the_layers_answer_as_numpy_does(show, layers):
    images = as_floats(load_mnist().validation.images[:20]).astype(float)
    page = show("digits")
    found = [
        page.evaluate("x => document.querySelector('.widget').digits.read(x).logits", list(x.flat)) for x in images
    ]
    np.testing.assert_allclose(found, logits(layers, images), rtol=1e-9, atol=1e-9)


def test_ink_is_centred_as_in_the_package(show):
    page = show("digits")
    rng = np.random.default_rng(0)
    for tall, wide in ((100, 60), (32, 95), (75, 75), (29, 22)):
        ink = np.zeros((140, 140))
        top, left = rng.integers(140 - tall), rng.integers(140 - wide)
        ink[top : top + tall, left : left + wide] = rng.integers(20, 101, (tall, wide)) / 100
        found = page.evaluate("x => document.querySelector('.widget').digits.centred(x, 140)", list(ink.flat))
        np.testing.assert_allclose(np.reshape(found, (28, 28)) * 255, centred(ink), atol=1.01)


def draw(page, strokes, size=1.0, move=(0.0, 0.0)):
    """Draw with the mouse; smaller and elsewhere if wanted."""
    frame = page.locator("canvas.paper").bounding_box()
    for stroke in strokes:
        points = np.array(stroke.split(), float).reshape(-1, 2) / 10
        points = ((points - 0.5) * size + 0.5 + move) * frame["width"] + [frame["x"], frame["y"]]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


@pytest.mark.parametrize("digit", DRAWN)
def test_drawn_digits_are_read(show, digit):
    page = show("digits")
    assert "Read as a 3" in status(page)  # a sample, which makes way
    for size, move in ((1.0, (0, 0)), (0.75, (0.1, -0.1))):
        draw(page, DRAWN[digit], size, move)
        assert f"Read as a {digit}" in status(page)
        page.get_by_role("button", name="Clear").click()
        assert "Read as" not in status(page)


def test_its_own_samples_are_read(show):
    page = show("digits")
    for digit in range(10):
        page.get_by_label("draw a").select_option(str(digit))
        assert f"Read as a {digit}" in status(page)
        (said,) = page.locator("tr.said").all_inner_texts()
        assert numbers(said)[0] == digit


def test_a_digit_is_drawn_with_the_keyboard(show):
    page = show("digits")
    paper = page.get_by_label("Paper to draw on")
    paper.focus()
    for keys in ("ArrowLeft " * 5, "Space", "ArrowRight " * 8, "ArrowDown ArrowDown ArrowDown ArrowLeft " * 3, "Space"):
        for key in keys.split():
            paper.press(key)
    assert "Read as a 7" in status(page)
    paper.press("ArrowRight")
    paper.press("Delete")
    assert "Read as" not in status(page)


# ---------------------------------------------------------------------------------------------- perceptron and sigmoid

GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NAND": [1, 1, 1, 0], "NOR": [1, 0, 0, 0], "XOR": [0, 1, 1, 0]}
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
NEURONS = [([2, 2], -3), ([2, 2], -1), ([-2, -2], 3), ([-2, -2], 1), ([1, 1], -1), ([0, 0], 0), ([4, -3.5], 6)]


def set_neuron(page, weights, bias):
    for label, value in zip(["first weight", "second weight", "bias"], [*weights, bias], strict=True):
        slide(page, label, value)


def test_the_perceptron_fires_where_the_packages_does(show):
    page = show("perceptron")
    for weights, bias in NEURONS:
        set_neuron(page, weights, bias)
        sums = CORNERS @ weights + bias
        outputs = tg.nn.Step()(sums).astype(int).tolist()
        for gate, wanted in GATES.items():
            page.get_by_label("It is to be").select_option(gate)
            right = [a == b for a, b in zip(outputs, wanted, strict=True)]
            said = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
            assert [numbers(row[1])[0] for row in said] == list(sums)
            assert [row[2] == f"{out}, right" for out, row in zip(outputs, said, strict=True)] == right
            assert numbers(status(page))[0] == sum(right)
            named = [name for name in GATES if f"his is {name}." in status(page)]
            assert named == [name for name, table in GATES.items() if table == outputs]


def test_the_side_where_it_fires_is_shaded(show):
    page = show("perceptron")
    shaded = (
        "points => points.map(([x, y]) => document.querySelector('polygon')"
        ".isPointInFill(new DOMPoint(120 * (x + 0.5), 120 * (1.5 - y))))"
    )
    points = np.random.default_rng(0).uniform(-0.5, 1.5, (50, 2))
    for weights, bias in [*NEURONS, ([0, 4], -2), ([1, 0], -6)]:
        set_neuron(page, weights, bias)
        assert page.evaluate(shaded, points.tolist()) == list(points @ weights + bias > 0)


def test_the_sigmoid_neuron_says_what_the_packages_does(show):
    page = show("sigmoid")
    for weight, bias, x in [(2, -1, 1), (20, 20, -5), (-7.3, 2.1, 0.4), (0, 0, 3)]:
        for label, value in ("weight", weight), ("bias", bias), ("input", x):
            slide(page, label, value)
        z, larger = weight * x + bias, (weight + 0.1) * x + bias
        found = numbers(status(page))
        assert found[0] == pytest.approx(z, abs=0.0051)
        assert found[1::3] == pytest.approx([float(tg.sigmoid(z)), float(tg.sigmoid(larger))], abs=0.000051)
        assert found[2::3] == [z > 0, larger > 0]


def test_the_input_is_put_where_the_mouse_is(show):
    page = show("sigmoid")
    frame, slider = page.locator("svg").bounding_box(), page.get_by_label("input", exact=True)
    page.mouse.click(frame["x"] + frame["width"] * 0.3, frame["y"] + 50)
    assert slider.input_value() == "-2"
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.9, frame["y"] + 50)
    page.mouse.up()
    page.mouse.move(frame["x"], frame["y"] + 50)
    assert slider.input_value() == "4"
    slider.press("ArrowLeft")
    assert slider.input_value() == "3.9"
    assert numbers(status(page))[0] == pytest.approx(6.8)
