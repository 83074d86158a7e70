"""The built-in pen: a small generative model of handwriting that draws any number of letters from a seed."""

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.glyph import glyph
from ...runtime.pixels import Pixels
from .drawing import draw_plain, draw_random
from .source import LETTERS, UnknownWriters, digest_of

PEN_FILE = Path(__file__).with_name("pen.npz")
POINTS_PER_STROKE = 24
LETTERS_PER_SPLIT = {"train": 26 * 1000, "val": 26 * 100, "test": 26 * 200, "all": 26 * 1300}
# Beyond this many standard deviations a letter no longer looks like the handwriting that the pen was fitted to.
MAX_DEVIATION = 1.8


@dataclass(frozen=True)
class Shape:
    """One way to write one letter: the mean of its strokes and how it varies.

    label counts from 0 for A; share is how often this way is chosen, relative to the others of the letter; mean
    (S * 24 * 2,) float32 has S strokes of 24 points, about 1000 units high; components (K, S * 24 * 2) float32 are
    principal components, each multiplied by its standard deviation.
    """

    label: int
    upper: bool
    share: float
    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    def sample(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        """Draw one letter as strokes, each (24, 2)."""
        deviation = np.clip(rng.normal(0, 1, len(self.components)), -MAX_DEVIATION, MAX_DEVIATION)
        points = self.mean + deviation.astype(np.float32) @ self.components
        return list(points.astype(np.float32).reshape(-1, POINTS_PER_STROKE, 2))


@dataclass(frozen=True)
class Pen:
    """Every shape of every capital and small letter."""

    shapes: tuple[Shape, ...]

    def sample(self, label: int, rng: np.random.Generator, upper: bool | None = None) -> list[NDArray[np.float32]]:
        """Draw one letter as strokes; label counts from 0 for A; upper None draws either case."""
        if upper is None:
            upper = bool(rng.random() < 0.5)
        shapes = [s for s in self.shapes if s.label == label and s.upper == upper]
        shares = np.array([s.share for s in shapes])
        return shapes[rng.choice(len(shapes), p=shares / shares.sum())].sample(rng)


@dataclass(frozen=True)
class PenSource(UnknownWriters):
    """The pen as a data source: letter i of a split is always the same if drawn plainly, and always new in training."""

    pen: Pen
    split: str
    name: str = "pen"
    classes: tuple[str, ...] = LETTERS

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(LETTERS_PER_SPLIT[self.split], dtype=np.int64) % len(self.classes)

    @property
    def weights(self) -> NDArray[np.float64]:
        count = LETTERS_PER_SPLIT[self.split]
        return np.full(count, 1 / count)

    @property
    def digest(self) -> str:
        shapes = ((s.label, s.upper, s.share, s.mean, s.components) for s in self.pen.shapes)
        return digest_of(self.split, self.classes, *(part for shape in shapes for part in shape))

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        label = index % len(self.classes)
        if rng is not None:
            return glyph(draw_random(self.pen.sample(label, rng), rng, strength))
        return glyph(self.ink(index))

    def ink(self, index: int) -> Pixels:
        """Return the plain ink (H, W) uint8 of one letter, larger than the network sees it."""
        fixed = np.random.default_rng([zlib.crc32(self.split.encode()), index])
        return draw_plain(self.pen.sample(index % len(self.classes), fixed))


def open_pen(split: str) -> PenSource:
    """Open the built-in pen as a data source; raises LettercastError if the file is damaged."""
    return PenSource(load_pen(), split)


@lru_cache(maxsize=1)
def load_pen(path: Path = PEN_FILE) -> Pen:
    """Load the pen that comes with the package; raises LettercastError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return unpack(dict(archive))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise LettercastError(f"{path}: the built-in pen cannot be read ({error}); install lettercast again") from error


def pack(pen: Pen) -> dict[str, NDArray[Any]]:
    """Return the pen as flat arrays; components are int8 with one scale per shape, which keeps the file small."""
    scales = [max(1e-6, float(np.abs(s.components).max())) / 127 for s in pen.shapes]
    components = [np.rint(s.components / scale).astype(np.int8) for s, scale in zip(pen.shapes, scales, strict=True)]
    return {
        "label": np.array([s.label for s in pen.shapes], np.uint8),
        "upper": np.array([s.upper for s in pen.shapes]),
        "share": np.array([s.share for s in pen.shapes], np.float32),
        "scale": np.array(scales, np.float32),
        "rank": np.array([len(s.components) for s in pen.shapes], np.uint8),
        "size": np.array([len(s.mean) for s in pen.shapes], np.uint16),
        "mean": np.concatenate([np.rint(s.mean) for s in pen.shapes]).astype(np.int16),
        "components": np.concatenate([c.ravel() for c in components]),
    }


def unpack(arrays: dict[str, NDArray[Any]]) -> Pen:
    """Build the pen from the arrays of `pack`."""
    sizes, ranks = arrays["size"].astype(int), arrays["rank"].astype(int)
    means = np.split(arrays["mean"].astype(np.float32), np.cumsum(sizes)[:-1])
    components = np.split(arrays["components"].astype(np.float32), np.cumsum(sizes * ranks)[:-1])
    return Pen(
        tuple(
            Shape(int(label), bool(upper), float(share), mean, scale * flat.reshape(rank, size))
            for label, upper, share, mean, scale, flat, rank, size in zip(
                arrays["label"], arrays["upper"], arrays["share"], means, arrays["scale"], components, ranks, sizes, strict=True
            )
        )
    )
