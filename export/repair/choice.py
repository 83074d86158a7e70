"""What a budget asks for, and what was found: the files that were tried, and those that no other beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..devices import Device
from .tries import Try

# Files whose latencies differ by less are equally fast, and the smaller one comes first.
SAME_SPEED = 0.03
# Smaller sizes would be 0.0 kB.
LEAST_IN_KB = 100


@dataclass(frozen=True)
class Budget:
    """What a file may cost.

    Attributes:
        max_bytes: largest size of the finished file, with its facts.
        max_drop: largest accuracy drop in points, None for those of the formats.
        device: where it must be fast, None for this machine.
    """

    max_bytes: int
    max_drop: float | None = None
    device: Device | None = None

    def holds(self, size: int) -> bool:
        """Whether a size fits."""
        return size <= self.max_bytes


@dataclass(frozen=True)
class Choice:
    """What a budget found.

    Attributes:
        budget: what was asked for.
        looks: how many files the proof half judged.
        tries: every file that was tried; the latency ratio is a multiple of the first one's.
        front: the tries that no other beats in size, latency and drop at once.
        timing: where the latencies come from: measured on which processor, or modelled for which device.
        max_drop: of the files tried, in points.
    """

    budget: Budget
    looks: int
    tries: tuple[Try, ...]
    front: tuple[Try, ...]
    timing: str
    max_drop: float
    is_interrupted: bool = False

    @property
    def kept(self) -> Try | None:
        """The try that was chosen."""
        return next((one for one in self.tries if one.is_kept), None)

    @property
    def nearest(self) -> Try | None:
        """Of files that the budget refuses, the one that misses its limits by the smallest factor; None if nothing was tried."""

        def excess(one: Try) -> float:
            parity = one.proof or one.parity
            # A largest drop of 0 is missed by any drop.
            drop = max(0.0, parity.drop_high) / max(self.max_drop, 0.01)
            return max(one.size_bytes / self.budget.max_bytes, drop)

        return min(self.tries, key=excess, default=None)

    def describe_nearest(self) -> str:
        """Return in one sentence that nothing meets the budget, and the nearest file."""
        limits = f"no file of at most {kilobytes(self.budget.max_bytes)} is proven to lose at most {self.max_drop:g} points"
        if self.is_interrupted:
            limits = f"the search was interrupted, and {limits} so far"
        if not (one := self.nearest):
            reason = "none was tried" if self.is_interrupted else "no format can hold this network"
            return f"{limits}, because {reason}"
        parity = one.proof or one.parity
        drop = f"{parity.drop:.2f} points ({parity.drop_low:.2f} to {parity.drop_high:.2f})"
        return f"{limits}; the nearest is {name_of(one)} with {kilobytes(one.size_bytes)} and a drop of {drop}"

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as in `lettercast export --json`."""
        return {
            "max_bytes": self.budget.max_bytes,
            "max_drop": self.max_drop,
            "device": self.budget.device.name if self.budget.device else None,
            "timing": self.timing,
            "looks": self.looks,
            "front": [self.tries.index(one) for one in self.front],
            "tried": [one.to_dict() for one in self.tries],
        }


def kilobytes(size: int) -> str:
    """Return a size in kB, with as many digits as tell files apart."""
    return f"{size / 1000:,.1f} kB" if size >= LEAST_IN_KB else f"{size} byte{'s' if size > 1 else ''}"


def name_of(one: Try) -> str:
    """Return in words which file a try is: a format, and what differs from its own way."""
    has_own_way = not one.recipe.layers and not one.recipe.finetuning
    return one.recipe.format if has_own_way else f"{one.recipe.format}, {one.recipe.describe()}"


def pareto(tries: Sequence[Try]) -> tuple[Try, ...]:
    """Return the tries that no other beats in size, latency and accuracy drop at once, the smallest first."""

    def figures(one: Try) -> tuple[float, float, float]:
        return one.size_bytes, one.latency_ratio if one.latency_ratio is not None else np.inf, one.parity.drop

    def is_beaten(one: Try) -> bool:
        own = figures(one)
        others = [figures(other) for other in tries]
        return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in others)

    return tuple(sorted((one for one in tries if not is_beaten(one)), key=lambda one: one.size_bytes))


def speed_order(one: Try) -> tuple[float, int]:
    """Return what orders files: the latency, in steps that files of the same speed share, then the size."""
    ratio = one.latency_ratio if one.latency_ratio is not None else np.inf
    step = np.log1p(SAME_SPEED)
    return (float(np.floor(np.log(ratio) / step)) if np.isfinite(ratio) else ratio, one.size_bytes)
