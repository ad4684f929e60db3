"""The command line, as a person meets it."""

import gzip
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_digits import __version__, load, save
from tinygrad_digits.digits import Diverged, Run, cli, evaluate, fit, load_mnist
from tinygrad_digits.digits.cli import _row, main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 3,000 and 500 images of MNIST, as gzipped IDX files."""
    path = tmp_path_factory.mktemp("data")
    digits = load_mnist()
    for part, examples, count in (("train", digits.train, 3000), ("t10k", digits.test, 500)):
        for kind, array in (("images-idx3", examples.images[:count]), ("labels-idx1", examples.labels[:count])):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes(), 1))
    return path


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run folder of a net that was trained a little."""
    path = tmp_path_factory.mktemp("runs") / "first"
    assert main(["train", "--data-dir", str(folder), "--out", str(path), "--epochs", "4"]) == 0
    return path


@pytest.fixture
def say(capsys):
    """Run the command line; give its exit status and what it printed."""

    def call(*arguments):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as end:  # argparse ends the program by itself
            status = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call


def test_train_prints_a_row_an_epoch_the_test_and_the_folder(say, folder, tmp_path):
    out_dir = tmp_path / "run"
    status, out, err = say("train", "nielsen", "--data-dir", folder, "--out", out_dir, "--epochs", 2, "--seed", 7)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("nielsen: 30 hidden sigmoid neurons")
    assert lines[1].startswith("2,500 train, 500 validation, 500 test images; epochs 2, batch size 10, lr 3.0,")
    assert lines[1].endswith("seed 7")
    assert lines[3].split() == ["epoch", "loss", "training", "validation", "images/s"]
    rows = [re.fullmatch(r" +(\d) +0\.\d{4} +\d\d\.\d\d% +\d\d\.\d\d% +[\d,]+", line) for line in lines[4:6]]
    assert [row[1] for row in rows] == ["1", "2"]
    assert re.fullmatch(
        r"Test accuracy \d\d\.\d\d%: \d\d\.\d\d% on the first half of the images, .* on the second.", lines[7]
    )
    assert re.fullmatch(r"Read wrong most often: (\d as \d \(\d+\)(, )?){5}\.", lines[8])
    assert re.fullmatch(rf"Trained in \d\.\d s. The run is in {re.escape(str(out_dir))}", lines[10])
    assert len(lines) == 11


def test_settings_can_be_changed(say, folder, tmp_path):
    arguments = ["--epochs", 1, "--batch-size", 50, "--lr", 0.5, "--momentum", 0.5, "--weight-decay", 0.001]
    status, out, _ = say("train", "--data-dir", folder, "--out", tmp_path / "r", *arguments)
    assert status == 0
    assert "epochs 1, batch size 50, lr 0.5, momentum 0.5, weight decay 0.001, optimizer sgd, schedule linear" in out


def test_steps_can_be_run_as_they_are(say, folder, tmp_path, monkeypatch):
    seen = []

    def watched(function):
        return lambda *args, compiled, **kwargs: seen.append(compiled) or function(*args, compiled=compiled, **kwargs)

    monkeypatch.setattr(cli, "fit", watched(fit))
    monkeypatch.setattr(cli, "evaluate", watched(evaluate))
    for flags in [], ["--eager"]:
        status, _, _ = say("train", "--data-dir", folder, "--out", tmp_path / f"r{len(flags)}", "--epochs", 1, *flags)
        assert status == 0
    for command in ["train", "--resume", tmp_path / "r1", "--epochs", 2], ["evaluate", tmp_path / "r1"]:
        assert say(*command)[0] == 0
    assert seen == [True] * 2 + [False] * 5


def test_evaluate_reads_the_same_test_images_again(say, run):
    _, told, _ = say("info", run)
    status, out, _ = say("evaluate", run)
    assert status == 0
    assert out.startswith("Test accuracy ")
    assert out in told


def test_evaluate_on_other_data(say, run):
    status, out, _ = say("evaluate", run, "--data-dir", load_mnist.__globals__["SHIPPED"])
    assert status == 0
    assert re.match(r"Test accuracy [89]\d\.\d\d%", out)


def test_info_tells_settings_net_and_progress(say, run):
    status, out, _ = say("info", run)
    assert status == 0
    assert "layers.1: Linear(784, 100)  # 78,500 parameters" in out
    assert "epochs 4, batch size" in out
    assert len(re.findall(r"^ +\d  +\d\.\d{4}", out, re.MULTILINE)) == 4


def test_predict_prints_the_digit_and_all_probabilities(say, run, tmp_path):
    test = load_mnist().test
    paths = []
    for digit in range(10):
        image = test.images[np.flatnonzero(test.labels == digit)[3]]
        paths.append(tmp_path / f"{digit}.png")
        Image.fromarray(255 - image).resize((140, 140)).save(paths[-1])
    status, out, err = say("predict", run, *paths)
    assert (status, err) == (0, "")
    right = 0
    for line, path in zip(out.splitlines(), paths, strict=True):
        name, digit, listed = re.fullmatch(r"(.*): (\d)   \((.*)\)", line).groups()
        assert name == str(path)
        probabilities = {int(d): float(p) for d, p in re.findall(r"(\d): (\d+\.\d)%", listed)}
        assert sorted(probabilities) == list(range(10))
        assert int(digit) == max(probabilities, key=probabilities.get)
        assert sum(probabilities.values()) == pytest.approx(100, abs=0.6)
        right += digit == path.stem
    assert right >= 8


def test_predict_with_sigmoid_outputs_gives_shares(say, folder, tmp_path):
    say("train", "nielsen", "--data-dir", folder, "--out", tmp_path / "r", "--epochs", 1)
    Image.fromarray(load_mnist().test.images[0]).save(tmp_path / "x.png")
    _, out, _ = say("predict", tmp_path / "r", tmp_path / "x.png")
    assert sum(float(p) for p in re.findall(r"(\d+\.\d)%", out)) == pytest.approx(100, abs=0.6)


def test_predict_goes_on_after_a_file_that_is_no_image(say, run, tmp_path):
    (tmp_path / "a.txt").write_text("seven")
    Image.fromarray(load_mnist().test.images[0]).save(tmp_path / "b.png")
    status, out, err = say("predict", run, tmp_path / "a.txt", tmp_path / "b.png")
    assert status == 1
    assert "a.txt is not an image that can be read" in err
    assert "b.png: 7" in out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "required: COMMAND"),
        (["learn"], 2, "invalid choice: 'learn'"),
        (["train", "lenet5"], 2, "invalid choice: 'lenet5'.*sigmoid.*nielsen"),
        (["train", "--fast"], 2, "unrecognized arguments: --fast"),
        (["train", "--epochs", "0"], 2, "argument --epochs: '0' is not a whole number of at least 1"),
        (["train", "--batch-size", "ten"], 2, "'ten' is not a whole number of at least 1"),
        (["train", "--lr", "-1"], 2, "argument --lr: '-1' is not a number of at least 1e-09"),
        (["train", "--lr", "0"], 2, "argument --lr: '0' is not a number of at least 1e-09"),
        (["train", "--lr", "nan"], 2, "'nan' is not a number"),
        (["train", "--momentum", "1"], 2, "'1' is not a number of at least 0 and less than 1"),
        (["train", "--seed", "-1"], 2, "'-1' is not a whole number of at least 0"),
        (["train", "--data-dir", "nowhere"], 1, "there is no folder nowhere"),
        (["train", "--data-dir", "."], 1, "has neither train-images-idx3-ubyte nor"),
        (["train", "--out", "."], 1, "is there already and not empty"),
        (["train", "--resume", "nowhere"], 1, "nowhere is not a run folder"),
        (
            ["train", "sigmoid", "--resume", "x", "--data-dir", "y"],
            2,
            "settings of its run: leave out recipe, data-dir",
        ),
        (["train", "--compare", "sigmoid", "lenet5"], 2, "invalid choice: 'lenet5'"),
        (["evaluate", "nowhere"], 1, "nowhere is not a run folder"),
        (["predict", "nowhere", "x.png"], 1, "nowhere is not a run folder"),
        (["predict"], 2, "required: RUN, IMAGE"),
        (["info", "nowhere"], 1, "nowhere is not a run folder"),
    ],
)
def test_mistakes_get_one_clear_message(say, monkeypatch, tmp_path, arguments, status, words):
    (tmp_path / "occupied").touch()
    monkeypatch.chdir(tmp_path)
    found, out, err = say(*arguments)
    assert found == status
    assert re.search(words, err)
    assert out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["occupied"]


def test_a_diverging_loss_ends_with_one_message_and_keeps_the_model(say, folder, tmp_path):
    status, _, err = say("train", "--data-dir", folder, "--out", tmp_path / "r", "--lr", 1e30)
    assert status == 1
    assert re.search(
        r"^tinygrad-digits: the loss became \w+ at step \d+, with a learning rate of \S+e\+29: try .*\n\Z", err
    )
    assert "try a smaller one (--lr 0.5). Nothing had been learned yet" in err
    assert "its training did not get that far" in say("evaluate", tmp_path / "r")[2]


def test_what_was_learned_before_the_loss_diverged_is_named(say, folder, tmp_path, monkeypatch):
    def diverge(epoch):
        print(_row(epoch))
        if epoch.epoch == 2:
            raise Diverged("the loss became nan")

    monkeypatch.setattr(cli, "fit", lambda *args, **kwargs: fit(*args, **{**kwargs, "on_epoch": diverge}))
    status, _, err = say("train", "--data-dir", folder, "--out", tmp_path / "r", "--epochs", 3)
    assert status == 1
    assert err.endswith(f"What was learned before is in {tmp_path / 'r'}\n")
    assert "Not tested" in say("info", tmp_path / "r")[1]
    tested = say("evaluate", tmp_path / "r")
    assert tested[0] == 0
    assert tested[1] in say("info", tmp_path / "r")[1]


def test_evaluate_reads_the_data_of_the_run_whatever_the_environment_says(say, run, monkeypatch):
    before = say("evaluate", run)
    monkeypatch.setenv("TINYGRAD_DIGITS_DATA", "nowhere")
    assert say("evaluate", run) == before


def test_a_net_that_says_nothing_has_no_opinion(say, folder, tmp_path):
    say("train", "nielsen", "--data-dir", folder, "--out", tmp_path / "r", "--epochs", 1)
    dead = {name: np.full_like(a, -1e4) for name, a in load(tmp_path / "r" / "model.safetensors").items()}
    save(dead, tmp_path / "r" / "model.safetensors")
    Image.fromarray(load_mnist().test.images[0]).save(tmp_path / "x.png")
    status, out, _ = say("predict", tmp_path / "r", tmp_path / "x.png")
    assert (status, out.count("10.0%")) == (0, 10)


@pytest.mark.parametrize("name", ["settings.json", "model.safetensors", "metrics.jsonl", "test.json"])
def test_a_folder_in_place_of_a_file_of_the_run(say, run, tmp_path, name):
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    (broken / name).unlink(missing_ok=True)
    (broken / name).mkdir()
    status, _, err = say("info", broken)
    assert status == 1
    assert name in err
    assert "s a directory" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(run):
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "tinygrad_digits", "info", str(run)], stdout=full, stderr=subprocess.PIPE, text=True
        )
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "tinygrad-digits: No space left on device\n")


def test_any_file_name_can_be_printed_anywhere(run, tmp_path):
    path = tmp_path / "drei-é-३.png"
    Image.fromarray(load_mnist().test.images[0]).save(path)
    process = program("predict", run, path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "drei-\\xe9-\\u0969.png: 7" in out


def program(*arguments, **settings):
    command = [sys.executable, "-m", "tinygrad_digits", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def test_ctrl_c_stops_cleanly_and_keeps_the_model(folder, tmp_path, say):
    # Not measured by coverage: interrupted while it holds its lock, it waits for it without end.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    # A shell starts programs in the background deaf to Ctrl-C, the tests and theirs too: this one is to hear it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = program("train", "--data-dir", folder, "--out", tmp_path / "r", "--epochs", 10_000, env=plain)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while not re.match(r" +1 ", line := process.stdout.readline()):
            assert line, process.stderr.read()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    run = re.escape(str(tmp_path / "r"))
    assert re.search(
        rf"Stopped after \d+ whole epochs?. The model so far is in {run}\n"
        rf"To go on from the last whole epoch: tinygrad-digits train --resume {run}\n\Z",
        out,
    )
    assert say("evaluate", tmp_path / "r")[0] == 0
    epochs = len(Run.open(tmp_path / "r").metrics()) + 1
    status, out, err = say("train", "--resume", tmp_path / "r", "--epochs", epochs)
    assert (status, err) == (0, "")
    assert f"epochs {epochs}, batch size" in out
    assert re.search(rf"^ +{epochs} .*\n\nTest accuracy", out, re.MULTILINE)


def test_a_reader_that_stops_reading_is_no_error(run):
    process = program("info", run)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


def test_module_and_version(say):
    process = program("--version")
    assert process.communicate(timeout=60)[0] == f"tinygrad-digits {__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is a Unix thing")
def test_at_a_terminal_a_bar_is_shown(folder, tmp_path):
    import pty

    main_end, other_end = pty.openpty()
    arguments = ["train", "--data-dir", str(folder), "--out", str(tmp_path / "r"), "--epochs", "6"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "tinygrad_digits", *arguments]
    process = subprocess.Popen(command, stdout=other_end, stderr=other_end, env=environment)
    os.close(other_end)
    seen = b""
    while True:
        try:
            seen += os.read(main_end, 65536)
        except OSError:  # how the end of a pseudo-terminal shows
            break
    assert process.wait(60) == 0
    text = seen.decode()
    assert re.search(r"epoch \d+/6", text)
    assert "━" in text
    assert len(re.findall(r"\x1b\[2K +\d+  +\d\.\d{4} .*\r\n", text)) == 6


# ---------------------------------------------------------------------------------------------------------- comparing


def test_recipes_are_compared_in_a_table_and_a_picture(say, folder, tmp_path):
    status, out, err = say(
        "train", "--compare", "nielsen", "sigmoid", "--data-dir", folder, "--epochs", 2, "--out", tmp_path / "both"
    )
    assert (status, err) == (0, "")
    table = out[out.index("recipe  ") :].splitlines()
    assert re.fullmatch(r"nielsen +23,860 +2 +\d+\.\d +\d\d\.\d\d% +\d\d\.\d\d%", table[1])
    assert re.fullmatch(r"sigmoid +79,510 +2 +\d+\.\d +\d\d\.\d\d% +\d\d\.\d\d%", table[2])
    with Image.open(tmp_path / "both" / "curves.png") as picture:
        assert picture.size == (1200, 750)
    assert say("info", tmp_path / "both" / "sigmoid")[0] == 0


def test_without_matplotlib_the_table_is_all(say, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, err = say(
        "train", "--compare", "nielsen", "--data-dir", folder, "--epochs", 1, "--out", tmp_path / "r"
    )
    assert (status, err) == (0, "")
    assert "not drawn: a picture needs matplotlib: python -m pip install 'tinygrad_digits[plot]'" in out
