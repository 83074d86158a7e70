"""A browser finds the letters of a page that a device finds: the same boxes, and the same ink and 28x28 pixels, to the bit."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.export.web import bundle
from lettercast.export.web.tuning import tuning
from lettercast.runtime.page.find import find_candidates

SCRIPT = Path(__file__).with_name("candidates_of.mjs")
# Each takes another way: light on dark, smoothed noise, a sheet on a desk, rules across and down and what they leave, an edge,
# broken and dotted letters, grain, pages that are searched again at a larger size, boxes in a grid and apart, combs, lines and
# squares.
CONDITIONS = (
    ("chalk", "moderate", 6),
    ("noise", "strong", 6),
    ("far sheet", "moderate", 5),
    ("ruled", "moderate", 4),
    ("squared", "mild", 6),
    ("at the edge", "strong", 6),
    ("pencil", "strong", 6),
    ("long tails", "strong", 6),
    ("small letters", "strong", 5),
    ("several at once", "strong", 6),
    ("desk lamp", "strong", 6),
    ("boxes apart", "mild", 6),
    ("boxes joined", "mild", 6),
    ("comb", "moderate", 6),
    ("letter lines", "moderate", 6),
    ("grid card", "mild", 6),
    ("pencil on squares", "strong", 6),
)


def pages() -> list[np.ndarray]:
    """A generated page of each condition, tiny writing in a large image, a transparent image, and images without letters."""
    hands = open_hands("pen", "val")
    images = [take_page(hands, condition, strength, number, seed=3).image for condition, strength, number in CONDITIONS]
    far = np.full((1800, 2400, 3), 200, np.uint8)
    plain = take_page(hands, "plain", "", 5, seed=4).image
    small = cv2.resize(plain, (320, 240), interpolation=cv2.INTER_AREA)
    far[900:1140, 1200:1520] = np.minimum(small, 200)
    ink = 255 - cv2.cvtColor(plain, cv2.COLOR_BGR2GRAY)
    transparent = np.dstack([np.zeros_like(plain), np.where(ink > 128, ink, 0).astype(np.uint8)])
    rng = np.random.default_rng(1)
    gravel = rng.integers(0, 256, (60, 80, 3), np.uint8).repeat(6, 0).repeat(6, 1)
    blank = [
        np.full((*shape, 3), level, np.uint8)
        for shape, level in (((240, 320), 200), ((200, 300), 3), ((1, 1), 9), ((3, 900), 90))
    ]
    return [*images, far, transparent, gravel, *blank]


def find_in_node(app: Path, images: list[np.ndarray], folder: Path) -> list[list[dict]]:
    """Return the candidates of each image as the app finds them, with ink and glyph_image."""
    codes = {3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    (folder / "images.bin").write_bytes(b"".join(cv2.cvtColor(one, codes[one.shape[2]]).tobytes() for one in images))
    (folder / "sizes.json").write_text(json.dumps([one.shape[:2] for one in images]))
    subprocess.run(["node", SCRIPT, app, folder], check=True)
    pixels, place = np.frombuffer((folder / "pixels.bin").read_bytes(), np.uint8), 0
    found = json.loads((folder / "found.json").read_text())
    for one in (one for candidates in found for one in candidates):
        for name, shape in (("ink", tuple(one.pop("shape"))), ("glyph_image", (28, 28))):
            one[name] = pixels[place : place + shape[0] * shape[1]].reshape(shape)
            place += one[name].size
    assert place == len(pixels)
    return found


def assert_alike(made: list[dict], image: np.ndarray) -> int:
    """Check that these candidates are those of an image on a device; returns their number."""
    wanted = find_candidates(image)
    assert [one["box"] for one in made] == [list(one.box) for one in wanted]
    assert [(one["corner"], one["strength"]) for one in made] == [(list(one.corner), one.strength) for one in wanted]
    places = [one.place and {"row": one.place.row, "column": one.place.column} for one in wanted]
    assert [(one["place"], one["isOutside"]) for one in made] == list(
        zip(places, (one.is_outside for one in wanted), strict=True)
    )
    for one, other in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(one["ink"], other.ink)
        np.testing.assert_array_equal(one["glyph_image"], other.glyph_image)
    return len(wanted)


def test_app_finds_what_a_device_finds(app, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no node here: apt install nodejs")
    images = pages()
    made = find_in_node(app, images, tmp_path)
    counts = [assert_alike(*pair) for pair in zip(made, images, strict=True)]
    assert min(counts[: len(CONDITIONS) + 2]) > 5
    assert sum(counts) > 500
    assert sum(any(one["place"] for one in candidates) for candidates in made) >= 5


def test_app_finds_the_letters_of_cards(app, shared, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no node here: apt install nodejs")
    images = [cv2.imread(str(file)) for file in sorted((shared / "cards").glob("*.jpg"))[::8]]
    assert sum(assert_alike(*pair) for pair in zip(find_in_node(app, images, tmp_path), images, strict=True)) >= 15 * len(images)


# Names with an underscore that are none of Python's numbers: facts of a model, and methods of OpenCV's.
OTHER_NAMES = {"input_dtype", "input_shape", "is_alone", "look_alikes", "reject_below", "has_case", "push_back"}


def test_every_number_of_the_app_comes_from_python():
    """JavaScript gives undefined for a name that is missing in an object, and computes on."""
    known = tuning()
    fields = {field for value in known.values() if isinstance(value, dict) for field in value}
    used = set()
    for file in Path(bundle.__file__).with_name("app").rglob("*.js"):
        script = re.sub(r"/\*.*?\*/|//[^\n]*|\"[^\"\n]*\"|`[^`]*`", "", file.read_text(), flags=re.S)
        used |= set(re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", script)) & set(known)
        names = set(re.findall(r"(?<!\bcv\.)\b[a-z]+(?:_[a-z0-9]+)+\b", script))
        assert names <= fields | OTHER_NAMES, file.name
    assert used == set(known)
