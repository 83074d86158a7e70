"""A browser reads pages as a device does: the same letters in the same boxes, lines and words."""

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.export.web.bundle import MODEL
from lettercast.runtime import Reader
from lettercast.runtime.arguments import UPPER, WRITTEN
from lettercast.runtime.sources.images import read_image
from lettercast.runtime.text import Page
from lettercast.runtime.text.codes import DIGITS, alphabet_of, settle_kinds
from lettercast.runtime.text.context import LABELS

# Pages with this remainder by 4 have the size of a webcam image.
WEBCAM_PAGE = 7
SCRIPT = Path(__file__).with_name("pages_of.mjs")
# Conditions in which letters are joined, split, stacked, rejected, looked at again, written in both cases, or in boxes.
CONDITIONS = (
    ("plain", ""),
    ("touching letters", "strong"),
    ("crowded lines", "strong"),
    ("rotation", "strong"),
    ("thin pen", "strong"),
    ("small letters", "strong"),
    ("dust and smudges", "strong"),
    ("boxes joined", "strong"),
    ("comb", "strong"),
    ("squared", "strong"),
)
# A group of digits and letters, in random order of the labels.
KINDS = """
import fs from "node:fs";
const { alphabetOf, settleKinds } = await import(process.argv[1]);
const { labels, rows, words, known } = JSON.parse(fs.readFileSync(0));
const settled = settleKinds(rows.map((row) => Float32Array.from(row)), words, alphabetOf(labels), known);
console.log(JSON.stringify(settled.map((row) => [...row])));
"""


def read_in_browser(app: Path, images: list[np.ndarray], folder: Path) -> list[dict]:
    """Return pages as the app's modules read them in node, in capitals and as written."""
    if shutil.which("node") is None:
        pytest.skip("no node here: apt install nodejs")
    (folder / "sizes.json").write_text(json.dumps([image.shape[:2] for image in images]))
    (folder / "images.bin").write_bytes(b"".join(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).tobytes() for image in images))
    subprocess.run(["node", SCRIPT, app, folder], check=True)
    return json.loads((folder / "read.json").read_text())


def assert_same(page: dict, wanted: Page) -> None:
    """Compare a page of the app with a device's."""
    letters, outside = ([one for line in page[name] for word in line for one in word] for name in ("lines", "outside"))
    assert page["text"] == wanted.text
    assert [one["box"] for one in letters] == [list(one.box) for one in wanted.letters]
    assert [one["box"] for one in outside] == [list(one.box) for line in wanted.outside for one in line.letters]
    assert page["leftOut"] == wanted.left_out
    # OpenCV turns doubtful letters with other rounding in a browser, so that a few pixels differ by 1.
    confidences = [one["confidence"] for one in letters]
    np.testing.assert_allclose(confidences, [one.confidence for one in wanted.letters], atol=0.1)


def test_pages_are_read_as_on_a_device(app, tmp_path):
    hands = open_hands("pen", "val")
    images = [take_page(hands, *condition, WEBCAM_PAGE, seed=3).image for condition in CONDITIONS]
    images.append(np.full((240, 320, 3), 200, np.uint8))
    capitals, written = (Reader(app / MODEL, case=case) for case in (UPPER, WRITTEN))
    made = read_in_browser(app, images, tmp_path)
    for image, page in zip(images, made, strict=True):
        assert_same(page["capitals"], capitals.read(image))
        assert_same(page["written"], written.read(image))
    assert sum(len(page["capitals"]["text"]) for page in made) > 300


def test_cards_are_read_as_on_a_device(app, shared, tmp_path):
    images = [read_image(path) for path in sorted((shared / "cards").glob("*.jpg"))[::6]]
    for image, page in zip(images, read_in_browser(app, images, tmp_path), strict=True):
        # The shipped model for devices, not the app's file of it.
        assert page["capitals"]["text"] == Reader().read(image).text


def test_digits_are_told_from_letters_by_their_group(app):
    if shutil.which("node") is None:
        pytest.skip("no node here: apt install nodejs")
    rng = np.random.default_rng(2)
    labels = tuple(rng.permutation([*LABELS, *DIGITS]).tolist())
    rows = rng.dirichlet(np.full(len(labels), 0.1), 40).astype(np.float32)
    ends = [0, 1, 8, 10, 25, 40]
    words = [slice(start, end) for start, end in pairwise(ends)]
    known = rng.random(40) < 0.8
    alphabet = alphabet_of(labels)
    assert alphabet is not None
    line = ["node", "--input-type=module", "-e", KINDS, (app / "text" / "codes.js").as_uri()]
    asked = {"labels": labels, "rows": rows.tolist(), "words": [*pairwise(ends)], "known": known.tolist()}
    made = json.loads(subprocess.run(line, input=json.dumps(asked), capture_output=True, text=True, check=True).stdout)
    wanted = settle_kinds(rows, words, alphabet, known)
    assert not np.allclose(wanted, rows, atol=0.1)
    np.testing.assert_allclose(made, wanted, atol=1e-6)
