"""Saving and loading named arrays."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tinygrad_digits as tg
from tinygrad_digits.io import write_atomically


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, bool])
def test_what_is_saved_loads_back(tmp_path, dtype):
    state = {"a": np.arange(6).reshape(2, 3).astype(dtype), "b.c": np.array(1, dtype), "empty": np.zeros((0, 2), dtype)}
    tg.save(state, tmp_path / "x.safetensors")
    loaded = tg.load(tmp_path / "x.safetensors")
    assert loaded.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T])
def test_any_layout_is_saved_right(tmp_path, layout):
    array = layout(np.arange(12.0).reshape(3, 4))
    tg.save({"a": array}, tmp_path / "x")
    np.testing.assert_array_equal(tg.load(tmp_path / "x")["a"], array)


def test_tensors_are_saved_as_their_numbers(tmp_path):
    tg.save({"a": tg.tensor([1.0], requires_grad=True)}, tmp_path / "x")
    np.testing.assert_array_equal(tg.load(tmp_path / "x")["a"], [1.0])


def test_other_programs_files_are_read_and_read_ours(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "theirs")
    np.testing.assert_array_equal(tg.load(tmp_path / "theirs")["a"], [1, 1])
    tg.save({"a": np.ones(2)}, tmp_path / "ours")
    np.testing.assert_array_equal(load_file(tmp_path / "ours")["a"], [1, 1])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        tg.load(tmp_path / "absent")


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:5], lambda b: b"", lambda b: b"PK\3\4" + b])
def test_a_broken_file_is_refused(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    tg.save({"a": np.ones(3)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"model.safetensors is not a whole safetensors file"):
        tg.load(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
