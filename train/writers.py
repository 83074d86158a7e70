"""How well each hand is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of fewer letters a hand's accuracy says little: one mistake more is five points.
FEWEST_LETTERS = 20


@dataclass(frozen=True)
class WriterSummary:
    """Figures of the writers with at least FEWEST_LETTERS letters, each writer counted once.

    median is of their accuracies and worst_tenth the mean accuracy of the worst read tenth of them, at least one; 0..1.
    """

    count: int
    median: float
    worst_tenth: float


@dataclass(frozen=True)
class Writers:
    """Every writer once, the worst read first: number, count of letters and accuracy 0..1, each (W,)."""

    number: NDArray[np.int64]
    count: NDArray[np.int64]
    accuracy: NDArray[np.float64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(W,) True for writers with at least FEWEST_LETTERS letters."""
        return self.count >= FEWEST_LETTERS

    @property
    def worst(self) -> NDArray[np.bool_]:
        """(W,) True for the worst read tenth of the counted writers, at least one where there is any."""
        return self.counted & (np.cumsum(self.counted) <= max(1, self.counted.sum() // 10))

    def summary(self) -> WriterSummary | None:
        """Return the figures of the counted writers; None where there are none."""
        counted = self.accuracy[self.counted]
        if len(counted) == 0:
            return None
        return WriterSummary(len(counted), float(np.median(counted)), float(self.accuracy[self.worst].mean()))


def group_by_writer(writers: NDArray[np.int64], right: NDArray[np.bool_]) -> Writers:
    """Count letters, writers (N,) and right (N,) whether each was read rightly, by writer; ties go by number."""
    number, hand, count = np.unique(writers, return_inverse=True, return_counts=True)
    accuracy = np.bincount(hand, right, len(number)) / count
    worst_first = np.argsort(accuracy, kind="stable")
    return Writers(number[worst_first], count[worst_first], accuracy[worst_first])
