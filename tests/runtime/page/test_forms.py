"""Forms with a box, a tick or a line for each letter."""

import re

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.scenes import Photo, Scene, photograph
from lettercast.benchmarks.pages.scoring import score
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader, Tracker
from lettercast.runtime.page.find import find_candidates
from lettercast.runtime.page.forms import find_rows, is_foot
from lettercast.runtime.page.printed import take_off
from lettercast.runtime.page.strokes import find_pieces
from lettercast.runtime.text import Page
from lettercast.train.data.pen import load_pen

SIZE = (720, 480)
KINDS = ("apart", "shared", "comb", "open", "lines")


def form(kind: str, seed: int = 0, **values: object) -> Photo:
    scene = Scene().change(**{"form": kind, "size": 68.0, "max_letters": 22, "margin": 0.06, **values})
    writer, camera = np.random.default_rng(seed).spawn(2)
    return photograph(PenHand(load_pen()), scene, SIZE, writer=writer, camera=camera)


def places(page: Page) -> set[tuple[int | None, int | None]]:
    return {(letter.row, letter.column) for letter in page.letters}


def true_places(photo: Photo) -> set[tuple[int, int]]:
    found = set()
    for one in photo.letters:
        x, y = one.box[0] + one.box[2] / 2, one.box[1] + one.box[3] / 2
        own = min(photo.boxes, key=lambda box: float(np.hypot(*(box.corners.mean(0) - (x, y)))))
        found.add((own.row + 1, own.column + 1))
    return found


def layout(text: str) -> str:
    return re.sub(r"[^ \n]", "x", text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_gives_one_letter_with_its_row_and_column(reader: Reader, kind: str):
    photo = form(kind)
    page = reader.read(photo.image)
    assert places(page) == true_places(photo)
    assert layout(page.text) == layout(photo.text)
    assert score(page, photo.text, photo.letters, photo.boxes).words_wrong == 0


@pytest.mark.parametrize("kind", KINDS)
def test_forms_are_read_turned_and_at_an_angle(reader: Reader, kind: str):
    photo = form(kind, 1, turn=5.0, tilt=14.0, side_inks=("blue",))
    assert layout(reader.read(photo.image).text) == layout(photo.text)


@pytest.mark.parametrize("kind", ["apart", "shared", "comb", "open"])
def test_dashed_lines_make_places(reader: Reader, kind: str):
    photo = form(kind, 1, dash=0.45, size=56.0, max_letters=16)
    assert layout(reader.read(photo.image).text) == layout(photo.text)


@pytest.mark.parametrize("kind", ["shared", "open"])
def test_print_so_faint_that_its_lines_fall_to_pieces_makes_places(reader: Reader, kind: str):
    photo = form(kind, side_inks=("grey",), side=0.66, max_letters=16)
    assert places(reader.read(photo.image)) == true_places(photo)


@pytest.mark.parametrize("kind", ["comb", "open"])
def test_combs_on_a_bent_sheet_are_read(reader: Reader, kind: str):
    photo = form(kind, 1, bend=0.02, max_letters=16)
    assert layout(reader.read(photo.image).text) == layout(photo.text)


@pytest.mark.parametrize("kind", ["apart", "shared"])
def test_boxes_that_shrink_along_the_row_are_counted(reader: Reader, kind: str):
    photo = form(kind, 3, turn=8.0, tilt=30.0, size=56.0, captions="above", max_letters=16)
    assert layout(reader.read(photo.image).text) == layout(photo.text)


def test_a_letter_on_a_side_is_one_letter_in_the_place_that_is_free(reader: Reader):
    image = np.full((260, 560), 225, np.uint8)
    for column in range(9):
        cv2.rectangle(image, (40 + 52 * column, 90), (92 + 52 * column, 160), 150, 2)
    cv2.line(image, (66, 102), (66, 148), 20, 4)
    # A V with a little more of it in the first box, which has a letter.
    cv2.polylines(image, [np.array([[78, 102], [91, 148], [104, 102]])], False, 20, 4)
    page = reader.read(image)
    assert [(letter.row, letter.column) for letter in page.letters] == [(1, 1), (1, 2)]


def test_a_row_whose_neighbouring_boxes_letters_have_cut_is_one_row(reader: Reader):
    # The nearest box without a cut lies two boxes away: stepping from it to the next would leave out every second box.
    photo = take_page([PenHand(load_pen())], "boxes joined", "moderate", 0, seed=0)
    assert places(reader.read(photo.image)) == true_places(photo)


@pytest.mark.parametrize("captions", ["below", "above", "letters"])
def test_captions_are_told_apart(reader: Reader, captions: str):
    photo = form("apart", 2, captions=captions, heading=captions != "letters", max_letters=16)
    page = reader.read(photo.image)
    assert layout(page.text) == layout(photo.text)
    assert page.outside
    assert all(letter.row is None for line in page.outside for letter in line.letters)


def test_the_record_of_a_form_has_rows_columns_and_what_is_outside(reader: Reader):
    record = reader.read(form("shared", captions="below").image).to_dict()
    letters = [letter for line in record["lines"] for letter in line["letters"]]
    assert [letters[0]["row"], letters[0]["column"]] == [1, 1]
    assert record["outside"]


def test_a_page_without_a_form_has_no_places(reader: Reader):
    writer, camera = np.random.default_rng(0).spawn(2)
    scene = Scene().change(rulings=("squares",), rule=0.6, max_letters=12)
    photo = photograph(PenHand(load_pen()), scene, SIZE, writer=writer, camera=camera)
    record = reader.read(photo.image).to_dict()
    assert "outside" not in record
    assert not any("row" in letter for line in record["lines"] for letter in line["letters"])


def test_squared_paper_as_dark_as_the_pencil_is_no_form_and_is_taken_off(reader: Reader):
    pencil = {"inks": ("graphite",), "cover": 0.55, "pen": 0.06, "size": 42.0}
    scene = Scene().change(rulings=("squares",), rule=0.5, rule_px=1.6, max_letters=45, turn=9.0, climb=1.3, **pencil)
    writer, camera = np.random.default_rng(33), np.random.default_rng(1033)
    photo = photograph(PenHand(load_pen()), scene, (1280, 960), writer=writer, camera=camera)
    page = reader.read(photo.image)
    assert not any(letter.row for letter in page.letters)
    result = score(page, photo.text, photo.letters)
    assert result.missed + result.extra <= 3


def test_a_row_of_square_letters_among_many_others_is_no_empty_form(reader: Reader):
    image = np.full((480, 700), 235, np.uint8)
    for left in range(60, 340, 70):
        cv2.rectangle(image, (left, 60), (left + 44, 104), 40, 5)
    rows = ("HANDWEFT", "MILKBAUR", "STENCHAY")
    for row, text in enumerate(rows):
        for column, letter in enumerate(text):
            cv2.putText(image, letter, (50 + 75 * column, 220 + 90 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.7, 40, 5)
    assert reader.read(cv2.GaussianBlur(image, (0, 0), 1)).text.split("\n")[1:] == list(rows)


@pytest.mark.parametrize("kind", ["apart", "shared"])
def test_an_empty_form_is_an_empty_page(reader: Reader, kind: str):
    image = np.full((300, 640), 220, np.uint8)
    for column in range(9):
        left = 40 + column * (44 if kind == "shared" else 58)
        cv2.rectangle(image, (left, 100), (left + 44, 156), 60, 2)
    assert reader.read(image).lines == ()


def test_boxes_that_share_sides_with_one_letter_each_are_cut_along_the_sides(reader: Reader):
    image = np.full((260, 560), 225, np.uint8)
    for column in range(9):
        cv2.rectangle(image, (40 + 52 * column, 90), (92 + 52 * column, 160), 70, 2)
    # Two letters whose bars touch across a side.
    for left in (40, 92):
        cv2.line(image, (left + 2, 104), (left + 52, 104), 20, 4)
        cv2.line(image, (left + 26, 104), (left + 26, 150), 20, 4)
    page = reader.read(image)
    assert [(letter.row, letter.column) for letter in page.letters] == [(1, 1), (1, 2)]
    assert page.text == "TT"


def test_a_stroke_across_a_line_of_the_same_ink_is_mended():
    mask = np.zeros((60, 120), np.uint8)
    cv2.line(mask, (0, 30), (119, 30), 255, 3)
    cv2.line(mask, (50, 10), (56, 50), 255, 4)
    ink = mask // 2
    bare, strokes, _ = take_off(ink, mask, np.array([[[0.0, 30.0], [119.0, 30.0]]]))
    count, _ = cv2.connectedComponents(strokes)
    assert count == 2
    assert not strokes[30, :44].any()
    assert not bare[30, :44].any()


def test_pen_that_is_darker_than_the_print_stays_on_it():
    mask = np.zeros((60, 120), np.uint8)
    cv2.line(mask, (0, 30), (119, 30), 255, 3)
    ink = np.where(mask > 0, 60, 0).astype(np.uint8)
    cv2.line(ink, (40, 30), (70, 30), 200, 3)
    _, strokes, _ = take_off(ink, mask, np.array([[[0.0, 30.0], [119.0, 30.0]]]))
    assert strokes[30, 45:65].all()
    assert not strokes[30, 80:].any()


def test_a_film_of_a_form_keeps_its_places(reader: Reader):
    photo = form("apart", max_letters=10)
    tracker = Tracker(reader)
    pages = [tracker.read(photo.image) for _ in range(3)]
    assert places(pages[-1]) == true_places(photo)


def test_what_stands_in_a_box_is_never_split(reader: Reader):
    found = reader.find(form("shared", 3).image)
    assert sum(one.place is not None for one in found) == sum(
        one.place is not None for one in find_candidates(form("shared", 3).image)
    )


def boxes_drawn(kind: str) -> np.ndarray:
    image = np.full((260, 620), 225, np.uint8)
    for column in range(9):
        left = 40 + column * (58 if kind == "apart" else 48)
        cv2.rectangle(image, (left, 90), (left + 48, 150), 60, 2)
    return image


@pytest.mark.parametrize("kind", ["apart", "shared"])
def test_a_letter_along_the_sides_of_its_place_is_read(reader: Reader, kind: str):
    image = boxes_drawn(kind)
    step = 58 if kind == "apart" else 48
    left = 40 + 3 * step
    # As dark as the print, and on it: an L.
    cv2.polylines(image, [np.array([[left + 1, 100], [left + 1, 149], [left + 40, 149]])], False, 60, 5)
    cv2.line(image, (64, 102), (64, 140), 60, 5)
    page = reader.read(image)
    assert [(letter.row, letter.column) for letter in page.letters] == [(1, 1), (1, 4)]


def test_a_form_with_one_bold_side_is_still_empty(reader: Reader):
    image = boxes_drawn("shared")
    cv2.line(image, (40, 90), (40, 150), 60, 5)
    assert reader.read(image).lines == ()


def test_the_lower_edge_of_boxes_is_not_looked_at_as_a_comb_but_a_comb_below_them_is():
    mask = np.zeros((400, 700), np.uint8)
    for column in range(10):
        cv2.rectangle(mask, (50 + 60 * column, 80), (110 + 60 * column, 150), 255, 2)
        cv2.rectangle(mask, (50 + 60 * column, 300), (110 + 60 * column, 300), 255, 2)
        cv2.line(mask, (50 + 60 * column, 285), (50 + 60 * column, 300), 255, 2)
    pieces = find_pieces(mask)
    boxes, comb = sorted(pieces.outlines, key=lambda outline: int(outline[:, 0, 1].min()))
    rows = find_rows(mask, pieces)
    assert [row.is_open for row in rows] == [False, True]
    assert is_foot(boxes, rows[:1])
    assert not is_foot(comb, rows[:1])
    assert not is_foot(boxes, [])
