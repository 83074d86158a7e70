"""Write the test vectors of docs/without-lettercast.md: inks of letters and shapes, and the glyphs that lettercast makes of them.

python docs/build_glyph_vectors.py docs/glyph-vectors.json
"""

import json
import sys
from pathlib import Path

import numpy as np

from lettercast.runtime.glyph import glyph
from lettercast.runtime.pixels import Pixels
from lettercast.train.data.drawing import draw_ink
from lettercast.train.data.pen import load_pen

SEED = 1


def inks() -> dict[str, Pixels]:
    """Return an ink (H, W) uint8 for each rule of the specification, by the name of the case."""
    rng = np.random.default_rng(SEED)
    pen = load_pen()

    def letter(name: str, side: float, width: float) -> Pixels:
        return draw_ink(pen.sample(ord(name) - ord("A"), rng, upper=True), side, width)

    def bar(height: int, width: int, level: int = 255, margin: int = 3) -> Pixels:
        return np.pad(np.full((height, width), level, np.uint8), margin)

    noisy = letter("Q", 33, 4) // 2
    noisy += rng.integers(0, 30, noisy.shape).astype(np.uint8)
    return {
        "no ink": np.zeros((5, 7), np.uint8),
        "one faint pixel": bar(1, 1, 20),
        "enlarged bar, off the middle": np.pad(bar(9, 4), ((0, 5), (6, 0))),
        "enlarged letter": letter("R", 13, 1.5),
        "letter of 24 pixels": letter("E", 22, 2),
        "shrunk letter": letter("K", 37, 4),
        "halved in both directions": rng.integers(100, 256, (48, 48)).astype(np.uint8),
        "a third in both directions": rng.integers(100, 256, (72, 24)).astype(np.uint8),
        "half a pixel rounds to even, up": bar(48, 7),
        "half a pixel rounds to even, down": bar(48, 5),
        "thin line, with the largest gain": bar(1, 61),
        "faint ink in noise below the edge": noisy,
    }


def rows_of(image: Pixels) -> list[str]:
    """Return an image (H, W) uint8 as one string per row, two hexadecimal digits per pixel."""
    return [bytes(row).hex() for row in image]


def build() -> str:
    """Return the vectors as JSON."""
    cases = [{"name": name, "ink": rows_of(ink), "glyph": rows_of(glyph(ink))} for name, ink in inks().items()]
    return json.dumps({"cases": cases}, indent=1) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(build(), encoding="utf-8")
