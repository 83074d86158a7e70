"""The page of the web view in a real browser."""

import json
import shutil
from collections.abc import Callable
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from lettercast.runtime.web import server as web
from lettercast.runtime.web.server import WebView

# A limit for what must happen; only a failing test reaches it.
LIMIT_MS = 120_000
WIDTH, HEIGHT = 64, 48
# The colour that you see in the centre of the image.
CENTRE = """() => {
  const canvas = document.createElement("canvas"), image = document.images[0];
  if (!image.naturalWidth) return null;
  canvas.width = image.naturalWidth, canvas.height = image.naturalHeight;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def letter(name: str, confidence: float) -> dict:
    return {"letter": name, "confidence": confidence, "box": [0, 0, 9, 9], "alternatives": [["Q", 0.125]]}


LINES = [
    {"text": "AB C", "letters": [letter("A", 0.99), letter("B", 0.5), letter("C", 0.97)]},
    {"text": "<b>?", "letters": [letter("<b>", 0.9), letter("?", 0.3)]},
]
PAGE = {"source": "0", "frame": 7, "size": [WIDTH, HEIGHT], "text": "AB C\n<b>?", "lines": LINES, "ms": {"total": 12.4}}


def colour(blue: int, green: int, red: int):
    return np.full((HEIGHT, WIDTH, 3), (blue, green, red), np.uint8)


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium here: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install 'lettercast[dev]'")
    with playwright.sync_playwright() as driver:
        # In containers Chromium's own sandbox cannot be built.
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def view():
    with WebView("127.0.0.1", 0, token="correct-horse") as opened:
        yield opened


@pytest.fixture
def page(browser, view):
    """The open page; an error in its script fails the test."""
    errors = []
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.set_default_timeout(LIMIT_MS)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None)
    opened.goto(view.url)
    yield opened
    context.close()
    assert errors == []


def until(page, holds: Callable[[], bool]) -> None:
    """Let the browser run until a condition holds."""
    for _ in range(LIMIT_MS // 20):
        if holds():
            return
        page.wait_for_timeout(20)
    pytest.fail("the condition never held")


def looks(page, blue: int, green: int, red: int) -> bool:
    """Tell whether the centre of the image has this colour, as far as JPEG keeps it."""
    seen = page.evaluate(CENTRE)
    return seen is not None and bool(np.abs(np.subtract(seen, (red, green, blue))).max() <= 8)


def state(page) -> str:
    return page.inner_text("#state")


def test_each_image_is_shown_without_waiting_for_the_next(page, view):
    for wanted in ((200, 0, 0), (0, 200, 0), (0, 0, 200)):
        view.publish(colour(*wanted), PAGE)
        until(page, lambda wanted=wanted: looks(page, *wanted))
    assert page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [WIDTH, HEIGHT]


def test_the_text_is_shown_in_words_and_doubtful_letters_are_marked(page, view):
    view.publish(colour(1, 2, 3), PAGE)
    until(page, lambda: page.locator(".line").count() == 2)
    assert page.locator(".line").all_text_contents() == ["AB C", "<b>?"]
    assert page.locator(".letter.doubt").all_text_contents() == ["B", "?"]
    assert page.locator(".sure").all_text_contents() == ["82 %", "60 %"]
    assert page.locator(".letter").nth(1).get_attribute("title") == "B 50 %, Q 13 %"
    assert page.inner_text("#source") == "camera 0, frame 7"
    assert page.inner_text("#count") == "5 letters"
    view.publish(colour(1, 2, 3), {**PAGE, "text": "", "lines": []})
    until(page, lambda: page.inner_text("#text") == "No letters found.")


def test_the_state_follows_the_reader_and_the_last_image_stays(page, view):
    until(page, lambda: state(page) == "waiting for the first image")
    view.publish(colour(0, 200, 0), PAGE)
    until(page, lambda: state(page) == "reading" and looks(page, 0, 200, 0))
    view.set_state("camera lost, reconnecting")
    until(page, lambda: state(page) == "camera lost, reconnecting")
    view.set_state(web.DONE)
    until(page, lambda: state(page) == "done" and page.get_attribute("body", "data-tone") == "good")
    view.close()
    until(page, lambda: state(page) == "reader stopped")
    assert page.title().startswith("reader stopped")
    assert looks(page, 0, 200, 0)


def test_the_page_reconnects_to_a_reader_that_starts_again(page, view):
    view.publish(colour(0, 200, 0), PAGE)
    until(page, lambda: looks(page, 0, 200, 0))
    view.close()
    until(page, lambda: state(page) == "reader stopped")
    with WebView("127.0.0.1", urlsplit(view.url).port, token="correct-horse") as restarted:
        restarted.publish(colour(0, 0, 200), PAGE)
        until(page, lambda: state(page) == "reading" and looks(page, 0, 0, 200))


def test_after_a_change_of_token_the_page_asks_for_the_new_address(page, view):
    until(page, lambda: state(page) == "waiting for the first image")
    view.close()
    with WebView("127.0.0.1", urlsplit(view.url).port, token="battery-staple"):
        until(page, lambda: "open the new address" in state(page))


def test_a_hidden_page_takes_no_images(page, view):
    view.publish(colour(0, 200, 0), PAGE)
    until(page, lambda: view.viewers == 1)
    page.evaluate(HIDE, True)
    until(page, lambda: view.viewers == 0)
    page.evaluate(HIDE, False)
    view.publish(colour(200, 0, 0), PAGE)
    until(page, lambda: view.viewers == 1 and looks(page, 200, 0, 0))


def test_the_link_saves_the_image(page, view, tmp_path):
    view.publish(colour(0, 0, 200), PAGE)
    with page.expect_download() as saved:
        page.click("text=Save image")
    assert saved.value.suggested_filename == "lettercast-1.jpg"
    saved.value.save_as(tmp_path / "saved.jpg")
    assert cv2.imread(str(tmp_path / "saved.jpg")).shape == (HEIGHT, WIDTH, 3)


def test_a_pause_keeps_image_text_and_links(page, view, tmp_path):
    view.publish(colour(0, 200, 0), PAGE)
    until(page, lambda: looks(page, 0, 200, 0) and page.locator(".line").count() == 2)
    page.click("#pause")
    assert (page.inner_text("#pause"), page.get_attribute("#pause", "aria-pressed")) == ("Continue", "true")
    until(page, lambda: view.viewers == 0)
    view.publish(colour(200, 0, 0), {**PAGE, "frame": 8, "text": "Z", "lines": LINES[:1]})
    # The connection lives on.
    view.set_state("camera lost, reconnecting")
    until(page, lambda: state(page) == "camera lost, reconnecting")
    assert looks(page, 0, 200, 0)
    assert page.locator(".line").count() == 2 and page.inner_text("#source") == "camera 0, frame 7"
    for link, name in (("Save image", "lettercast-7.jpg"), ("JSON", "lettercast-7.json")):
        with page.expect_download() as saved:
            page.click(f"text={link}")
        assert saved.value.suggested_filename == name
        saved.value.save_as(tmp_path / name)
    assert np.abs(cv2.imread(str(tmp_path / "lettercast-7.jpg"))[9, 9] - [0.0, 200, 0]).max() <= 8
    assert json.loads((tmp_path / "lettercast-7.json").read_text()) == PAGE
    page.click("#pause")
    view.publish(colour(200, 0, 0), {**PAGE, "frame": 9, "lines": LINES[:1]})
    until(page, lambda: looks(page, 200, 0, 0) and page.locator(".line").count() == 1)
    assert page.get_attribute("#save", "href") == "snapshot.jpg"


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_the_text_is_copied_with_its_lines(page, view, has_clipboard):
    if has_clipboard:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    else:
        # As on a page from another machine, over plain HTTP.
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.evaluate("document.addEventListener('copy', () => { window.copied = document.activeElement.value; })")
    view.publish(colour(1, 2, 3), PAGE)
    until(page, lambda: page.locator(".line").count() == 2)
    page.click("#copy")
    until(page, lambda: page.inner_text("#copy") == "Copied")
    assert page.evaluate("navigator.clipboard ? navigator.clipboard.readText() : window.copied") == PAGE["text"]


def test_words_of_the_list_are_underlined_and_other_spellings_shown(page, view):
    words = [{"text": "AB", "listed": "aq", "probability": 0.9}, {"text": "C", "listed": None, "probability": 0.1}]
    view.publish(colour(1, 2, 3), {**PAGE, "lines": [{**LINES[0], "words": words}]})
    until(page, lambda: page.locator(".line").count() == 1)
    assert page.locator(".listed").all_text_contents() == ["AB"]
    assert page.locator(".meant").all_text_contents() == ["aq C"]
    same = [{**words[0], "listed": "ab"}, words[1]]
    view.publish(colour(1, 2, 3), {**PAGE, "lines": [{**LINES[0], "words": same}]})
    until(page, lambda: page.locator(".meant").count() == 0)
    assert page.locator(".listed").all_text_contents() == ["AB"]


def test_the_page_is_not_wider_than_a_phone(page, view):
    line = {"text": "W" * 200, "letters": [letter("W", 0.9)] * 200}
    view.publish(colour(1, 2, 3), {**PAGE, "source": "http://camera.local/" + "long" * 50, "lines": [line]})
    until(page, lambda: page.locator(".line").count() == 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_page_without_a_free_place_says_so(page, view, monkeypatch):
    until(page, lambda: state(page) == "waiting for the first image")
    monkeypatch.setattr(web, "MAX_VIEWERS", 1)
    second = page.context.new_page()
    second.goto(view.url)
    until(second, lambda: state(second) == "too many viewers")
    assert state(page) == "waiting for the first image"
