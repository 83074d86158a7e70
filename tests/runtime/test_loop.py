"""Frame after frame, to stdout and to files."""

import json

import cv2
import numpy as np
import pytest


@pytest.fixture
def film(draw_page, tmp_path):
    """Six frames: AB three times, then MX three times."""
    path = tmp_path / "film.avi"
    pages = [draw_page(text)[0] for text in ("AB", "AB", "AB", "MX", "MX", "MX")]
    height, width = pages[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for page in pages:
        writer.write(page)
    writer.release()
    return path


def test_json_prints_one_object_a_frame_and_nothing_else(lettercast, film):
    code, out, err = lettercast("read", film, "--json")
    frames = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [frame["frame"] for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert {frame["source"] for frame in frames} == {str(film)}


def test_json_has_exactly_the_documented_keys(lettercast, page_file):
    _, out, _ = lettercast("read", page_file, "--json")
    frame = json.loads(out)
    assert list(frame) == ["source", "frame", "size", "text", "lines", "ms"]
    assert set(frame["ms"]) == {"segment", "classify", "total"}
    letter = frame["lines"][0]["letters"][0]
    assert set(letter) == {"letter", "confidence", "box", "alternatives"}
    assert "".join(letter["letter"] for letter in frame["lines"][0]["letters"]) == frame["lines"][0]["text"]
    assert "\n".join(line["text"] for line in frame["lines"]) == frame["text"]


def test_max_frames_stops(lettercast, film):
    _, out, _ = lettercast("read", film, "--json", "--max-frames", 2)
    assert len(out.splitlines()) == 2


def test_of_a_film_only_what_changed_is_printed(lettercast, film):
    code, out, _ = lettercast("read", film, "--no-window")
    assert code == 0
    assert [line for line in out.splitlines() if ":" not in line] == ["AB", "MX"]


def test_save_writes_a_picture_a_frame_with_boxes_on_it(lettercast, film, tmp_path):
    lettercast("read", film, "--json", "--save", tmp_path / "seen")
    written = sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in written] == [f"film-{i:06d}.png" for i in range(6)]
    picture = cv2.imread(str(written[0])).astype(int)
    assert np.ptp(picture, axis=2).max() > 100


def test_images_of_one_name_from_two_folders_are_both_saved(lettercast, page_file, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / page_file.name).write_bytes(page_file.read_bytes())
    lettercast("read", page_file, tmp_path / "other" / page_file.name, "--json", "--save", tmp_path / "seen")
    assert len(list((tmp_path / "seen").iterdir())) == 2


def test_without_a_display_the_reading_goes_to_stdout(lettercast, page_file, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, out, err = lettercast("read", page_file)
    assert (code, len(err.splitlines())) == (0, 1)
    assert "no display" in err
    assert out.splitlines()[1:] == ["ABC", "DEF"]
