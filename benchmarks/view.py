"""Where the camera stands: a map from points of the sheet to points of the picture."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Focal length of a phone, in widths of the picture.
FOCAL = 0.9
# Bare paper that the photographer leaves around the writing, as a share of the picture's width.
FRAMING = 0.03


@dataclass(frozen=True)
class View:
    """How the sheet lies before the camera: degrees of turn and tilt; bend and the desk around it as shares of the width."""

    turn: float = 0.7
    tilt: float = 2.0
    bend: float = 0.0
    desk: float = 0.0


@dataclass(frozen=True)
class Projection:
    """A map from the sheet (x, y) to the picture: first bent, then seen in perspective by matrix (3, 3).

    wave holds the depth in pixels, the radians per pixel across, the phase and the lean of the bend.
    """

    matrix: NDArray[np.float64]
    wave: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __call__(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map points (n, 2)."""
        depth, rate, phase, lean = self.wave
        bent = points.astype(np.float64)
        bent[:, 1] += depth * np.sin(rate * (bent[:, 0] + lean * bent[:, 1]) + phase)
        seen = np.column_stack([bent, np.ones(len(bent))]) @ self.matrix.T
        return seen[:, :2] / seen[:, 2:]


def look_at(view: View, size: tuple[int, int], writing: NDArray[Any], rng: np.random.Generator) -> Projection:
    """Choose directions by chance and move back until the writing is in the picture.

    Args:
        view: how far from flat and straight; the signs and the axis of the tilt are drawn.
        size: (width, height) of sheet and picture in pixels.
        writing: (n, 2) points of the sheet that must be seen.
        rng: draws the same numbers for every view.
    """
    width, height = size
    sign, axis, phase, rate, lean = rng.random(5)
    wave = (view.bend * width, 2 * math.pi * (0.6 + 0.6 * rate) / width, 2 * math.pi * phase, 0.4 * lean - 0.2)
    turn = math.radians(view.turn) * (1 if sign < 0.5 else -1)
    angle = 2 * math.pi * axis
    turned = cv2.Rodrigues(np.array([0, 0, turn]))[0]
    tilted = cv2.Rodrigues(math.radians(view.tilt) * np.array([math.cos(angle), math.sin(angle), 0]))[0]
    focal = FOCAL * width
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    # The sheet lies one focal length away, where it fills the picture.
    plane = (tilted @ turned)[:, :2]
    seen = np.column_stack([plane, [0, 0, focal]])
    matrix = np.linalg.inv(centre) @ np.diag([focal, focal, 1]) @ seen @ centre
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    flat = Projection(matrix, wave)
    must, margin = (flat(corners), view.desk * width) if view.desk else (flat(writing), FRAMING * width)
    low, high = must.min(0), must.max(0)
    room = np.array([width, height]) - 2 * margin
    scale = min(1.0, float((room / (high - low)).min()))
    # Closer to the middle of the picture only as far as the frame asks for.
    middle = scale * (low + high) / 2 + (1 - scale) * np.array([width, height]) / 2
    half = scale * (high - low) / 2
    shift = (
        np.clip(middle, margin + half, np.maximum(margin + half, np.array([width, height]) - margin - half))
        - scale * (low + high) / 2
    )
    framed = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    return Projection(framed @ matrix, wave)
