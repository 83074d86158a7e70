"""Fields and textures by chance: what paper, desks and rooms look like from near."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def clouds(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> Field:
    """Return (H, W) float32 of mean 0 and deviation about 1 that changes over `cell` pixels."""
    coarse = (max(2, round(shape[0] / cell) + 1), max(2, round(shape[1] / cell) + 1))
    noise = rng.standard_normal(coarse, np.float32)
    return np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Return x (1, W) and y (H, 1) in widths of the picture."""
    x = np.arange(shape[1], dtype=np.float32)[None] / shape[1]
    return x, np.arange(shape[0], dtype=np.float32)[:, None] / shape[1]


def wood(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return grain of wood as (H, W) float32 about 1, as all that follow."""
    x, y = grid(shape)
    along, across = (x, y) if rng.random() < 0.5 else (y, x)
    warped = across + 0.02 * clouds(shape, shape[1] / 3, rng) + 0.06 * np.sin(3 * along)
    rings = np.sin(warped * rng.uniform(60, 160)) + 0.5 * np.sin(warped * rng.uniform(300, 600))
    return (1 + 0.1 * rings + 0.03 * clouds(shape, 3, rng)).astype(np.float32)


def cloth(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a weave of threads with soft folds."""
    x, y = grid(shape)
    threads = rng.uniform(500, 1100)
    bend = 0.004 * clouds(shape, shape[1] / 5, rng)
    weave = np.sin((x + bend) * threads) * np.sin((y + bend) * threads)
    return (1 + 0.13 * weave + 0.1 * clouds(shape, shape[1] / 4, rng) + 0.03 * clouds(shape, 2, rng)).astype(np.float32)


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
