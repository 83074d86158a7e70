"""Letters that touch, beside and above each other."""

import hashlib
from itertools import combinations, pairwise

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.scenes import WEBCAM_PX, Scene, photograph
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.page.find import Candidate, find_candidates
from lettercast.runtime.page.split import (
    SPLIT_TUNING,
    Cut,
    best_path,
    beyond_cut,
    classify,
    find_cuts,
    ink_between,
    may_be_split,
    part_box,
    split_candidates,
)
from lettercast.runtime.page.stacked import find_tall, split_across, split_stacked
from lettercast.train.data.drawing import draw_ink
from lettercast.train.data.source import LETTERS

ROWS = ("KMDAV", "XRSEZ")


def candidate(x: int, y: int, height: int, width: int = 40) -> Candidate:
    return Candidate((x, y, width, height), np.full((height, width), 200, np.uint8), (x, y))


def test_only_doubtful_and_wide_candidates_may_be_split():
    assert may_be_split(candidate(0, 0, 100, 150), 0.4)
    assert may_be_split(candidate(0, 0, 100, 104), 0.2)
    assert not may_be_split(candidate(0, 0, 100, 150), 0.9)
    assert not may_be_split(candidate(0, 0, 100, 60), 0.4)


def test_cuts_cross_little_ink():
    ink = np.zeros((80, 160), np.uint8)
    cv2.circle(ink, (38, 40), 34, 255, 8)
    cv2.circle(ink, (120, 40), 34, 255, 8)
    cv2.line(ink, (70, 40), (90, 40), 255, 8)
    cuts = find_cuts(ink)
    assert any(abs(cut.column - 79) <= 6 for cut in cuts)
    assert [cut.column for cut in cuts] == sorted(cut.column for cut in cuts)


def test_parts_between_cuts_add_up_to_the_whole():
    ink = np.full((60, 100), 90, np.uint8)
    beyond = beyond_cut(ink.shape, Cut(50.0, 0.25))
    left, right = ink_between(ink, None, beyond), ink_between(ink, beyond, None)
    np.testing.assert_array_equal(left + right, ink)
    assert not (left.astype(bool) & right.astype(bool)).any()
    # The cut leans to the right at the bottom.
    assert (left[-1] > 0).sum() > (left[0] > 0).sum() + 8


def test_a_scrap_of_the_neighbour_is_removed_from_a_part():
    ink = np.zeros((60, 100), np.uint8)
    ink[5:55, 5:45] = 200
    ink[5:9, 48:54] = 200
    assert not ink_between(ink, None, beyond_cut(ink.shape, Cut(60.0, 0.0)))[:, 47:].any()


def test_best_path_is_the_likeliest():
    sure = {(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.4, (2, 3): 0.9, (1, 3): 0.99}
    assert best_path(4, sure) == [0, 1, 3]
    assert best_path(4, {(0, 1): 0.9}) == []


def test_a_part_has_its_place_in_the_image():
    ink = np.zeros((62, 102), np.uint8)
    ink[1:61, 51:101] = 200
    x, y, w, h = part_box(Candidate((200, 100, 204, 124), np.zeros((62, 102), np.uint8)), ink)
    assert x == pytest.approx(302, abs=2)
    assert (y, w, h) == (pytest.approx(102, abs=2), pytest.approx(100, abs=2), pytest.approx(120, abs=2))


def by_chance(asked: list[int]) -> Engine:
    """An engine whose confidence in an image is random, but always the same, and mostly high; it records how many it is asked."""

    def classify(images):
        asked.append(len(images))
        sure = [0.3 + 0.7 * (hashlib.sha256(image.tobytes()).digest()[0] / 255) ** 0.3 for image in images]
        return np.array([[one, 1 - one] for one in sure], np.float32)

    return Engine("chance", Facts("chance", "tflite", ("a", "b"), (28, 28, 1), "uint8"), classify)


def blots(rng: np.random.Generator, width: int) -> Candidate:
    """A candidate of 60 pixels height with strokes in any direction, which can be cut in many ways."""
    ink = np.zeros((60, width), np.uint8)
    for x in range(8, width, 24):
        cv2.line(ink, (x, int(rng.integers(60))), (x + int(rng.integers(-12, 30)), int(rng.integers(60))), 200, 6)
    return Candidate((0, 0, width, 60), ink)


def likeliest_of_all(engine: Engine, whole: Candidate, confidence: float) -> list[tuple[int, ...]]:
    """The boxes of the letters that split_candidates must find, with each possible part read."""
    tuning, cuts, (height, width) = SPLIT_TUNING, find_cuts(whole.ink), whole.ink.shape
    columns = [0, *(cut.column for cut in cuts), width]
    masks = [None, *(beyond_cut(whole.ink.shape, cut) for cut in cuts), None]
    low, high = tuning.min_letter_width * height, tuning.max_letter_width * height
    spans = [(i, j) for i, j in combinations(range(len(columns)), 2) if low <= columns[j] - columns[i] <= high]
    inks = {(i, j): ink_between(whole.ink, masks[i], masks[j]) for i, j in spans}
    sure = {span: float(classify(engine, [glyph(ink)]).max()) for span, ink in inks.items() if ink.any()}
    least = tuning.min_part_confidence_in_run if width > tuning.min_run_width * height else tuning.min_part_confidence
    chosen = list(pairwise(best_path(len(columns), {span: one for span, one in sure.items() if one >= least})))
    is_likelier = sum(np.log(sure[span]) - tuning.cut_cost for span in chosen) > np.log(confidence)
    return [part_box(whole, inks[span]) for span in chosen] if len(chosen) > 1 and is_likelier else []


def test_parts_that_are_not_read_would_have_changed_nothing():
    rng = np.random.default_rng(0)
    wholes = [blots(rng, int(rng.integers(70, 200))) for _ in range(20)]
    confidences = rng.uniform(0.02, 0.5, len(wholes)).tolist()
    few, all_of_them = [], []
    found = split_candidates(by_chance(few), wholes, confidences)
    expected = [likeliest_of_all(by_chance(all_of_them), *one) for one in zip(wholes, confidences, strict=True)]
    assert [[one.box for one in split.candidates] if split else [] for split in found] == expected
    assert 5 <= sum(map(bool, expected)) <= 18
    assert len(few) <= 3
    assert sum(few) < 0.7 * sum(all_of_them)


def test_without_candidates_nothing_is_asked():
    asked = []
    assert split_candidates(by_chance(asked), [], []) == []
    assert split_across(by_chance(asked), [], []) == []
    assert asked == []


def write(pen, text: str, overlap: int, seed: int) -> np.ndarray:
    """A page with capitals of the pen, each overlapping the one before by this many pixels."""
    rng = np.random.default_rng(seed)
    page = np.full((200, 600), 235, np.uint8)
    x = 60
    for letter in text:
        ink = draw_ink(pen.sample(LETTERS.index(letter), rng, True), 90, 7)
        left = cv2.boundingRect((ink > 100).astype(np.uint8))
        ink = ink[:, left[0] : left[0] + left[2]]
        h, w = ink.shape
        place = page[150 - h : 150, x : x + w]
        np.minimum(place, (235 * (1 - ink / 255)).astype(np.uint8), out=place)
        x += w - overlap
    return page


def test_letters_that_touch_are_read_as_two(reader, pen):
    pairs = ["DB", "OD", "EC", "SO", "RA", "UD", "BO", "ZE", "NO", "PB"]
    texts = [reader.read(write(pen, pair, overlap=6, seed=i)).text.replace(" ", "") for i, pair in enumerate(pairs)]
    assert sum(text == pair for text, pair in zip(texts, pairs, strict=True)) >= 6
    assert sum(len(text) == 2 for text in texts) >= 7


def test_wide_letters_are_not_cut(reader, pen):
    texts = [reader.read(write(pen, letter, overlap=0, seed=seed)).text for letter in "MW" for seed in range(10)]
    assert all(len(text) <= 1 for text in texts)
    assert sum(text in ("M", "W") for text in texts) >= 17


@pytest.fixture
def touching(draw_page) -> np.ndarray:
    """Two lines whose third letters touch: a stroke joins D and S."""
    image, placed = draw_page(*ROWS, cell=84)
    ends = []
    for letter, last in ((placed[2][1], -1), (placed[7][1], 0)):
        x, y, w, h = letter
        rows, columns = np.nonzero(image[y : y + h, x : x + w, 0] < 60)
        ends.append((int(columns[last]) + x, int(rows[last]) + y))
    cv2.line(image, *ends, (20, 20, 20), 7)
    return image


def test_letters_of_two_lines_that_touch_are_read_in_their_lines(reader, touching):
    assert len(find_candidates(touching)) == 9
    assert reader.read(touching).text == "\n".join(ROWS)


def test_parts_above_each_other_keep_their_places_and_share_no_ink(reader, touching):
    candidates = find_candidates(touching)
    whole = max(candidates, key=lambda one: one.box[3])
    ((upper, lower),) = split_across(reader.engine, [whole], [0.6])
    assert upper.box[1] == whole.box[1]
    assert upper.box[3] + lower.box[3] == pytest.approx(whole.box[3], abs=4)
    assert not (upper.ink.astype(bool) & lower.ink.astype(bool)).any()


def test_only_candidates_higher_than_all_beside_them_are_tall():
    line = [candidate(50 * i, 0, 60) for i in range(6)]
    assert (find_tall([*line, candidate(300, 0, 125)]) > 0).tolist() == [False] * 6 + [True]
    # A heading has several high letters, and one of only two letters may be large.
    assert not find_tall([*line, candidate(0, 200, 125), candidate(60, 200, 120)]).any()
    assert not find_tall([candidate(0, 0, 60), candidate(60, 0, 125)]).any()


def test_nearly_all_tall_letters_stay_whole(reader, draw_page):
    image, placed = draw_page("MDAHX", "RSEZK")
    whole = []
    for _, (x, y, w, h) in placed:
        letter = image[y - 4 : y + h + 4, x - 4 : x + w + 4]
        page = cv2.copyMakeBorder(image, 0, 3 * h, 0, 0, cv2.BORDER_REPLICATE)
        large = cv2.resize(letter, None, fx=2, fy=2)
        left = min(x, page.shape[1] - large.shape[1])
        page[image.shape[0] :][: large.shape[0], left : left + large.shape[1]] = large
        candidates = find_candidates(page)
        # Parts of a neighbour beside the large letter are tall as well.
        if (find_tall(candidates) > 0).sum() == 1:
            whole.append(len(split_stacked(reader.engine, candidates)) == len(candidates))
    # A large D in some hands is a P above an L.
    assert len(whole) >= 7
    assert np.mean(whole) >= 0.8


def test_several_tall_candidates_from_line_to_line_are_tall():
    lines = [candidate(50 * i, y, 60) for i in range(2, 8) for y in (0, 80)]
    stacks = [candidate(0, 0, 140), candidate(50, 2, 137)]
    assert (find_tall([*lines, *stacks]) > 0).tolist() == [False] * 12 + [True, True]
    # The tails of two letters end between the feet of two lines, or below them.
    for height in (112, 175):
        tails = [candidate(0, 0, height), candidate(50, 0, height)]
        assert not find_tall([*lines, *tails]).any()


def test_letters_of_three_lines_are_parted(reader, draw_page):
    image, _ = draw_page("FMDAH", "PRSEZ", "KNXMA", cell=90)
    for y in (90, 180):
        cv2.line(image, (78, y), (74, y + 62), (40, 40, 40), 5)
    assert len(find_candidates(image)) == 13
    assert [len(line.letters) for line in reader.read(image).lines] == [5, 5, 5]


@pytest.mark.parametrize("seed", range(3))
def test_tails_that_touch_the_next_line_are_parted(reader, pen, seed):
    scene = Scene().change(tail=0.45, pitch=1.55, size=100.0, defocus=0.3, turn=0.0, tilt=0.0, jitter=0.0, climb=0.0)
    writer, camera = np.random.default_rng(seed), np.random.default_rng(0)
    photo = photograph(PenHand(pen), scene, WEBCAM_PX, writer=writer, camera=camera, text=["ABgDEgHg", "KEMSEBKX"])
    assert len(find_candidates(photo.image)) < 16
    assert [len(line.letters) for line in reader.read(photo.image).lines] == [8, 8]
