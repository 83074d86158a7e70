"""A browser reads pages as a device does: the same letters in the same boxes, lines and words."""

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.export.web.bundle import MODEL
from lettercast.runtime import Reader
from lettercast.runtime.arguments import UPPER, WRITTEN
from lettercast.runtime.page.find import find_candidates
from lettercast.runtime.text.codes import DIGITS, alphabet_of, settle_kinds
from lettercast.runtime.text.context import LABELS

SCRIPT = Path(__file__).with_name("pages_of.mjs")
# Conditions in which letters are joined, split, stacked, rejected, looked at again, or written in both cases.
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
)
# A group of digits and letters, in random order of the labels.
KINDS = """
import fs from "node:fs";
const { alphabetOf, settleKinds } = await import(process.argv[1]);
const { labels, rows, words, known } = JSON.parse(fs.readFileSync(0));
const settled = settleKinds(rows.map((row) => Float32Array.from(row)), words, alphabetOf(labels), known);
console.log(JSON.stringify(settled.map((row) => [...row])));
"""


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """A generated page of each condition, and an image without letters."""
    hands = open_hands("pen", "val")
    pages = [take_page(hands, *condition, 5, seed=3).image for condition in CONDITIONS]
    return [*pages, np.full((240, 320, 3), 200, np.uint8)]


@pytest.mark.parametrize("case", [UPPER, WRITTEN])
def test_candidates_become_the_same_text(app, photographs, tmp_path, case):
    if shutil.which("node") is None:
        pytest.skip("no node here: apt install nodejs")
    reader = Reader(app / MODEL, case=case)
    found = [find_candidates(image) for image in photographs]
    pages = [
        {
            "isWritten": case == WRITTEN,
            "candidates": [
                {
                    "box": one.box,
                    "corner": one.corner,
                    "strength": one.strength,
                    "place": one.place and {"row": one.place.row, "column": one.place.column},
                    "isOutside": one.is_outside,
                    "height": one.ink.shape[0],
                    "width": one.ink.shape[1],
                }
                for one in candidates
            ],
        }
        for candidates in found
    ]
    (tmp_path / "pages.json").write_text(json.dumps(pages))
    (tmp_path / "inks.bin").write_bytes(b"".join(one.ink.tobytes() for candidates in found for one in candidates))
    subprocess.run(["node", SCRIPT, app, tmp_path], check=True)
    made = json.loads((tmp_path / "read.json").read_text())
    for image, page in zip(photographs, made, strict=True):
        wanted = reader.read(image)
        letters, outside = ([one for line in page[name] for word in line for one in word] for name in ("lines", "outside"))
        assert page["text"] == wanted.text
        assert [one["box"] for one in letters] == [list(one.box) for one in wanted.letters]
        assert [one["box"] for one in outside] == [list(one.box) for line in wanted.outside for one in line.letters]
        assert page["leftOut"] == wanted.left_out
        # OpenCV turns doubtful letters with other rounding in a browser, so that a few pixels differ by 1.
        confidences = [one["confidence"] for one in letters]
        np.testing.assert_allclose(confidences, [one.confidence for one in wanted.letters], atol=0.1)
    assert sum(len(page["text"]) for page in made) > 300


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
