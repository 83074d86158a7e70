"""What tests of the format for apps share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lettercast.export import tflite
from lettercast.export.artifact import DEFAULT_MODEL
from lettercast.export.mobile import embed_mobile, take_rgb
from lettercast.runtime.model.facts import keras_facts
from lettercast.train.data.drawing import draw_ink
from lettercast.train.predict import load_keras


@pytest.fixture(scope="session")
def mobile_base(tmp_path_factory) -> Path:
    """The shipped letters-base as apps take it."""
    network, facts = take_rgb(load_keras(DEFAULT_MODEL), keras_facts(DEFAULT_MODEL))
    path = tmp_path_factory.mktemp("mobile") / "letters-base-mobile.tflite"
    path.write_bytes(embed_mobile(tflite.dynamic(network, np.zeros((0, 28, 28, 1), np.uint8)), facts))
    return path


@pytest.fixture(scope="session")
def photograph(pen) -> Callable[..., np.ndarray]:
    """Return a function that writes a capital on paper: (side, side, 3) uint8 RGB, dark on light."""

    def draw(letter: str, side: int = 200, *, share: float = 0.6, at=(0.5, 0.5), pen_share: float = 0.1, paper=225, ink=50):
        strokes = pen.sample(ord(letter) - ord("A"), np.random.default_rng(3), True)
        drawn = draw_ink(strokes, share * side, pen_share * share * side)
        picture = np.full((side, side), float(paper))
        h, w = drawn.shape
        y, x = (round(place * (side - length)) for place, length in zip(at, (h, w), strict=True))
        picture[y : y + h, x : x + w] += drawn / 255 * (ink - paper)
        return np.repeat(picture[..., None], 3, -1).astype(np.uint8)

    return draw
