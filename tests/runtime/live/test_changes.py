"""Frames that change nothing are not searched, and read like frames that are."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from lettercast.runtime import Page, Reader, Tracker
from lettercast.runtime.live import track
from lettercast.runtime.live.changes import CHANGE_TUNING, STILL, Sight, motion_between
from lettercast.runtime.live.track import TRACK_TUNING, is_inside, moved_box, moved_page
from lettercast.runtime.pixels import Pixels

NOISE = 4.0
# Boxes of two noisy frames of one page differ by up to 2 pixels if both are searched, and in a shaking hand by up to 4.
STILL_PX, SHAKEN_PX = 2, 4


class CountingReader(Reader):
    """A reader that counts the frames that it searched."""

    searches = 0

    def find(self, image, engine=None):
        self.searches += 1
        return super().find(image, engine)


@pytest.fixture(scope="module")
def page(draw_page):
    """A page of ten letters, and the boxes of its letters."""
    return draw_page("ABCDE", "KLMNO")


@pytest.fixture(scope="module")
def searched(reader) -> Callable[[list[Pixels]], list[Page]]:
    """Return a function that reads a film like a tracker that searches every frame."""

    def read(frames: list[Pixels]) -> list[Page]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(track, "motion_between", lambda *_: None)
            tracker = CountingTracker(reader)
            pages = [tracker.read(frame) for frame in frames]
        assert tracker.searches == len(frames)
        return pages

    return read


class CountingTracker(Tracker):
    """A tracker that knows which frames it searched."""

    def __init__(self, reader: Reader) -> None:
        self.counting = CountingReader(reader.engine)
        super().__init__(self.counting)
        self.found_at: list[int] = []
        self._number = 0

    @property
    def searches(self) -> int:
        return self.counting.searches

    def read(self, image: Pixels) -> Page:
        before = self.searches
        page = super().read(image)
        if self.searches > before:
            self.found_at.append(self._number)
        self._number += 1
        return page


@pytest.fixture
def tracker(reader) -> CountingTracker:
    return CountingTracker(reader)


def noisy(frames: Iterator[Pixels] | list[Pixels], noise: float = NOISE, seed: int = 3) -> list[Pixels]:
    """Frames as a sensor sees them, each with its own noise."""
    rng = np.random.default_rng(seed)
    return [
        np.clip(frame + np.float32(noise) * rng.standard_normal((*frame.shape[:2], 1), np.float32), 0, 255).astype(np.uint8)
        for frame in frames
    ]


def shaken(frames: list[Pixels], step: float = 1.5, seed: int = 1) -> Iterator[Pixels]:
    """Frames of a page in a hand: it sways, turns a little and comes nearer."""
    rng = np.random.default_rng(seed)
    height, width = frames[0].shape[:2]
    at, speed = np.zeros(4), np.zeros(4)
    for image in frames:
        speed = 0.9 * speed - 0.02 * at + rng.normal(0, 1, 4) * (step, step, 0.06, 0.0008)
        at = at + speed
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), at[2], 1 + at[3])
        matrix[:, 2] += at[:2]
        yield cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def without(page, *indices: int) -> Pixels:
    """The page with some of its letters wiped away."""
    image = page[0].copy()
    for index in indices:
        x, y, w, h = page[1][index][1]
        image[y - 4 : y + h + 4, x - 4 : x + w + 4] = 235
    return image


def written(page, index: int, count: int) -> list[Pixels]:
    """Frames in which a letter is written from its top to its foot."""
    x, y, w, h = page[1][index][1]
    frames = []
    for k in range(1, count + 1):
        frame, edge = without(page, index), y - 4 + (h + 8) * k // count
        frame[y - 4 : edge, x - 4 : x + w + 4] = page[0][y - 4 : edge, x - 4 : x + w + 4]
        frames.append(frame)
    return frames


def texts(pages: list[Page]) -> list[str]:
    return [page.text for page in pages]


def off(pages: list[Page], others: list[Page]) -> int:
    """The most pixels by which a side of a box differs between two readings of a film."""
    pairs = [(a.letters, b.letters) for a, b in zip(pages, others, strict=True)]
    assert all(len(a) == len(b) for a, b in pairs)
    return max(np.abs(np.subtract(one.box, other.box)).max() for a, b in pairs for one, other in zip(a, b, strict=True))


def test_a_still_page_is_searched_until_it_is_settled_and_then_every_nth_frame(tracker, searched, page):
    frames = noisy([page[0]] * 40)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    settled = TRACK_TUNING.settling_frames
    assert texts(pages) == texts(others) == ["ABCDE\nKLMNO"] * 40
    assert off(pages, others) <= STILL_PX
    assert tracker.searches <= settled + 40 // TRACK_TUNING.search_every
    gaps = np.diff([*tracker.found_at, 40])
    assert gaps.max() == TRACK_TUNING.search_every


def test_a_slow_drift_of_the_exposure_is_no_change(tracker, searched, page):
    frames = noisy([page[0] * (1 - 0.004 * k) for k in range(60)])
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert off(pages, others) <= STILL_PX
    assert tracker.searches <= TRACK_TUNING.settling_frames + 60 // TRACK_TUNING.search_every


def test_a_light_that_is_switched_is_a_change(tracker, searched, page):
    frames = noisy([page[0]] * 10 + [page[0] * 0.55] * 10)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others) == ["ABCDE\nKLMNO"] * 20
    assert off(pages, others) <= STILL_PX
    assert 10 in tracker.found_at


@pytest.mark.parametrize("is_moving", [False, True])
def test_a_letter_that_is_written_shows_as_soon_as_if_all_frames_were_searched(tracker, searched, page, is_moving):
    frames = [without(page, 7)] * 10 + written(page, 7, 8) + [page[0]] * 8
    if is_moving:
        frames = list(shaken(frames))
    frames = noisy(frames)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert pages[-1].text == "ABCDE\nKLMNO"
    assert tracker.searches < len(frames)


def test_letters_that_are_taken_away_and_swapped_go_as_soon_as_if_all_frames_were_searched(tracker, searched, page, draw_page):
    other = draw_page("ABCDE", "KLXNO")[0]
    frames = noisy([page[0]] * 9 + [without(page, 2)] * 9 + [page[0]] * 9 + [other] * 9)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert texts(pages)[17::9] == ["AB DE\nKLMNO", "ABCDE\nKLMNO", "ABCDE\nKLXNO"]
    assert tracker.searches < len(frames)


def test_in_a_shaking_hand_letters_move_with_the_page_and_few_frames_are_searched(tracker, searched, page):
    frames = noisy(shaken([page[0]] * 50))
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert set(texts(pages)) == {"ABCDE\nKLMNO"}
    assert off(pages, others) <= SHAKEN_PX
    # The page did move: by more than a box may be off.
    boxes = np.array([[letter.box for letter in one.letters] for one in pages])
    assert np.ptp(boxes, axis=0).max() > 2 * SHAKEN_PX
    assert tracker.searches < 25


def test_a_page_that_is_pulled_away_is_searched(tracker, searched, page):
    height, width = page[0].shape[:2]
    moved = [
        cv2.warpAffine(page[0], np.float32([[1, 0, dx], [0, 1, 0]]), (width, height), borderMode=cv2.BORDER_REPLICATE)
        for dx in (*[0] * 8, *range(30, 400, 30), *[400] * 6)
    ]
    frames = noisy(moved)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert pages[-1].text != pages[0].text


def test_a_hand_over_the_page_hides_letters_as_if_all_frames_were_searched(tracker, searched, page):
    frames = []
    for k in range(24):
        frame = page[0].copy()
        if 8 <= k < 16:
            cv2.ellipse(frame, (560 - 10 * k, 330), (90, 170), 20, 0, 360, (120, 150, 190), cv2.FILLED)
        frames.append(frame)
    frames = noisy(frames)
    pages, others = [tracker.read(frame) for frame in frames], searched(frames)
    assert texts(pages) == texts(others)
    assert len(set(texts(pages))) > 1
    assert pages[-1].text == "ABCDE\nKLMNO"
    assert tracker.searches < len(frames)


def test_frames_of_another_size_colour_or_source_start_afresh(tracker, page):
    grey = cv2.cvtColor(page[0], cv2.COLOR_BGR2GRAY)
    for image in (page[0], grey, grey[:, :, None], cv2.cvtColor(page[0], cv2.COLOR_BGR2BGRA), grey[:200], page[0][::2, ::2]):
        for _ in range(7):
            assert tracker.read(image).size == (image.shape[1], image.shape[0])
    assert tracker.read(np.full((1, 1), 255, np.uint8)).size == (1, 1)
    tracker.read(page[0])
    tracker.forget()
    before = tracker.searches
    tracker.read(page[0])
    assert tracker.searches == before + 1


def sights(*frames: Pixels) -> list[Sight]:
    return [Sight(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)) for frame in frames]


@pytest.mark.parametrize(
    ("angle", "zoom", "right", "down"), [(0, 1, 9, -5), (1.5, 1, 0, 0), (-1, 1.015, 4, 6), (0, 0.98, -7.3, 2.6)]
)
def test_a_motion_is_found_to_a_pixel(page, angle, zoom, right, down):
    height, width = page[0].shape[:2]
    wanted = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    wanted[:, 2] += right, down
    moved = cv2.warpAffine(page[0], wanted, (width, height), borderMode=cv2.BORDER_REPLICATE)
    motion = motion_between(*sights(*noisy([page[0], moved])), 40)
    corners = np.array([[60, 60], [600, 60], [60, 280], [600, 280]])
    found, expected = (corners @ matrix[:, :2].T + matrix[:, 2] for matrix in (motion, wanted))
    assert np.abs(found - expected).max() < 1
    assert motion_between(*sights(*noisy([page[0], moved])), 2) is None


def test_a_motion_of_the_page_hides_no_other_change(page):
    height, width = page[0].shape[:2]
    shift = np.float32([[1, 0, 6], [0, 1, 3]])
    for index in range(len(page[1])):
        moved = cv2.warpAffine(without(page, index), shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        for pair in ([page[0], moved], [moved, page[0]]):
            assert motion_between(*sights(*noisy(pair)), 40) is None


@pytest.mark.parametrize("noise", [0, 3, 12])
def test_noise_is_no_change_and_a_small_stroke_is_one(page, noise):
    dotted = page[0].copy()
    cv2.line(dotted, (350, 20), (356, 26), (60, 60, 60), 5)
    same, other = noisy([page[0], page[0]], noise), noisy([page[0], dotted], noise)
    assert motion_between(*sights(*same), 0) is STILL
    assert motion_between(*sights(*other), 0) is None


def test_bare_paper_is_still_but_cannot_be_followed():
    grey = [np.full((300, 400, 3), level, np.uint8) for level in (200, 200, 90)]
    assert motion_between(*sights(*grey[:2]), 40) is STILL
    assert motion_between(*sights(*grey[1:]), 40) is None
    lines = [cv2.line(grey[0].copy(), (x, 0), (x, 300), (0, 0, 0), 5) for x in (150, 160)]
    assert motion_between(*sights(*lines), 40) is None


def test_copies_are_small_for_every_size():
    for shape in ((3000, 4000), (720, 1280), (480, 640), (100, 90), (2, 5000), (1, 1)):
        sight = Sight(np.zeros(shape, np.uint8))
        assert max(sight.image.shape) <= CHANGE_TUNING.side_px
        assert motion_between(sight, Sight(np.zeros(shape, np.uint8)), 40) is STILL


def test_boxes_move_with_the_page(reader, page):
    image = page[0]
    read = reader.read(image)
    motion = np.array([[1.1, 0, 5.0], [0, 1.1, -3.0]])
    assert moved_box((10, 20, 30, 40), motion) == (16, 19, 33, 44)
    moved = moved_page(read, motion)
    assert moved.text == read.text
    assert [one.box for one in moved.letters] == [moved_box(one.box, motion) for one in read.letters]
    assert is_inside(read)
    assert not is_inside(moved_page(read, np.array([[1, 0, 100.0], [0, 1, 0]])))
