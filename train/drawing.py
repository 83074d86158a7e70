"""Drawing by chance, in this process or in several: what comes of it is decided by numbers, not by who draws."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import TypeAlias

import cv2
import numpy as np

from .. import LettercastError
from ..runtime.pixels import Pixels
from .clutter import clutter_for
from .source import Source

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
