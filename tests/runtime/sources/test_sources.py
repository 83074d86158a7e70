"""Sources of frames: what they are taken for, their order, their errors, and when cameras are released."""

import shutil
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.arguments import device_model
from lettercast.runtime.sources.source import open_frames, open_source

LEVELS = (20, 90, 160, 230, 120)


@pytest.fixture
def video(tmp_path):
    """A video of five frames, each of another grey."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def write_image(path, level: int):
    cv2.imwrite(str(path), np.full((20, 30, 3), level, np.uint8))
    return path


def test_an_image_is_one_still_frame(tmp_path):
    path = write_image(tmp_path / "a.png", 7)
    (frame,) = open_source(str(path))
    assert (frame.source, frame.number, frame.is_still, frame.image.shape) == (str(path), 0, True, (20, 30, 3))


def test_a_folder_yields_its_images_by_name_and_nothing_else(tmp_path):
    for name, level in (("b.png", 2), ("a.PNG", 1), ("c.bmp", 3)):
        write_image(tmp_path / name, level)
    (tmp_path / "notes.txt").write_text("no image")
    assert [int(frame.image[0, 0, 0]) for frame in open_source(str(tmp_path))] == [1, 2, 3]


def test_several_sources_follow_each_other(tmp_path, video):
    path = write_image(tmp_path / "a.png", 7)
    names = [frame.source for frame in open_frames([str(path), str(video)])]
    assert names == [str(path), *[str(video)] * 5]


def test_a_missing_source_is_reported_before_the_first_frame(tmp_path):
    path = write_image(tmp_path / "a.png", 7)
    with pytest.raises(LettercastError, match="no such file"):
        open_frames([str(path), str(tmp_path / "gone.png")])


def test_a_similar_file_name_is_suggested(tmp_path):
    write_image(tmp_path / "page-one.jpg", 7)
    with pytest.raises(LettercastError, match=f"did you mean {tmp_path}/page-one.jpg?"):
        open_source(str(tmp_path / "pageone.jpg"))


@pytest.mark.parametrize("source", ["cam0", "1000", "webcam", "0.5", "٣", "picamera2"])
def test_a_misspelt_source_is_answered_with_the_kinds_of_sources(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LettercastError, match=r"no such file; give an image, .* a camera number such as 0, picamera or"):
        open_source(source)


def test_a_model_as_a_source_is_answered_with_its_option(refused, page_file, tmp_path, lettercast):
    for name in ("own.tflite", "own.onnx"):
        shutil.copy(device_model("letters-nano"), tmp_path / name)
        assert "put --model before it" in refused("read", tmp_path / name)
    # The content decides, not the name.
    image = page_file.rename(page_file.with_suffix(".onnx"))
    assert lettercast("read", image, "--json")[0] == 0


def test_an_unknown_url_scheme_is_refused():
    with pytest.raises(LettercastError, match="unknown kind of address; use http, https, rtsp"):
        open_source("ftp://example.org/page.jpg")


@pytest.mark.parametrize("source", ["RTSP://127.0.0.1:9/a", "Http://127.0.0.1:9/a"])
def test_the_scheme_of_a_url_may_have_capitals(source):
    with pytest.raises(LettercastError, match=r"(rtsp|http)://127.0.0.1:9/a does not answer"):
        open_source(source)


def test_addresses_in_other_forms_are_answered_with_the_right_one():
    with pytest.raises(LettercastError, match="unknown kind of address; use http, https, rtsp"):
        open_source("FTP://example.org/page.jpg")
    with pytest.raises(LettercastError, match=r"give the path of the file instead: /scans/page 1.jpg"):
        open_source("file:///scans/page%201.jpg")
    for address in ("192.168.1.7/video", "pi.local:8080", "10.0.0.2:81/stream"):
        with pytest.raises(LettercastError, match=f"write http://{address} or rtsp://{address}"):
            open_source(address)


def test_a_number_is_a_camera_and_a_file_of_that_name_needs_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png", 7).rename("99")
    with pytest.raises(LettercastError, match="camera 99 does not answer"):
        open_source("99")
    assert next(open_source("./99")).image.shape == (20, 30, 3)


def test_a_device_file_is_a_camera():
    with pytest.raises(LettercastError, match="camera /dev/null does not answer"):
        open_source("/dev/null")


def test_an_image_without_a_suffix_is_recognised_by_its_bytes(tmp_path):
    (frame,) = open_source(str(write_image(tmp_path / "a.png", 7).rename(tmp_path / "scan")))
    assert frame.is_still


def test_the_images_of_a_folder_are_sorted_by_the_numbers_in_their_names(tmp_path):
    for number in (10, 9, 1, 100):
        write_image(tmp_path / f"Page{number}.png", number)
    write_image(tmp_path / "page2b.png", 2)
    assert [int(frame.image[0, 0, 0]) for frame in open_source(str(tmp_path))] == [1, 2, 9, 10, 100]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    write_image(tmp_path / "a.png", 7)
    (tmp_path / "._a.png").write_bytes(b"notes of another system")
    (tmp_path / "b.png").mkdir()
    assert len(list(open_source(str(tmp_path)))) == 1


def test_folders_inside_a_folder_are_named_and_not_read(tmp_path, capsys):
    write_image(tmp_path / "a.png", 7)
    for name, count in (("2024/may", 2), ("old", 1), (".hidden", 1), ("empty", 0)):
        (tmp_path / name).mkdir(parents=True)
        for i in range(count):
            write_image(tmp_path / name / f"{i}.jpg", 9)
    assert len(list(open_source(str(tmp_path)))) == 1
    assert capsys.readouterr().err == (
        f"lettercast: {tmp_path}: folders inside it are not read; to read them, name them as well: "
        f"{tmp_path}/2024/may (2 images); {tmp_path}/old (1 image)\n"
    )


def test_a_folder_with_images_only_in_folders_inside_it_names_them(tmp_path):
    for i in range(5):
        (tmp_path / f"day{i}").mkdir()
        write_image(tmp_path / f"day{i}" / "a.png", 7)
    with pytest.raises(LettercastError, match=r"only in folders inside it; name those: .*/day0 \(1 image\); .* and 2 more$"):
        open_source(str(tmp_path))


def test_a_folder_without_images_is_refused(tmp_path):
    for name in ("notes.txt", "more.txt", "README"):
        (tmp_path / name).write_text("no image")
    with pytest.raises(LettercastError, match=r"no images in this folder, only 2 .txt files and 1 file; put some there"):
        open_source(str(tmp_path))


def test_a_folder_yields_images_with_rare_endings_and_with_none(tmp_path):
    for name, level in (("a.png", 1), ("b.bmp", 2)):
        write_image(tmp_path / name, level)
    (tmp_path / "b.bmp").rename(tmp_path / "b.DIB")
    write_image(tmp_path / "c.png", 3).rename(tmp_path / "c")
    write_image(tmp_path / "d.jpg", 4).rename(tmp_path / "d.jfif")
    (tmp_path / "README").write_text("no image")
    assert [int(frame.image[0, 0, 0]) for frame in open_source(str(tmp_path))] == [1, 2, 3, 4]


def test_a_bad_image_in_a_folder_is_reported_and_the_others_are_read(tmp_path, capsys):
    for name in ("1.png", "3.png"):
        write_image(tmp_path / name, 7)
    (tmp_path / "2.png").write_bytes(b"not an image")
    (tmp_path / "4.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with open_frames([str(tmp_path)]) as frames:
        read = [Path(frame.source).name for frame in frames]
    assert read == ["1.png", "3.png"]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"lettercast: {tmp_path}/2.png: not an image")
    assert second.startswith(f"lettercast: {tmp_path}/4.heic: lettercast cannot read HEIC; convert it")


def test_a_bad_image_is_reported_before_the_next_one_is_read(tmp_path, capsys):
    (tmp_path / "1.png").write_bytes(b"not an image")
    write_image(tmp_path / "2.png", 7)
    frames = open_frames([str(tmp_path)])
    next(frames)
    assert "1.png: not an image" in capsys.readouterr().err


def test_if_no_image_can_be_read_the_last_error_is_raised(tmp_path, capsys):
    """The error comes at once, before a window opens."""
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"not an image")
    with pytest.raises(LettercastError, match=r"2.png: not an image"):
        open_frames([str(tmp_path)])
    assert capsys.readouterr().err.count("\n") == 1


def test_images_are_read_one_at_a_time(tmp_path):
    """The second image is not read before its turn comes."""
    paths = [write_image(tmp_path / name, 7) for name in ("a.png", "b.png")]
    frames = open_frames(list(map(str, paths)))
    next(frames)
    write_image(paths[1], 90)
    assert int(next(frames).image[0, 0, 0]) == 90


def test_a_camera_is_released_if_a_later_source_is_bad(picamera, tmp_path):
    with pytest.raises(LettercastError, match="no such file"):
        open_frames(["picamera", str(tmp_path / "gone.png")])
    assert picamera.closed == 1


def test_a_camera_that_was_never_read_is_released(picamera, tmp_path):
    with open_frames([str(write_image(tmp_path / "a.png", 7)), "picamera"]) as frames:
        next(frames)
        assert picamera.closed == 0
    assert picamera.closed == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_camera_is_released_whatever_the_reader_raises(picamera, error):
    def read():
        with open_frames(["picamera"]) as frames:
            for _ in frames:
                raise error

    with pytest.raises(error):
        read()
    assert picamera.closed == 1


@pytest.fixture
def picamera(monkeypatch):
    """A camera with the part of Picamera2's interface that these tests use."""

    class Picamera2:
        CRITICAL, closed, camera_controls = 50, 0, ()
        global_camera_info = staticmethod(lambda: [{}])
        set_logging = staticmethod(lambda level: None)
        create_preview_configuration = configure = start = stop = lambda *_, **__: None

        def __init__(self, number):
            pass

        def capture_array(self, name):
            return np.zeros((4, 6, 3), np.uint8)

        def close(self):
            Picamera2.closed += 1

    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Picamera2


def test_reading_a_folder_with_a_bad_image_succeeds(lettercast, page_file, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    code, out, err = lettercast("read", tmp_path, "--json")
    assert (code, len(out.splitlines()), len(err.splitlines())) == (0, 1, 1)
    assert "bad.png: not an image" in err


def test_reading_only_bad_images_fails(refused, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    assert "bad.png: not an image" in refused("read", tmp_path / "bad.png")
    assert "bad.png: not an image" in refused("read", tmp_path, "--json")


@pytest.mark.parametrize("size", ["1280", "0x720", "1280x", "axb", "12800x720"])
def test_an_invalid_camera_size_is_refused(refused, size):
    assert "is not a size in pixels such as 1280x720" in refused("read", "--camera-size", size)


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_source_is_refused(refused, page_file, source):
    assert "is an empty source" in refused("read", source, "--json")
