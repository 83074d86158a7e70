"""Several sources as one."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels
from .source import Source, UnknownHands, digest_of, relabel


@dataclass(frozen=True)
class MixedSource(UnknownHands):
    """Several sources as one; shares (one a source, summing to 1) say how often training draws from each."""

    sources: Sequence[Source]
    shares: Sequence[float]
    split: str
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        return " + ".join(source.name for source in self.sources)

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.concatenate([relabel(source, self.classes) for source in self.sources])

    @property
    def weights(self) -> NDArray[np.float64]:
        return np.concatenate([source.weights * share for source, share in zip(self.sources, self.shares, strict=True)])

    @property
    def digest(self) -> str:
        return digest_of([source.digest for source in self.sources], list(self.shares), self.classes)

    def picture(self, index: int, rng: np.random.Generator | None) -> Pixels:
        part = bisect_right(self._ends, index)
        return self.sources[part].picture(index - (self._ends[part - 1] if part else 0), rng)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each source's letters end among all."""
        return list(accumulate(len(source.labels) for source in self.sources))
