"""Write short videos of a page before a hand-held camera, with known text and letter positions.

Maintainer's command:

    python -m lettercast.benchmarks.pages.film page.mp4 [--data strokes.npz] [--seconds S] [--seed N] [LINE ...]
"""

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import amount, natural
from ...runtime.files import make_folder, replacing
from ...runtime.pixels import Pixels
from .camera import illuminate, take
from .paper import Field
from .scenes import WEBCAM_PX, Page, PlacedLetter, Scene, lay_out
from .writing import Hand, open_hands

FPS, SECONDS = 30, 5.0
LINES, LINE_LETTERS = 3, 5
# The page is larger than a frame by this factor, so that there is paper wherever the hand moves.
OVERSIZE = 1.3
# Fifteen letters that fill the frame but stay inside of it.
CARD = {"size": 105.0, "pitch": 2.3, "spacing": 0.95, "margin": 0.22, "noise": 3.0, "turn": 1.5, "tilt": 5.0}
CODECS = {".avi": "MJPG", ".mp4": "mp4v"}


@dataclass(frozen=True)
class Motion:
    """How a hand and a lens move. The values were chosen by hand, not fitted to recordings.

    drift_hz, tremor_hz and glow_hz are the frequencies of the arm's slow sway, of the muscles' tremor and of the exposure;
    each motion is a sum of `waves` sines. One search for focus takes hunt_s seconds.
    """

    drift_hz: tuple[float, float] = (0.15, 0.9)
    tremor_hz: tuple[float, float] = (7.0, 12.0)
    glow_hz: tuple[float, float] = (0.1, 0.4)
    waves: int = 4
    hunt_s: float = 0.7


MOTION = Motion()


@dataclass(frozen=True)
class Shake:
    """How unsteady hand and camera are; lengths in frame widths, angles in degrees, each one standard deviation.

    drift is the slow sway and tremor the fast one; turn and zoom move with the drift. The lens searches for focus every `hunts`
    seconds, and then the blur reaches `blur` (radius in pixels of a 1280 wide image). glow is the drift of the exposure.
    """

    drift: float = 0.012
    tremor: float = 0.0007
    turn: float = 0.8
    zoom: float = 0.012
    hunts: float = 2.5
    blur: float = 7.0
    glow: float = 0.08


@dataclass(frozen=True)
class VideoFrame:
    """One frame (H, W, 3) BGR uint8, with the box of every letter in it."""

    number: int
    image: Pixels
    letters: tuple[PlacedLetter, ...]


def shoot_video(
    hand: Hand, scene: Scene, shake: Shake, *, seed: int, frames: int, text: Sequence[str] = (), fps: float = FPS
) -> tuple[str, Iterator[VideoFrame]]:
    """Shoot a video of a page; return its text and its frames, which are drawn on demand.

    Args:
        hand: the hand that writes.
        scene: the page and the light.
        shake: how unsteady hand and camera are.
        seed: decides everything random.
        frames: the number of frames.
        text: lines to write; by default three lines of five letters.
        fps: frames per second.
    """
    writer, camera, for_light, for_path, for_noise = np.random.default_rng(seed).spawn(5)
    width, height = WEBCAM_PX
    oversize = (round(OVERSIZE * width), round(OVERSIZE * height))
    lines = text or random_lines(hand, writer)
    page = lay_out(hand, scene.change(size=scene.layout.size / OVERSIZE), oversize, writer=writer, camera=camera, text=lines)
    lit = illuminate(page.sheet, scene.exposure, for_light)
    return page.text, _frames(page, lit, scene, shake, fps, rng=for_path, noises=for_noise.spawn(frames))


def random_lines(hand: Hand, rng: np.random.Generator) -> list[str]:
    """Return three lines of five capitals; letters repeat only if the hand has fewer than 15."""
    letters = hand.letters(True)
    count = LINES * LINE_LETTERS
    chosen = rng.choice(len(letters), count, replace=len(letters) < count)
    return ["".join(letters[i] for i in row) for row in chosen.reshape(LINES, LINE_LETTERS)]


def _frames(
    page: Page,
    lit: Field,
    scene: Scene,
    shake: Shake,
    fps: float,
    *,
    rng: np.random.Generator,
    noises: Sequence[np.random.Generator],
) -> Iterator[VideoFrame]:
    width, height = WEBCAM_PX
    seconds = np.arange(len(noises)) / fps
    at = np.stack([shake.drift * width * sway(seconds, MOTION.drift_hz, rng) for _ in range(2)], 1)
    at += np.stack([shake.tremor * width * sway(seconds, MOTION.tremor_hz, rng) for _ in range(2)], 1)
    turn = shake.turn * sway(seconds, MOTION.drift_hz, rng)
    zoom = np.exp(shake.zoom * sway(seconds, MOTION.drift_hz, rng))
    glow = np.exp(shake.glow * sway(seconds, MOTION.glow_hz, rng))
    blur = scene.exposure.defocus + shake.blur * hunting(seconds, shake.hunts, rng)
    middle = (lit.shape[1] / 2, lit.shape[0] / 2)
    for number, noise in enumerate(noises):
        matrix = cv2.getRotationMatrix2D(middle, float(turn[number]), float(zoom[number]))
        matrix[:, 2] += at[number] - np.array(middle) + (width / 2, height / 2)
        seen = cv2.warpAffine(lit, matrix, WEBCAM_PX, borderMode=cv2.BORDER_REPLICATE) * np.float32(glow[number])
        image = take(seen, replace(scene.exposure, defocus=float(blur[number])), noise)
        yield VideoFrame(number, image, tuple(replace(one, box=_moved(one.box, matrix)) for one in page.letters))


def sway(seconds: NDArray[np.float64], hertz: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth motion (n,) as a sum of sines; in the long run its mean is 0 and its standard deviation 1."""
    rates, phases = rng.uniform(*hertz, MOTION.waves), rng.uniform(0, 2 * math.pi, MOTION.waves)
    waves = np.sin(2 * math.pi * rates * seconds[:, None] + phases)
    return waves.sum(1) * math.sqrt(2 / MOTION.waves)


def hunting(seconds: NDArray[np.float64], pause: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how far out of focus (n,) 0..1 the lens is; about every `pause` seconds it searches for focus."""
    since = (seconds + rng.uniform(0, pause)) % pause / MOTION.hunt_s
    searching = np.clip(since, 0, 1)
    return np.abs(np.sin(2 * math.pi * searching)) * (1 - searching)


def write_video(path: Path, frames: Iterable[VideoFrame], fps: float = FPS) -> int:
    """Write frames to an `.avi` or `.mp4` file, and return how many; a failed write leaves no file.

    Raises LettercastError if the file has another ending, there is no frame, or OpenCV cannot write such a video here.
    """
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        raise LettercastError(f"{path}: a video must end in {' or '.join(CODECS)}; choose one of them")
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise LettercastError(f"{path}: the video has no frames; use a larger --seconds")
    height, width = first.image.shape[:2]
    make_folder(path.parent)
    count = 0
    with replacing(path) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
        if not writer.isOpened():
            raise LettercastError(f"{path}: OpenCV cannot write {codec} here; try another ending of {', '.join(CODECS)}")
        for frame in chain([first], stream):
            writer.write(frame.image)
            count += 1
        writer.release()
    return count


def _moved(box: tuple[float, float, float, float], matrix: NDArray[Any]) -> tuple[float, float, float, float]:
    """Return the upright box around a box (x, y, width, height) that is moved by an affine matrix (2, 3)."""
    x, y, w, h = box
    corners = np.array([[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def card() -> Scene:
    """Return the scene of a card in the hand, before a webcam."""
    return Scene().change(**CARD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one video and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.film", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("out", type=Path, help="the video to write, .mp4 or .avi")
    parser.add_argument("lines", nargs="*", metavar="LINE", help="a line to write on the page (default: 15 letters)")
    parser.add_argument("--data", default="pen", metavar="D", help="the handwriting: pen (the default) or an .npz of strokes")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="whose strokes to use (default: val)")
    parser.add_argument("--seconds", type=amount, default=SECONDS, metavar="S", help="the length (default: %(default)g)")
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed makes another video (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        hands = open_hands(options.data, options.split)
        hand, count = hands[options.seed % len(hands)], round(FPS * options.seconds)
        text, frames = shoot_video(hand, card(), Shake(), seed=options.seed, frames=count, text=options.lines)
        written = write_video(options.out, frames)
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(f"{options.out}: {written} frames\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
