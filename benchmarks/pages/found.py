"""Cut the letters out of generated pages as the reader finds them, as training data for networks that read pages.

Such a letter has what a page did to it: shadows, rules taken off, strokes lost, and ink of its neighbours.

Maintainer's command:

    python -m lettercast.benchmarks.pages.found LETTERS.npz OTHERS.npz --data strokes.npz [--letters N] [--model M] [--seed N]
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model, natural, positive
from ...runtime.console import progress as show_progress
from ...runtime.files import write_bytes
from ...runtime.model.engine import open_engine
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...train.data.source import LETTERS, SPLITS
from .scenes import ALL_AT_ONCE, CODES, CONDITIONS, MEGAPIXELS, PHONE_PX, STRENGTHS, Photo, photograph, scene_of
from .scoring import match_boxes
from .writing import Hand, open_hands

LETTERS_WANTED = 60_000
# Letters of boxes stand alone, and 12 megapixels take long to draw.
KINDS = (ALL_AT_ONCE, *(name for name, cells in CONDITIONS.items() if name not in (CODES, MEGAPIXELS) and "form" not in cells[0]))


@dataclass(frozen=True)
class PageRanges:
    """How generated pages differ beside their condition; values are ranges of fields of a Scene. They were chosen by hand.

    several is the share of pages with several conditions at once.
    """

    several: float = 0.4
    pens: tuple[float, float] = (0.04, 0.17)
    sizes: tuple[float, float] = (30.0, 90.0)
    spacing: tuple[float, float] = (0.15, 0.45)
    touching: tuple[float, float] = (0.0, 0.25)
    cases: tuple[str, ...] = ("upper", "title", "lower", "any")


PAGE_RANGES = PageRanges()
# Cut letters have this longer side at most, in the middle of a square with a margin.
LETTER_PX, MARGIN_PX = 52, 2
# A found box holds at most this share of a neighbour's box, and at least this share of its letter's own.
MAX_FOREIGN_SHARE, MIN_OWN_SHARE = 0.5, 0.75


def take_page(hand: Hand, rng: np.random.Generator) -> Photo:
    """Photograph a page in a random condition, written by a hand with a random pen."""
    ranges = PAGE_RANGES
    kind = ALL_AT_ONCE if rng.random() < ranges.several else str(rng.choice(KINDS))
    values = {
        "pen": float(np.exp(rng.uniform(*np.log(ranges.pens)))),
        "size": float(np.exp(rng.uniform(*np.log(ranges.sizes)))),
        "spacing": float(rng.uniform(*ranges.spacing)),
        "touching": float(rng.uniform(*ranges.touching)),
        "case": str(rng.choice(ranges.cases)),
    }
    scene = scene_of(kind, str(rng.choice(STRENGTHS)), rng)
    # What the condition is about stays as it is.
    plain = scene_of("plain", "", rng)
    own = {name: value for name, value in values.items() if _value(scene, name) == _value(plain, name)}
    writer, camera = rng.spawn(2)
    return photograph(hand, scene.change(**own), PHONE_PX, writer=writer, camera=camera)


def _value(scene: object, name: str) -> object:
    parts = vars(scene).values()
    return next(getattr(part, name) for part in parts if hasattr(part, name))


@dataclass
class Found:
    """What the reader found on pages, as images (56, 56) uint8: letters with their index into LETTERS, and non-letters."""

    letters: list[Pixels] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    others: list[Pixels] = field(default_factory=list)

    def add(self, reader: Reader, photo: Photo) -> None:
        """Read a page and add what was found on it; what is half a letter, or half another one, is neither."""
        own = [one.box for one in photo.letters]
        whole = reader.find(photo.image)
        # Letters that touch are one candidate, until they are parted.
        self.others += [in_square(one.ink) for one in whole if is_no_letter(one.box, own)]
        candidates = [one for reading in reader.recognize(whole) for one in reading.candidates]
        for true, number in match_boxes(own, [one.box for one in candidates]).items():
            box = candidates[number].box
            foreign = max((share_inside(one, box) for i, one in enumerate(own) if i != true), default=0.0)
            if foreign <= MAX_FOREIGN_SHARE and share_inside(own[true], box) >= MIN_OWN_SHARE:
                self.letters.append(in_square(candidates[number].ink))
                self.labels.append(LETTERS.index(photo.letters[true].letter.upper()))


def is_no_letter(box: Sequence[float], letters: Sequence[Sequence[float]]) -> bool:
    """Return whether a box holds several letters, or no ink of any."""
    inside = [share_inside(one, box) for one in letters]
    return sum(share >= MIN_OWN_SHARE for share in inside) > 1 or not any(inside)


def share_inside(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of a box (x, y, width, height) that lies inside another one."""
    (x, y, w, h), (left, top, width, height) = box, other
    across = min(x + w, left + width) - max(x, left)
    down = min(y + h, top + height) - max(y, top)
    return max(0.0, across) * max(0.0, down) / (w * h)


def in_square(ink: Pixels) -> Pixels:
    """Return ink (h, w) uint8 in the middle of a black square, made smaller if it is large."""
    scale = min(1.0, LETTER_PX / max(ink.shape))
    if scale < 1:
        width, height = (max(1, round(scale * side)) for side in ink.shape[::-1])
        ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    square = np.zeros((LETTER_PX + 2 * MARGIN_PX,) * 2, np.uint8)
    top, left = ((len(square) - side) // 2 for side in ink.shape)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def cut_letters(
    reader: Reader,
    hands: Sequence[Sequence[Hand]],
    letters: int,
    seed: int = 0,
    progress: Callable[[str], None] = lambda done: None,
) -> Found:
    """Cut at least so many letters out of generated pages; the sources of hands write in turns."""
    found = Found()
    number = 0
    while len(found.letters) < letters:
        rng = np.random.default_rng([seed, number])
        own = hands[number % len(hands)]
        found.add(reader, take_page(own[int(rng.integers(len(own)))], rng))
        number += 1
        progress(f"{len(found.letters):,} of {letters:,} letters, {number:,} pages")
    return found


def npz_of(images: Sequence[Pixels], labels: Sequence[int], classes: Sequence[str]) -> bytes:
    """Return an .npz of images for training."""
    buffer = io.BytesIO()
    split = np.full(len(labels), SPLITS["train"])
    np.savez_compressed(buffer, image=np.stack(images), label=np.array(labels, np.int64), classes=np.array(classes), split=split)
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the letters and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.found", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("file", type=Path, metavar="LETTERS.npz", help="where the letters go")
    parser.add_argument("others", type=Path, metavar="OTHERS.npz", help="where the non-letters go, such as letters that touch")
    parser.add_argument(
        "--data",
        nargs="+",
        default=["pen"],
        metavar="STROKES",
        help="strokes of training writers, who write in turns (default: pen)",
    )
    parser.add_argument(
        "--letters", type=positive, default=LETTERS_WANTED, metavar="N", help="the number of letters (default: %(default)s)"
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed writes other pages (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        hands = [open_hands(spec, "train") for spec in options.data]
        with show_progress("writing pages") as progress:
            found = cut_letters(Reader(open_engine(options.model)), hands, options.letters, options.seed, progress)
        write_bytes(options.file, npz_of(found.letters, found.labels, LETTERS))
        if found.others:
            write_bytes(options.others, npz_of(found.others, [0] * len(found.others), ["non-letter"]))
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(f"{options.file}: {len(found.letters):,} letters; {options.others}: {len(found.others):,} non-letters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
