"""The built-in pen."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.pen import PenSource, load_pen, pack, unpack
from lettercast.train.data.source import LETTERS, draw_some


def test_pen_knows_every_letter_in_both_cases(pen):
    assert {(shape.label, shape.upper) for shape in pen.shapes} == {
        (label, upper) for label in range(26) for upper in (True, False)
    }


def test_seed_decides_the_letter(pen):
    first, again, other = (pen.sample(0, np.random.default_rng(seed), upper=True) for seed in (1, 1, 4))
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert np.concatenate(first).shape != np.concatenate(other).shape or not np.allclose(
        np.concatenate(first), np.concatenate(other)
    )


def test_samples_of_one_letter_are_nearer_to_each_other_than_to_other_letters(pen):
    source = PenSource(pen, "val")
    pictures = draw_some(source, range(26 * 40), None).reshape(40, 26, -1).astype(float)
    means = pictures.mean(0)
    distance = np.linalg.norm(means[:, None] - means[None], axis=2)
    assert (distance + 1e9 * np.eye(26)).min() > 300
    nearest = np.linalg.norm(pictures[:, :, None] - means[None, None], axis=3).argmin(2)
    assert (nearest == np.arange(26)).mean() > 0.5


def test_shapes_are_chosen_by_their_share(pen):
    rng = np.random.default_rng(1)
    shapes = [shape for shape in pen.shapes if shape.label == 4 and shape.upper]
    total = sum(shape.share for shape in shapes)
    expected = sum(shape.share * len(shape.mean) / 48 for shape in shapes) / total
    counts = [len(pen.sample(4, rng, upper=True)) for _ in range(1500)]
    assert np.mean(counts) == pytest.approx(expected, abs=0.15)


def test_letter_has_strokes_of_24_points_mostly_inside_a_square_of_1000(pen):
    rng = np.random.default_rng(2)
    letters = [pen.sample(label, rng) for label in range(26) for _ in range(20)]
    assert all(stroke.shape == (24, 2) for letter in letters for stroke in letter)
    points = np.concatenate([stroke for letter in letters for stroke in letter])
    assert (np.abs(points - 500) < 700).mean() > 0.99


def test_packing_and_unpacking_loses_less_than_a_hundredth_of_the_letter(pen):
    again = unpack(pack(pen))
    assert len(again.shapes) == len(pen.shapes)
    for before, after in zip(pen.shapes, again.shapes, strict=True):
        assert (before.label, before.upper) == (after.label, after.upper)
        np.testing.assert_allclose(after.mean, before.mean, atol=1)
        np.testing.assert_allclose(after.components, before.components, atol=10)


def test_splits_hold_every_letter_equally_often_and_share_no_image(pen):
    pictures = {}
    for split, count in {"train": 1000, "val": 100, "test": 200}.items():
        source = PenSource(pen, split)
        assert source.classes == LETTERS
        assert set(np.bincount(source.labels)) == {count}
        pictures[split] = {picture.tobytes() for picture in draw_some(source, range(520), None)}
    assert not pictures["train"] & pictures["test"]
    assert not pictures["val"] & pictures["test"]


def test_letter_of_a_split_is_the_same_drawn_plainly_and_new_in_training(pen):
    source = PenSource(pen, "train")
    np.testing.assert_array_equal(source.image(7, None), PenSource(pen, "train").image(7, None))
    assert (source.image(7, np.random.default_rng(1)) != source.image(7, np.random.default_rng(2))).any()


@pytest.mark.parametrize("content", [b"", b"not a pen", b"PK\x03\x04 cut"])
def test_damaged_pen_asks_to_install_again(tmp_path, content):
    path = tmp_path / "pen.npz"
    path.write_bytes(content)
    with pytest.raises(LettercastError, match="install lettercast again"):
        load_pen(path)
