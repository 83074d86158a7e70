"""Drawing in this process and in several."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.clutter import WORTH_PROCESSES, draw_order, drawing

ENTROPY = [1, 4]
ORDER = [(0, 3), (1, -1), (7, 3), (8, 40)]

needs_cores = pytest.mark.skipif((os.cpu_count() or 1) < 3, reason="drawing in other processes needs three cores")


def test_a_letter_is_decided_by_its_place_and_not_by_what_is_drawn_beside_it(strokes_source):
    whole = draw_order(strokes_source, ENTROPY, ORDER)
    assert (whole.shape, whole.dtype) == ((4, 28, 28, 1), np.uint8)
    for picture, entry in zip(whole, ORDER, strict=True):
        np.testing.assert_array_equal(draw_order(strokes_source, ENTROPY, [entry])[0], picture)
    assert not np.array_equal(whole[0], whole[2])


@needs_cores
def test_other_processes_draw_what_this_one_would(strokes_source):
    before = set(multiprocessing.active_children())
    with drawing(strokes_source, WORTH_PROCESSES) as draw:
        np.testing.assert_array_equal(draw(ENTROPY, ORDER), draw_order(strokes_source, ENTROPY, ORDER))
        begun = set(multiprocessing.active_children()) - before
    # A process is begun for each task that finds none idle.
    assert begun
    assert not any(process.is_alive() for process in begun)


@needs_cores
def test_a_drawing_process_that_is_killed_ends_the_run_with_what_to_do(strokes_source):
    with (
        pytest.raises(LettercastError, match=r"a process that draws letters was ended.*go on with --resume"),
        drawing(strokes_source, WORTH_PROCESSES) as draw,
    ):
        draw(ENTROPY, ORDER)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        for _ in range(1000):
            draw(ENTROPY, ORDER)


def test_an_error_of_ones_own_comes_through(strokes_source):
    with pytest.raises(ZeroDivisionError), drawing(strokes_source, WORTH_PROCESSES):
        raise ZeroDivisionError
