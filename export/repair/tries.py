"""What a search tried, and what came out of it."""

from dataclasses import dataclass
from typing import Any

from ..gate import Parity
from .recipe import Recipe


@dataclass(frozen=True)
class Try:
    """One file that a search made.

    Attributes:
        recipe: how it was made.
        size_bytes: of the finished file.
        parity: on the half of the check images that the search chooses by.
        latency_ratio: time of one image, as a multiple of the file that missed the gate; None if it was not measured.
        proof: the parity on the other half, None if the file was not judged there.
        verdict: on the other half if it was judged there, otherwise on the search half.
        is_kept: whether it is the file that was kept.
    """

    recipe: Recipe
    size_bytes: int
    parity: Parity
    verdict: str
    latency_ratio: float | None = None
    proof: Parity | None = None
    is_kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the try as in `lettercast export --json`; drops are in points, agreements in percent."""
        return {
            "recipe": self.recipe.to_dict(),
            "words": self.recipe.describe(),
            "size_bytes": self.size_bytes,
            "drop": round(self.parity.drop, 3),
            "agreement": round(self.parity.agreement, 3),
            "latency_ratio": None if self.latency_ratio is None else round(self.latency_ratio, 3),
            "proof": None if self.proof is None else {"drop_high": self.proof.drop_high, "agreement": self.proof.agreement},
            "verdict": self.verdict,
            "kept": self.is_kept,
        }
