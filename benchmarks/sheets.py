"""Measure how many boxes of photographed sheets to write on are cut and named right.

    python -m lettercast.benchmarks.sheets --data strokes.npz --split test

Each photograph shows a page that was filled in with one of three pens, at up to 25 degrees of perspective in any direction, with
shadow, folds and blur. A box is right if its letter is cut out whole and alone, or if an empty or crossed-out box is left out.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from .. import DONE, UNUSABLE, LettercastError
from ..runtime.arguments import device_model, natural, positive
from ..runtime.files import write_bytes
from ..runtime.glyph import glyph, ink_box
from ..runtime.model.engine import Engine, open_engine
from ..runtime.pixels import Pixels
from ..runtime.sheet.cut import CROSSED, EMPTY, LETTER, Cut, cut_letters
from ..runtime.sheet.find import FLAT_PX, flatten
from ..runtime.sheet.layout import PAPERS, sheet_pages
from ..runtime.sheet.photographs import without_crossed
from .pages.camera import Exposure
from .pages.filled_sheets import FilledBox, FilledSheet, Filling, fill_in, photograph_sheet
from .pages.paper import Paper, View
from .pages.writing import Hand, PenHand, open_hands

PHOTOS = 60
# Only writers with at least this many of the 52 letters fill in sheets.
MIN_KNOWN = 48
PENS = {
    "ballpoint": Paper(inks=("blue", "black", "blue-black"), pen=0.05),
    "felt-tip": Paper(inks=("black", "blue-black", "green", "red"), pen=0.11),
    "pencil": Paper(inks=("graphite",), pen=0.06, cover=0.65, dry=0.2),
}
WIDTHS_PX = (1400, 2000, 2800)
MAX_TILT, MAX_TURN, MAX_BEND = 25.0, 12.0, 0.006
# A letter is cut out right if no side of its ink is further than this from the true one and its size differs by no more than the
# second number, in millimetres, and if its image for the network correlates at least this much with that of the true strokes.
MAX_OFF_MM, MAX_GROWTH_MM, MIN_CORRELATION = 2.0, 0.8, 0.8


@dataclass(frozen=True)
class Photo:
    """One photograph: its pen and strength, its boxes by what stands in them, and how many of each were judged right.

    named counts letters that the network names right, on the cut and on clean drawings of the same strokes.
    """

    pen: str
    tilt: float
    defocus: float
    boxes: dict[str, int]
    right: dict[str, int]
    named: int
    named_clean: int
    failure: str = ""


@dataclass(frozen=True)
class Result:
    """All photographs of one run."""

    data: str
    split: str
    seed: int
    model: str
    photos: tuple[Photo, ...]

    @property
    def right(self) -> float:
        """The share of all boxes that are right."""
        return sum(sum(one.right.values()) for one in self.photos) / max(1, sum(sum(one.boxes.values()) for one in self.photos))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        return {**asdict(self), "right_share": self.right}


def make_photo(number: int, hands: Sequence[Hand], seed: int) -> tuple[FilledSheet, str, View, Exposure]:
    """Return photograph `number` of a run, with its pen, view and exposure."""
    rng = np.random.default_rng([seed, number])
    pen = list(PENS)[number % len(PENS)]
    (page,) = sheet_pages(paper=list(PAPERS)[number // len(PENS) % 2])
    boxes = fill_in(page, hands[int(rng.integers(len(hands)))], Filling(), rng)
    view = View(
        turn=rng.uniform(0, MAX_TURN), tilt=rng.uniform(0, MAX_TILT), bend=rng.uniform(0, MAX_BEND), desk=rng.uniform(0.01, 0.05)
    )
    exposure = Exposure(
        shadow=rng.uniform(0, 0.5),
        soft=float(np.exp(rng.uniform(np.log(5), np.log(120)))),
        folds=int(rng.integers(3)),
        fold=rng.uniform(0.05, 0.2),
        defocus=rng.uniform(0.5, 3.0),
        noise=rng.uniform(1.0, 4.0),
        jpeg=int(rng.integers(70, 95)),
    )
    width = WIDTHS_PX[int(rng.integers(len(WIDTHS_PX)))]
    taken = photograph_sheet(page, boxes, PENS[pen], view=view, exposure=exposure, rng=rng, width_px=width)
    # Phones do not always know which way is up.
    image = np.ascontiguousarray(np.rot90(taken.image, int(rng.integers(4))))
    return replace(taken, image=image), pen, view, exposure


def judge(filled: FilledBox, cut: Cut, pen: float, blur: float) -> bool:
    """Return whether a box was judged right, and its letter cut out whole and alone."""
    if filled.state != LETTER or cut.state != LETTER:
        return (filled.state == LETTER) == (cut.state == LETTER)
    ink, corner = true_ink(filled, pen, blur)
    corners = []
    for own, (left, top) in ((ink, corner), (cut.ink, cut.corner)):
        x, y, width, height = ink_box(own) or (0, 0, 0, 0)
        corners.append(np.array([left, top, left, top]) + np.array([x, y, x + width, y + height]) / FLAT_PX)
    true, found = corners
    is_there = np.abs(true - found).max() <= MAX_OFF_MM
    is_whole = np.abs((true[2:] - true[:2]) - (found[2:] - found[:2])).max() <= MAX_GROWTH_MM
    return bool(is_there and is_whole) and correlation(glyph(ink), cut.glyph_image[..., 0]) >= MIN_CORRELATION


def true_ink(filled: FilledBox, pen: float, blur: float) -> tuple[Pixels, tuple[float, float]]:
    """Return the ink (H, W) uint8 of a letter behind a lens that blurs by this radius in millimetres, and its corner there."""
    points = np.concatenate(filled.strokes)
    margin = 2.0
    low, high = points.min(0) - margin, points.max(0) + margin
    width, height = np.ceil((high - low) * FLAT_PX).astype(int).tolist()
    ink = np.zeros((height, width), np.uint8)
    thick = max(1, round(pen * filled.capital * FLAT_PX))
    for stroke in filled.strokes:
        at = np.rint(((stroke - low) * FLAT_PX - 0.5) * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(ink, [np.repeat(at, 2, 0) if len(at) == 1 else at], False, 255, thick, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(ink, (0, 0), max(0.3, blur * FLAT_PX / 2)), (float(low[0]), float(low[1]))


def clean_glyph(filled: FilledBox, pen: float) -> Pixels:
    """Return the image (28, 28, 1) uint8 of a letter as it was written, without paper and camera."""
    return glyph(true_ink(filled, pen, 0.0)[0])[..., None]


def correlation(one: Pixels, other: Pixels) -> float:
    """Return the correlation of two images (28, 28), a little blurred, because a pixel beside is no other letter."""
    a, b = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5).ravel() for image in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(1e-6, float(np.linalg.norm(a) * np.linalg.norm(b))))


def measure_photo(number: int, hands: Sequence[Hand], seed: int, engine: Engine) -> Photo:
    """Make one photograph, cut it, and judge each of its boxes."""
    taken, pen, view, exposure = make_photo(number, hands, seed)
    boxes = {state: sum(one.state == state for one in taken.boxes) for state in (LETTER, EMPTY, CROSSED)}
    try:
        cuts = without_crossed(cut_letters(flatten(taken.image)), engine)
    except LettercastError as error:
        return Photo(pen, view.tilt, exposure.defocus, boxes, dict.fromkeys(boxes, 0), 0, 0, str(error))
    pairs = list(zip(taken.boxes, cuts, strict=True))
    right = dict.fromkeys(boxes, 0)
    for (filled, cut), blur in zip(pairs, taken.blurs, strict=True):
        right[filled.state] += judge(filled, cut, taken.pen, blur)
    both = [(a, b) for a, b in pairs if a.state == LETTER and b.state == LETTER]
    named = [
        named_right(engine, [a.box.label for a, _ in both], images)
        for images in ([b.glyph_image for _, b in both], [clean_glyph(a, taken.pen) for a, _ in both])
    ]
    return Photo(pen, view.tilt, exposure.defocus, boxes, right, named[0], named[1])


def named_right(engine: Engine, labels: Sequence[str], images: Sequence[Pixels]) -> int:
    """Return how many images (28, 28, 1) the network names right, whatever their case."""
    names = [engine.facts.labels[int(row.argmax())] for row in engine(np.array(images))] if images else []
    return sum(name == label.upper() for name, label in zip(names, labels, strict=True))


def run_sheets(
    engine: Engine, data: str, split: str, *, photos: int = PHOTOS, seed: int = 0, progress: Callable[[str], object] = str
) -> Result:
    """Measure photographs of sheets that the writers of a data source filled in."""
    hands = able_hands(data, split)
    found: list[Photo] = []
    for number in range(photos):
        progress(f"photograph {number + 1} of {photos}")
        found.append(measure_photo(number, hands, seed, engine))
    return Result(data, split, seed, engine.facts.name, tuple(found))


def able_hands(data: str, split: str) -> list[Hand]:
    """Return the writers of a split with nearly all letters; raises LettercastError if there are none."""
    hands = [one for one in open_hands(data, split) if isinstance(one, PenHand) or known_letters(one) >= MIN_KNOWN]
    if not hands:
        raise LettercastError(f"{data}: no writer in split '{split}' has {MIN_KNOWN} of the 52 letters; try another --split")
    return hands


def known_letters(hand: Hand) -> int:
    """Return how many capitals and small letters a hand has."""
    return len(hand.letters(True)) + len(hand.letters(False))


def sheets_table(result: Result) -> Table:
    """Return one line per pen, and one for all."""
    table = Table(
        title=f"sheets to write on: {len(result.photos)} photographs, {result.data}, {result.split}, seed {result.seed}",
        caption=f"right: boxes cut and named right, in %; named: letters that {result.model} names right, in %, "
        "on cuts and on clean drawings of the same strokes",
        caption_justify="left",
    )
    for name in ("pen", "boxes", "right", "letters", "empty", "crossed out", "named", "clean"):
        table.add_column(name, justify="left" if name == "pen" else "right")
    by_pen = sorted(result.photos, key=lambda one: list(PENS).index(one.pen))
    for name, some in [*((pen, list(own)) for pen, own in groupby(by_pen, key=lambda one: one.pen)), ("all", list(by_pen))]:
        boxes = sum(sum(one.boxes.values()) for one in some)
        right = {state: sum(one.right[state] for one in some) for state in (LETTER, EMPTY, CROSSED)}
        of = {state: sum(one.boxes[state] for one in some) for state in right}
        cells = [percent(sum(right.values()), boxes), *(f"{right[state]} of {of[state]}" for state in right)]
        named = [percent(sum(counts), of[LETTER]) for counts in ([p.named for p in some], [p.named_clean for p in some])]
        table.add_row(name, str(boxes), *cells, *named)
    return table


def percent(part: int, whole: int) -> str:
    """Return a share in percent with two decimals."""
    return f"{100 * part / max(1, whole):.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.sheets", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="pen", metavar="D", help="the handwriting: pen (the default) or an .npz of strokes")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="whose strokes to use (default: val)")
    parser.add_argument("--photos", type=positive, default=PHOTOS, metavar="N", help="photographs (default: %(default)s)")
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="the model (default: %(default)s)"
    )
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="draws other photographs (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        with console.status("opening") as status:
            result = run_sheets(
                open_engine(options.model),
                options.data,
                options.split,
                photos=options.photos,
                seed=options.seed,
                progress=status.update,
            )
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console().print(sheets_table(result))
    for number, photo in enumerate(result.photos):
        if photo.failure:
            print(f"photograph {number}: {photo.failure}", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
