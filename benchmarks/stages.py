"""The stages of reading pictures, timed one by one: from the file or film to the picture with letters drawn on it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..runtime.overlay import Status, annotate
from ..runtime.page import Spot
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from ..runtime.text import Page

# Classification is the engine, whoever calls it; composition is all else from pictures of letters to words: what was read in
# the frame before, second looks, cuts, lines, spaces, case.
STAGES = ("capture", "segmentation", "preprocessing", "classification", "composition", "drawing")
WHOLE = "whole"
# The frames a second that the bar shows.
SHOWN_FPS = 30.0


class TimedReader(Reader):
    """A reader that reads as the one it is made from, and adds up the seconds of segmentation, preprocessing, classification."""

    def __init__(self, reader: Reader) -> None:
        self.forget()
        classify = reader.engine.classify

        def timed(pictures: Pixels) -> NDArray[np.float32]:
            start = time.perf_counter()
            rows = classify(pictures)
            self.seconds["classification"] += time.perf_counter() - start
            return rows

        super().__init__(replace(reader.engine, classify=timed))
        self.words = reader.words

    def forget(self) -> None:
        """Begin anew."""
        self.seconds = dict.fromkeys(("segmentation", "preprocessing", "classification"), 0.0)

    def find(self, image: Pixels) -> list[Spot]:
        """Find what may be letters, as Reader does, with their pictures."""
        start, before = time.perf_counter(), self.seconds["classification"]
        spots = super().find(image)
        found = time.perf_counter()
        self.seconds["segmentation"] += found - start - (self.seconds["classification"] - before)
        for spot in spots:
            # Made at the first look, and kept.
            _ = spot.picture
        self.seconds["preprocessing"] += time.perf_counter() - found
        return spots


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV and NumPy's matrix products to one thread, whose times do not hang on what else the other cores do."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


def time_stages(
    reader: TimedReader, read: Callable[[Pixels], Page], pictures: Iterator[Pixels]
) -> Iterator[tuple[Page, dict[str, float]]]:
    """Read pictures and draw what was read on each; yields that, and the milliseconds of each stage.

    Args:
        reader: whose stages are timed.
        read: what reads a picture with that reader: its own `read`, or a tracker's.
        pictures: taking the next one is the capture.
    """
    while True:
        reader.forget()
        start = time.perf_counter()
        image = next(pictures, None)
        if image is None:
            return
        captured = time.perf_counter()
        page = read(image)
        done = time.perf_counter()
        annotate(image, page, Status(SHOWN_FPS))
        drawn = time.perf_counter()
        own = reader.seconds
        rest = done - captured - sum(own.values())
        seconds = {"capture": captured - start, **own, "composition": rest, "drawing": drawn - done}
        yield page, {name: 1000 * seconds[name] for name in STAGES}
