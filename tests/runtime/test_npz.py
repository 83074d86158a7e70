"""Arrays of an `.npz` file."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from lettercast.runtime.files import load_npz, unpacked_bytes

LIMIT = 1_000_000


def zipped(name: str, data: bytes, size: int | None = None) -> bytes:
    """A zip archive of one file, which says that it has another size where one is given."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    told = packed.getvalue()
    return told if size is None else told.replace(len(data).to_bytes(4, "little"), size.to_bytes(4, "little"))


def npy(array: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.save(text, array)
    return text.getvalue()


def test_arrays_come_back_as_they_were_packed_or_not(tmp_path):
    arrays = {"image": np.arange(12, dtype=np.uint8).reshape(3, 4), "about": np.array("text")}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        loaded = load_npz(tmp_path / "a.npz", LIMIT)
        assert loaded.keys() == arrays.keys()
        assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())


def test_what_would_burst_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(50_000_000, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to 50 MB, 1 MB are the limit"):
        load_npz(tmp_path / "bomb.npz", LIMIT)


def test_one_that_says_it_is_small_gives_no_more_than_it_says(tmp_path):
    data = npy(np.zeros(5_000_000, np.uint8))
    (tmp_path / "liar.npz").write_bytes(zipped("zeros.npy", data, 5000))
    with zipfile.ZipFile(tmp_path / "liar.npz") as archive:
        assert unpacked_bytes(archive) == 5000
    with pytest.raises(ValueError):
        load_npz(tmp_path / "liar.npz", LIMIT)


def test_a_header_that_promises_terabytes_takes_no_memory(tmp_path):
    whole = npy(np.zeros(10, np.uint8))
    lying = whole.replace(b"(10,), }", b"(9999999999999,), }").replace(b" " * 12 + b"\n", b"\n")
    (tmp_path / "lying.npz").write_bytes(zipped("zeros.npy", lying))
    with pytest.raises(ValueError):
        load_npz(tmp_path / "lying.npz", LIMIT)


def test_pickles_are_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    np.savez(tmp_path / "evil.npz", image=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_npz(tmp_path / "evil.npz", LIMIT)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="zip"):
        load_npz(tmp_path / "bare.npz", LIMIT)


def test_what_is_missing_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "gone.npz", LIMIT)
