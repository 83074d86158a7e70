"""The app in Chromium, at the size of a phone: one letter or thing, and what goes wrong."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from lettercast.export.web.bundle import CASES, MODEL
from lettercast.runtime import Classifier

from .browser import LIMIT_MS, NOTHING, PHONE, READY, browsers, draw, expect, photograph, playwright, visits


@pytest.fixture(scope="module")
def open_browser(pen, tmp_path_factory):
    """Return a function that starts Chromium with a film of an R as its camera, or with none."""
    with browsers(tmp_path_factory.mktemp("film"), photograph(pen, "R")) as start:
        yield start


@pytest.fixture(scope="module")
def browser(open_browser):
    """Chromium with a film as its camera."""
    return open_browser()


@pytest.fixture
def visit(browser, serve, app):
    """Return a function that opens the app, to read one letter, or another folder, as a page."""
    with visits(browser, serve, app) as go:
        yield go


L = [(0.35, 0.2), (0.35, 0.8), (0.7, 0.8)]
T = [(0.2, 0.2), (0.8, 0.2)], [(0.5, 0.2), (0.5, 0.85)]


def test_letter_in_front_of_the_camera_is_read_and_added(visit):
    page = visit()
    expect(page, "#label", "R")
    expect(page, "#proof", re.compile(r"^All 26 golden cases .* same label"))
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#text")).to_have_value("R")
    page.keyboard.press("f")
    playwright.expect(page.locator("#freeze")).to_have_attribute("aria-pressed", "true")


def test_drawn_letters_become_text(visit):
    page = visit()
    page.click("#draw")
    draw(page, L)
    expect(page, "#label", "L")
    page.click("#add")
    draw(page, *T)
    expect(page, "#label", "T")
    page.click("#add")
    page.click("#space")
    playwright.expect(page.locator("#text")).to_have_value("LT ")
    page.click("#back")
    page.click("#back")
    playwright.expect(page.locator("#text")).to_have_value("L")


def test_what_is_drawn_before_the_model_is_there_is_read_then(browser, serve, app):
    context = browser.new_context(viewport=PHONE, service_workers="block")
    context.set_default_timeout(LIMIT_MS)
    held = []

    def hold(route) -> None:
        held.append(route)

    context.route("**/model.onnx", hold)
    page = context.new_page()
    page.goto(serve(app)[0])
    page.click("#one")
    page.click("#draw")
    draw(page, L)
    # Longer than the pen rests before it is read.
    page.wait_for_timeout(600)
    expect(page, "#state", "loading")
    expect(page, "#cover", NOTHING)
    held[0].continue_()
    expect(page, "#state", READY)
    expect(page, "#label", "L")
    context.close()


def test_keys_work_while_a_button_has_the_focus(visit):
    page = visit()
    page.click("#draw")
    page.keyboard.press("c")
    playwright.expect(page.locator("body")).to_have_attribute("data-mode", "camera")
    expect(page, "#label", "R")
    page.locator("#text").press("d")
    playwright.expect(page.locator("#text")).to_have_value("d")
    page.focus("#freeze")
    page.keyboard.press("Backspace")
    playwright.expect(page.locator("#text")).to_have_value("")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#freeze")).to_have_attribute("aria-pressed", "true")


def test_photo_larger_than_a_phone_can_draw_is_made_smaller(visit, pen, tmp_path):
    page = visit()
    cv2.imwrite(str(tmp_path / "large.jpg"), cv2.resize(photograph(pen, "K"), (8000, 6000)))
    page.set_input_files("#file", tmp_path / "large.jpg")
    expect(page, "#label", "K")
    playwright.expect(page.locator("#still")).to_have_attribute("width", "4000")


def test_part_of_a_photo_is_read(visit, pen, tmp_path):
    page = visit()
    both = np.concatenate([photograph(pen, "K"), photograph(pen, "S")], 1)
    cv2.imwrite(str(tmp_path / "both.png"), both)
    page.set_input_files("#file", tmp_path / "both.png")
    playwright.expect(page.locator("#still")).to_be_visible()
    box = page.locator("#still").bounding_box()
    # The photo is wider than the canvas, so it spans it from left to right.
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    expect(page, "#label", "S")


def test_file_that_is_no_image_is_named(visit, tmp_path):
    page = visit()
    (tmp_path / "notes.png").write_text("no image")
    page.set_input_files("#file", tmp_path / "notes.png")
    expect(page, "#cover", re.compile("notes.png: this browser cannot read it as an image"))


def test_app_works_without_a_network_after_the_first_visit(browser, serve, app):
    context = browser.new_context(viewport=PHONE, permissions=["camera"])
    context.set_default_timeout(LIMIT_MS)
    address, stop = serve(app)
    page = context.new_page()
    page.goto(address)
    expect(page, "#state", READY)
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    stop()
    page.reload()
    expect(page, "#state", READY)
    expect(page, "#page", "R")
    context.close()


def test_refused_camera_is_explained_and_drawing_works(visit):
    page = visit(permissions=())
    expect(page, "#cover", re.compile("This page may not use the camera.*draw instead"))
    page.click("#draw")
    draw(page, L)
    expect(page, "#label", "L")


def test_device_without_a_camera_is_told_so(visit, open_browser):
    page = visit(started=open_browser(has_camera=False))
    expect(page, "#cover", re.compile("No camera was found"))


def test_browser_that_computes_something_else_is_not_trusted(visit, app, tmp_path):
    folder = shutil.copytree(app, tmp_path / "app")
    facts = json.loads((folder / "model.json").read_text())
    cases = bytearray((folder / CASES).read_bytes())
    # The answers of the first two cases are exchanged.
    row, start = 4 * len(facts["labels"]), facts["cases"] * int(np.prod(facts["input_shape"]))
    cases[start : start + 2 * row] = cases[start + row : start + 2 * row] + cases[start : start + row]
    (folder / CASES).write_bytes(cases)
    page = visit(folder, state="not working")
    expect(page, "#cover", re.compile("2 of 26 golden cases have another label.*cannot be trusted"))
    # Nothing is classified, and the reason stays.
    page.click("#draw")
    expect(page, "#cover", re.compile("2 of 26 golden cases have another label"))
    expect(page, "#label", NOTHING)


def test_damaged_model_is_reported(visit, app, tmp_path):
    folder = shutil.copytree(app, tmp_path / "app")
    (folder / MODEL).write_bytes(b"no model")
    expect(visit(folder, state="not working"), "#cover", re.compile("The model cannot be used"))


def test_app_opened_as_a_file_says_how_to_open_it(browser, app):
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(f"file://{app}/index.html")
    playwright.expect(page.get_by_role("alert")).to_contain_text("python3 -m http.server", timeout=LIMIT_MS)
    context.close()


def test_long_labels_stay_inside_the_page(visit, digits_app, digits, tmp_path):
    folder = shutil.copytree(digits_app, tmp_path / "app")
    facts = json.loads((folder / "model.json").read_text())
    facts["labels"] = [f"{number}{'Rindfleisch' * 6}" for number in range(10)]
    (folder / "model.json").write_text(json.dumps(facts))
    page = visit(folder)
    with np.load(digits / "digits.npz") as data:
        cv2.imwrite(str(tmp_path / "one.png"), data["image"][1300])
    page.set_input_files("#file", tmp_path / "one.png")
    playwright.expect(page.locator("#best li")).to_have_count(3)
    answer = page.locator("#answer").bounding_box()
    for place in ("#label", *(f"#best li:nth-child({row}) > {part}" for row in (1, 2, 3) for part in ("span", "meter"))):
        box = page.locator(place).bounding_box()
        assert box["x"] + box["width"] <= answer["x"] + answer["width"], place
    word, bar = (page.locator(f"#best li:first-child > {part}").bounding_box() for part in ("span", "meter"))
    assert word["x"] + word["width"] <= bar["x"]


def test_own_model_classifies_as_on_a_device(visit, digits_app, digits_onnx, digits, tmp_path):
    page = visit(digits_app)
    expect(page, "#model", "digits")
    with np.load(digits / "digits.npz") as data:
        images = [data["image"][place] for place in (1300, 1308, 1316)]
    for number, image in enumerate(images):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image)
        page.set_input_files("#file", path)
        expect(page, "#label", Classifier(digits_onnx).classify(path).label)
