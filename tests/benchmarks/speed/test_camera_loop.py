"""The stages of a frame, and the camera loop on a video."""

import json

import cv2
import pytest
from threadpoolctl import threadpool_info

from lettercast.benchmarks.speed.camera_loop import (
    STAGES,
    WARM_FRAMES,
    WHOLE,
    TimedReader,
    loop_table,
    main,
    one_thread,
    summarize,
    time_loop,
    time_stages,
)
from lettercast.runtime import Reader
from lettercast.runtime.live.track import Tracker
from lettercast.runtime.text import Page


@pytest.fixture(scope="module")
def result(card_video):
    return time_loop(Reader(), card_video)


def test_every_stage_of_a_video_with_fifteen_letters_is_timed(result):
    assert result.size == (640, 480)
    assert result.letters == pytest.approx(15, abs=1.5)
    assert set(result.mean_ms) == set(result.median_ms) == {*STAGES, WHOLE}
    assert all(result.mean_ms[name] > 0 and result.median_ms[name] <= result.p90_ms[name] for name in result.mean_ms)
    assert result.fps == pytest.approx(1000 / result.mean_ms[WHOLE], rel=1e-3)
    # Most frames of a card in the hand show nothing but its motion.
    assert 0 < result.searched < 0.5


def test_the_whole_of_a_frame_is_the_sum_of_its_stages_and_the_first_frames_do_not_count():
    page = Page((640, 480), (), 0.0, 0.0)
    times = [90.0] * WARM_FRAMES + [1.0, 2.0, 4.0]
    result = summarize("m", [(page, dict.fromkeys(STAGES, ms)) for ms in times])
    assert result.frames == 3
    assert sum(result.median_ms[name] for name in STAGES) == result.median_ms[WHOLE] == 2.0 * len(STAGES)
    assert result.p90_ms[WHOLE] == pytest.approx(3.6 * len(STAGES))
    assert result.fps == pytest.approx(1000 / (7 / 3 * len(STAGES)))
    assert result.searched == 1


def test_the_table_has_a_line_for_each_stage_and_one_for_the_whole(result):
    stage, *_, share = loop_table(result).columns
    assert list(stage.cells) == [*STAGES, WHOLE]
    assert sum(int(str(cell)) for cell in share.cells if cell) == pytest.approx(100, abs=len(STAGES))


def test_the_command_writes_its_figures(card_video, tmp_path, capsys):
    assert main([str(card_video), "--model", "letters-nano", "--json", str(tmp_path / "loop.json")]) == 0
    figures = json.loads((tmp_path / "loop.json").read_text())
    # The first 30 of 45 frames only warm up.
    assert figures["frames"] == 15
    said = capsys.readouterr().out
    assert "frames a second" in said
    assert all(name in said for name in STAGES)


def test_a_broken_video_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "video.mp4").write_bytes(b"")
    assert main([str(tmp_path / "video.mp4")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(scope="module")
def pages(draw_page):
    return [draw_page("LETTERS", "AND", "WORDS")[0], draw_page("ABCDE")[0]]


def test_a_timed_reader_reads_like_the_reader(pages):
    reader = Reader(words=("letters", "words"))
    timed = TimedReader(reader)
    read = list(time_stages(timed, timed.read, iter(pages)))
    assert [page.lines for page, _ in read] == [reader.read(image).lines for image in pages]
    assert read[0][0].lines[0].words[0].listed == "letters"
    assert all(tuple(ms) == STAGES and min(ms.values()) > 0 for _, ms in read)


def test_all_calls_of_the_engine_count_as_classification(pages):
    asked = []
    reader = Reader()
    classify = reader.engine.classify
    object.__setattr__(reader.engine, "classify", lambda images: asked.append(len(images)) or classify(images))
    timed = TimedReader(reader)
    next(time_stages(timed, timed.read, iter(pages[1:])))
    assert sum(asked) >= 5
    assert timed.seconds["classification"] > 0


def test_a_tracker_does_not_classify_known_letters_again(pages):
    timed = TimedReader(Reader())
    times = [ms for _, ms in time_stages(timed, Tracker(timed).read, iter([pages[1]] * 4))]
    assert times[0]["classification"] > 0
    assert times[-1]["classification"] == 0
    assert times[-1]["segmentation"] > 0


def test_without_images_there_are_no_times():
    timed = TimedReader(Reader())
    assert list(time_stages(timed, timed.read, iter(()))) == []


def test_one_thread_limits_opencv_and_numpy_inside_the_block():
    threads = lambda: [cv2.getNumThreads(), *(pool["num_threads"] for pool in threadpool_info())]  # noqa: E731
    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
