"""Fonts that become pen strokes: how ink is thinned, what is left out, and the strokes file."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.drawing import draw_ink
from lettercast.train.data.open import open_source
from lettercast.train.data.source import LETTERS
from lettercast.train.draw_fonts import draw_fonts, find_fonts, font_name, main, splits_of, trace

pytest.importorskip("skimage", reason="scikit-image is only needed to thin fonts")


@pytest.fixture(scope="session")
def fonts(tmp_path_factory) -> Path:
    """A folder with a font as a package of @fontsource has it, and with one that stands alone."""
    import matplotlib

    own = Path(matplotlib.get_data_path(), "fonts", "ttf")
    folder = tmp_path_factory.mktemp("fonts")
    package = folder / "plain-hand"
    (package / "files").mkdir(parents=True)
    shutil.copy(own / "DejaVuSans.ttf", package / "files" / "plain-hand-latin-400-normal.ttf")
    shutil.copy(own / "DejaVuSans-Bold.ttf", package / "files" / "plain-hand-latin-700-normal.ttf")
    (package / "package.json").write_text(json.dumps({"name": "@fontsource/plain-hand", "license": "OFL-1.1"}))
    shutil.copy(own / "DejaVuSansMono.ttf", folder / "alone.ttf")
    return folder


def pen(*strokes: list[tuple[float, float]], side: int = 300, width: int = 24) -> np.ndarray:
    """The ink of strokes in a square of 100."""
    points = [np.array(stroke, np.float32) for stroke in strokes]
    return np.where(draw_ink(points, side, width) > 127, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("strokes", "count"),
    [
        ([[(0, 0), (0, 100)]], 1),
        ([[(0, 0), (100, 100)], [(100, 0), (0, 100)]], 2),
        ([[(0, 0), (100, 0)], [(50, 0), (50, 100)]], 2),
        ([[(50, 0), (0, 60), (100, 60)], [(70, 20), (70, 100)]], 2),
        ([[(0, 0), (0, 100), (60, 100), (60, 0), (0, 0)]], 1),
        ([[(0, 0), (50, 100), (100, 0)]], 1),
        ([[(0, 30), (0, 100)], [(0, 0)]], 2),
    ],
    ids=["I", "X", "T", "4", "ring", "V", "i"],
)
def test_ink_is_thinned_to_the_strokes_that_a_pen_made(strokes, count):
    ink = pen(*strokes)
    found = trace(ink)
    assert len(found) == count
    # Drawn by the same pen they cover the ink again.
    again = cv2.polylines(np.zeros_like(ink), [np.rint(one).astype(np.int32) for one in found], False, 255, 24)
    both, either = ((again > 0) & (ink > 0)).sum(), ((again > 0) | (ink > 0)).sum()
    assert both / either > 0.85


def test_strokes_begin_at_their_upper_or_left_end():
    (down,), (across,) = (trace(pen(stroke)) for stroke in ([(0, 100), (0, 0)], [(100, 0), (0, 3)]))
    assert down[0, 1] < down[-1, 1]
    assert across[0, 0] < across[-1, 0]


def test_specks_and_holes_of_a_dry_brush_make_no_strokes():
    ink = pen([(0, 0), (0, 100)], width=40)
    ink[60:64, ink.shape[1] // 2] = 0
    ink[5:8, 5:8] = 255
    assert len(trace(ink)) == 1


def test_one_regular_font_of_a_package_is_taken_and_named_with_its_licence(fonts):
    found = find_fonts(fonts)
    assert [path.name for path in found] == ["alone.ttf", "plain-hand-latin-400-normal.ttf"]
    assert [font_name(path) for path in found] == ["alone (licence unknown)", "plain-hand (OFL-1.1)"]


def test_missing_characters_are_left_out(fonts):
    _, plain = draw_fonts(fonts, "7\u4e00 1")
    assert plain.characters == ("7", "1")
    assert plain.missing == ("\u4e00: the font has none", " : the font has none")
    assert [np.concatenate(one).min() for one in plain.strokes] == [0, 0]
    assert [np.concatenate(one).max() for one in plain.strokes] == pytest.approx([1000, 1000])


def test_digits_become_a_strokes_file_with_classes(fonts, tmp_path, capsys):
    assert main([str(fonts), str(tmp_path / "digits.npz"), "--sheet", str(tmp_path / "digits.png")]) == 0
    assert "20 characters of 2 fonts" in capsys.readouterr().out
    source = open_source(tmp_path / "digits.npz", "all")
    assert source.classes == tuple("0123456789")
    assert source.labels.tolist() == [*range(10)] * 2
    assert source.image(4, None).shape == (28, 28)
    assert cv2.imread(str(tmp_path / "digits.png"), cv2.IMREAD_GRAYSCALE).shape == (2 * 48, 10 * 48)
    with np.load(tmp_path / "digits.npz") as archive:
        assert archive["writers"].tolist() == ["alone (licence unknown)", "plain-hand (OFL-1.1)"]


def test_letters_in_both_cases_are_the_classes_a_to_z(fonts, tmp_path):
    assert main([str(fonts), str(tmp_path / "letters.npz"), "--characters", "AbZ"]) == 0
    source = open_source(tmp_path / "letters.npz", "all")
    assert source.classes == LETTERS
    assert (source.labels.tolist(), source.upper.tolist()) == ([0, 1, 25] * 2, [True, False, True] * 2)


def test_two_of_seven_fonts_are_held_out():
    names = [f"font-{i} (OFL-1.1)" for i in range(70)]
    splits = splits_of(names)
    assert np.bincount(splits).tolist() == [50, 10, 10]
    assert splits_of(names[::-1]) == splits[::-1]


@pytest.mark.parametrize("file", [None, "broken.ttf"])
def test_a_folder_without_usable_fonts_is_refused_in_one_line(tmp_path, capsys, file):
    if file:
        (tmp_path / file).write_bytes(b"no font")
    assert main([str(tmp_path), str(tmp_path / "out.npz")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and (file or "no fonts in it") in said
    assert not (tmp_path / "out.npz").exists()


def test_characters_that_no_font_has_are_refused(fonts, tmp_path):
    assert main([str(fonts), str(tmp_path / "out.npz"), "--characters", "\u4e00"]) == 2
    with pytest.raises(LettercastError, match="no fonts in it"):
        draw_fonts(tmp_path, "0")
