"""Films from disk and from the network, and cameras on the network, by a server of our own."""

import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.sources.camera import Camera, Timeouts
from lettercast.runtime.sources.video import url_frames, video_frames, within

LEVELS = (20, 90, 160, 230, 120)
LONG = 60
QUICK = Timeouts(silence_s=1.0, retries_s=(0.001, 0.002, 0.004), release_s=2.0)
LIMIT_S = 20
BETWEEN_PICTURES_S = 0.005
WELL, STALLED, DEAD = "well", "stalled", "dead"


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def write_film(path, levels, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


class NetworkCamera(ThreadingHTTPServer):
    """A camera on the network: /live gives grey pictures, each numbered by its level; other paths give whole files."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.changed = threading.Condition()
        self.mood, self.sent, self.viewers = WELL, 0, 0
        # A sick camera refuses so many visitors before it is well again.
        self.refusals = 10**6

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def turn(self, mood: str, refusals: int = 10**6):
        with self.changed:
            self.mood, self.refusals = mood, refusals
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, LIMIT_S)

    def handle_error(self, *_):
        """Visitors who leave are no error."""


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.lstrip("/")
        if path == "live":
            self.live()
        elif path in self.server.files:
            kind, body = self.server.files[path]
            self.head(kind, ("Content-Length", str(len(body))))
            self.wfile.write(body)
        else:
            self.send_error(404)

    def head(self, kind, *more):
        self.send_response(200)
        for name, value in (("Content-Type", kind), *more):
            self.send_header(name, value)
        self.end_headers()

    def live(self):
        camera = self.server
        with camera.changed:
            if camera.mood != WELL:
                camera.refusals -= 1
                if camera.refusals >= 0:
                    self.send_error(503)
                    return
                camera.mood = WELL
            camera.viewers += 1
        self.head("multipart/x-mixed-replace; boundary=frame")
        try:
            while self.send_picture():
                pass
        finally:
            with camera.changed:
                camera.viewers -= 1
                camera.changed.notify_all()

    def send_picture(self) -> bool:
        camera = self.server
        with camera.changed:
            # One that stalls neither sends nor hangs up, until its viewer leaves or the test ends.
            if camera.mood == STALLED:
                camera.changed.wait_for(lambda: camera.mood == DEAD, LIMIT_S)
            if camera.mood == DEAD:
                return False
            body = jpeg(camera.sent % 250)
            camera.sent += 1
            camera.changed.notify_all()
            camera.changed.wait(BETWEEN_PICTURES_S)
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body))
        return True


@pytest.fixture
def network():
    camera = NetworkCamera()
    thread = threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield camera
    camera.turn(DEAD)
    camera.shutdown()
    camera.server_close()
    thread.join()


@pytest.fixture
def live(network):
    """The frames of the network's camera."""
    camera = url_frames(network.url("live"), QUICK)
    assert isinstance(camera, Camera)
    yield camera
    camera.close()


def level(frame) -> float:
    return float(frame.image.mean())


def test_every_frame_of_a_film_is_read_in_order(tmp_path):
    path = write_film(tmp_path / "film.avi", LEVELS)
    frames = list(video_frames(path))
    assert [(frame.source, frame.number, frame.is_still) for frame in frames] == [(str(path), i, False) for i in range(5)]
    np.testing.assert_allclose([level(frame) for frame in frames], LEVELS, atol=3)


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mkv", "MJPG")])
def test_a_film_that_breaks_off_gives_what_it_has_and_says_so(tmp_path, capsys, suffix, codec):
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    path = tmp_path / f"film.{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (320, 240))
    for _ in range(LONG):
        writer.write(noise)
    writer.release()
    whole = path.read_bytes()
    assert len(list(video_frames(path))) == LONG
    assert capsys.readouterr().err == ""
    path.write_bytes(whole[: int(0.6 * len(whole))])
    read = len(list(video_frames(path)))
    assert 30 <= read <= 40
    assert f"film.{suffix}: breaks off after {read} of {LONG} frames" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b"no film at all", "neither a picture nor a film")])
def test_what_is_no_film_is_known_at_once(tmp_path, content, said):
    (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(LettercastError, match=f"film.mp4: .*{said}"):
        video_frames(tmp_path / "film.mp4")


def test_a_film_without_its_end_where_its_index_stands_is_known_at_once(tmp_path):
    path = write_film(tmp_path / "film.mp4", LEVELS * 10, "mp4v")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(LettercastError, match="cut off"):
        video_frames(path)


def test_a_stream_gives_its_newest_picture_and_never_lags(network, live):
    """Of hundreds of pictures that were sent since the last, none but the latest is shown."""
    for _ in range(3):
        before = network.sent
        network.wait_for(lambda before=before: network.sent >= before + 100)
        newest, sent = level(next(live)), network.sent
        assert (sent - newest) % 250 < 40


def test_numbers_count_what_the_stream_sent(network, live):
    first = next(live).number
    before = network.sent
    network.wait_for(lambda: network.sent >= before + 100)
    assert next(live).number > first + 50


@pytest.mark.parametrize("mood", [STALLED, DEAD])
def test_a_stream_that_fails_is_had_back_with_one_line_each_way(network, live, capsys, mood):
    number = next(live).number
    network.turn(mood, refusals=1)
    # What was sent before it failed comes first.
    while "is back" not in capsys.readouterr().err:
        frame = next(live)
        assert frame.number > number
        number = frame.number
    assert next(live).number > number


def test_a_stream_that_is_gone_for_good_is_an_error(network, live, capsys):
    next(live)
    network.turn(DEAD)
    with pytest.raises(LettercastError, match=r"live is gone, and did not come back within 0.007 s"):
        list(live)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_closing_hangs_up(network, live):
    next(live)
    network.wait_for(lambda: network.viewers == 1)
    live.close()
    network.wait_for(lambda: network.viewers == 0)


def test_a_film_on_the_network_is_read_whole(network, tmp_path):
    network.files["film.avi"] = ("video/x-msvideo", write_film(tmp_path / "film.avi", LEVELS).read_bytes())
    frames = list(url_frames(network.url("film.avi"), QUICK))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([level(frame) for frame in frames], LEVELS, atol=3)


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "image/jpeg"), (".png", "image/png")])
def test_a_picture_on_the_network_is_one_still_frame(network, capsys, suffix, kind):
    picture = np.full((48, 64, 3), 77, np.uint8)
    network.files["snapshot"] = (kind, cv2.imencode(suffix, picture)[1].tobytes())
    (frame,) = url_frames(network.url("snapshot"), QUICK)
    assert (frame.source, frame.number, frame.is_still) == (network.url("snapshot"), 0, True)
    np.testing.assert_allclose(frame.image, picture, atol=2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", ["nothing", "words"])
def test_a_url_without_pictures_is_said_so(network, path):
    network.files["words"] = ("text/plain", b"no picture")
    with pytest.raises(LettercastError, match=f"/{path} does not answer: .*VLC"):
        url_frames(network.url(path), QUICK)


def test_a_server_that_accepts_and_never_answers_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(LettercastError, match="does not answer"):
            url_frames(url, Timeouts(silence_s=0.2))


def test_a_process_ends_though_a_stream_hangs_within_opencv():
    code = """
import sys
from lettercast import LettercastError
from lettercast.runtime.sources.camera import Timeouts, open_stream
from lettercast.runtime.sources.video import within
try: within(0.3, lambda: open_stream(sys.argv[1], Timeouts(600)), LettercastError("late"))
except LettercastError as error: sys.exit(str(error))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (1, "late\n")


@pytest.mark.parametrize(("by", "said"), [(signal.SIGINT, "lettercast: interrupted\n"), (signal.SIGTERM, "")])
def test_a_command_that_is_stopped_hangs_up(network, by, said):
    words = [sys.executable, "-m", "lettercast", "read", network.url("live"), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
        assert reading.stdout.readline().startswith("{")
        reading.send_signal(by)
        _, err = reading.communicate(timeout=LIMIT_S)
    assert (reading.returncode, err) == (130, said)
    network.wait_for(lambda: network.viewers == 0)


def test_a_command_stops_at_its_last_frame_and_hangs_up(network, lettercast):
    code, out, err = lettercast("read", network.url("live"), "--json", "--max-frames", 3)
    assert (code, len(out.splitlines()), err) == (0, 3, "")
    network.wait_for(lambda: network.viewers == 0)


def test_what_fails_in_time_fails_as_it_is():
    def fail():
        raise LettercastError("as it is")

    with pytest.raises(LettercastError, match="as it is"):
        within(LIMIT_S, fail, LettercastError("late"))
