"""Maintainer's command: fit what tells crossed-out letters on sheets from others, and say how well it does.

    python -m lettercast.benchmarks.crossed strokes.npz

The letters of training writers are drawn in boxes, and some of them crossed out; the figures are those of validation writers.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import DONE, UNUSABLE, LettercastError
from ..runtime.arguments import natural, positive
from ..runtime.model.engine import Engine, open_engine
from ..runtime.reader import DEFAULT_MODEL
from ..runtime.sheet.crossed import features_of, probabilities_of
from ..runtime.sheet.cut import CROSSED, EMPTY, LETTER, Cut
from ..runtime.sheet.layout import sheet_pages
from .pages.filled_sheets import Filling, fill_in
from .sheets import PENS, able_hands, true_ink

# Many letters are crossed out, so that there are enough of them.
FILLING = Filling(empty=0.03, crossed=0.15)
SHEETS = 60
# The radius of the blur in millimetres, the strength of ink on paper, and the least ink of a stroke.
BLURS_MM, STRENGTH, MIN_INK = (0.05, 0.5), 0.7, 50
# Of the letters that are not crossed out, this share may be taken for crossed out.
MAX_LEFT_OUT = 0.003


@dataclass(frozen=True)
class Crossings:
    """Features (n, 8) of letters, which of them are crossed out, and which of those by a single stroke."""

    features: NDArray[np.float64]
    is_crossed: NDArray[np.bool_]
    is_single: NDArray[np.bool_]


def draw_crossings(data: str, split: str, engine: Engine, sheets: int = SHEETS, seed: int = 0) -> Crossings:
    """Draw sheets of the writers of a split without paper and camera, and return the features of their letters."""
    hands = able_hands(data, split)
    (page,) = sheet_pages()
    parts: list[Crossings] = []
    for number in range(sheets):
        rng = np.random.default_rng([seed, number])
        boxes = [one for one in fill_in(page, hands[number % len(hands)], FILLING, rng) if one.state != EMPTY]
        pen, blur = list(PENS.values())[number % len(PENS)].pen, rng.uniform(*BLURS_MM)
        cuts: list[Cut] = []
        for one in boxes:
            ink = cv2.convertScaleAbs(true_ink(replace(one, strokes=(*one.strokes, *one.crossing)), pen, blur)[0], alpha=STRENGTH)
            x, y, w, h = cv2.boundingRect(cv2.dilate((ink >= MIN_INK).astype(np.uint8), np.ones((3, 3), np.uint8)))
            cuts.append(Cut(one.box, LETTER, ink[y : y + h, x : x + w], (one.box.left, one.box.top)))
        is_crossed = np.array([one.state == CROSSED for one in boxes])
        is_single = np.array([len(one.crossing) == 1 and len(one.crossing[0]) == 2 for one in boxes])
        parts.append(Crossings(features_of(cuts, probabilities_of(cuts, engine)), is_crossed, is_single))
    names = ("features", "is_crossed", "is_single")
    return Crossings(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def report(train: Crossings, check: Crossings, count: int) -> str:
    """Fit the first `count` features on some letters; return weights, and the figures on others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(train.features[:, :count])
    fitted = LogisticRegression().fit(scale.transform(train.features[:, :count]), train.is_crossed)
    weights = fitted.coef_[0] / scale.scale_
    intercept = float(fitted.intercept_[0] - weights @ scale.mean_)
    scores = check.features[:, :count] @ weights + intercept
    least = float(np.quantile(scores[~check.is_crossed], 1 - MAX_LEFT_OUT))
    found = scores > least
    several = check.is_crossed & ~check.is_single
    shares = [
        f"{name} {100 * found[which].mean():.2f} %"
        for name, which in (
            ("crossed out", check.is_crossed),
            ("by several strokes", several),
            ("by one", check.is_single),
            ("not crossed out", ~check.is_crossed),
        )
    ]
    listed = ", ".join(f"{one:.2f}" for one in weights)
    return (
        f"{count} features: weights {listed}; intercept {intercept:.2f}; least score {least:.2f}\n  left out: {', '.join(shares)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print weights and figures; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.crossed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="D", help="the handwriting: an .npz of strokes, or pen")
    parser.add_argument("--sheets", type=positive, default=SHEETS, metavar="N", help="sheets a split (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="draws other sheets (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        engine = open_engine(DEFAULT_MODEL)
        train, check = (draw_crossings(options.data, split, engine, options.sheets, options.seed) for split in ("train", "val"))
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    for count in (6, 8):
        print(report(train, check, count))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
