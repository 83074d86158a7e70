"""The app in Chromium reads whole pages: camera, photo or drawing to text."""

import re

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.export.web.bundle import MODEL
from lettercast.runtime import Reader
from lettercast.runtime.arguments import UPPER, WRITTEN
from lettercast.runtime.sources.images import read_image

from .browser import browsers, draw, expect, playwright, visits

# Page 3 of a condition has the size of a webcam's image.
WEBCAM_PAGE = 3


@pytest.fixture(scope="module")
def hands():
    """Hands of the built-in pen."""
    return open_hands("pen", "val")


@pytest.fixture(scope="module")
def webcam_page(hands) -> np.ndarray:
    """A generated page as a webcam sees it."""
    return take_page(hands, "plain", "", WEBCAM_PAGE, seed=1).image


@pytest.fixture(scope="module")
def open_browser(webcam_page, tmp_path_factory):
    """Return a function that starts Chromium with a film of a page as its camera, or with none."""
    with browsers(tmp_path_factory.mktemp("film"), webcam_page) as start:
        yield start


@pytest.fixture(scope="module")
def browser(open_browser):
    """Chromium with a film of a page as its camera."""
    return open_browser()


@pytest.fixture
def visit(browser, serve, app):
    """Return a function that opens the app as a page that reads pages."""
    with visits(browser, serve, app) as go:
        yield lambda **options: go(kind="page", **options)


def marked(page) -> int:
    """Return how many pixels of the drawing over the image are not clear."""
    return page.evaluate(
        """() => {
          const canvas = document.getElementById("marks");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, i) => i % 4 === 3 && value).length;
        }"""
    )


def test_page_before_the_camera_is_read_held_and_copied(visit, app, webcam_page):
    page = visit(permissions=("camera", "clipboard-read", "clipboard-write"))
    text = Reader(app / MODEL).read(webcam_page).text
    assert len(text) > 20
    expect(page, "#page", text)
    expect(page, "#count", re.compile(r"^\d+ letters in \d+ lines?"))
    assert marked(page) > 0
    page.keyboard.press("f")
    playwright.expect(page.locator("#freeze")).to_have_attribute("aria-pressed", "true")
    expect(page, "#page", text)
    page.keyboard.press("Enter")
    page.click("#add")
    playwright.expect(page.locator("#text")).to_have_value(f"{text}\n{text}")
    page.click("#share")
    expect(page, "#state", "copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == f"{text}\n{text}"


def test_photos_of_pages_are_read_as_on_a_device(visit, app, hands, tmp_path):
    page = visit(permissions=())
    capitals, written = (Reader(app / MODEL, case=case) for case in (UPPER, WRITTEN))
    for condition in ("touching letters", "small letters", "comb"):
        path = tmp_path / f"{condition}.png"
        cv2.imwrite(str(path), take_page(hands, condition, "strong", 4, seed=2).image)
        page.set_input_files("#file", path)
        expect(page, "#page", capitals.read(path).text)
        page.check("#written")
        expect(page, "#page", written.read(path).text)
        page.uncheck("#written")


def test_part_of_a_photo_is_read(visit, app, webcam_page, tmp_path):
    both = np.concatenate([webcam_page, np.full_like(webcam_page, 180)], 1)
    cv2.imwrite(str(tmp_path / "both.png"), both)
    page = visit(permissions=())
    page.set_input_files("#file", tmp_path / "both.png")
    expect(page, "#count", re.compile("letters"))
    box = page.locator("#still").bounding_box()
    # The photo is wider than the canvas, so it spans it from left to right.
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    expect(page, "#count", "No letters found.")
    assert marked(page) == 0


def test_drawn_page_becomes_text(visit):
    page = visit(permissions=())
    page.click("#draw")
    left = [(0.15, 0.3), (0.15, 0.6), (0.32, 0.6)]
    bar, stem = [(0.45, 0.3), (0.7, 0.3)], [(0.575, 0.3), (0.575, 0.6)]
    draw(page, left, bar, stem)
    expect(page, "#page", "LT")
    page.click("#add")
    expect(page, "#page", "")
    playwright.expect(page.locator("#text")).to_have_value("LT")
    assert marked(page) == 0


def test_one_letter_and_a_page_are_read_in_turns(visit, app, webcam_page):
    page = visit()
    text = Reader(app / MODEL).read(webcam_page).text
    expect(page, "#page", text)
    page.keyboard.press("o")
    playwright.expect(page.locator("#page")).to_be_hidden()
    playwright.expect(page.locator("#best")).to_be_visible()
    page.keyboard.press("p")
    expect(page, "#page", text)


def test_photographed_card_is_read_as_on_a_device(visit, app, shared):
    page = visit(permissions=())
    reader = Reader(app / MODEL)
    for path in sorted((shared / "cards").glob("*.jpg"))[::20]:
        page.set_input_files("#file", path)
        expect(page, "#page", reader.read(read_image(path)).text)
