"""Non-letters that a camera could take for letters: digits, symbols, scribbles, scraps of rules, smudges, joined letters."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import wait
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.glyph import glyph
from ...runtime.pixels import Pixels
from .drawing import Stroke, draw_ink, draw_random, grain, weather
from .pen import load_pen
from .source import Source

# Corners of pen paths in a unit square, y downwards; `|` separates strokes. Only digits and signs that no letter looks
# like: 0, 1, 2, 5, 6 and 9 are O, I, Z, S, b and g in somebody's handwriting.
SIGNS = {
    "3": "0.1,0.1 0.5,0 0.9,0.15 0.75,0.4 0.4,0.48 0.8,0.55 0.95,0.8 0.5,1 0.05,0.88",
    "4": "0.5,0 0.05,0.65 0.5,0.66 0.95,0.65|0.68,0.3 0.68,0.65 0.66,1",
    "7": "0.05,0.05 0.5,0.02 0.95,0 0.6,0.5 0.35,1|0.25,0.5 0.55,0.48 0.8,0.5",
    "8": "0.8,0.15 0.5,0 0.2,0.2 0.5,0.48 0.85,0.75 0.5,1 0.15,0.78 0.5,0.48 0.8,0.2 0.7,0.05",
    "&": "1,1 0.35,0.35 0.4,0.05 0.65,0.15 0.4,0.45 0.05,0.75 0.3,1 0.65,0.9 0.95,0.55",
    "#": "0.35,0 0.3,0.5 0.25,1|0.75,0 0.7,0.5 0.65,1|0,0.35 0.5,0.33 1,0.3|0,0.7 0.5,0.68 1,0.65",
    "?": "0.1,0.2 0.4,0 0.85,0.15 0.75,0.4 0.45,0.55 0.45,0.75|0.45,0.95 0.47,0.98",
    "=": "0,0.2 0.5,0.18 1,0.2|0,0.6 0.5,0.62 1,0.6",
    "star": "0.2,1 0.35,0.5 0.5,0 0.65,0.5 0.8,1 0.4,0.7 0,0.35 0.5,0.36 1,0.35 0.6,0.7 0.2,1",
    "arrow": "0,0.5 0.5,0.52 1,0.5|0.7,0.2 0.85,0.35 1,0.5 0.85,0.65 0.7,0.8",
    "heart": "0.5,0.3 0.3,0 0.02,0.25 0.2,0.65 0.5,1 0.8,0.65 0.98,0.25 0.7,0 0.5,0.3",
    "spiral": "0.5,0.5 0.6,0.45 0.6,0.6 0.4,0.65 0.35,0.4 0.6,0.28 0.8,0.5 0.65,0.85 0.3,0.85 0.1,0.5 0.3,0.1 0.7,0.05",
    "face": "0.5,0 0.15,0.15 0,0.5 0.15,0.85 0.5,1 0.85,0.85 1,0.5 0.85,0.15 0.5,0|"
    "0.3,0.35 0.32,0.37|0.7,0.35 0.68,0.37|0.25,0.65 0.5,0.8 0.75,0.65",
}


# Each digit in the ways in which people write it, as SIGNS are: 0 with and without a slash, 1 with and without flag and foot, 4
# open and closed, 7 with and without a bar. A corner that stands twice stays sharp.
DIGITS: dict[str, tuple[str, ...]] = {
    "0": (
        "0.3,0 0.06,0.15 0,0.5 0.06,0.85 0.3,1 0.56,0.85 0.62,0.5 0.56,0.15 0.3,0",
        "0.4,0.02 0.1,0.12 0,0.5 0.1,0.9 0.34,1 0.58,0.8 0.6,0.4 0.45,0.08 0.25,0",
        "0.3,0 0.06,0.15 0,0.5 0.06,0.85 0.3,1 0.56,0.85 0.62,0.5 0.56,0.15 0.3,0|0.56,0.08 0.3,0.5 0.08,0.92",
    ),
    "1": (
        "0.1,0 0.08,0.5 0.06,1",
        "0,0.25 0.15,0.14 0.3,0 0.3,0 0.3,0.5 0.3,1",
        "0,0.22 0.25,0 0.25,0 0.25,0.5 0.25,1|0,1 0.25,0.99 0.5,1",
        "0,0.48 0.2,0.25 0.42,0 0.42,0 0.42,0.5 0.4,1",
    ),
    "2": (
        "0,0.22 0.12,0.03 0.4,0 0.58,0.15 0.5,0.42 0.2,0.75 0,1 0,1 0.3,0.99 0.62,0.98",
        "0.02,0.2 0.2,0 0.5,0.05 0.55,0.3 0.3,0.7 0.08,0.95 0.02,0.85 0.2,0.82 0.4,0.98 0.65,0.92",
    ),
    "3": (
        "0.03,0.1 0.3,0 0.56,0.15 0.47,0.4 0.22,0.47 0.5,0.55 0.6,0.8 0.3,1 0,0.88",
        "0,0.02 0.3,0 0.58,0 0.58,0 0.25,0.42 0.25,0.42 0.55,0.55 0.58,0.82 0.3,1 0,0.9",
    ),
    "4": (
        "0.25,0 0.02,0.62 0.02,0.62 0.35,0.63 0.65,0.62|0.45,0.3 0.45,0.65 0.43,1",
        "0.08,0 0.05,0.5 0.05,0.5 0.3,0.55 0.6,0.52|0.52,0.02 0.5,0.5 0.48,1",
        "0.45,0 0.2,0.35 0,0.66 0,0.66 0.3,0.66 0.64,0.66|0.45,0 0.45,0.5 0.45,1",
    ),
    "5": (
        "0.1,0.02 0.08,0.22 0.05,0.45 0.05,0.45 0.35,0.38 0.6,0.6 0.5,0.9 0.25,1 0,0.9|0.1,0.02 0.35,0.01 0.6,0",
        "0.58,0 0.3,0.02 0.1,0.03 0.1,0.03 0.06,0.44 0.06,0.44 0.35,0.4 0.6,0.65 0.45,0.95 0.2,1 0,0.9",
    ),
    "6": (
        "0.5,0 0.2,0.2 0.02,0.6 0.1,0.92 0.35,1 0.58,0.82 0.5,0.55 0.25,0.52 0.05,0.72",
        "0.55,0.08 0.38,0 0.1,0.25 0,0.65 0.15,0.97 0.45,0.97 0.58,0.72 0.38,0.52 0.08,0.66",
    ),
    "7": (
        "0,0.02 0.3,0.01 0.6,0 0.6,0 0.35,0.5 0.2,1",
        "0,0.02 0.3,0.01 0.6,0 0.6,0 0.35,0.5 0.2,1|0.1,0.5 0.35,0.49 0.58,0.5",
        "0,0.18 0.01,0.02 0.01,0.02 0.3,0.02 0.6,0 0.6,0 0.35,0.5 0.22,1",
    ),
    "8": (
        "0.5,0.15 0.3,0 0.1,0.2 0.3,0.48 0.55,0.75 0.3,1 0.07,0.78 0.3,0.48 0.5,0.2 0.43,0.05",
        "0.3,0 0.1,0.1 0.1,0.35 0.3,0.46 0.5,0.35 0.5,0.1 0.3,0|0.3,0.46 0.03,0.6 0.03,0.88 0.3,1 0.57,0.88 0.57,0.6 0.3,0.46",
    ),
    "9": (
        "0.55,0.15 0.3,0 0.05,0.18 0.12,0.45 0.35,0.48 0.55,0.2 0.55,0.2 0.55,0.6 0.53,1",
        "0.55,0.12 0.3,0 0.03,0.2 0.15,0.48 0.42,0.42 0.55,0.15 0.56,0.5 0.5,0.85 0.25,1 0.05,0.9",
    ),
}


@dataclass(frozen=True)
class ClutterRange:
    """What non-letters look like; a pair is the smallest and the largest value.

    Chosen by hand; no search over these values is recorded. The models of docs/model-card.md were trained with them.
    """

    corner_jitter: float = 0.05
    """Standard deviation of a sign's corners, in sides of its square."""
    digit_jitter: float = 0.02
    """The same for the corners of a digit, in its heights."""
    scribble_turns: tuple[int, int] = (7, 26)
    """Turns of a scribble, the last number excluded."""
    max_rule_slope: float = 0.4
    """Steepest scrap of a rule, in radians from the horizontal: a steeper one would be an I."""
    second_rule_share: float = 0.25
    rule_sides_px: tuple[float, float] = (20, 84)
    rule_widths: tuple[float, float] = (0.02, 0.15)
    """Thickness of a rule, as shares of its length."""
    smudge_sides_px: tuple[int, int] = (24, 72)
    """Side of a smudge, the last number excluded."""
    smudge_grain_px: tuple[float, float] = (1, 8)
    run_gaps: tuple[float, float] = (-60, 40)
    """Distance of joined letters; letters of the pen are about 1000 high."""
    two_letters_share: float = 0.7
    """Share of runs that have two letters; the others have three."""


CLUTTER = ClutterRange()
# If there are images of non-letters, they are this share of all.
IMAGES_SHARE = 0.5


@dataclass(frozen=True)
class Clutter:
    """Random non-letters of some kinds, half of them from images of non-letters if there are any."""

    kinds: tuple[str, ...]
    images: Source | None = None
    strength: float = 1.0

    def image(self, rng: np.random.Generator) -> Pixels:
        """Return one non-letter as the network sees it, (28, 28) uint8."""
        if self.images is not None and rng.random() < IMAGES_SHARE:
            return self.images.image(int(rng.integers(len(self.images.labels))), rng, self.strength)
        return glyph(ALL_KINDS[self.kinds[int(rng.integers(len(self.kinds)))]](rng))

    def draw(self, count: int, seed: int) -> Pixels:
        """Draw (count, 28, 28, 1) uint8; the seed decides them all."""
        rng = np.random.default_rng(seed)
        return np.stack([self.image(rng) for _ in range(count)])[..., None]


def clutter_for(classes: Sequence[str]) -> Clutter:
    """Return the clutter for these classes: signs and joined letters only if every class is a letter or a digit.

    Digits are signs only where none is a class, and classes without any letter have shapeless clutter.
    """
    if not all(len(name) == 1 and name.isascii() and name.isalnum() for name in classes) or all(map(str.isdigit, classes)):
        return Clutter(SHAPELESS)
    return Clutter(MARKED if any(map(str.isdigit, classes)) else tuple(KINDS))


def draw_sign(rng: np.random.Generator) -> Pixels:
    """Draw one of SIGNS with a random pen and camera. Returns (H, W) uint8 ink, as all kinds do."""
    corners = _corners(SIGNS[list(SIGNS)[int(rng.integers(len(SIGNS)))]])
    return draw_random([smooth(stroke + rng.normal(0, CLUTTER.corner_jitter, stroke.shape)) for stroke in corners], rng)


def draw_mark(rng: np.random.Generator) -> Pixels:
    """Draw one of SIGNS that is no digit."""
    marks = [name for name in SIGNS if not name.isdigit()]
    corners = _corners(SIGNS[marks[int(rng.integers(len(marks)))]])
    return draw_random([smooth(stroke + rng.normal(0, CLUTTER.corner_jitter, stroke.shape)) for stroke in corners], rng)


def write_digit(digit: str, rng: np.random.Generator) -> list[Stroke]:
    """Write one of DIGITS in one of its ways, as strokes, each (n, 2), about 1 high."""
    ways = DIGITS[digit]
    corners = _corners(ways[int(rng.integers(len(ways)))])
    return [smooth(stroke + rng.normal(0, CLUTTER.digit_jitter, stroke.shape)) for stroke in corners]


def draw_scribble(rng: np.random.Generator) -> Pixels:
    """Draw loops, zigzags or a tangle of the pen."""
    turns = int(rng.integers(*CLUTTER.scribble_turns))
    if rng.random() < 0.5:
        path = np.cumsum(rng.normal(0, 1, (turns, 2)), 0)
    else:
        path = np.stack([np.arange(turns) % 2 + rng.normal(0, 0.2, turns), np.linspace(0, rng.uniform(0.3, 2), turns)], 1)
    if rng.random() < 0.5:
        path = path[:, ::-1]
    return draw_random([smooth(path) if rng.random() < 0.7 else path.astype(np.float32)], rng)


def draw_rule(rng: np.random.Generator) -> Pixels:
    """Draw a scrap of one or two ruled lines, nearly horizontal."""
    rise = np.tan(rng.uniform(-CLUTTER.max_rule_slope, CLUTTER.max_rule_slope))
    line = np.array([[0, 0], [0.5, rise / 2 + rng.normal(0, 0.02)], [1, rise]], np.float32)
    second = line + np.array([rng.normal(0, 0.2), rng.uniform(0.15, 0.6)], np.float32)
    lines = [line, second.astype(np.float32)] if rng.random() < CLUTTER.second_rule_share else [line]
    side = rng.uniform(*CLUTTER.rule_sides_px)
    return weather(draw_ink(lines, side, side * rng.uniform(*CLUTTER.rule_widths)), 3.0, rng)


def draw_smudge(rng: np.random.Generator) -> Pixels:
    """Draw a blot, a smear or dust, without lines."""
    side = int(rng.integers(*CLUTTER.smudge_sides_px))
    cloud = grain((side, side), rng.uniform(*CLUTTER.smudge_grain_px), rng)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    stretch = np.exp(rng.normal(0, 0.5))
    inside = 1.6 - rng.uniform(1.5, 3.5) * ((x * stretch) ** 2 + (y / stretch) ** 2)
    return np.clip(90 * (0.8 * cloud + inside), 0, 255).astype(np.uint8)


def draw_run(rng: np.random.Generator) -> Pixels:
    """Draw two or three joined letters as one piece of ink."""
    pen, x, strokes = load_pen(), 0.0, []
    for _ in range(2 if rng.random() < CLUTTER.two_letters_share else 3):
        letter = pen.sample(int(rng.integers(26)), rng)
        points = np.concatenate(letter)
        low = points.min(0)
        strokes += [stroke - low + np.array([x, -np.ptp(points[:, 1])], np.float32) for stroke in letter]
        x += float(np.ptp(points[:, 0])) + rng.uniform(*CLUTTER.run_gaps)
    return draw_random([stroke.astype(np.float32) for stroke in strokes], rng)


def smooth(corners: NDArray[Any]) -> Stroke:
    """Round off the corners of a path (n, 2) by cutting them twice (Chaikin's algorithm)."""
    for _ in range(2):
        near, far = 0.75 * corners[:-1] + 0.25 * corners[1:], 0.25 * corners[:-1] + 0.75 * corners[1:]
        corners = np.concatenate([corners[:1], np.stack([near, far], 1).reshape(-1, 2), corners[-1:]])
    return corners.astype(np.float32)


def _corners(sign: str) -> list[NDArray[np.float64]]:
    return [np.array([corner.split(",") for corner in stroke.split()], np.float64) for stroke in sign.split("|")]


KINDS: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "sign": draw_sign,
    "scribble": draw_scribble,
    "rule": draw_rule,
    "smudge": draw_smudge,
    "run": draw_run,
}
SHAPELESS = ("scribble", "rule", "smudge")
# For classes of letters and digits.
MARKED = ("mark", *SHAPELESS, "run")
ALL_KINDS = {**KINDS, "mark": draw_mark}


# Runs of at least this many letters draw in other processes, which take a few seconds to start.
MIN_LETTERS_FOR_PROCESSES = 200_000

# Some places of an epoch: each with the letter to draw there, or -1 for clutter.
Order: TypeAlias = Sequence[tuple[int, int]]
Draw: TypeAlias = Callable[[Sequence[int], Order], Pixels]


@dataclass(frozen=True)
class Drawn:
    """What an epoch draws: letters of a source, distorted up to a strength of 0..1, and images of non-letters if any."""

    source: Source
    strength: float = 1.0
    non_letters: Source | None = None


def draw_order(drawn: Drawn, entropy: Sequence[int], order: Order) -> Pixels:
    """Draw letters and clutter, (N, 28, 28, 1) uint8; entropy and its place alone decide each drawing."""
    source, strength = drawn.source, drawn.strength
    clutter = replace(clutter_for(source.classes), images=drawn.non_letters, strength=strength)
    images = []
    for place, letter in order:
        rng = np.random.default_rng([*entropy, place])
        images.append(clutter.image(rng) if letter < 0 else source.image(letter, rng, strength))
    return np.stack(images)[..., None]


@contextmanager
def drawing(drawn: Drawn, letters: int) -> Iterator[Draw]:
    """Give the function that draws as draw_order does: here, or in several processes if many letters are drawn.

    Several threads may call it. Raises LettercastError if a drawing process dies.
    """
    processes = (os.cpu_count() or 1) - 1
    if letters < MIN_LETTERS_FOR_PROCESSES or processes < 2:
        yield partial(draw_order, drawn)
        return
    # Not forked: a fork would lack the threads of OpenCV and TensorFlow.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (drawn,))
    broken: list[BrokenProcessPool] = []

    def draw(entropy: Sequence[int], order: Order) -> Pixels:
        try:
            return pool.submit(_draw_here, entropy, order).result()
        except BrokenProcessPool as error:
            broken.append(error)
            raise

    try:
        yield draw
    except Exception as error:  # the trainer wraps errors of its data in its own
        if not broken:
            raise
        reason = "a process that draws letters was killed, probably because memory ran short"
        raise LettercastError(f"{reason}; close other programs and continue with --resume") from error
    finally:
        pool.shutdown(cancel_futures=True)
        # A reference cycle holds its semaphores; without this, Python warns of leaked ones if the process ends now.
        gc.collect()


def _begin(drawn: Drawn) -> None:
    """Prepare a drawing process: one thread, ignores Ctrl-C, and ends when the training process does."""
    _held.append(partial(draw_order, drawn))
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(0)), daemon=True).start()


def _draw_here(entropy: Sequence[int], order: Order) -> Pixels:
    return _held[0](entropy, order)


# How a drawing process draws.
_held: list[Draw] = []
