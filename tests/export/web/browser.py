"""What tests of the app in Chromium do: photographs and films, drawing, and waiting for what is shown."""

import re
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.train.data.drawing import draw_ink

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install 'lettercast[dev]'")
# A limit for what must happen; only a failing test reaches it.
LIMIT_MS = 120_000
PHONE = {"width": 390, "height": 844}
READY = re.compile("^ready$")
# A label that is empty.
NOTHING = re.compile(r"^\s*$")


def photograph(pen, letter: str, height: int = 480, width: int = 640) -> np.ndarray:
    """Return a photograph (height, width, 3) of a letter in its middle, on paper in light that falls off."""
    ink = draw_ink(pen.sample(ord(letter) - ord("A"), np.random.default_rng(3), upper=True), 180, 12)
    image = np.full((height, width, 3), 215.0) * np.linspace(1, 0.75, width)[:, None]
    top, left = (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 2
    image[top : top + ink.shape[0], left : left + ink.shape[1]] *= 1 - 0.75 * ink[..., None] / 255
    return image.astype(np.uint8)


@contextmanager
def browsers(folder: Path, image: np.ndarray):
    """Yield a function that starts Chromium with a film of one image as its camera, or with none; all are closed at the end."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium here: apt install chromium")
    film = folder / "film.mjpeg"
    film.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() * 3)
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    with playwright.sync_playwright() as driver:
        opened = []

        def start(*, has_camera: bool = True):
            # In containers Chromium's own sandbox cannot be built.
            args = ["--no-sandbox", *(camera if has_camera else [])]
            opened.append(driver.chromium.launch(executable_path=path, args=args))
            return opened[-1]

        yield start
        for browser in opened:
            browser.close()


@contextmanager
def visits(browser, serve: Callable, app: Path):
    """Yield a function that opens the app, or another folder, as a page; JavaScript's errors fail the test."""
    contexts, errors = [], []

    def go(folder: Path = app, permissions=("camera",), started=browser, state=READY, kind: str = "one", **options):
        context = started.new_context(viewport=PHONE, permissions=[*permissions], **options)
        context.set_default_timeout(LIMIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(serve(folder)[0])
        expect(page, "#state", state)
        if kind == "one" and page.is_visible("#one"):
            page.keyboard.press("o")
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


def expect(page, place: str, text) -> None:
    """Wait until an element has this text."""
    playwright.expect(page.locator(place)).to_have_text(text, timeout=LIMIT_MS, use_inner_text=place == "#page")


def draw(page, *strokes) -> None:
    """Draw strokes, points in shares of the pad's side, with the mouse."""
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=5)
        page.mouse.up()
