"""Short films of a written page before a camera in the hand, with known text and known places of the letters.

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
# The page is drawn larger than a frame by this factor, so that there is paper wherever the hand moves.
AROUND = 1.3
# Fifteen letters that fill the frame: capitals' height at 1280, and the margin that keeps them in the frame.
CARD = {"size": 105.0, "pitch": 2.3, "spacing": 0.95, "margin": 0.22, "noise": 3.0, "turn": 1.5, "tilt": 5.0}
CODECS = {".avi": "MJPG", ".mp4": "mp4v"}


@dataclass(frozen=True)
class Shake:
    """How the hand and the camera err; lengths in widths of the frame, angles in degrees, one standard deviation each.

    drift is the slow swaying and tremor the fast; turn and zoom sway along with it. hunts are the seconds from one search
    for focus to the next, in which the blur reaches `blur` (radius, pixels at 1280); glow is the drift of the exposure.
    """

    drift: float = 0.012
    tremor: float = 0.0007
    turn: float = 0.8
    zoom: float = 0.012
    hunts: float = 2.5
    blur: float = 7.0
    glow: float = 0.08


@dataclass(frozen=True)
class FilmFrame:
    """One frame (H, W, 3) BGR uint8, with every letter's box in it."""

    number: int
    image: Pixels
    letters: tuple[PlacedLetter, ...]


# Slow swaying of the whole arm, and the muscles' tremor, in oscillations a second.
DRIFT_HZ, TREMOR_HZ, GLOW_HZ = (0.15, 0.9), (7.0, 12.0), (0.1, 0.4)
WAVES = 4
# How long one search for focus takes.
HUNT_S = 0.7


def film(
    hand: Hand, scene: Scene, shake: Shake, *, seed: int, frames: int, text: Sequence[str] = ()
) -> tuple[str, Iterator[FilmFrame]]:
    """Film a page; returns its text and its frames, which are drawn as they are asked for.

    Args:
        hand: who writes.
        scene: what the page and the light are like.
        shake: how unsteady hand and camera are.
        seed: decides everything.
        frames: how many, 30 a second.
        text: lines to write; by default three lines of five letters.
    """
    writer, camera, for_light, for_path, for_noise = np.random.default_rng(seed).spawn(5)
    width, height = WEBCAM_PX
    around = (round(AROUND * width), round(AROUND * height))
    lines = text or random_lines(hand, writer)
    page = lay_out(hand, scene.change(size=scene.layout.size / AROUND), around, writer=writer, camera=camera, text=lines)
    lit = illuminate(page.sheet, scene.exposure, for_light)
    return page.text, _frames(page, lit, scene, shake, rng=for_path, noises=for_noise.spawn(frames))


def random_lines(hand: Hand, rng: np.random.Generator) -> list[str]:
    """Return three lines of five different capitals, as on a card; letters come again only where the hand has too few."""
    letters = hand.letters(True)
    count = LINES * LINE_LETTERS
    chosen = rng.choice(len(letters), count, replace=len(letters) < count)
    return ["".join(letters[i] for i in row) for row in chosen.reshape(LINES, LINE_LETTERS)]


def _frames(
    page: Page, lit: Field, scene: Scene, shake: Shake, *, rng: np.random.Generator, noises: Sequence[np.random.Generator]
) -> Iterator[FilmFrame]:
    width, height = WEBCAM_PX
    seconds = np.arange(len(noises)) / FPS
    at = np.stack([shake.drift * width * sway(seconds, DRIFT_HZ, rng) for _ in range(2)], 1)
    at += np.stack([shake.tremor * width * sway(seconds, TREMOR_HZ, rng) for _ in range(2)], 1)
    turn, zoom = shake.turn * sway(seconds, DRIFT_HZ, rng), np.exp(shake.zoom * sway(seconds, DRIFT_HZ, rng))
    glow = np.exp(shake.glow * sway(seconds, GLOW_HZ, rng))
    blur = scene.exposure.defocus + shake.blur * hunting(seconds, shake.hunts, rng)
    middle = (lit.shape[1] / 2, lit.shape[0] / 2)
    for number, noise in enumerate(noises):
        matrix = cv2.getRotationMatrix2D(middle, float(turn[number]), float(zoom[number]))
        matrix[:, 2] += at[number] - np.array(middle) + (width / 2, height / 2)
        seen = cv2.warpAffine(lit, matrix, WEBCAM_PX, borderMode=cv2.BORDER_REPLICATE) * np.float32(glow[number])
        image = take(seen, replace(scene.exposure, defocus=float(blur[number])), noise)
        yield FilmFrame(number, image, tuple(replace(one, box=_moved(one.box, matrix)) for one in page.letters))


def sway(seconds: NDArray[np.float64], hertz: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth motion (n,) of mean 0 and deviation 1 over long: sines between two frequencies."""
    rates, phases = rng.uniform(*hertz, WAVES), rng.uniform(0, 2 * math.pi, WAVES)
    waves = np.sin(2 * math.pi * rates * seconds[:, None] + phases)
    return waves.sum(1) * math.sqrt(2 / WAVES)


def hunting(seconds: NDArray[np.float64], pause: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how far out of focus (n,) 0..1 the lens is: it searches every `pause` seconds or so, to and fro and back."""
    since = (seconds + rng.uniform(0, pause)) % pause / HUNT_S
    searching = np.clip(since, 0, 1)
    return np.abs(np.sin(2 * math.pi * searching)) * (1 - searching)


def write_film(path: Path, frames: Iterable[FilmFrame], fps: float = FPS) -> int:
    """Write frames as `.avi` or `.mp4`, whole or not at all; returns how many.

    Raises LettercastError where the ending is another, there is no frame, or OpenCV cannot write such a film here.
    """
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        raise LettercastError(f"{path}: films end in {' or '.join(CODECS)}; name it so")
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise LettercastError(f"{path}: a film of no frames; ask for at least one")
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
    """Return the upright box around a box (x, y, width, height) that an affine matrix (2, 3) has moved."""
    x, y, w, h = box
    corners = np.array([[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one film; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.film", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("out", type=Path, help="ends in .mp4 or .avi")
    parser.add_argument("lines", nargs="*", metavar="LINE", help="what to write (default: 15 letters)")
    parser.add_argument("--data", default="pen", metavar="D", help="pen (the default), or an .npz of strokes")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="writers of the strokes (default: val)")
    parser.add_argument("--seconds", type=amount, default=SECONDS, metavar="S")
    parser.add_argument("--seed", type=natural, default=0, metavar="N")
    options = parser.parse_args(arguments)
    try:
        hands = open_hands(options.data, options.split)
        hand, count = hands[options.seed % len(hands)], round(FPS * options.seconds)
        text, frames = film(hand, card(), Shake(), seed=options.seed, frames=count, text=options.lines)
        written = write_film(options.out, frames)
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(f"{options.out}: {written} frames\n{text}")
    return 0


def card() -> Scene:
    """Return the scene of a card held before a webcam."""
    return Scene().change(**CARD)


if __name__ == "__main__":
    sys.exit(main())
