"""Videos from disk and from the network, and cameras on the network, served by a server of the tests."""

import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.retry import Backoff
from lettercast.runtime.sources.camera import Camera, Timeouts
from lettercast.runtime.sources.video import url_frames, video_frames, with_timeout

LEVELS = (20, 90, 160, 230, 120)
LONG = 60
# A limit for what must happen; only a failing test reaches it.
LIMIT_S = 120
PATIENT = Timeouts(silence_s=LIMIT_S, retries=Backoff(0.001, 0.004), release_s=2.0)
BETWEEN_IMAGES_S = 0.002
WELL, PAUSED, STALLED, DEAD = "well", "paused", "stalled", "dead"


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def write_video(path, levels, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


class NetworkCamera(ThreadingHTTPServer):
    """A camera on the network: /live streams grey images, the level is the number; other paths serve files."""

    daemon_threads = True

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Answer)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.changed = threading.Condition()
        self.mood, self.sent, self.viewers = WELL, 0, 0
        # A failing camera refuses this many connections before it works again.
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
        """A viewer who leaves is no error."""


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
            while self.send_image():
                pass
        finally:
            with camera.changed:
                camera.viewers -= 1
                camera.changed.notify_all()

    def send_image(self) -> bool:
        camera = self.server
        with camera.changed:
            if camera.mood == PAUSED:
                camera.changed.wait_for(lambda: camera.mood != PAUSED, LIMIT_S)
            # A camera that stalls neither sends nor hangs up until the test ends.
            if camera.mood == STALLED:
                camera.changed.wait_for(lambda: camera.mood == DEAD, LIMIT_S)
            if camera.mood == DEAD:
                return False
            body = jpeg(camera.sent % 250)
            camera.sent += 1
            camera.changed.notify_all()
            camera.changed.wait(BETWEEN_IMAGES_S)
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
    """The live frames of the network camera."""
    camera = url_frames(network.url("live"), PATIENT)
    assert isinstance(camera, Camera)
    yield camera
    camera.close()


def level(frame) -> float:
    return float(frame.image.mean())


def test_a_frame_of_a_video_knows_the_rate_of_the_video(tmp_path):
    path = write_video(tmp_path / "video.avi", LEVELS)
    assert {frame.fps for frame in video_frames(path)} == {10}


def test_every_frame_of_a_video_is_read_in_order(tmp_path):
    path = write_video(tmp_path / "video.avi", LEVELS)
    frames = list(video_frames(path))
    assert [(frame.source, frame.number, frame.is_still) for frame in frames] == [(str(path), i, False) for i in range(5)]
    np.testing.assert_allclose([level(frame) for frame in frames], LEVELS, atol=3)


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mkv", "MJPG")])
def test_a_truncated_video_yields_the_frames_it_has_and_a_message(tmp_path, capsys, suffix, codec):
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    path = tmp_path / f"video.{suffix}"
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
    assert f"video.{suffix}: breaks off after {read} of {LONG} frames" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"not a video", "neither an image nor a video")])
def test_a_file_that_is_not_a_video_is_an_error_at_once(tmp_path, content, message):
    (tmp_path / "video.mp4").write_bytes(content)
    with pytest.raises(LettercastError, match=f"video.mp4: .*{message}"):
        video_frames(tmp_path / "video.mp4")


def test_an_mp4_without_its_index_is_an_error_at_once(tmp_path):
    path = write_video(tmp_path / "video.mp4", LEVELS * 10, "mp4v")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(LettercastError, match="cut off"):
        video_frames(path)


def test_a_stream_returns_its_newest_image_and_numbers_what_was_sent(network, live):
    """Of 200 images that were sent meanwhile, only those that are still on their way are returned before the newest."""
    first, before = next(live).number, network.sent
    network.wait_for(lambda: network.sent >= before + 200)
    network.turn(PAUSED)
    newest = (network.sent - 1) % 250
    frames = [next(live)]
    while abs(level(frames[-1]) - newest) > 1:
        frames.append(next(live))
    assert len(frames) < 100
    assert frames[-1].number >= first + 190
    network.turn(WELL)


@pytest.mark.parametrize(("mood", "silence_s"), [(STALLED, 2.0), (DEAD, LIMIT_S)])
def test_a_stream_that_fails_is_reconnected_with_two_messages(network, capsys, mood, silence_s):
    with closing(url_frames(network.url("live"), replace(PATIENT, silence_s=silence_s))) as live:
        number = next(live).number
        network.turn(mood, refusals=1)
        # First come the images that were sent before the failure.
        while "is back" not in capsys.readouterr().err:
            frame = next(live)
            assert frame.number > number
            number = frame.number
        assert next(live).number > number


def test_a_password_in_a_url_is_neither_in_messages_nor_in_frames(network, capsys):
    network.files["snapshot"] = ("image/jpeg", jpeg(90))
    secret = network.url("snapshot").replace("127.0.0.1", "me:pa@ss@127.0.0.1")
    with pytest.raises(LettercastError, match=r"//me:\*\*\*@127\.0\.0\.1:1/.* does not answer"):
        url_frames("http://me:pa@ss@127.0.0.1:1/?token=pass", PATIENT)
    # FFmpeg sends the password, and the frame does not name it.
    (frame,) = url_frames(secret.replace("pa@ss", "pa%40ss"), PATIENT)
    assert frame.source == network.url("snapshot").replace("127.0.0.1", "me:***@127.0.0.1")


def test_closing_ends_the_connection(network, live):
    next(live)
    network.wait_for(lambda: network.viewers == 1)
    live.close()
    network.wait_for(lambda: network.viewers == 0)


def test_a_video_on_the_network_is_read_to_its_end(network, tmp_path):
    network.files["video.avi"] = ("video/x-msvideo", write_video(tmp_path / "video.avi", LEVELS).read_bytes())
    frames = list(url_frames(network.url("video.avi"), PATIENT))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([level(frame) for frame in frames], LEVELS, atol=3)


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "image/jpeg"), (".png", "image/png")])
def test_an_image_on_the_network_is_one_still_frame(network, capsys, suffix, kind):
    image = np.full((48, 64, 3), 77, np.uint8)
    network.files["snapshot"] = (kind, cv2.imencode(suffix, image)[1].tobytes())
    (frame,) = url_frames(network.url("snapshot"), PATIENT)
    assert (frame.source, frame.number, frame.is_still) == (network.url("snapshot"), 0, True)
    np.testing.assert_allclose(frame.image, image, atol=2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", ["nothing", "words"])
def test_a_url_without_images_is_an_error(network, path):
    network.files["words"] = ("text/plain", b"not an image")
    with pytest.raises(LettercastError, match=f"/{path} does not answer: .*VLC"):
        url_frames(network.url(path), PATIENT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_a_stream_that_is_not_up_yet_is_waited_for_with_one_line():
    said = []
    started = []

    def start(message: str) -> None:
        said.append(message)
        started.append(NetworkCamera(port))
        threading.Thread(target=started[0].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    port = free_port()
    url = f"http://127.0.0.1:{port}/live"
    frames = url_frames(url, replace(PATIENT, wait_s=0.02), on_wait=start)
    try:
        assert next(frames).is_live
        assert said == [f"{url} does not answer yet; waiting for it until Ctrl-C"]
    finally:
        frames.close()
        started[0].turn(DEAD)
        started[0].shutdown()
        started[0].server_close()


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_without_waiting_a_stream_that_is_not_up_is_an_error(kind):
    with pytest.raises(LettercastError, match="does not answer"):
        url_frames(f"{kind}://127.0.0.1:{free_port()}/live", PATIENT)


def test_a_wrong_path_on_a_web_server_is_not_waited_for(network):
    with pytest.raises(LettercastError, match="/nothing does not answer"):
        url_frames(network.url("nothing"), PATIENT, on_wait=pytest.fail)


@pytest.mark.parametrize(("sent", "message"), [(signal.SIGINT, ["lettercast: interrupted\n"]), (signal.SIGTERM, [])])
def test_a_signal_ends_the_waiting(sent, message):
    url = f"rtsp://127.0.0.1:{free_port()}/live"
    words = [sys.executable, "-m", "lettercast", "read", url, "--serve", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
        assert reading.stderr.readline().startswith("lettercast: watch at http://127.0.0.1:")
        assert reading.stderr.readline() == f"lettercast: {url} does not answer yet; waiting for it until Ctrl-C\n"
        reading.send_signal(sent)
        assert reading.stderr.readlines() == message
        assert (reading.wait(LIMIT_S), reading.stdout.read()) == (130, "")


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(LettercastError, match="does not answer"):
            url_frames(url, Timeouts(silence_s=0.2))


def test_a_process_can_end_while_a_stream_hangs_inside_opencv():
    code = """
import sys
from lettercast import LettercastError
from lettercast.runtime.sources.camera import Timeouts, open_stream
from lettercast.runtime.sources.video import with_timeout
try: with_timeout(0.3, lambda: open_stream(sys.argv[1], Timeouts(600)), LettercastError("late"))
except LettercastError as error: sys.exit(str(error))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (1, "late\n")


@pytest.mark.parametrize(("sent", "message"), [(signal.SIGINT, "lettercast: interrupted\n"), (signal.SIGTERM, "")])
def test_a_signal_ends_the_command_and_the_connection(network, sent, message):
    words = [sys.executable, "-m", "lettercast", "read", network.url("live"), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
        assert reading.stdout.readline().startswith("{")
        reading.send_signal(sent)
        _, err = reading.communicate(timeout=LIMIT_S)
    assert (reading.returncode, err) == (130, message)
    network.wait_for(lambda: network.viewers == 0)


def test_max_frames_ends_the_command_and_the_connection(network, lettercast):
    code, out, err = lettercast("read", network.url("live"), "--json", "--max-frames", 3)
    assert (code, len(out.splitlines()), err) == (0, 3, "")
    network.wait_for(lambda: network.viewers == 0)


def test_an_error_before_the_timeout_is_raised_unchanged():
    def fail():
        raise LettercastError("as it is")

    with pytest.raises(LettercastError, match="as it is"):
        with_timeout(LIMIT_S, fail, LettercastError("late"))
