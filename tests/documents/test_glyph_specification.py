"""The specification of the glyph in docs/without-lettercast.md: a second implementation, made from its text alone."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from lettercast.runtime.glyph import glyph

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "docs" / "glyph-vectors.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
SIDE, LONG = 28, 24


def decoded(rows: list[str]) -> np.ndarray:
    return np.array([list(bytes.fromhex(row)) for row in rows], np.uint8)


def specified(ink: np.ndarray) -> np.ndarray:
    """The glyph by the numbered steps of the document, in plain loops."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    # Step 1.
    peak = int(ink.max())
    if peak == 0:
        return image
    inside = [(y, x) for y in range(ink.shape[0]) for x in range(ink.shape[1]) if 100 * int(ink[y, x]) >= 35 * peak]
    top, left = min(y for y, _ in inside), min(x for _, x in inside)
    h, w = max(y for y, _ in inside) - top + 1, max(x for _, x in inside) - left + 1
    box = ink[top : top + h, left : left + w].astype(float)
    # Step 2.
    high, wide = (max(1, round(side * LONG / max(h, w))) for side in (h, w))
    # Step 3.
    if max(h, w) > LONG:
        down, across = average(h, high), average(w, wide)
        mean = down @ box @ across.T
        fitted = np.floor(mean + 0.5) if (h, w) == (2 * high, 2 * wide) else np.rint(mean)
    else:
        fitted = np.floor(interpolation(h, high) @ box @ interpolation(w, wide).T + 0.5)
    # Step 4.
    gain = np.float32(min(4 * 255 / box.max(), 255 / max(1, fitted.max())))
    amplified = np.minimum(np.rint(fitted.astype(np.float32) * gain), 255)
    # Step 5.
    y, x = (SIDE - high) // 2, (SIDE - wide) // 2
    image[y : y + high, x : x + wide] = amplified
    return image


def average(old: int, new: int) -> np.ndarray:
    """Weights (new, old) of pixels that cover parts of an output pixel."""
    step = old / new
    covered = [[min((i + 1) * step, j + 1) - max(i * step, j) for j in range(old)] for i in range(new)]
    return np.maximum(covered, 0) / step


def interpolation(old: int, new: int) -> np.ndarray:
    """Weights (new, old) of the two pixels around the middle of an output pixel, in 256ths."""
    weights = np.zeros((new, old))
    for i in range(new):
        place = (i + 0.5) * old / new - 0.5
        before = math.floor(place)
        share = math.floor((place - before) * 256 + 0.5) / 256
        weights[i, min(max(before, 0), old - 1)] += 1 - share
        weights[i, min(max(before + 1, 0), old - 1)] += share
    return weights


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_text_alone_suffices_to_make_the_same_glyph(case):
    np.testing.assert_array_equal(specified(decoded(case["ink"])), decoded(case["glyph"]))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_vectors_are_what_the_runtime_makes(case):
    np.testing.assert_array_equal(glyph(decoded(case["ink"])), decoded(case["glyph"]))


def test_the_vectors_are_what_the_program_writes():
    spec = importlib.util.spec_from_file_location("build_glyph_vectors", ROOT / "docs" / "build_glyph_vectors.py")
    assert spec and spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert program.build() == VECTORS.read_text(encoding="utf-8")


def test_other_letters_differ_only_where_a_mean_lies_between_two_levels(pen):
    from lettercast.train.data.drawing import draw_ink

    rng = np.random.default_rng(0)
    most, differing, pixels = 0, 0, 0
    for label in range(52):
        side = rng.uniform(8, 90)
        ink = draw_ink(pen.sample(label % 26, rng), side, max(1.5, side * rng.uniform(0.04, 0.2)))
        apart = np.abs(specified(ink).astype(int) - glyph(ink))
        most, differing, pixels = max(most, apart.max()), differing + (apart > 0).sum(), pixels + apart.size
    assert most <= 4
    assert differing / pixels < 0.005
