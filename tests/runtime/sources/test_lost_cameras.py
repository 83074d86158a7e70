"""Cameras that are lost for hours or missing at the start, on a simulated clock."""

import itertools

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.live.loop import Outputs, read_frames
from lettercast.runtime.retry import Backoff, Clock
from lettercast.runtime.sources import camera as camera_module
from lettercast.runtime.sources.camera import CONNECTED, LOST, MAX_HUNG, MISSING, Camera, Timeouts
from lettercast.runtime.sources.source import Frames, open_frames

HOUR_S = 3600.0


class Simulation:
    """A clock that only sleeping moves."""

    def __init__(self, chance: float = 0.5) -> None:
        self.seconds, self.chance = 0.0, chance

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.sleep, lambda: self.chance)


class Plugged:
    """A camera that gives some images and is then unplugged."""

    def __init__(self, image, count: int) -> None:
        self.images = itertools.repeat(image, count)

    def read(self):
        image = next(self.images, None)
        return image is not None, image

    def release(self):
        pass


class Unpluggable:
    """A socket into which a camera is plugged from `back_s` on; before, opening it fails. It gives one image at a time."""

    def __init__(self, simulation: Simulation, image, back_s: float, is_there_first: bool = True) -> None:
        self.simulation, self.image, self.back_s, self.is_there_first = simulation, image, back_s, is_there_first
        self.tried_s: list[float] = []

    def connect(self):
        if self.is_there_first:
            self.is_there_first = False
            return Plugged(self.image, 1)
        self.tried_s.append(self.simulation.seconds)
        if self.simulation.seconds < self.back_s:
            raise LettercastError("camera 7 does not answer: plug it in")
        return Plugged(self.image, 1)


@pytest.fixture
def image():
    return np.full((48, 64, 3), 200, np.uint8)


def test_the_waits_double_up_to_the_longest_and_differ_by_chance():
    waits = {chance: list(itertools.islice(Backoff().waits(Simulation(chance).clock), 7)) for chance in (0.0, 0.5, 1.0)}
    assert waits[0.5] == [1, 2, 4, 8, 16, 30, 30]
    assert waits[0.0] == pytest.approx([0.8 * wait for wait in waits[0.5]])
    assert waits[1.0] == pytest.approx([1.2 * wait for wait in waits[0.5]])


def test_a_camera_that_is_lost_for_two_hours_is_read_on_and_the_counters_tell(reader, draw_page, capsys):
    simulation = Simulation()
    usb = Unpluggable(simulation, draw_page("ABC")[0], 2 * HOUR_S)
    camera = Camera("7", usb.connect, clock=simulation.clock)
    seen = []
    camera.on_attempt = lambda: seen.append((simulation.seconds, camera.status.state, camera.status.failure))
    assert read_frames(reader, Frames([camera]), Outputs(window=False), max_frames=2) == 2
    out, err = capsys.readouterr()
    assert out.count("ABC") == 1
    assert err.splitlines() == [
        "lettercast: camera 7 sends no more images; looking for it until it is back",
        "lettercast: camera 7 is back",
    ]
    status = camera.status
    assert (status.state, status.frames, status.losses, status.reconnects) == (CONNECTED, 2, 1, 1)
    # 31 s for the first five attempts, then one every 30 s; an attempt itself takes no simulated time.
    assert status.attempts == len(usb.tried_s) == pytest.approx(2 * HOUR_S / 30 + 4, abs=2)
    assert 2 * HOUR_S <= status.lost_s < 2 * HOUR_S + 31
    # Whoever looks meanwhile sees that it is lost, and why.
    assert seen[0] == (0.0, LOST, "")
    assert {one[1:] for one in seen[1:-1]} == {(LOST, "camera 7 does not answer: plug it in")}
    assert seen[-1][1:] == (CONNECTED, "")
    assert len(seen) == status.attempts + 1


def test_a_camera_that_is_missing_at_the_start_is_an_error_unless_it_is_looked_for(image):
    simulation, said = Simulation(), []
    missing = Unpluggable(simulation, image, HOUR_S, is_there_first=False)
    with pytest.raises(LettercastError, match="camera 7 does not answer: plug it in"):
        Camera("7", missing.connect, clock=simulation.clock)
    camera = Camera("7", missing.connect, on_missing=said.append, clock=simulation.clock)
    assert said == ["camera 7 does not answer: plug it in; looking for it until Ctrl-C"]
    assert (camera.status.state, camera.status.failure) == (MISSING, "camera 7 does not answer: plug it in")
    assert next(camera).number == 0
    assert (camera.status.state, camera.status.losses, camera.status.reconnects) == (CONNECTED, 0, 1)
    assert HOUR_S <= camera.status.lost_s < HOUR_S + 31


def test_only_who_asks_looks_for_a_missing_camera(monkeypatch, image):
    simulation, said = Simulation(), []
    usb = Unpluggable(simulation, image, 10.0, is_there_first=False)
    monkeypatch.setattr("lettercast.runtime.sources.source.open_webcam", lambda *_: usb.connect())
    monkeypatch.setattr(camera_module, "Clock", lambda: simulation.clock)
    with pytest.raises(LettercastError, match="plug it in"):
        open_frames(["7"], on_wait=said.append)
    assert not said
    with open_frames(["7"], on_wait=said.append, keep_looking=True) as frames:
        assert len(said) == 1 and frames.cameras[0].state == MISSING
        assert next(frames).source == "7"


def test_idle_is_called_during_long_waits_and_may_end_them(image):
    class QuitError(Exception):
        pass

    simulation = Simulation()
    camera = Camera("7", Unpluggable(simulation, image, np.inf).connect, clock=simulation.clock)
    next(camera)

    def quit_later():
        if simulation.seconds > HOUR_S:
            raise QuitError

    camera.idle = quit_later
    with pytest.raises(QuitError):
        next(camera)
    assert simulation.seconds < HOUR_S + 1


def test_a_driver_that_hangs_for_ever_does_not_take_a_thread_for_each_attempt(image):
    """Each attempt blocks in the driver; only a new process can help, so the attempts must not count as progress."""
    simulation, opened = Simulation(), []
    never = camera_module.threading.Event()

    class Hanging:
        def read(self):
            never.wait(120)
            return False, None

        def release(self):
            pass

    def connect():
        opened.append(1)
        return Plugged(image, 1) if len(opened) == 1 else Hanging()

    camera, progress = Camera("7", connect, Timeouts(silence_s=HOUR_S, release_s=0.001), clock=simulation.clock), []
    next(camera)
    camera.on_attempt = lambda: progress.append(camera.status.failure)

    def let_an_hour_pass():
        simulation.seconds += HOUR_S
        if simulation.seconds > 48 * HOUR_S:
            raise KeyboardInterrupt

    camera.idle = let_an_hour_pass
    with pytest.raises(KeyboardInterrupt):
        next(camera)
    assert len(opened) == 1 + MAX_HUNG
    assert progress == [""], "an attempt that hangs is no progress"
    assert camera.status.failure == "the driver of camera 7 hangs; start lettercast again"
    never.set()
    camera.close()
