"""Fields and textures by chance: what paper, desks and rooms look like from near."""

from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

# float32 throughout; NumPy's own annotations widen it at every sum, so this one does not carry it.
Field: TypeAlias = NDArray[Any]


def clouds(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> Field:
    """Return (H, W) float32 of mean 0 and deviation about 1 that changes over `cell` pixels."""
    coarse = (max(2, round(shape[0] / cell) + 1), max(2, round(shape[1] / cell) + 1))
    noise = rng.standard_normal(coarse, np.float32)
    return np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def streaks(shape: tuple[int, int], cell: float, rng: np.random.Generator, stretch: float = 6.0) -> Field:
    """Return clouds `cell` pixels high and `stretch` times as long."""
    short = (shape[0], max(2, round(shape[1] / stretch)))
    return np.asarray(cv2.resize(clouds(short, cell, rng), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Return x (1, W) and y (H, 1) in widths of the picture."""
    x = np.arange(shape[1], dtype=np.float32)[None] / shape[1]
    return x, np.arange(shape[0], dtype=np.float32)[:, None] / shape[1]


def wood(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return boards with their grain as (H, W) float32 about 1, as all that follow."""
    if rng.random() < 0.5:
        return wood((shape[1], shape[0]), rng).T
    fibres = 0.05 * streaks(shape, 2, rng, 20) + 0.06 * streaks(shape, 7, rng, 20) + 0.05 * streaks(shape, 24, rng, 20)
    x, y = grid(shape)
    rings = np.sin(
        rng.uniform(20, 50) * (y + 0.05 * np.sin(2.5 * x + rng.uniform(0, 6)) + 0.03 * clouds(shape, shape[1] / 3, rng))
    )
    board = np.floor(y * rng.uniform(2, 6))
    seams = np.where(np.diff(board, axis=0, prepend=board[:1]) > 0, 0.4, 0)
    seams = cv2.GaussianBlur(np.repeat(seams, shape[1], 1).astype(np.float32), (0, 0), 1.5 * shape[1] / 1280 + 0.3)
    return 1 + fibres + 0.06 * rings + 0.05 * np.sin(7 * board) - seams


def cloth(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a weave of threads with soft folds."""
    x, y = grid(shape)
    threads = rng.uniform(300, 700)
    bend = 0.004 * clouds(shape, shape[1] / 5, rng)
    weave = np.sin((x + bend) * threads) * np.sin((y + bend) * threads)
    folds = clouds(shape, shape[1] / 4, rng)
    return 1 + (0.1 + 0.05 * clouds(shape, 3, rng)) * weave + 0.1 * folds


def gravel(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return stones of several sizes."""
    stone = rng.uniform(8, 24) * shape[1] / 1280
    return 1 + 0.22 * clouds(shape, stone, rng) + 0.12 * clouds(shape, stone / 3, rng)


def gradient(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a bare wall, lit from one side."""
    x, y = grid(shape)
    angle = rng.uniform(0, 2 * np.pi)
    return (1 + 0.5 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.4))).astype(np.float32)


def room(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return furniture and windows, far out of focus."""
    picture = np.full(shape, 0.9, np.float32)
    for _ in range(int(rng.integers(6, 16))):
        corner = rng.uniform(-0.1, 1, 2) * shape
        extent = rng.uniform(0.08, 0.6, 2) * shape
        (top, left), (bottom, right) = corner.astype(int), (corner + extent).astype(int)
        cv2.rectangle(picture, (int(left), int(top)), (int(right), int(bottom)), float(rng.uniform(0.2, 1.4)), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.008, 0.03) * shape[1]), np.float32)


def carpet(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return loops of wool."""
    return 1 + 0.2 * clouds(shape, 4 * shape[1] / 1280, rng) + 0.1 * clouds(shape, 60 * shape[1] / 1280, rng)


TEXTURES: dict[str, Callable[[tuple[int, int], np.random.Generator], Field]] = {
    "wood": wood,
    "cloth": cloth,
    "gravel": gravel,
    "gradient": gradient,
    "room": room,
    "carpet": carpet,
}
