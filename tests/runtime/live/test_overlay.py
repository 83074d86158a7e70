"""Drawing what was read over an image."""

import numpy as np
import pytest

from lettercast.runtime.live.overlay import (
    DARK,
    DESIGN,
    DOUBTFUL,
    REJECTED,
    SURE,
    Status,
    add_bar,
    annotate,
    bar,
    dashes,
    draw_help,
    label_place,
    shortened,
    text_width,
    unit_of,
)
from lettercast.runtime.text import UNKNOWN, Letter, Line, Page, Word

WHITE = (255, 255, 255)


def page(*letters: Letter, size: tuple[int, int] = (640, 480)) -> Page:
    return Page(size, (Line((Word(letters),)),) if letters else (), 1.0, 1.0)


def paper(width: int = 640, height: int = 480, level: int = 255):
    return np.full((height, width, 3), level, np.uint8)


def where(image, colour) -> np.ndarray:
    """Return the rows of (y, x) where a image has a colour."""
    return np.argwhere((image == colour).all(2))


@pytest.mark.parametrize(("confidence", "colour"), [(0.99, SURE), (0.5, DOUBTFUL)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_box_in_the_colour_of_the_confidence_is_drawn_around_the_letter(confidence, colour, level):
    image = annotate(paper(level=level), page(Letter("A", confidence, (300, 200, 60, 80))))
    assert (image[200:281, 300:361] == level).all()
    beside = where(image[200:281], colour)[:, 1]
    assert set(beside // 10) == {29, 36}
    assert 281 <= where(image[240:, 310:350], colour)[:, 0].max() + 240 < 290


def test_sure_and_doubtful_are_distinguishable_without_colour():
    sure, doubtful = (annotate(paper(), page(Letter("A", p, (300, 200, 60, 80)))).min(2) for p in (0.99, 0.5))
    row = slice(305, 355)
    assert (sure[284, row] < 255).all()
    assert (doubtful[284, row] == 255).any() and (doubtful[284, row] < 255).any()


def test_a_rejected_letter_gets_only_corners():
    image = annotate(paper(), page(Letter(UNKNOWN, 0.3, (300, 200, 60, 80), (("A", 0.3),))))
    assert len(where(image, REJECTED))
    assert not len(where(image, SURE)) and not len(where(image, DOUBTFUL))
    assert (image[:, 325:335] == 255).all()


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080), (3840, 2160)])
def test_labels_grow_with_the_image(size):
    width, height = size
    box = (width // 2, height // 2, width // 20, height // 10)
    image = annotate(paper(*size), page(Letter("A", 0.99, box), size=size))
    rows = where(image[: box[1] - 4], DARK)[:, 0]
    assert np.ptp(rows) >= DESIGN.label_px * 0.7
    assert height / 60 < np.ptp(rows) < height / 8


@pytest.mark.parametrize("box", [(0, 0, 639, 479), (638, 478, 2, 2), (0, 0, 1, 1), (600, 0, 40, 50), (0, 440, 30, 40)])
def test_labels_at_the_edges_stay_in_the_image(box):
    image = annotate(paper(), page(Letter("A", 0.9, box)))
    assert image.shape == (480, 640, 3)
    assert len(where(image, DARK)) > 100


def test_a_label_is_placed_where_it_hides_nothing():
    box, size = (100, 100, 40, 40), (50, 20)
    taken = np.zeros((480, 640), np.uint8)
    taken[100:140, 100:140] = 1
    assert label_place(taken, box, size, 3) == (100, 77)
    taken[60:98, 100:140] = 1
    assert label_place(taken, box, size, 3) == (100, 143)


def test_second_guess_and_confidence_are_left_out_without_room():
    crowded = [Letter("I", 0.6, (100 + 20 * i, 100, 14, 30), (("L", 0.3),)) for i in range(3)]
    free = [Letter("I", 0.6, (100 + 150 * i, 100, 14, 30), (("L", 0.3),)) for i in range(3)]
    dark = [len(where(annotate(paper(), page(*letters)), DARK)) for letters in (crowded, free)]
    assert dark[1] > 1.5 * dark[0]


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 1), (480, 640, 3), (480, 640, 4)])
def test_annotate_does_not_change_its_input(shape):
    image = np.full(shape, 255, np.uint8)
    assert annotate(image, page(Letter("A", 0.9, (300, 200, 60, 80)))).shape == (480, 640, 3)
    assert (image == 255).all()


def test_an_empty_page_changes_nothing():
    image = np.random.default_rng(1).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    np.testing.assert_array_equal(annotate(image, page(size=(60, 50))), image)


def test_the_bar_hides_nothing_and_has_a_constant_height():
    image = annotate(paper(), page(Letter("A", 0.9, (300, 200, 60, 80))))
    full, empty = (
        add_bar(image, page(Letter("A", 0.9, (300, 200, 60, 80))), Status(30, ("REC 0:01",))),
        add_bar(image, page(), Status()),
    )
    np.testing.assert_array_equal(full[:480], image)
    assert full.shape == empty.shape and full.shape[0] % 2 == 0


def test_annotate_with_a_status_equals_annotate_and_add_bar():
    seen, status = page(Letter("A", 0.9, (300, 200, 60, 80)), Letter("B", 0.5, (470, 400, 60, 79))), Status(30, ("REC 0:01",))
    image = paper(level=200)
    np.testing.assert_array_equal(annotate(image, seen, status), add_bar(annotate(image, seen), seen, status))


def test_the_bar_shows_the_text_and_a_long_one_leaves_room_for_the_rate():
    letters = [Letter("W", 0.9, (1, 1, 2, 2))] * 200
    rate = bar(page(), Status(30), 640, 1.0)
    long, short = bar(page(*letters), Status(30), 640, 1.0), bar(page(*letters[:3]), Status(30), 640, 1.0)
    edge = where(rate, WHITE)[:, 1].min() - 5
    np.testing.assert_array_equal(long[:, edge:], rate[:, edge:])
    assert (short[:, :100] != rate[:, :100]).any() and (short[:, 200:edge] == rate[:, 200:edge]).all()


def test_text_that_is_too_long_ends_in_dots():
    assert shortened("ABC", 15, 1000) == "ABC"
    cut = shortened("ABCDEFGHIJKLMNOP", 15, 100)
    assert cut.startswith("ABC") and cut.endswith("...")
    assert text_width(cut, 15) <= 100


@pytest.mark.parametrize("size", [(320, 240), (160, 120), (1920, 1080)])
def test_the_help_fits_every_image(size):
    canvas = paper(*size)
    draw_help(canvas, [("space", "freeze or continue; next image")] * 8)
    changed = np.argwhere((canvas != 255).any(2))
    assert changed[:, 0].min() >= 0 and len(changed) > 100
    assert (canvas[:, :1] == 255).all() or size[0] < 400


def test_dashes_keep_the_corners():
    ends = {tuple(point) for line in dashes((10, 20, 50, 30), 4.0) for point in line[:, 0].tolist()}
    assert {(10, 20), (60, 20), (10, 50), (60, 50)} <= ends


def test_a_small_image_has_legible_labels():
    assert unit_of(paper(160, 120)) * DESIGN.label_px >= 7
