"""Pages written by the pen and photographed by a camera that does not exist, with known text.

Maintainer's command, for the example page:

    python -m lettercast.benchmarks.synthetic_page docs/example-page.jpg "HANDWRITING" "ON A DEVICE"
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..runtime.pixels import Pixels
from ..train.draw import draw_ink
from ..train.pen import Pen, load_pen
from ..train.source import LETTERS

MARGIN_PX, LINE_PX = 70, 150


@dataclass(frozen=True)
class Scene:
    """What the page and the camera are like; lengths in pixels, shadow and ink as shares of the paper's brightness."""

    letter: int = 76
    pen: float = 6.0
    ink: float = 0.75
    shadow: float = 0.35
    ruled: bool = True
    tilt: float = 1.5
    blur: float = 0.8
    noise: float = 3.0
    jpeg: int = 88


def synthetic_page(lines: Sequence[str], scene: Scene, rng: np.random.Generator, pen: Pen) -> Pixels:
    """Write lines of letters and photograph them; returns (H, W, 3) BGR uint8. Characters that are no letters leave a gap."""
    ink = write(lines, scene, rng, pen)
    height, width = ink.shape
    # Blue-black ink takes more of red and green than of blue.
    absorbed = ink[..., None] / 255 * scene.ink * np.array([0.8, 0.97, 1.0])
    if scene.ruled:
        for y in range(MARGIN_PX // 2 + LINE_PX, height, LINE_PX):
            absorbed[y : y + 2] += np.array([0.12, 0.22, 0.35])
    page = np.array([214, 226, 232]) * np.clip(1 - absorbed, 0.04, 1) * light(height, width, scene, rng)[..., None]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), scene.tilt, 1.0)
    page = cv2.warpAffine(page, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    page = cv2.GaussianBlur(page, (0, 0), scene.blur) + rng.normal(0, scene.noise, page.shape)
    taken = cv2.imencode(".jpg", np.clip(page, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg])[1]
    return np.asarray(cv2.imdecode(taken, cv2.IMREAD_COLOR))


def write(lines: Sequence[str], scene: Scene, rng: np.random.Generator, pen: Pen) -> Pixels:
    """Write lines of letters as ink (H, W) uint8; capitals are drawn as capitals, small letters as small ones."""
    step = round(1.25 * scene.letter)
    width = 2 * MARGIN_PX + step * max(len(line) for line in lines)
    ink = np.zeros((2 * MARGIN_PX + LINE_PX * len(lines), width), np.uint8)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            if letter.upper() not in LETTERS:
                continue
            strokes = pen.sample(LETTERS.index(letter.upper()), rng, upper=letter.isupper())
            drawn = draw_ink(strokes, scene.letter * rng.uniform(0.9, 1.05), scene.pen)
            h, w = drawn.shape
            left = MARGIN_PX + step * column + (step - w) // 2
            top = MARGIN_PX // 2 + LINE_PX * (row + 1) - h - rng.integers(2, 14)
            place = ink[top : top + h, left : left + w]
            np.maximum(place, drawn, out=place)
    return ink


def light(height: int, width: int, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Return (H, W) float light 0..1: a window's fall-off, and the soft-edged shadow of the hand with the phone."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    falloff = 1 - 0.15 * np.hypot(x / width - 0.2, y / height - 0.1)
    edge = x / width + 0.35 * y / height - rng.uniform(0.6, 0.8)
    return falloff * (1 - scene.shadow / (1 + np.exp(-edge * 60)))


def main(out: str, *lines: str) -> int:
    """Write one page as a picture; returns the exit code."""
    cv2.imwrite(out, synthetic_page(lines, Scene(), np.random.default_rng(3), load_pen()))
    print(Path(out))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
