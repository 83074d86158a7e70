"""Data sources behind one small interface: images, labels, class names and a split."""

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.arguments import plain_name
from ...runtime.classifier import fit_image
from ...runtime.glyph import glyph
from ...runtime.page.ink import letter_only
from ...runtime.pixels import Pixels
from .drawing import draw_plain, draw_random, log_uniform
from .strokes import Strokes

SPLITS = {"train": 0, "val": 1, "test": 2}
# Everything that is not held out, where too few letters are left for a val that could choose an epoch.
NOT_TEST = "train and val"
# If a source has no split of its own, validation and test get this percentage each.
HELD_OUT_PERCENT = 10


def in_split(split: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Return which entries (0 train, 1 val, 2 test) belong to the split of this name."""
    if name == NOT_TEST:
        return split != SPLITS["test"]
    return np.ones(len(split), bool) if name == "all" else split == SPLITS[name]


def hashed_split(keys: Iterable[object], labels: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """Return 0 train, 1 val or 2 test for each key; its checksum decides, so that the split never changes.

    With labels (N,), test gets one image of each class that has several and none there: the one with the lowest checksum. The
    only image of a class is for training.
    """
    rank = np.array([zlib.crc32(str(key).encode()) % 100 for key in keys], np.int64)
    split = (rank < 2 * HELD_OUT_PERCENT).astype(np.int64) + (rank < HELD_OUT_PERCENT)
    for label in () if labels is None else np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) == 1:
            split[places] = SPLITS["train"]
        elif not (split[places] == SPLITS["test"]).any():
            split[places[rank[places].argmin()]] = SPLITS["test"]
    return split


LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Height, width and channels of the images that a model takes as they are.
Shape = tuple[int, int, int]
# Weight of each letter as a power of its writer's count: a writer of four times as many letters counts twice as much.
WRITER_POWER = -0.5
# The same for classes, because pages of letters hold J and Z as often as E, which texts do not; capitals and small letters
# are classes apart where they are known.
CLASS_POWER = -0.5


class Source(Protocol):
    """N labelled letters that can be drawn as the network sees them."""

    @property
    def name(self) -> str: ...

    @property
    def split(self) -> str:
        """train, val, test or all."""
        ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) index into classes."""
        ...

    @property
    def weights(self) -> NDArray[np.float64]:
        """(N,) how often training draws each letter; the sum is 1."""
        ...

    @property
    def writers(self) -> NDArray[np.int64] | None:
        """(N,) a number per writer; None if the writers are unknown."""
        ...

    @property
    def upper(self) -> NDArray[np.bool_] | None:
        """(N,) True for capitals; None if that is unknown."""
        ...

    @property
    def total(self) -> int:
        """How many images all splits have together, if lettercast made the splits; 0 if they are the data's own."""
        ...

    @property
    def is_named(self) -> bool:
        """Whether the classes have names; if not, they are numbers: the places of a model's outputs."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the drawings, so that different letters under the same name differ."""
        ...

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        """Return one letter as (28, 28) uint8: plain if rng is None, else distorted as rng decides, up to a strength of 0..1.

        A PictureSource returns its images as they are, (H, W, C).
        """
        ...


def digest_of(*parts: object) -> str:
    """Return the SHA-256 of arrays, with their shapes and dtypes, and of the repr of anything else."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def balanced(weights: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights (N,) that sum to 1, those of each group (N,) lowered by a power of the group's sum."""
    masses = np.bincount(groups, weights)
    even = weights * np.maximum(masses, np.finfo(float).tiny)[groups] ** CLASS_POWER
    return even / max(even.sum(), np.finfo(float).tiny)


class UnknownWriters:
    """A source whose writers and capitals are unknown; unless it says otherwise, it has its own splits and named classes."""

    total = 0
    is_named = True

    @property
    def writers(self) -> None:
        return None

    @property
    def upper(self) -> None:
        return None


@dataclass(frozen=True)
class StrokeSource:
    """Letters stored as pen strokes and drawn again each time."""

    name: str
    split: str
    strokes: Strokes
    classes: tuple[str, ...] = LETTERS
    total = 0
    is_named = True

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.strokes.label

    @property
    def weights(self) -> NDArray[np.float64]:
        _, writer, count = np.unique(self.strokes.writer, return_inverse=True, return_counts=True)
        return balanced(count[writer].astype(np.float64) ** WRITER_POWER, 2 * self.labels + self.upper)

    @property
    def writers(self) -> NDArray[np.int64]:
        return self.strokes.writer

    @property
    def upper(self) -> NDArray[np.bool_]:
        return self.strokes.upper

    @property
    def digest(self) -> str:
        own = self.strokes
        return digest_of(own.points, own.points_per_stroke, own.strokes_per_sample, own.label, own.writer, self.classes)

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        strokes = self.strokes.letter(index)
        return glyph(draw_plain(strokes) if rng is None else draw_random(strokes, rng, strength))


@dataclass(frozen=True)
class ImageSource(UnknownWriters):
    """Letters stored as the ink of images, each (H, W) uint8."""

    name: str
    split: str
    inks: Sequence[Pixels]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] = LETTERS
    total: int = 0

    @property
    def weights(self) -> NDArray[np.float64]:
        return balanced(np.ones(len(self.labels)), self.labels)

    @property
    def digest(self) -> str:
        return digest_of(*self.inks, self.labels, self.classes)

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        ink = self.inks[index]
        return glyph(ink if rng is None else warp(ink, rng, strength))


@dataclass(frozen=True)
class PictureSource(UnknownWriters):
    """Images of anything, (N, H, W, C) uint8 grey or RGB, which a model gets as they are."""

    name: str
    split: str
    images: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    total: int = 0
    is_named: bool = True

    @property
    def weights(self) -> NDArray[np.float64]:
        return balanced(np.ones(len(self.labels)), self.labels)

    @property
    def digest(self) -> str:
        return digest_of(self.images, self.labels, self.classes)

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        return self.images[index]


def relabel(source: Source, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the source's labels as indices into another list of classes, matched by name; -1 if there is no match.

    Case is ignored unless two of the classes differ only in case. Labels without names are the indices themselves,
    unless all of them are names among the classes.
    """
    exact = {plain_name(name): i for i, name in enumerate(classes)}
    if not source.is_named and not set(source.classes) <= exact.keys():
        return np.where(source.labels < len(classes), source.labels, -1)
    folded = {name.upper(): i for name, i in exact.items()}
    if len(folded) < len(exact):
        folded = {}
    names = map(plain_name, source.classes)
    table = [exact.get(name, folded.get(name.upper(), -1)) for name in names]
    return np.array(table, np.int64)[source.labels]


def describe(source: Source, things: str, taken: int | None = None) -> str:
    """Say which images are taken from a source, by default all, such as `all 597 images of val`; things are images or letters."""
    count = len(source.labels)
    some = f"all {count}" if taken in (None, count) else f"{taken} of the {count}"
    split = "" if source.split == "all" else f", {source.split}"
    chosen = f" (which lettercast chose from its {source.total})" if split and source.total else ""
    return f"{some} {things} of {source.name}{split}{chosen}"


def draw_all(source: Source, seed: int | None = None) -> Pixels:
    """Draw every letter of a source, plain or distorted by a seed. Returns (N, 28, 28, 1) uint8."""
    return draw_some(source, range(len(source.labels)), seed)


def draw_some(source: Source, indices: Sequence[int] | NDArray[np.int64], seed: int | Sequence[int] | None) -> Pixels:
    """Draw the letters at `indices`, plain or distorted by a seed. Returns (len(indices), 28, 28, 1) uint8.

    Images of a PictureSource are returned as they are, (len(indices), H, W, C).
    """
    rng = None if seed is None else np.random.default_rng(seed)
    drawn = np.stack([source.image(int(i), rng) for i in indices])
    return drawn[..., None] if drawn.ndim == 3 else drawn


def image_source(
    name: str,
    split: str,
    images: Iterable[Pixels],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    *,
    shape: Shape | None,
    total: int = 0,
    is_named: bool = True,
) -> "ImageSource | PictureSource":
    """Build a source of images, each (H, W) grey or (H, W, C) BGR or BGRA uint8.

    Without a shape they are letters, of which the ink is found; with a shape (H, W, C) a model gets them as they are, scaled.
    """
    if shape is None:
        return ImageSource(name, split, [letter_only(image) for image in images], labels, classes, total)
    fitted = [fit_image(image, shape) for image in images]
    return PictureSource(name, split, np.array(fitted, np.uint8).reshape(-1, *shape), labels, classes, total, is_named)


@dataclass(frozen=True)
class WarpRange:
    """How far the ink of an image is distorted for training; turn (radians), slant and stretch are standard deviations.

    Less than for strokes, because the image has its own pen and camera. Chosen by hand; no search over these values is
    recorded.
    """

    turn: float = 0.1
    slant: float = 0.14
    stretch: float = 0.12
    bend: float = 0.025
    """Standard deviation of how far ink moves between the others, in sides of the canvas."""
    bend_places: int = 4
    """Places along each side that move apart from each other."""
    tiny_share: float = 0.15
    """Share of letters that are seen from afar."""
    tiny_sides_px: tuple[float, float] = (9, 24)
    """Longer side of those, in pixels, evenly on a log scale."""
    min_side_px: int = 48
    """Smaller ink is enlarged to this side first."""
    room: float = 1.5
    """Side of the canvas, as a multiple of the ink's longer side."""
    thicker_share: float = 0.2
    thinner_share: float = 0.2
    blur_px: tuple[float, float] = (0.3, 1.5)
    """Standard deviation of the blur, for ink that becomes neither thicker nor thinner."""


WARP = WarpRange()


def warp(ink: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Turn, slant and stretch the ink (H, W) uint8 of a letter's image, and thicken, thin or blur it.

    strength is how far its shape and size may change: 0 keeps them, 1 takes the whole of WARP.
    """
    height, width = ink.shape
    scale = max(1.0, WARP.min_side_px / max(height, width))
    side = int(WARP.room * scale * max(height, width))
    angle, slant, stretching = strength * rng.normal(0, (WARP.turn, WARP.slant, WARP.stretch))
    stretch = np.exp(stretching)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[stretch, slant], [0, 1]])
    shift = np.array([side / 2, side / 2]) - matrix @ np.array([width / 2, height / 2])
    placed = cv2.warpAffine(ink, np.column_stack([matrix, shift]), (side, side), flags=cv2.INTER_LINEAR)
    warped = _bend(placed, strength * WARP.bend, rng)
    kind = rng.random()
    if kind > 1 - strength * WARP.tiny_share:
        tiny = max(2, round(WARP.room * log_uniform(WARP.tiny_sides_px, rng)))
        return cv2.resize(warped, (min(tiny, side), min(tiny, side)), interpolation=cv2.INTER_AREA)
    if kind < WARP.thicker_share:
        return cv2.dilate(warped, np.ones((3, 3), np.uint8))
    if kind < WARP.thicker_share + WARP.thinner_share:
        return cv2.erode(warped, np.ones((2, 2), np.uint8))
    # The image went through a camera already: a little more blur, and no grain on top of its own.
    return cv2.GaussianBlur(warped, (0, 0), rng.uniform(*WARP.blur_px))


def _bend(ink: Pixels, depth: float, rng: np.random.Generator) -> Pixels:
    """Move the ink (side, side) uint8 smoothly and at random, here more than there."""
    side = len(ink)
    coarse = rng.normal(0, depth * side, (WARP.bend_places, WARP.bend_places, 2)).astype(np.float32)
    moves = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    return np.asarray(cv2.remap(ink, columns + moves[..., 0], rows + moves[..., 1], cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class MixedSource(UnknownWriters):
    """Several sources as one; shares (one per source, sum 1) are how often training draws from each."""

    sources: Sequence[Source]
    shares: Sequence[float]
    split: str
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        return " + ".join(source.name for source in self.sources)

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.concatenate([relabel(source, self.classes) for source in self.sources])

    @property
    def weights(self) -> NDArray[np.float64]:
        return np.concatenate([source.weights * share for source, share in zip(self.sources, self.shares, strict=True)])

    @property
    def digest(self) -> str:
        return digest_of([source.digest for source in self.sources], list(self.shares), self.classes)

    def image(self, index: int, rng: np.random.Generator | None, strength: float = 1.0) -> Pixels:
        part = bisect_right(self._ends, index)
        return self.sources[part].image(index - (self._ends[part - 1] if part else 0), rng, strength)

    @cached_property
    def _ends(self) -> list[int]:
        """The index after the last letter of each source."""
        return list(accumulate(len(source.labels) for source in self.sources))
