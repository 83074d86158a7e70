"""Pictures from disk, and files that are whole or not there."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.files import read_image, write_bytes

SHAPES = [(6, 8), (6, 8, 3), (6, 8, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_read_as_it_is(tmp_path, shape):
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), image)


def test_sixteen_bits_are_brought_to_eight(tmp_path):
    deep = np.array([[0, 30000, 60000]], np.uint16)
    cv2.imwrite(str(tmp_path / "p.png"), deep)
    image = read_image(tmp_path / "p.png")
    assert image.dtype == np.uint8
    assert image.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"", "empty"), (b"hello", "not a picture")])
def test_what_is_no_picture_is_named(tmp_path, content, said):
    path = tmp_path / "p.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LettercastError, match=f"p.png: .*{said}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share):
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    whole = cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / f"p{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match="p"):
        read_image(path)


def test_a_file_is_written_into_a_new_folder_with_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "deep" / "f.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_two_processes_may_write_one_file_at_once(tmp_path):
    code = "import sys, pathlib\nfrom lettercast.runtime.files import write_bytes\nfor _ in range(200):\n"
    code += "    write_bytes(pathlib.Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "f.bin"), letter]) for letter in "xy"]
    assert [writer.wait() for writer in writers] == [0, 0]
    written = (tmp_path / "f.bin").read_bytes()
    assert written in (b"x" * 100_000, b"y" * 100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LettercastError, match="choose another folder"):
        write_bytes(tmp_path / "taken" / "f.bin", b"one")
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_file_that_cannot_be_replaced_leaves_no_scraps(tmp_path):
    (tmp_path / "f.bin").mkdir()
    with pytest.raises(LettercastError, match=r"f.bin"):
        write_bytes(tmp_path / "f.bin", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]
