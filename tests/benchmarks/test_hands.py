"""Who writes the generated pages."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.writing import PenHand, RealHand, open_hands
from lettercast.train.data.strokes import load_strokes


@pytest.fixture
def two_writers(strokes_arrays, tmp_path):
    """Validation letters in both cases: writer 11 has all of them, writer 12 only As."""
    chosen = {**strokes_arrays, "split": np.ones_like(strokes_arrays["split"])}
    chosen["upper"] = np.arange(len(chosen["label"])) // 26 % 2 == 0
    chosen["writer"] = np.where((chosen["label"] == 0) & (np.arange(len(chosen["label"])) > 600), 12, 11)
    path = tmp_path / "writers.npz"
    np.savez(path, **chosen)
    return path


def test_the_pen_writes_every_letter(pen):
    hand = PenHand(pen)
    assert len(hand.letters(True)) == len(hand.letters(False)) == 26
    assert all(stroke.shape[1] == 2 for stroke in hand.strokes("q", np.random.default_rng(0)))


def test_a_writer_with_few_letters_writes_no_page(two_writers):
    (hand,) = open_hands(str(two_writers), "val")
    assert isinstance(hand, RealHand)
    assert set(hand.own.writer) == {11}


def test_a_writers_letter_is_one_that_was_written_so(two_writers):
    (hand,) = open_hands(str(two_writers), "val")
    with np.load(two_writers) as file:
        strokes = load_strokes(two_writers, dict(file))
    written = hand.strokes("b", np.random.default_rng(1))
    same = [i for i in range(len(strokes)) if strokes.label[i] == 1 and not strokes.upper[i]]
    assert any(np.array_equal(np.concatenate(written), np.concatenate(strokes.letter(i))) for i in same)


def test_strokes_without_small_letters_are_refused(strokes_file):
    with pytest.raises(LettercastError, match="small letters"):
        open_hands(str(strokes_file), "val")


def test_pictures_are_no_strokes(tmp_path):
    np.savez(tmp_path / "pictures.npz", image=np.zeros((2, 28, 28), np.uint8), label=[0, 1], split=[1, 1])
    with pytest.raises(LettercastError, match="written with pen"):
        open_hands(str(tmp_path / "pictures.npz"), "val")
