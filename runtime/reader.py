"""The reader: an image in, lines of letters out.

from lettercast.runtime import Reader
page = Reader().read(cv2.imread("page.jpg"))
print(page.text)
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from .context import settle_strokes
from .engine import Engine, open_engine
from .glyph import GLYPH_SHAPE, glyph
from .page import find_lines
from .pixels import Pixels

DEFAULT_MODEL = Path(__file__).with_name("models") / "letters-base-int8.tflite"
# Second guesses: so many at most, and none that is less likely than this.
ALTERNATIVES, LEAST_PROBABLE = 3, 0.01
# What stands for something that the model takes for no letter.
UNKNOWN = "?"


@dataclass(frozen=True)
class Letter:
    """One letter: its label, probability 0..1, box (x, y, width, height) in pixels, and the next guesses.

    Where the model is less sure than its facts ask for, the label is `?`, the confidence that of the likeliest
    guess, and that guess stands first among the alternatives.
    """

    letter: str
    confidence: float
    box: tuple[int, int, int, int]
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Line:
    """Letters from left to right."""

    letters: tuple[Letter, ...]

    @property
    def text(self) -> str:
        return "".join(letter.letter for letter in self.letters)


@dataclass(frozen=True)
class Page:
    """What was read from one image of size (width, height), and how many milliseconds it took."""

    size: tuple[int, int]
    lines: tuple[Line, ...]
    segment_ms: float
    classify_ms: float

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the page as the JSON object that `lettercast read --json` prints."""
        ms = {"segment": self.segment_ms, "classify": self.classify_ms, "total": self.segment_ms + self.classify_ms}
        return {
            "size": list(self.size),
            "text": self.text,
            "lines": [{"text": line.text, "letters": [_letter_dict(letter) for letter in line.letters]} for line in self.lines],
            "ms": {stage: round(value, 3) for stage, value in ms.items()},
        }


class Reader:
    """Reads letters with one model: a file, an engine that is open already, or the model that comes with lettercast."""

    def __init__(self, model: str | Path | Engine | None = None, threads: int = 1) -> None:
        self.engine = model if isinstance(model, Engine) else open_engine(Path(model) if model else DEFAULT_MODEL, threads)
        if self.engine.facts.input_shape != GLYPH_SHAPE:
            taken = self.engine.facts.input_shape
            raise LettercastError(
                f"{self.engine.facts.name}: takes {taken} pictures, letters are {GLYPH_SHAPE}; take another model"
            )

    def read(self, image: Pixels) -> Page:
        """Read an image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8."""
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
            raise ValueError(f"an image is (H, W) or (H, W, C) uint8, not {image.shape} {image.dtype}")
        start = time.perf_counter()
        spots = find_lines(image)
        found = time.perf_counter()
        glyphs = [glyph(spot.ink) for line in spots for spot in line]
        pictures = np.stack(glyphs)[..., None] if glyphs else np.zeros((0, *self.engine.facts.input_shape), np.uint8)
        ends = np.cumsum([len(line) for line in spots])[:-1]
        rows = np.split(self.engine(pictures), ends) if spots else []
        lines = tuple(self._line(row, [spot.box for spot in line]) for row, line in zip(rows, spots, strict=True))
        done = time.perf_counter()
        size = (image.shape[1], image.shape[0])
        return Page(size, lines, 1000 * (found - start), 1000 * (done - found))

    def _line(self, probabilities: NDArray[np.float32], boxes: list[tuple[int, int, int, int]]) -> Line:
        settled = settle_strokes(probabilities, boxes, self.engine.facts.labels)
        return Line(tuple(self._letter(row, box) for row, box in zip(settled, boxes, strict=True)))

    def _letter(self, probabilities: NDArray[np.float32], box: tuple[int, int, int, int]) -> Letter:
        labels = self.engine.facts.labels
        best, *rest = np.argsort(-probabilities, kind="stable")[: ALTERNATIVES + 1]
        known = probabilities[best] >= self.engine.facts.reject_below
        guesses = rest if known else [best, *rest[:-1]]
        others = tuple((labels[i], float(probabilities[i])) for i in guesses if probabilities[i] >= LEAST_PROBABLE)
        return Letter(labels[best] if known else UNKNOWN, float(probabilities[best]), box, others)


def _letter_dict(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.letter,
        "confidence": round(letter.confidence, 4),
        "box": list(letter.box),
        "alternatives": [[name, round(probability, 4)] for name, probability in letter.alternatives],
    }
