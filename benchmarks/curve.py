"""How times grow over something, stage by stage: points, and the line through them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stages import STAGES, WHOLE


@dataclass(frozen=True)
class Fit:
    """The line fixed + slope * x through times in ms: least squares of the residuals as shares of the times, so that a short time
    counts like a long one; r2 is weighted alike, largest_residual is the largest of these shares.
    """

    fixed: float
    slope: float
    r2: float
    largest_residual: float


@dataclass(frozen=True)
class Point:
    """Pages of `x` letters or megapixels: ms of each stage as rounds of pages, and how many letters were found on a page."""

    x: float
    found: float
    rounds: dict[str, tuple[tuple[float, ...], ...]]

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds a page of each stage and of the whole: each page's median over the rounds, their mean over pages."""
        taken = {name: np.array(rounds) for name, rounds in self.rounds.items()}
        taken[WHOLE] = np.sum(list(taken.values()), 0)
        return {name: float(np.median(rounds, 0).mean()) for name, rounds in taken.items()}


@dataclass(frozen=True)
class Curve:
    """Growth over letters or megapixels."""

    over: str
    points: tuple[Point, ...]

    @property
    def fits(self) -> dict[str, Fit]:
        """The line through each stage and through the whole."""
        x = np.array([point.x for point in self.points])
        return {name: fit_line(x, np.array([point.ms[name] for point in self.points])) for name in (*STAGES, WHOLE)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        points = [{**asdict(point), "ms": point.ms} for point in self.points]
        return {"over": self.over, "points": points, "fits": {name: asdict(fit) for name, fit in self.fits.items()}}


def point_of(x: float, pages: Sequence[Sequence[dict[str, float]]], found: Sequence[int]) -> Point:
    """Return the point of pages, each with its rounds, and of the letters found on each."""
    turned = list(zip(*pages, strict=True))
    rounds = {name: tuple(tuple(round(ms[name], 4) for ms in turn) for turn in turned) for name in STAGES}
    return Point(x, float(np.mean(found)), rounds)


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    """Fit a line through times y, all above 0, as Fit says."""
    weight = 1 / y
    (fixed, slope), *_ = np.linalg.lstsq(np.stack([weight, x * weight], 1), np.ones(len(y)), rcond=None)
    residual = (fixed + slope * x - y) * weight
    around_mean = (y - np.average(y, weights=weight**2)) * weight
    spread = float(around_mean @ around_mean)
    r2 = 1 - float(residual @ residual) / spread if spread else 1.0
    return Fit(float(fixed), float(slope), r2, float(np.abs(residual).max()))


def describe(curve: Curve) -> str:
    """Return the line through the whole, and how well it fits, for a person."""
    fit, unit = curve.fits[WHOLE], curve.over.removesuffix("s")
    return (
        f"{fit.fixed:.2f} ms + {fit.slope:.3f} ms a {unit}, R² {fit.r2:.4f}, largest residual {100 * fit.largest_residual:.0f} %"
    )
