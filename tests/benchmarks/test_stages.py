"""The stages of reading pictures."""

import cv2
import pytest
from threadpoolctl import threadpool_info

from lettercast.benchmarks.speed.camera_loop import STAGES, TimedReader, one_thread, time_stages
from lettercast.runtime import Reader
from lettercast.runtime.live.track import Tracker


@pytest.fixture(scope="module")
def pages(draw_page):
    return [draw_page("LETTERS", "AND", "WORDS")[0], draw_page("ABCDE")[0]]


def test_what_is_timed_reads_as_the_reader_does(pages):
    reader = Reader(words=("letters", "words"))
    timed = TimedReader(reader)
    read = list(time_stages(timed, timed.read, iter(pages)))
    assert [page.lines for page, _ in read] == [reader.read(image).lines for image in pages]
    assert read[0][0].lines[0].words[0].listed == "letters"
    assert all(tuple(ms) == STAGES and min(ms.values()) > 0 for _, ms in read)


def test_the_engine_is_classification_whoever_calls_it(pages):
    asked = []
    reader = Reader()
    classify = reader.engine.classify
    object.__setattr__(reader.engine, "classify", lambda pictures: asked.append(len(pictures)) or classify(pictures))
    timed = TimedReader(reader)
    next(time_stages(timed, timed.read, iter(pages[1:])))
    assert sum(asked) >= 5
    assert timed.seconds["classification"] > 0


def test_a_tracker_that_knows_its_letters_asks_the_engine_no_more(pages):
    timed = TimedReader(Reader())
    times = [ms for _, ms in time_stages(timed, Tracker(timed).read, iter([pages[1]] * 4))]
    assert times[0]["classification"] > 0
    assert times[-1]["classification"] == 0
    assert times[-1]["segmentation"] > 0


def test_without_pictures_there_are_no_times():
    timed = TimedReader(Reader())
    assert list(time_stages(timed, timed.read, iter(()))) == []


def test_one_thread_is_all_that_opencv_and_numpy_take_until_it_is_over():
    threads = lambda: [cv2.getNumThreads(), *(pool["num_threads"] for pool in threadpool_info())]  # noqa: E731
    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
