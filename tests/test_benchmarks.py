"""The benchmarks' rivals take the same steps; the table says how they did. Nothing is timed here."""

import pytest

from benchmarks import __main__ as command
from benchmarks.contests import Report
from benchmarks.memory import memory
from benchmarks.race import Result
from benchmarks.report import table
from benchmarks.steps import NETS, check, data, rivals, shuffled

IMAGES = 200


def racing(net, threads):
    makers = rivals(net, data(IMAGES), threads)
    return {name: make() for name, make in makers.items() if name.startswith(("ours", "by hand"))}


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_ours_and_by_hand_take_the_same_steps(net):
    check(net, racing(net, threads=2), count=IMAGES)


def test_a_rival_that_takes_another_step_is_found():
    slow, fast = (racing(net, threads=1)["by hand"] for net in (NETS[0], NETS[0]))
    fast.weights()[0][0, 0] += 1e-3
    with pytest.raises(RuntimeError, match=r"784-30-10: ours and by hand do not take the same step: 1e-03"):
        check(NETS[0], {"ours": slow, "by hand": fast}, count=IMAGES)


def test_the_table_shows_medians_ratios_and_what_is_wanted():
    seconds = {"ours compiled": 4e-5, "by hand": 3.9e-5, "PyTorch": 2e-3}
    result = Result("a net", 1, seconds, {"ours compiled": {"by hand": 1.05, "PyTorch": 0.01}})
    reports = [
        Report([result], {"a net": {"by hand": (2_000, 100)}}),
        Report([Result("b", 2, {"PyTorch": 1.0, "ours compiled": 2.0})]),
    ]
    found = table(reports, "A machine")
    assert "| a net | 1 | 40.0 µs | 39.0 µs (1.03 ≤ 1.05) | 2.00 ms (0.02 > 0.01) |" in found
    assert "| b | 2 | 2,000.00 ms |  | 1,000.00 ms (2.00) |" in found
    assert "| a net | 2 + 0.1 |" in found


def test_memory_is_told_and_a_program_keeps_no_weights_that_it_has_laid_out_anew():
    makers = rivals(NETS[0], data(IMAGES))
    (by_hand, more), (compiled, beside) = (
        memory(makers[name], shuffled(NETS[0].batch, IMAGES)) for name in ("by hand", "ours compiled")
    )
    assert by_hand == pytest.approx(2 * 4 * (784 * 30 + 30 + 300 + 10) + 4 * 10 * (784 + 3 * 10 + 3 * 30), abs=1000)
    assert compiled < 1.5 * by_hand
    assert max(more, beside) < 10_000


def test_the_error_of_a_race_that_there_is_not_names_those_that_there_are(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "marathon", "--out", str(tmp_path / "results")])
    monkeypatch.setattr(command, "_apart", lambda threads, rounds, only: Report())  # what `contests` gives of none
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "has 'marathon' in its name: 784-30-10; " in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
