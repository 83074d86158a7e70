"""Reading frame after frame: stdout, saved images, recordings, the web view, signals."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.arguments import device_model
from lettercast.runtime.live.loop import Outputs, read_frames
from lettercast.runtime.pixels import Frame

# More frames than the command reads before a signal arrives.
LONG = 900
# A limit for what must happen; only a failing test reaches it.
WAIT_S = 240


def write_video(path: Path, pages) -> Path:
    height, width = pages[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for page in pages:
        writer.write(page)
    writer.release()
    return path


def count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


@pytest.fixture
def video(draw_page, tmp_path):
    """Six frames: AB three times, then MX three times."""
    return write_video(tmp_path / "video.avi", [draw_page(text)[0] for text in ("AB", "AB", "AB", "MX", "MX", "MX")])


@pytest.fixture(scope="module")
def long_video(draw_page, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "long.avi", [draw_page("ABC")[0]] * LONG)


@pytest.fixture
def started(tmp_path):
    """Return a function that starts `lettercast read` in tmp_path, with pipes for its output."""
    processes = []

    def start(*words: object) -> subprocess.Popen:
        line = [sys.executable, "-m", "lettercast", "read", *map(str, words)]
        processes.append(subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait(WAIT_S)
        for stream in (process.stdout, process.stderr):
            stream.close()


class RecordingView:
    """A view that keeps what is published."""

    def __init__(self, viewers: int) -> None:
        self.viewers = viewers
        self.published = []

    def publish(self, image, page) -> None:
        self.published.append((image, page))


def test_json_prints_one_object_per_frame_and_nothing_else(lettercast, video):
    code, out, err = lettercast("read", video, "--json")
    frames = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [frame["frame"] for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert {frame["source"] for frame in frames} == {str(video)}


def test_json_has_exactly_the_documented_keys(lettercast, page_file):
    _, out, _ = lettercast("read", page_file, "--json")
    frame = json.loads(out)
    assert list(frame) == ["source", "frame", "size", "text", "lines", "left_out", "ms"]
    assert set(frame["ms"]) == {"segment", "classify", "total"}
    letter = frame["lines"][0]["letters"][0]
    assert set(letter) == {"letter", "confidence", "box", "alternatives"}
    assert "".join(letter["letter"] for letter in frame["lines"][0]["letters"]) == frame["lines"][0]["text"]
    assert "\n".join(line["text"] for line in frame["lines"]) == frame["text"]


def test_an_image_without_letters_says_what_is_not_read(lettercast, tmp_path):
    page, blank = np.full((400, 600), 225, np.uint8), tmp_path / "blank.png"
    cv2.imwrite(str(blank), page)
    _, out, _ = lettercast("read", blank)
    assert "blank.png: 0 letters in" in out
    for x in range(60, 540, 80):
        cv2.line(page, (x, 120), (x + 50, 240), 30, 6)
        cv2.circle(page, (x + 25, 180), 30, 30, 6)
        cv2.line(page, (x + 50, 120), (x, 240), 30, 6)
    signs = tmp_path / "signs.png"
    cv2.imwrite(str(signs), page)
    _, out, _ = lettercast("read", signs)
    assert "no letters among" in out
    assert "no digits, print or joined writing" in out


def test_max_frames_stops(lettercast, video):
    _, out, _ = lettercast("read", video, "--json", "--max-frames", 2)
    assert len(out.splitlines()) == 2


def test_text_of_a_video_is_printed_only_when_it_changes(lettercast, video):
    code, out, _ = lettercast("read", video, "--no-window")
    assert code == 0
    assert [line for line in out.splitlines() if ":" not in line] == ["AB", "MX"]


def test_save_writes_an_annotated_image_per_frame(lettercast, video, tmp_path):
    lettercast("read", video, "--json", "--save", tmp_path / "seen")
    written = sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in written] == [f"video-{i:06d}.png" for i in range(6)]
    image = cv2.imread(str(written[0])).astype(int)
    assert np.ptp(image, axis=2).max() > 100


def test_images_of_the_same_name_from_two_folders_are_both_saved(lettercast, page_file, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / page_file.name).write_bytes(page_file.read_bytes())
    lettercast("read", page_file, tmp_path / "other" / page_file.name, "--json", "--save", tmp_path / "seen")
    assert len(list((tmp_path / "seen").iterdir())) == 2


def test_without_a_display_the_text_goes_to_stdout(lettercast, page_file, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, out, err = lettercast("read", page_file)
    assert (code, len(err.splitlines())) == (0, 1)
    assert "no display" in err
    assert out.splitlines()[1:] == ["ABC", "DEF"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_130_and_a_video_that_plays(started, long_video, tmp_path, sent):
    process = started(long_video, "--json", "--record", "out.mp4")
    lines = [process.stdout.readline() for _ in range(5)]
    process.send_signal(sent)
    lines += process.stdout.readlines()
    messages = process.stderr.read().splitlines()
    assert process.wait(WAIT_S) == 130
    assert 5 <= len(lines) < LONG
    assert all(json.loads(line)["text"] == "ABC" for line in lines)
    assert messages[0].startswith("lettercast: recorded out.mp4")
    assert messages[1:] == (["lettercast: interrupted"] if sent == signal.SIGINT else [])
    assert count_frames(tmp_path / "out.mp4") == pytest.approx(len(lines), abs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


# Interrupts the reading and drawing of one page at a thousand moments, each a little later than the one before.
STORM = """
import signal, sys
import cv2
from pathlib import Path
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.live.overlay import Status, add_bar, annotate
from lettercast.runtime.reader import Reader

class Interrupt(BaseException):
    pass

def stop(*_):
    raise Interrupt

signal.signal(signal.SIGALRM, stop)
reader, image = Reader(open_engine(Path(sys.argv[1]))), cv2.imread(sys.argv[2])
read = reader.read(image)
for moment in range(1000):
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-4 + moment * 3e-6)
        while True:
            page = reader.read(image) if moment % 3 == 0 else read
            add_bar(annotate(image, page, Status(30.0, ("REC",))), page, Status())
    except Interrupt:
        pass
print(reader.read(image).text == read.text)
"""


def test_a_signal_at_any_moment_does_not_crash_reading_and_drawing(page_file):
    words = [sys.executable, "-X", "faulthandler", "-c", STORM, device_model("letters-nano"), page_file]
    ended = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True, timeout=WAIT_S)
    assert (ended.returncode, ended.stdout.strip()) == (0, "True"), ended.stderr


def test_a_closed_stdout_is_not_an_error_and_the_video_plays(started, long_video, tmp_path):
    process = started(long_video, "--json", "--record", "out.mp4")
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    (message,) = process.stderr.read().splitlines()
    assert process.wait(WAIT_S) == 0
    assert "recorded out.mp4" in message
    assert 0 < count_frames(tmp_path / "out.mp4") < LONG


def test_a_recording_has_every_frame_and_a_bar(lettercast, video, tmp_path):
    code, _, err = lettercast("read", video, "--json", "--record", tmp_path / "out.mp4")
    assert code == 0 and "recorded" in err
    assert count_frames(tmp_path / "out.mp4") == 6
    _, frame = cv2.VideoCapture(str(tmp_path / "out.mp4")).read()
    _, source = cv2.VideoCapture(str(video)).read()
    assert frame.shape[0] > source.shape[0]


def test_an_existing_recording_is_kept_without_overwrite(refused, lettercast, video, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    assert "--overwrite" in refused("read", video, "--json", "--record", out)
    assert lettercast("read", video, "--json", "--record", out, "--overwrite")[0] == 0
    assert count_frames(out) == 6


def test_an_unknown_video_format_is_refused(refused, video, tmp_path):
    assert ".mp4" in refused("read", video, "--json", "--record", tmp_path / "out.gif")


def test_text_that_appears_only_for_a_moment_is_not_printed(lettercast, draw_page, tmp_path):
    texts = ("AB",) * 4 + ("MX",) + ("AB",) * 4
    video = write_video(tmp_path / "video.avi", [draw_page(text)[0] for text in texts])
    _, out, _ = lettercast("read", video, "--no-window")
    assert [line for line in out.splitlines() if ":" not in line] == ["AB"]


def test_a_video_too_short_for_steady_text_is_printed_at_its_end(lettercast, video):
    _, out, _ = lettercast("read", video, "--no-window", "--max-frames", 1)
    assert [line for line in out.splitlines() if ":" not in line] == ["AB"]


def test_text_that_comes_back_is_printed_again(lettercast, draw_page, tmp_path):
    page = draw_page("AB")[0]
    video = write_video(tmp_path / "video.avi", [page] * 4 + [np.full_like(page, 235)] * 8 + [page] * 4)
    _, out, _ = lettercast("read", video, "--no-window")
    assert [line for line in out.splitlines() if ":" not in line] == ["AB", "AB"]


def test_two_videos_with_the_same_text_are_both_printed(lettercast, video):
    _, out, _ = lettercast("read", video, video, "--no-window")
    assert [line for line in out.splitlines() if ":" not in line] == ["AB", "MX", "AB", "MX"]


def test_still_images_are_read_independently(lettercast, draw_page, tmp_path):
    reader, folder = Reader(), tmp_path / "pages"
    folder.mkdir()
    pages = [draw_page("ABC", "DEF", seed=seed)[0] for seed in (1, 2, 3)]
    for i, image in enumerate(pages):
        cv2.imwrite(str(folder / f"{i}.png"), image)
    _, out, _ = lettercast("read", folder, "--json")
    lines = [json.loads(line)["lines"] for line in out.splitlines()]
    assert lines == [reader.read(image).to_dict()["lines"] for image in pages]


@pytest.mark.parametrize("viewers", [0, 2])
def test_a_view_gets_every_page_but_images_only_if_somebody_watches(draw_page, viewers, capsys):
    image = draw_page("AB")[0]
    view = RecordingView(viewers)
    frames = [Frame("0", i, image, is_live=True) for i in range(4)]
    assert read_frames(Reader(), iter(frames), Outputs(json=True, view=view)) == 4
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [page for _, page in view.published] == printed
    assert [shown is not None for shown, _ in view.published] == [viewers > 0] * 4
    assert viewers == 0 or (view.published[0][0] != image).any()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [("page.png", "--json"), ("shots",), ("video.avi", "page.png", "--record", "out.mp4")])
def test_the_last_frame_stays_in_the_web_view_until_a_signal(started, video, page_file, tmp_path, words, sent):
    (tmp_path / "shots").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "shots" / name).write_bytes(page_file.read_bytes())
    process = started(*words, "--serve", 0)
    url = process.stderr.readline().split()[-1]
    if "--record" in words:
        # The video is finished as soon as the sources end.
        assert "recorded out.mp4" in process.stderr.readline()
        assert count_frames(tmp_path / "out.mp4") > 6
    assert process.stderr.readline() == f"lettercast: done; the last image stays at {url} until Ctrl-C\n"
    # Nobody watched while it was read.
    snapshot = cv2.imdecode(np.frombuffer(urlopen(f"{url}snapshot.jpg").read(), np.uint8), cv2.IMREAD_COLOR)
    assert snapshot.shape == cv2.imread(str(page_file)).shape
    assert json.loads(urlopen(f"{url}page.json").read())["text"] == "ABC\nDEF"
    process.send_signal(sent)
    assert (process.wait(WAIT_S), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("count", [1, 2])
def test_serving_with_max_frames_ends_with_the_frames(command, page_file, count):
    done = command("read", page_file, "--json", "--serve", 0, "--max-frames", count)
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)


def test_serving_ends_if_nothing_can_be_read(lettercast, page_file):
    page_file.write_bytes(b"")
    code, _, err = lettercast("read", page_file, "--json", "--serve", 0)
    assert code == 2
    assert "done" not in err


def test_a_recording_must_not_overwrite_a_source(refused, video, tmp_path):
    (tmp_path / "there").symlink_to(tmp_path)
    (tmp_path / "link.avi").symlink_to(video)
    (tmp_path / "hard.avi").hardlink_to(video)
    for record in ("video.avi", "./video.avi", "there/video.avi", "link.avi", "hard.avi"):
        message = refused("read", video, "--json", "--record", record, "--overwrite")
        assert message == f"lettercast: --record {Path(record)}: the recording would overwrite a source; give another name\n"


def test_a_recording_beside_the_images_of_a_folder_may_be_replaced(lettercast, page_file, tmp_path):
    for _ in range(2):
        assert lettercast("read", tmp_path, "--json", "--record", tmp_path / "out.mp4", "--overwrite")[0] == 0
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == ["out.mp4"]


def test_annotated_images_are_not_saved_in_a_folder_that_is_read(refused, lettercast, page_file, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    for save in (".", tmp_path, "link"):
        assert "give another folder" in refused("read", tmp_path, "--json", "--save", save)
    # In a folder inside, they are not read.
    for _ in range(2):
        assert len(lettercast("read", tmp_path, "--json", "--save", "seen")[1].splitlines()) == 1
    # Beside a single image they replace nothing.
    before = page_file.read_bytes()
    assert lettercast("read", page_file, "--json", "--save", ".")[0] == 0
    assert page_file.read_bytes() == before
    assert (tmp_path / "page-2.png").exists()
