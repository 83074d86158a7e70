"""Non-letters, and drawing letters and non-letters in one process or in several."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.clutter import (
    DIGITS,
    KINDS,
    MIN_LETTERS_FOR_PROCESSES,
    SHAPELESS,
    SIGNS,
    Clutter,
    Drawn,
    clutter_for,
    draw_order,
    draw_rule,
    draw_run,
    drawing,
    smooth,
    write_digit,
)
from lettercast.train.data.source import LETTERS, ImageSource


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_ink_in_the_image_of_the_network(kind):
    pictures = Clutter((kind,)).draw(40, 1)
    assert pictures.shape == (40, 28, 28, 1)
    assert ((pictures > 60).mean((1, 2, 3)) > 0.005).all()
    # Each is another one.
    assert len({picture.tobytes() for picture in pictures}) == 40


def test_seed_decides_the_clutter():
    first, again, other = (Clutter(tuple(KINDS)).draw(5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_signs_and_joined_letters_are_clutter_only_for_letters():
    assert set(clutter_for(LETTERS).kinds) == set(KINDS)
    assert clutter_for(("3", "4")).kinds == SHAPELESS
    assert clutter_for(("A", "BB", "4")).kinds == SHAPELESS
    assert clutter_for(("Ä", "Ö")).kinds == SHAPELESS


def test_digits_are_no_clutter_where_they_are_classes():
    assert set(clutter_for((*"0123456789", *LETTERS)).kinds) == {*KINDS, "mark"} - {"sign"}
    marks, signs = (Clutter((kind,)).draw(300, 1) for kind in ("mark", "sign"))
    assert len(marks) == 300 and (marks != signs).any()


@pytest.mark.parametrize("digit", DIGITS)
def test_every_way_of_a_digit_is_written_upright_and_narrow(digit):
    written = [write_digit(digit, np.random.default_rng(seed)) for seed in range(30)]
    starts = np.array([strokes[0][0] for strokes in written])
    for way in DIGITS[digit]:
        corner = np.array(way.split()[0].split(","), float)
        assert np.abs(starts - corner).max(1).min() < 0.03
    for strokes in written:
        width, height = np.ptp(np.concatenate(strokes), 0)
        assert 0.85 < height < 1.15 and width < 0.85


def test_rule_is_nearly_horizontal():
    for seed in range(50):
        ink = draw_rule(np.random.default_rng(seed))
        rows, columns = np.nonzero(ink > 60)
        assert np.ptp(columns) > np.ptp(rows)


def test_joined_letters_are_wider_than_one():
    shapes = [draw_run(np.random.default_rng(seed)).shape for seed in range(60)]
    assert np.median([width / height for height, width in shapes]) > 1.2


def test_smoothing_keeps_ends_and_cuts_corners():
    path = np.array([[0, 0], [1, 0], [1, 1]], float)
    rounded = smooth(path)
    np.testing.assert_allclose(rounded[[0, -1]], path[[0, -1]])
    assert np.hypot(*(rounded - [1, 0]).T).min() > 0.1


def test_signs_lie_in_a_unit_square():
    for sign in SIGNS.values():
        corners = np.array([corner.split(",") for stroke in sign.split("|") for corner in stroke.split()], float)
        assert corners.min() >= 0 and corners.max() <= 1


ENTROPY = [1, 4]
ORDER = [(0, 3), (1, -1), (7, 3), (8, 40)]


@pytest.fixture
def three_cores(monkeypatch):
    """Pretend that this machine has three cores: with fewer, letters are drawn in this process."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)


def test_place_alone_decides_a_drawing_not_the_letters_beside_it(strokes_source):
    whole = draw_order(Drawn(strokes_source), ENTROPY, ORDER)
    assert (whole.shape, whole.dtype) == ((4, 28, 28, 1), np.uint8)
    for picture, entry in zip(whole, ORDER, strict=True):
        np.testing.assert_array_equal(draw_order(Drawn(strokes_source), ENTROPY, [entry])[0], picture)
    assert not np.array_equal(whole[0], whole[2])


def test_half_of_the_clutter_is_from_images_of_non_letters(strokes_source):
    square = np.zeros((40, 40), np.uint8)
    square[5:35, 5:35] = 255
    squares = ImageSource("squares", "train", [square], np.zeros(1, np.int64), ("square",))
    order = [(place, -1) for place in range(60)]
    images = draw_order(Drawn(strokes_source, 0.0, squares), ENTROPY, order)
    # Nothing that is made up is this full of ink.
    full = [image.mean() > 100 for image in images]
    assert 15 < sum(full) < 45
    assert sum(image.mean() > 100 for image in draw_order(Drawn(strokes_source, 0.0), ENTROPY, order)) < 5


def test_other_processes_draw_the_same_as_this_one(three_cores, strokes_source):
    before = set(multiprocessing.active_children())
    with drawing(Drawn(strokes_source), MIN_LETTERS_FOR_PROCESSES) as draw:
        np.testing.assert_array_equal(draw(ENTROPY, ORDER), draw_order(Drawn(strokes_source), ENTROPY, ORDER))
        begun = set(multiprocessing.active_children()) - before
    # A process is begun for each task that finds none idle.
    assert begun
    assert not any(process.is_alive() for process in begun)


def test_killed_drawing_process_ends_the_run_with_advice(three_cores, strokes_source):
    with (
        pytest.raises(LettercastError, match=r"a process that draws letters was killed.*continue with --resume"),
        drawing(Drawn(strokes_source), MIN_LETTERS_FOR_PROCESSES) as draw,
    ):
        draw(ENTROPY, ORDER)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        for _ in range(1000):
            draw(ENTROPY, ORDER)


def test_other_errors_pass_through(strokes_source):
    with pytest.raises(ZeroDivisionError), drawing(Drawn(strokes_source), MIN_LETTERS_FOR_PROCESSES):
        raise ZeroDivisionError
