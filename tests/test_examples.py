"""The examples run, say what they promise, and draw their pictures."""

import re
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, own_rules):
    """Run an example as a person does, and give what it printed."""

    def run(name):
        monkeypatch.setattr(sys, "argv", [name])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        assert {path.name for path in tmp_path.iterdir()} <= {f"{name}.png"}
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    yield run
    plt.close("all")


def numbers(pattern, text):
    """The numbers that a pattern with one group finds."""
    return [float(number) for number in re.findall(pattern, text)]


def assert_drawn(name):
    with Image.open(f"{name}.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    for half in np.array_split(pixels, 2) + np.array_split(pixels, 2, axis=1):
        assert np.std(half) > 10, "half of the picture is blank"


def test_each_example_is_listed_and_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert {f"test_{name}" for name in names} <= set(globals())
    assert set(re.findall(r"\((\w+)\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))) == names


def test_logic_gates(run):
    table = [line.split() for line in run("logic_gates").splitlines()[1:]]
    assert len(table) == 4
    for a, b, *gates, total in table:
        a, b = int(a), int(b)
        assert [int(gate) for gate in gates] == [a & b, a | b, 1 - (a & b)]
        assert int(total, base=2) == a + b


def test_xor(run):
    one, two = numbers(r"(\d+)% right", run("xor"))
    assert one <= 75
    assert two == 100
    assert_drawn("xor")


def test_from_scratch(run):
    assert numbers(r"([\d.]+)% of 10,000", run("from_scratch"))[-1] > 95


def test_custom_op(run):
    printed = run("custom_op")
    assert re.findall(r"(\w+): derivatives agree", printed) == ["bell", "Bells"]
    assert numbers(r"are ([\d.]+) from a sine", printed)[0] < 0.05
    assert "the derivative by argument 1 (width), element (), is wrong" in printed
    analytic, numeric = numbers(r"(?:analytic|numeric) +([\d.]+)", printed)
    assert np.isclose(analytic, 2 * numeric)


def test_gradient_descent(run):
    printed = run("gradient_descent")
    assert numbers(r"above ([\d.]+) are", printed) == [0.1]
    small, right, large, momentum = numbers(r"height ([\d.e+-]+)", printed)
    assert momentum < right < small < large
    assert_drawn("gradient_descent")


def test_addition(run):
    assert numbers(r"([\d.]+)% of 1,000 sums", run("addition"))[0] > 99
    assert_drawn("addition")


def test_three_bodies(run):
    printed = run("three_bodies")
    distances = numbers(r"([\d.e+-]+) from closing", printed)
    assert distances[0] > 0.1
    assert distances[-1] < 1e-9
    velocity_and_period = [float(x) for x in re.findall(r"\d+\.\d+", printed.splitlines()[-1])]
    assert np.allclose(velocity_and_period, [0.347111, 0.532728, 6.324449], atol=0.003)  # published ones
    assert_drawn("three_bodies")


def test_what_layers_see(run):
    assert numbers(r"([\d.]+)% of the validation", run("what_layers_see"))[0] > 95
    assert_drawn("what_layers_see")
