"""Files that are complete or missing, and the arrays of `.npz` files."""

import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.files import load_npz, unpacked_bytes, write_bytes


def test_a_file_is_written_into_a_new_folder_without_leftovers(tmp_path):
    path = tmp_path / "new" / "deep" / "f.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_two_processes_may_write_the_same_file_at_once(tmp_path):
    code = "import sys, pathlib\nfrom lettercast.runtime.files import write_bytes\nfor _ in range(200):\n"
    code += "    write_bytes(pathlib.Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "f.bin"), letter]) for letter in "xy"]
    assert [writer.wait() for writer in writers] == [0, 0]
    written = (tmp_path / "f.bin").read_bytes()
    assert written in (b"x" * 100_000, b"y" * 100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]


def test_only_unfinished_files_of_killed_processes_are_removed(tmp_path):
    old = {
        name: tmp_path / name
        for name in (".f.4242.partial.bin", ".film.7.partial.mp4", ".mine.partial.bin", ".f.x.partial.bin", "f.1.bin")
    }
    for path in old.values():
        path.write_bytes(b"old")
        os.utime(path, (0, 0))
    (tmp_path / ".g.4243.partial.bin").write_bytes(b"being written")
    write_bytes(tmp_path / "f.bin", b"one")
    left = {".mine.partial.bin", ".f.x.partial.bin", "f.1.bin", ".g.4243.partial.bin", "f.bin"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LettercastError, match="choose another folder"):
        write_bytes(tmp_path / "taken" / "f.bin", b"one")
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_file_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path):
    (tmp_path / "f.bin").mkdir()
    with pytest.raises(LettercastError, match=r"f.bin"):
        write_bytes(tmp_path / "f.bin", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]


LIMIT = 1_000_000


def test_a_name_that_is_too_long_is_shown_as_it_was_given(tmp_path):
    with pytest.raises(LettercastError, match=r"/a{250}.zip: File name too long"):
        write_bytes(tmp_path / f"{'a' * 250}.zip", b"")


def zipped(name: str, data: bytes, size: int | None = None) -> bytes:
    """Return a zip archive of one file, with a false size if one is given."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    honest = packed.getvalue()
    return honest if size is None else honest.replace(len(data).to_bytes(4, "little"), size.to_bytes(4, "little"))


def npy(array: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.save(text, array)
    return text.getvalue()


def test_arrays_survive_saving_compressed_or_not(tmp_path):
    arrays = {"image": np.arange(12, dtype=np.uint8).reshape(3, 4), "about": np.array("text")}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        loaded = load_npz(tmp_path / "a.npz", LIMIT)
        assert loaded.keys() == arrays.keys()
        assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(50_000_000, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to 50 MB, the limit is 1 MB"):
        load_npz(tmp_path / "bomb.npz", LIMIT)


def test_an_archive_with_a_false_size_is_not_read_beyond_it(tmp_path):
    data = npy(np.zeros(5_000_000, np.uint8))
    (tmp_path / "liar.npz").write_bytes(zipped("zeros.npy", data, 5000))
    with zipfile.ZipFile(tmp_path / "liar.npz") as archive:
        assert unpacked_bytes(archive) == 5000
    with pytest.raises(ValueError):
        load_npz(tmp_path / "liar.npz", LIMIT)


def test_an_array_header_that_claims_terabytes_takes_no_memory(tmp_path):
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


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "gone.npz", LIMIT)
