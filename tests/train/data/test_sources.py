"""Data sources behind one interface: splits, drawing, digests, and several sources as one."""

import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import glyph
from lettercast.runtime.page.ink import MAX_INK_PX, letter_ink, letter_only
from lettercast.train.data.drawing import draw_plain
from lettercast.train.data.pen import PenSource
from lettercast.train.data.source import (
    WARP,
    ImageSource,
    MixedSource,
    StrokeSource,
    draw_all,
    draw_some,
    hashed_split,
    in_split,
    relabel,
    warp,
)
from lettercast.train.data.strokes import Strokes, load_strokes


def images(classes: tuple[str, ...], labels: list[int], level: int = 255) -> ImageSource:
    """A source of bars; bar i is i + 1 pixels wide."""
    inks = [np.pad(np.full((20, i + 1), level, np.uint8), 4) for i in range(len(labels))]
    return ImageSource("bars", "train", inks, np.array(labels, np.int64), classes)


def test_labels_are_matched_by_name():
    np.testing.assert_array_equal(relabel(images(("B", "A", "Z"), [0, 1, 2, 0]), ("A", "B")), [1, 0, -1, 1])


def test_case_is_ignored_unless_classes_differ_in_it():
    source = images(("a", "B"), [0, 1])
    assert relabel(source, ("A", "B")).tolist() == [0, 1]
    assert relabel(source, ("A", "a", "B")).tolist() == [1, 2]
    assert relabel(source, ("A", "b", "B")).tolist() == [-1, 2]


def bars_of(upper: list[bool], writer: list[int]) -> Strokes:
    """One slanted bar per letter, all of the first class."""
    count = len(upper)
    points = np.tile(np.array([[0, 0], [9, 9]], np.float32), (count, 1))
    none = np.zeros(count, int)
    return Strokes(points, np.full(count, 2), np.ones(count, int), none, np.array(upper), np.array(writer), none)


def test_writer_of_four_times_as_many_letters_counts_twice_as_much():
    weights = StrokeSource("two hands", "train", bars_of(upper=[True] * 5, writer=[3, 3, 3, 3, 8])).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[:4].sum() == pytest.approx(2 * weights[4])


def test_class_of_four_times_as_many_letters_counts_twice_as_much():
    weights = images(("A", "B"), [0, 0, 0, 0, 1]).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[:4].sum() == pytest.approx(2 * weights[4])
    assert len(images(("A", "B"), []).weights) == 0


def test_capitals_and_small_letters_are_classes_apart():
    weights = StrokeSource("one hand", "train", bars_of(upper=[True, False, False, False, False], writer=[0] * 5)).weights
    assert weights[1:].sum() == pytest.approx(2 * weights[0])


def test_strokes_know_writer_and_case_and_images_do_not(strokes_arrays):
    given = strokes_arrays | {"upper": np.arange(1144) % 2 == 0}
    known = StrokeSource("strokes", "test", load_strokes(Path("s.npz"), given).only(given["split"] == 2))
    assert known.writers.tolist() == [12] * 520
    assert known.upper.tolist() == [True, False] * 260
    bars = images(("A",), [0, 0])
    for unknown in (bars, MixedSource((known, bars), (0.5, 0.5), "test", known.classes)):
        assert (unknown.writers, unknown.upper) == (None, None)


def test_all_letters_are_drawn_in_order_as_uint8_images():
    source = images(("A",), [0, 0, 0])
    pictures = draw_all(source)
    assert (pictures.shape, pictures.dtype) == ((3, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(draw_some(source, [2, 0], None), pictures[[2, 0]])


@pytest.mark.parametrize("kind", ["strokes", "images"])
def test_seed_decides_every_distortion(check_source, kind):
    source = check_source if kind == "strokes" else images(("A",), [0] * 8)
    first, again, other = (draw_some(source, range(8), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != draw_some(source, range(8), None)).any()


def test_warped_letter_stays_inside_its_image(pen):
    ink = draw_plain(pen.sample(12, np.random.default_rng(1)))
    for seed in range(50):
        warped = warp(ink, np.random.default_rng(seed))
        edges = np.concatenate([warped[0], warped[-1], warped[:, 0], warped[:, -1]])
        assert warped.max() > 150
        assert edges.max() < 60


def test_some_warped_letters_are_seen_from_afar(pen):
    ink = draw_plain(pen.sample(12, np.random.default_rng(1)))
    sides = np.array([len(warp(ink, np.random.default_rng(seed))) for seed in range(200)])
    limits = np.array(WARP.tiny_sides_px) * WARP.room
    is_tiny = sides <= limits[1] + 1
    assert is_tiny.mean() == pytest.approx(WARP.tiny_share, abs=0.07)
    assert sides[is_tiny].min() >= limits[0] - 1


def test_large_photograph_is_stored_small_and_shows_the_same_letter():
    photo = np.full((3000, 4000), 225, np.uint8)
    cv2.putText(photo, "R", (1500, 1800), cv2.FONT_HERSHEY_SIMPLEX, 25, 40, 90, cv2.LINE_AA)
    ink = letter_only(photo)
    assert max(ink.shape) == MAX_INK_PX
    kept, whole = glyph(ink).astype(int), glyph(letter_ink(photo)).astype(int)
    assert np.abs(kept - whole).mean() < 4
    small = cv2.resize(photo, (120, 90), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(letter_only(small), letter_ink(small))


def test_digest_is_equal_only_for_sources_that_draw_the_same(strokes_source, pen):
    own = images(("A", "B"), [0, 1])
    assert own.digest == images(("A", "B"), [0, 1]).digest
    others = [images(("A", "B"), [1, 0]), images(("A", "C"), [0, 1]), images(("A", "B"), [0, 1], level=250)]
    mixed = [MixedSource((own, strokes_source), shares, "train", ("A", "B")) for shares in ((0.5, 0.5), (0.4, 0.6))]
    pens = [PenSource(pen, split) for split in ("train", "val")]
    moved = replace(strokes_source.strokes, points=strokes_source.strokes.points + 1)
    strokes = [strokes_source, replace(strokes_source, strokes=moved)]
    assert len({source.digest for source in (own, *others, *mixed, *pens, *strokes)}) == 10


def test_each_letter_of_a_mixture_comes_from_its_source():
    first, second = images(("A", "B"), [0, 1]), images(("C",), [0, 0, 0])
    mixed = MixedSource((first, second), (0.25, 0.75), "train", ("A", "B", "C"))
    assert mixed.labels.tolist() == [0, 1, 2, 2, 2]
    assert mixed.name == "bars + bars"
    for index, (source, own) in enumerate([(first, 0), (first, 1), (second, 0), (second, 1), (second, 2)]):
        np.testing.assert_array_equal(mixed.image(index, None), source.image(own, None))
    with pytest.raises(IndexError):
        mixed.image(5, None)


def test_shares_decide_how_often_each_source_is_drawn():
    mixed = MixedSource((images(("A",), [0] * 10), images(("B",), [0])), (0.3, 0.7), "train", ("A", "B"))
    np.testing.assert_allclose(mixed.weights, [0.03] * 10 + [0.7])


def test_hashed_split_depends_on_the_key_alone_and_holds_out_two_tenths():
    keys = [f"A/{number}.png" for number in range(5000)]
    split = hashed_split(keys)
    ranks = [zlib.crc32(key.encode()) % 100 for key in keys]
    assert split.tolist() == [2 if rank < 10 else 1 if rank < 20 else 0 for rank in ranks]
    np.testing.assert_allclose(np.bincount(split) / 5000, [0.8, 0.1, 0.1], atol=0.02)
    np.testing.assert_array_equal(hashed_split(reversed(keys))[::-1], split)


def test_all_is_every_split():
    split = np.array([0, 1, 2, 0])
    assert in_split(split, "all").tolist() == [True] * 4
    assert in_split(split, "train").tolist() == [True, False, False, True]
    assert in_split(split, "test").tolist() == [False, False, True, False]
