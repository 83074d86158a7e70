"""Pen strokes in flat arrays."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.open import open_source, open_sources
from lettercast.train.data.source import LETTERS, relabel
from lettercast.train.data.strokes import Strokes, load_strokes, save_strokes

HERE = Path("letters.npz")


@pytest.fixture
def strokes() -> Strokes:
    """Two letters: A of two strokes (3 and 2 points), B of one stroke (1 point)."""
    points = np.arange(12, dtype=np.float32).reshape(6, 2)
    return Strokes(
        points,
        np.array([3, 2, 1]),
        np.array([2, 1]),
        np.array([0, 1]),
        np.array([True, False]),
        np.array([7, 8]),
        np.array([0, 2]),
    )


@pytest.fixture
def arrays(strokes) -> dict[str, np.ndarray]:
    return {name: getattr(strokes, name) for name in ("points", "points_per_stroke", "strokes_per_sample", "label")}


def test_letter_consists_of_its_own_strokes(strokes):
    first, second = strokes.letter(0)
    assert first.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert second.tolist() == [[6, 7], [8, 9]]
    assert [stroke.tolist() for stroke in strokes.letter(1)] == [[[10, 11]]]


def test_selection_keeps_the_strokes_of_its_letters(strokes):
    chosen = strokes.only(np.array([False, True]))
    assert len(chosen) == 1
    assert chosen.letter(0)[0].tolist() == [[10, 11]]
    assert (chosen.label[0], chosen.writer[0], chosen.split[0]) == (1, 8, 2)
    assert len(strokes.only(np.array([False, False]))) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"points": np.zeros((6, 3))}, "shape"),
        ({"points": np.full((6, 2), np.nan)}, "finite"),
        ({"points": np.full((6, 2), 3e38)}, "none beyond 1e"),
        ({"points_per_stroke": np.array([3, 2, 2])}, "number of points"),
        ({"points_per_stroke": np.array([3, 3, 0])}, "empty stroke"),
        ({"strokes_per_sample": np.array([1, 1])}, "number of strokes"),
        ({"strokes_per_sample": np.array([3, 0])}, "without a stroke"),
        ({"label": np.array([0])}, "label"),
        ({"split": np.array([0, 1, 2])}, "split"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(strokes, wrong, said):
    with pytest.raises(LettercastError, match=said):
        replace(strokes, **wrong)


def test_case_writer_and_split_are_optional(arrays):
    strokes = load_strokes(HERE, arrays)
    assert strokes.upper.tolist() == [True, True]
    assert strokes.split.tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": np.array([0, 26])},
        {"label": np.array([-1, 0])},
        {"label": np.array(["A", "B"])},
        {"label": np.array(0)},
        {"points": np.array(["x"] * 6)},
        {"points": np.zeros(12)},
        {"strokes_per_sample": np.array(3)},
        {"points_per_stroke": np.array([[3, 2, 1]])},
        {"upper": np.array([True])},
    ],
)
def test_file_with_unusable_arrays_is_named(arrays, wrong):
    with pytest.raises(LettercastError, match=r"letters.npz"):
        load_strokes(HERE, arrays | wrong)


@pytest.mark.parametrize("key", ["points_per_stroke", "strokes_per_sample", "label"])
def test_file_that_lacks_an_array_is_named(arrays, key):
    del arrays[key]
    with pytest.raises(LettercastError, match=r"letters.npz"):
        load_strokes(HERE, arrays)


@pytest.mark.parametrize(
    "classes",
    [np.array(["0"]), np.array(["0", "0"]), np.array([0, 1]), np.array([["0", "1"]]), np.array([], "U1"), np.array("01")],
)
def test_classes_that_do_not_name_the_labels_are_refused(arrays, classes):
    with pytest.raises(LettercastError, match=r"letters.npz"):
        load_strokes(HERE, arrays | {"classes": classes, "label": np.array([0, 1])})


def test_strokes_of_other_classes_are_opened_by_name(strokes, tmp_path):
    letters = [strokes.letter(index) for index in range(len(strokes))]
    save_strokes(tmp_path / "digits.npz", letters, [1, 0], classes=["7", "B"], writers=["me"])
    source = open_source(tmp_path / "digits.npz", "all")
    assert [source.classes[label] for label in source.labels] == ["B", "7"]
    both = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert relabel(source, both).tolist() == [11, 7]
    mixed = open_sources([f"{tmp_path / 'digits.npz'}@0.5", "pen@0.5"], "train")
    assert set(mixed.classes) == {"7", *LETTERS}


def loaded(path: Path) -> Strokes:
    with np.load(path, allow_pickle=False) as archive:
        return load_strokes(path, dict(archive))


def test_saved_letters_are_loaded_unchanged(strokes, tmp_path):
    path = tmp_path / "new" / "letters.npz"
    letters = [strokes.letter(index) for index in range(len(strokes))]
    save_strokes(path, letters, strokes.label, upper=strokes.upper, writer=strokes.writer, split=strokes.split)
    again = loaded(path)
    for name in ("points", "points_per_stroke", "strokes_per_sample", "label", "upper", "writer", "split"):
        np.testing.assert_array_equal(getattr(again, name), getattr(strokes, name))
    assert [p.name for p in path.parent.iterdir()] == ["letters.npz"]


def test_plain_lists_are_saved_as_capitals_for_training_by_default(tmp_path):
    save_strokes(tmp_path / "letters.npz", [[[(0, 0), (4, 9)]], [[(1, 2)], [(3, 4), (5, 6), (7, 8)]]], [8, 23])
    strokes = loaded(tmp_path / "letters.npz")
    assert [stroke.tolist() for stroke in strokes.letter(1)] == [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]
    assert (strokes.label.tolist(), strokes.upper.tolist(), strokes.split.tolist()) == ([8, 23], [True, True], [0, 0])


STEM = [[(0, 0), (0, 9)]]


@pytest.mark.parametrize(
    ("letters", "labels", "more", "said"),
    [
        ([], [], {}, "no letters to save"),
        ([STEM, []], [0, 1], {}, "without a stroke"),
        ([STEM, [[]]], [0, 1], {}, "shape"),
        ([[[(0, 0, 0)]]], [0], {}, "shape"),
        ([[[(0, 0), (1,)]]], [0], {}, "shape"),
        ([[[(0, float("nan"))]]], [0], {}, "finite"),
        ([[[("x", "y")]]], [0], {}, "shape"),
        ([STEM], [26], {}, "from 0"),
        ([STEM], ["A"], {}, "whole numbers"),
        ([STEM], [0, 1], {}, "label needs one entry"),
        ([STEM], [0], {"writer": [1, 2]}, "writer needs one entry"),
        ([STEM], [0], {"split": ["train"]}, "train"),
    ],
)
def test_invalid_letters_are_not_saved(tmp_path, letters, labels, more, said):
    with pytest.raises(LettercastError, match=f"letters.npz: .*{said}"):
        save_strokes(tmp_path / "letters.npz", letters, labels, **more)
    assert list(tmp_path.iterdir()) == []


def test_file_name_without_npz_is_refused(tmp_path):
    with pytest.raises(LettercastError, match=r"needs the ending .npz"):
        save_strokes(tmp_path / "letters", [STEM], [0])


def test_example_of_the_docs_writes_a_file_to_train_on(root, tmp_path, monkeypatch):
    section = (root / "docs" / "data.md").read_text().partition("## Make a strokes file")[2]
    example = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example[1], "docs/data.md", "exec"), {})
    assert open_source("letters.npz", "train").labels.tolist() == [19, 11]
    val = open_source("letters.npz", "val")
    assert "".join(val.classes[label] for label in val.labels) == "T"
    # A bar on top, and a stem below it.
    tee = val.image(0, None)
    assert tee[3, 6:-6].min() > 0
    assert tee[-6, 13:15].min() > 0
    assert tee[-6, :8].max() == 0
