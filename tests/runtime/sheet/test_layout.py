"""Where boxes and marks are, and what a sheet looks like on paper."""

import itertools

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.filled_sheets import print_page
from lettercast.runtime.sheet.drawing import Text, captions_of, draw_page
from lettercast.runtime.sheet.find import flatten
from lettercast.runtime.sheet.layout import BOX_MM, KNOWN, LETTERS, PAPERS, page_of, sheet_pages
from lettercast.runtime.sheet.marks import find_marks
from lettercast.runtime.sheet.pdf import pdf_of

DIGITS_AND_MORE = [*"0123456789", *(f"sign {i}" for i in range(80))]


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("labels", [LETTERS, KNOWN["digits"], DIGITS_AND_MORE])
def test_boxes_and_marks_lie_on_the_page_and_apart(paper, labels):
    pages = sheet_pages(labels, paper)
    assert [box.label for page in pages for box in page.boxes] == [label for label in labels for _ in range(3)]
    for page in pages:
        squares = [box.corners for box in page.boxes] + list(page.marks)
        corners = np.array(squares)
        assert corners.min() >= 6.4 and (corners.reshape(-1, 2).max(0) <= np.array(page.size) - 6.4).all()
        low, high = corners.min(1), corners.max(1)
        apart = (low[:, None] >= high[None] + 1).any(2) | (low[None] >= high[:, None] + 1).any(2)
        assert (apart | np.eye(len(corners), dtype=bool)).all()


def test_captions_touch_no_box():
    (page,) = sheet_pages()
    boxes = np.array([(box.left, box.top, box.left + BOX_MM, box.top + BOX_MM) for box in page.boxes])
    for box in page.boxes:
        for text in captions_of(box, page):
            left, top, right, bottom = text.area
            assert not ((left < boxes[:, 2]) & (right > boxes[:, 0]) & (top < boxes[:, 3]) & (bottom > boxes[:, 1])).any()


def test_marks_name_version_paper_kind_and_page():
    pages = [
        page
        for paper, labels in itertools.product(PAPERS, (*KNOWN.values(), DIGITS_AND_MORE))
        for page in sheet_pages(labels, paper)
    ]
    assert len({page.code for page in pages}) == len(pages) == 10
    assert len({number for page in pages for number in page.mark_ids[:4]}) == 4 * len(pages)
    for page in pages:
        assert page_of(page.code, page.labels) == page


def test_labels_may_be_any_number_that_marks_can_tell_apart():
    assert len(sheet_pages([str(i) for i in range(624)])) == 12
    with pytest.raises(LettercastError, match="1 to 624 labels, not 625"):
        sheet_pages([str(i) for i in range(625)])
    with pytest.raises(LettercastError, match="'a/b': is no name of a folder"):
        sheet_pages(["a/b", "c"])


def test_letters_that_look_alike_have_a_hint():
    (page,) = sheet_pages()
    texts = [item.text for item in draw_page(page) if isinstance(item, Text)]
    assert texts.count("capital") == texts.count("small") == 26


@pytest.mark.parametrize("paper", PAPERS)
def test_a_pdf_prints_the_page_as_it_is_laid_out(paper):
    pdfium = pytest.importorskip("pypdfium2")
    pages = sheet_pages(["(A)", ")", "ä", "字", *"BCDEFGHIJKLMNOPQRSTUVWXYZ", *map(str, range(30))], paper)
    document = pdfium.PdfDocument(pdf_of(pages))
    assert len(document) == len(pages) == 2
    for page, printed in zip(pages, document, strict=True):
        assert np.allclose(printed.get_size(), np.array(page.size) * 72 / 25.4, atol=0.01)
        scale = 4
        image = np.squeeze(printed.render(scale=scale * 25.4 / 72, grayscale=True).to_numpy())
        ids, corners = find_marks(np.ascontiguousarray(image))
        assert sorted(ids) == sorted(page.mark_ids)
        laid_out = page.marks[[page.mark_ids.index(number) for number in ids]]
        assert np.abs((corners + 0.5) / scale - laid_out).max() < 0.3
        drawn = print_page(page, (image.shape[1], image.shape[0]))
        different = cv2.absdiff(cv2.blur(image, (9, 9)), cv2.blur(drawn, (9, 9)))
        assert np.percentile(different, 99) < 40
    words = document[0].get_textpage().get_text_range()
    assert "(A)" in words and "ä" in words and "U5B57" in words


def test_a_printed_page_is_laid_flat_as_it_is(taken):
    (page,) = sheet_pages()
    image = print_page(page, (840, 1188))
    sheet = flatten(image)
    assert (sheet.page, sheet.marks) == (page, 5)
    large = cv2.resize(image, sheet.gray.shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert cv2.absdiff(sheet.gray, large).mean() < 3
