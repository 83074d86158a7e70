"""Reading frame after frame: steady text, few classifications, cuts."""

import dataclasses

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.live.track import TRACK_TUNING, Track, Tracker, appearances_of, covers, map_box
from lettercast.runtime.page.places import Place
from lettercast.runtime.page.split import Reading


@pytest.fixture
def counted():
    """A reader, and a list of the number of images of each of its classifications."""
    reader, calls = Reader(), []
    engine = reader.engine

    def classify(images):
        calls.append(len(images))
        return engine.classify(images)

    reader.engine = dataclasses.replace(engine, classify=classify)
    return reader, calls


@pytest.fixture
def tracker(counted) -> Tracker:
    return Tracker(counted[0])


def shaken(image, count: int, noise: float = 3, step: float = 4, seed: int = 1):
    """Frames of a hand-held camera over a page."""
    rng = np.random.default_rng(seed)
    position, height, width = np.zeros(2), *image.shape[:2]
    for _ in range(count):
        position = 0.8 * position + rng.normal(0, step, 2)
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 0.4), 1 + rng.normal(0, 0.004))
        matrix[:, 2] += position
        frame = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        yield np.clip(frame + rng.normal(0, noise, frame.shape), 0, 255).astype(np.uint8)


def without(image, placed, index: int):
    """The page with one of its letters wiped away."""
    x, y, w, h = placed[index][1]
    wiped = image.copy()
    wiped[y - 4 : y + h + 4, x - 4 : x + w + 4] = 235
    return wiped


def texts(tracker: Tracker, *frames) -> list[str]:
    return [tracker.read(frame).text.replace("\n", "").replace(" ", "") for frame in frames]


def test_the_first_frame_is_read_like_a_still_image(tracker, draw_page):
    image = draw_page("ABC", "DEF")[0]
    page, still = tracker.read(image), tracker.reader.read(image)
    assert page.lines == still.lines


def test_an_unchanged_image_is_classified_once(tracker, counted, draw_page):
    image = draw_page("ABC", "DEF")[0]
    tracker.read(image)
    first = sum(counted[1])
    pages = [tracker.read(image) for _ in range(10)]
    assert first >= 6
    assert sum(counted[1]) == first
    assert {page.text for page in pages} == {"ABC\nDEF"}


def test_a_shaken_page_is_classified_less_and_does_not_flicker(tracker, counted, draw_page):
    frames = list(shaken(draw_page("ABCDE", "KLMNO")[0], 30))
    for frame in frames:
        tracker.reader.read(frame)
    alone = sum(counted[1])
    counted[1].clear()
    read = texts(tracker, *frames)
    assert set(read) == {read[0]}
    assert sum(counted[1]) < alone / 2


def test_tracked_boxes_are_steadier_than_found_ones(tracker, draw_page):
    frames = list(shaken(draw_page("ABCDE")[0], 20, noise=8, step=0))
    found = [[letter.box for letter in tracker.reader.read(frame).letters] for frame in frames]
    followed = [[letter.box for letter in tracker.read(frame).letters] for frame in frames]
    found, followed = (np.abs(np.diff(np.array(boxes), axis=0)).mean() for boxes in (found, followed))
    assert followed < found


@pytest.mark.parametrize("missing", [1, TRACK_TUNING.held_frames])
def test_a_letter_that_vanishes_for_a_moment_stays(tracker, draw_page, missing):
    image, placed = draw_page("ABC", "DEF")
    gone = without(image, placed, 4)
    assert set(texts(tracker, *[image] * 3, *[gone] * missing, *[image] * 3)) == {"ABCDEF"}


def test_a_letter_that_vanishes_for_longer_goes(tracker, draw_page):
    image, placed = draw_page("ABC", "DEF")
    gone = without(image, placed, 4)
    assert texts(tracker, *[image] * 3, *[gone] * (TRACK_TUNING.held_frames + 1))[-2:] == ["ABCDEF", "ABCDF"]


def test_a_blank_frame_is_ignored(tracker, draw_page):
    image = draw_page("ABC", "DEF")[0]
    assert set(texts(tracker, image, image, np.full_like(image, 235), image)) == {"ABCDEF"}


def test_a_changed_letter_shows_within_a_few_frames(tracker, draw_page):
    image, placed = draw_page("ABC", "DEF")
    other, others = draw_page("ABC", "DXF")
    x, y, w, h = others[4][1]
    changed = without(image, placed, 4)
    changed[y - 4 : y + h + 4, x - 4 : x + w + 4] = other[y - 4 : y + h + 4, x - 4 : x + w + 4]
    read = texts(tracker, *[image] * 10, *[changed] * (TRACK_TUNING.disputed_frames + 2))
    assert read[9] == "ABCDEF"
    assert read[-1] == "ABCDXF"
    assert set(read) == {"ABCDEF", "ABCDXF"}


def test_a_new_letter_is_shown_in_its_second_frame(tracker, draw_page):
    image, placed = draw_page("ABC", "DEF")
    before = without(image, placed, 5)
    assert texts(tracker, before, before, image, image) == ["ABCDE", "ABCDE", "ABCDE", "ABCDEF"]


def test_a_new_scene_shows_at_once_and_without_a_trace_of_the_old_one(tracker, draw_page):
    one, two = draw_page("ABCAB", "DEFDE")[0], draw_page("KLMXY", "TUVWZ", seed=5)[0]
    for _ in range(6):
        tracker.read(one)
    after = tracker.read(two)
    alone = tracker.reader.read(two)
    assert after.lines == alone.lines


def test_after_forget_nothing_is_averaged(tracker, draw_page):
    one, two = draw_page("ABC")[0], draw_page("ABC", seed=6)[0]
    for _ in range(4):
        tracker.read(one)
    tracker.forget()
    assert tracker.read(two).lines == tracker.reader.read(two).lines


def test_a_pan_keeps_its_letters_and_reads_only_new_ones(tracker, counted, draw_page):
    wide = draw_page("ABCDEKLMNOTUVWX")[0]
    frames = [wide[:, left : left + 700] for left in range(0, 400, 40)]
    panned = texts(tracker, *frames)
    assert all("CDEK" in text for text in panned)
    assert texts(tracker, *frames[-1:] * 5)[-1] == "DEKLMN"
    counted[1].clear()
    for frame in frames:
        tracker.reader.read(frame)
    alone = sum(counted[1])
    counted[1].clear()
    texts(Tracker(tracker.reader), *frames)
    assert sum(counted[1]) < alone


def test_tracked_probabilities_are_steadier_than_those_of_single_frames(tracker, draw_page):
    frames = list(shaken(draw_page("ABCDE", seed=7)[0], 25, noise=30))
    alone = [[letter.confidence for letter in tracker.reader.read(frame).letters] for frame in frames]
    followed = [[letter.confidence for letter in tracker.read(frame).letters] for frame in frames]
    steps = [np.abs(np.diff(np.array(rows), axis=0)).sum() for rows in (alone, followed) if len({*map(len, rows)}) == 1]
    assert len(steps) == 2
    assert steps[1] < steps[0]


def test_a_page_that_looks_like_a_form_for_one_frame_has_no_places_after_it(reader, draw_page):
    found = reader.find(draw_page("ABC")[0])
    image, rows = found[0].glyph_image[None, :, :, None], np.full((1, 26), 1 / 26, np.float32)
    looked = dataclasses.replace(found[0], place=Place(0, 1))
    vector = appearances_of(found).vectors[0]
    track = Track(looked, vector, vector, Reading((looked,), image, rows), rows)
    assert track.to_reading().candidates[0].place == Place(0, 1)
    track.update(found[0], vector, (0.0, 0.0))
    assert track.to_reading().candidates[0].place is None


def test_map_box_moves_and_stretches():
    assert map_box((10, 10, 5, 20), (10, 10, 10, 20), (30, 12, 20, 20)) == (30, 12, 10, 20)
    assert map_box((15, 10, 5, 20), (10, 10, 10, 20), (30, 12, 20, 20)) == (40, 12, 10, 20)


def test_a_box_covers_another_by_its_centre():
    assert not covers((0, 0, 10, 10), (8, 0, 10, 10))
    assert covers((0, 0, 10, 10), (4, 4, 6, 2))
