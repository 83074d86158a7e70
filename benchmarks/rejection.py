"""How many non-letters a model takes for no letter: drawn clutter, and real digits of other people."""

from collections.abc import Callable

import cv2
import numpy as np
from sklearn.datasets import load_digits

from ..runtime.engine import Engine
from ..runtime.glyph import glyph
from ..runtime.pixels import Pixels
from ..train.clutter import KINDS, Clutter
from ..train.confidence import rejected_share

DRAWN, SEED = 1000, 20_000_003
# The digits come as 8x8 pictures of 0..16.
DIGIT_PX, DIGIT_SCALE = 64, 255 / 16
# 0, 1, 2, 5 and 9 are O, I, Z, S and g in some hand: no model can reject them all and keep the letters.
UNLIKE_LETTERS = (3, 4, 6, 7, 8)


def non_letters() -> dict[str, Pixels]:
    """Return pictures (N, 28, 28, 1) uint8 of non-letters by kind; none of them was seen in training."""
    drawn = {f"{kind}s, drawn": Clutter((kind,)).draw(DRAWN, SEED) for kind in KINDS}
    digits = load_digits()
    pictures = np.stack([digit_picture(image) for image in digits.images])
    chosen = np.isin(digits.target, UNLIKE_LETTERS)
    said = ", ".join(map(str, UNLIKE_LETTERS))
    return {**drawn, f"real digits {said}": pictures[chosen], "real digits, all ten": pictures}


def digit_picture(image: np.ndarray) -> Pixels:
    """Bring a scanned digit (8, 8) of 0..16 before the network as (28, 28, 1) uint8."""
    ink = np.clip(image * DIGIT_SCALE, 0, 255).astype(np.uint8)
    return glyph(cv2.resize(ink, (DIGIT_PX, DIGIT_PX), interpolation=cv2.INTER_CUBIC))[..., None]


def rejection(engine: Engine | Callable[[Pixels], np.ndarray], threshold: float) -> dict[str, float]:
    """Return by kind the share 0..1 of non-letters whose likeliest letter stays below the threshold."""
    return {kind: rejected_share(engine(pictures), threshold) for kind, pictures in non_letters().items()}
