"""What a camera takes for a letter and is none: digits, symbols, scribbles, scraps of rules, smudges and runs of letters."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
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

# Corners of pen paths in a unit square, y downwards, one string a stroke. Digits and signs that no letter looks like:
# 0, 1, 2, 5, 6 and 9 are O, I, Z, S, b and g in some hand.
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
CORNER_JITTER = 0.05
# Steepest scrap of a rule, in radians from the horizontal: what is steeper is an I.
STEEPEST = 0.4


@dataclass(frozen=True)
class Clutter:
    """Non-letters of some kinds, drawn by chance."""

    kinds: tuple[str, ...]

    def picture(self, rng: np.random.Generator) -> Pixels:
        """Return (28, 28) uint8 of one non-letter, as the network sees it."""
        return glyph(KINDS[self.kinds[int(rng.integers(len(self.kinds)))]](rng))

    def draw(self, count: int, seed: int) -> Pixels:
        """Draw (count, 28, 28, 1) uint8 by a seed."""
        rng = np.random.default_rng(seed)
        return np.stack([self.picture(rng) for _ in range(count)])[..., None]


def clutter_for(classes: Sequence[str]) -> Clutter:
    """Return the clutter to tell from these classes: signs and runs of letters only where the classes are letters."""
    letters = all(len(name) == 1 and name.isascii() and name.isalpha() for name in classes)
    return Clutter(tuple(KINDS) if letters else SHAPELESS)


def draw_sign(rng: np.random.Generator) -> Pixels:
    """Draw one of SIGNS with a pen and a camera by chance. Returns (H, W) uint8 ink, as all that follow."""
    corners = _corners(SIGNS[list(SIGNS)[int(rng.integers(len(SIGNS)))]])
    return draw_random([smooth(stroke + rng.normal(0, CORNER_JITTER, stroke.shape)) for stroke in corners], rng)


def draw_scribble(rng: np.random.Generator) -> Pixels:
    """Draw a pen that goes to and fro: loops, zigzags and tangles."""
    turns = int(rng.integers(7, 26))
    if rng.random() < 0.5:
        path = np.cumsum(rng.normal(0, 1, (turns, 2)), 0)
    else:
        path = np.stack([np.arange(turns) % 2 + rng.normal(0, 0.2, turns), np.linspace(0, rng.uniform(0.3, 2), turns)], 1)
    if rng.random() < 0.5:
        path = path[:, ::-1]
    return draw_random([smooth(path) if rng.random() < 0.7 else path.astype(np.float32)], rng)


def draw_rule(rng: np.random.Generator) -> Pixels:
    """Draw a scrap of one or two rules, lying rather than standing."""
    rise = np.tan(rng.uniform(-STEEPEST, STEEPEST))
    line = np.array([[0, 0], [0.5, rise / 2 + rng.normal(0, 0.02)], [1, rise]], np.float32)
    second = line + np.array([rng.normal(0, 0.2), rng.uniform(0.15, 0.6)], np.float32)
    lines = [line, second.astype(np.float32)] if rng.random() < 0.25 else [line]
    side = rng.uniform(20, 84)
    return weather(draw_ink(lines, side, side * rng.uniform(0.02, 0.15)), 3.0, rng)


def draw_smudge(rng: np.random.Generator) -> Pixels:
    """Draw a blot, a smear or dust without a line in it."""
    side = int(rng.integers(24, 72))
    cloud = grain((side, side), rng.uniform(1, 8), rng)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    stretch = np.exp(rng.normal(0, 0.5))
    inside = 1.6 - rng.uniform(1.5, 3.5) * ((x * stretch) ** 2 + (y / stretch) ** 2)
    return np.clip(90 * (0.8 * cloud + inside), 0, 255).astype(np.uint8)


def draw_run(rng: np.random.Generator) -> Pixels:
    """Draw two or three letters that touch, as one piece of ink."""
    pen, x, strokes = load_pen(), 0.0, []
    for _ in range(2 if rng.random() < 0.7 else 3):
        letter = pen.sample(int(rng.integers(26)), rng)
        points = np.concatenate(letter)
        low = points.min(0)
        strokes += [stroke - low + np.array([x, -np.ptp(points[:, 1])], np.float32) for stroke in letter]
        x += float(np.ptp(points[:, 0])) + rng.uniform(-60, 40)
    return draw_random([stroke.astype(np.float32) for stroke in strokes], rng)


def smooth(corners: NDArray[Any]) -> Stroke:
    """Round a path (n, 2) through its corners, by cutting them twice (Chaikin)."""
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


# Letters of a whole run from which on other processes draw: they take a few seconds to begin.
WORTH_PROCESSES = 200_000

# What stands at some places of an epoch: for each its place and the letter to draw, -1 for clutter.
Order: TypeAlias = Sequence[tuple[int, int]]
Draw: TypeAlias = Callable[[Sequence[int], Order], Pixels]


def draw_order(source: Source, entropy: Sequence[int], order: Order) -> Pixels:
    """Draw letters of a source and clutter, each decided by entropy and its place alone; returns (N, 28, 28, 1) uint8."""
    clutter = clutter_for(source.classes)
    pictures = []
    for place, letter in order:
        rng = np.random.default_rng([*entropy, place])
        pictures.append(clutter.picture(rng) if letter < 0 else source.picture(letter, rng))
    return np.stack(pictures)[..., None]


@contextmanager
def drawing(source: Source, letters: int) -> Iterator[Draw]:
    """Give the function that draws from a source; where a run is to draw many letters, it may be called by several threads.

    Raises LettercastError where a drawing process ends before its time.
    """
    processes = (os.cpu_count() or 1) - 1
    if letters < WORTH_PROCESSES or processes < 2:
        yield partial(draw_order, source)
        return
    # Not forked: OpenCV and TensorFlow have threads, of which a fork has none.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (source,))
    broken: list[BrokenProcessPool] = []

    def draw(entropy: Sequence[int], order: Order) -> Pixels:
        try:
            return pool.submit(_draw_here, entropy, order).result()
        except BrokenProcessPool as error:
            broken.append(error)
            raise

    try:
        yield draw
    except Exception as error:  # whatever the trainer makes of an error of its data
        if not broken:
            raise
        reason = "a process that draws letters was ended, as the system does when memory runs short"
        raise LettercastError(f"{reason}; close other programs and go on with --resume") from error
    finally:
        pool.shutdown(cancel_futures=True)
        # Its semaphores hang in a cycle; where the process ends at once, what is left of them is complained of.
        gc.collect()


def _begin(source: Source) -> None:
    """Make ready a process that draws: one thread, deaf to Ctrl-C, and gone when the training is."""
    _held.append(source)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(0)), daemon=True).start()


def _draw_here(entropy: Sequence[int], order: Order) -> Pixels:
    return draw_order(_held[0], entropy, order)


# What a process that draws was begun with.
_held: list[Source] = []
