"""Drawing what was read over an image."""

import numpy as np
import pytest

from lettercast.runtime.live.overlay import (
    DARK,
    DESIGN,
    DOUBTFUL,
    LISTED,
    REJECTED,
    SURE,
    Label,
    Status,
    add_bar,
    annotate,
    bar,
    dashes,
    draw_help,
    overlap,
    place_labels,
    scales_of,
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


def written(rows: int, columns: int, height: int, pitch: float, size: tuple[int, int] = (1280, 960)) -> Page:
    """A page of letters as high and half as wide, with lines at a distance of `pitch` heights."""
    lines = []
    for row in range(rows):
        boxes = [(60 + round(0.8 * height) * i, 60 + round(pitch * height * row), height // 2, height) for i in range(columns)]
        word = Word(tuple(Letter("ABCDEFGH"[i % 8], 0.6 + 0.05 * (i % 8), box, (("X", 0.1),)) for i, box in enumerate(boxes)))
        lines.append(Line((word,)))
    return Page(size, tuple(lines), 1.0, 1.0)


def labels_of(seen: Page, image=None) -> list[Label]:
    image = paper(*seen.size) if image is None else image
    return place_labels(image, seen, scales_of(seen, unit_of(image)))


@pytest.mark.parametrize("pitch", [1.1, 1.25, 1.4, 1.7, 2.2])
@pytest.mark.parametrize("height", [14, 20, 40, 90])
def test_no_label_hides_other_letters_or_labels(pitch, height):
    seen = written(5, 8, height, pitch)
    labels = labels_of(seen)
    boxes = [label.box for label in labels]
    assert not any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    # At most its own letter, in a corner.
    assert all(sum(overlap(box, letter.box) for letter in seen.letters) <= 1 for box in boxes)
    assert len(labels) >= len(seen.letters) / 2 if height < 40 else len(labels) == len(seen.letters)


@pytest.mark.parametrize("pitch", [1.5, 1.7, 2.2])
def test_between_two_lines_stand_only_the_labels_of_the_lower_one(pitch):
    seen = written(4, 8, 60, pitch)
    labels = labels_of(seen)
    assert len(labels) == len(seen.letters)
    for label, letter in zip(labels, seen.letters, strict=True):
        assert label.text == letter.letter
        assert label.top + label.box[3] <= letter.box[1]
        assert letter.box[0] - label.box[2] < label.left < letter.box[0] + letter.box[2]


def test_labels_go_by_the_letters_and_not_by_the_frame():
    tops = [label.height for size in ((640, 480), (4000, 3000)) for label in labels_of(written(2, 6, 20, 2.2, size))]
    assert max(tops) == min(tops) < 10
    assert min(label.height for label in labels_of(written(2, 6, 100, 2.2))) > 20


def test_small_letters_on_a_large_photograph_stay_visible():
    seen = written(2, 30, 18, 2.1, (4000, 3000))
    image = annotate(paper(4000, 3000), seen)
    boxes = [letter.box for letter in seen.letters]
    assert all((image[y + 1 : y + h - 1, x + 1 : x + w - 1] == 255).all() for x, y, w, h in boxes)


def test_a_label_without_room_stands_where_its_own_letter_has_no_ink():
    seen, image = written(3, 6, 60, 1.02), paper(1280, 960)
    for x, y, w, h in (letter.box for letter in seen.letters):
        # A diagonal leaves two corners free.
        image[range(y, y + h), [x + i * w // h for i in range(h)]] = 0
    ink = (image == 0).all(2).sum()
    labels = labels_of(seen, image)
    assert len(labels) == len(seen.letters)
    assert sum((image[y : y + h, x : x + w] == 0).all(2).sum() for x, y, w, h in (one.box for one in labels)) < 0.02 * ink


def test_a_label_at_the_lower_edge_may_stand_below_if_no_line_follows():
    (label,) = labels_of(page(Letter("A", 0.9, (300, 0, 60, 80))))
    assert label.top > 80


@pytest.mark.parametrize(("listed", "marked"), [("ABC", 3), (None, 0)])
def test_a_word_of_the_list_is_underlined(listed, marked):
    letters = tuple(Letter(name, 0.99, (100 + 60 * i, 100, 40, 60)) for i, name in enumerate("ABC"))
    image = annotate(paper(), Page((640, 480), (Line((Word(letters, listed, 0.9),)),), 1.0, 1.0))
    below = where(image[160:], LISTED)
    assert len(below) >= marked * 40 and bool(len(below)) == bool(marked)
    assert (image[100:160, 100:140] == 255).all()


def test_another_word_of_the_list_is_written_below():
    letters = tuple(Letter(name, 0.99, (100 + 60 * i, 100, 40, 60)) for i, name in enumerate("HEIIO"))
    for listed, shown in (("hello", ["hello"]), ("Heiio", [])):
        seen = Page((640, 480), (Line((Word(letters, listed, 0.9),)),), 1.0, 1.0)
        words = [label for label in labels_of(seen) if len(label.text) > 1]
        assert [label.text for label in words] == shown
        assert all(label.top > 160 and label.colour == LISTED for label in words)


def test_what_stands_outside_a_form_is_not_hidden():
    letters = (Letter("A", 0.99, (300, 200, 60, 80)),)
    caption = (Line((Word((Letter("N", 0.99, (290, 170, 90, 24)),)),)),)
    seen = Page((640, 480), (Line((Word(letters),)),), 1.0, 1.0, caption)
    assert not any(overlap(label.box, caption[0].letters[0].box) for label in labels_of(seen))


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


def test_the_bar_shows_a_hint_unless_it_is_too_narrow():
    plain, hinted = bar(page(), Status(30), 640, 1.0), bar(page(), Status(30, hint="h help"), 640, 1.0)
    assert (plain != hinted).any()
    np.testing.assert_array_equal(bar(page(), Status(30), 160, 1.0), bar(page(), Status(30, hint="h help"), 160, 1.0))


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
