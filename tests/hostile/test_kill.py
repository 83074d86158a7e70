"""Killed commands leave no broken file: a few kills in each test run; `python -m hostile.kill` does a hundred."""

import pytest
from hostile.kill import JOBS, Job, broken_images, broken_video, kill_often


def test_a_killed_reader_leaves_no_broken_video_or_image():
    """One run writes both, so that half the processes are enough."""
    both = Job(
        lambda folder: [*JOBS["record"].command(folder), "--save", "seen"],
        lambda folder, output: broken_video(folder, output) + broken_images(folder, output),
    )
    assert kill_often(both, 6, 0) == []


def test_a_killed_archive_has_each_page_once_and_loses_none():
    pytest.importorskip("pyarrow", reason="not installed: pip install 'lettercast[bulk]'")
    assert kill_often(JOBS["archive"], 3, 0) == []


@pytest.mark.parametrize(
    ("name", "file"), [("record", "out.mp4"), ("snapshot", "seen/video-000000.png"), ("benchmark", "r.html")]
)
def test_a_truncated_file_is_detected(name, file, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a beginning, and no end")
    assert len(JOBS[name].broken(tmp_path, "")) == 1
