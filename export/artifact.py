"""What exporting gives: an artifact for each format, with its parity figures and its verdict."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from .devices import DEVICES, Recommendation, by_table, find_devices
from .formats import Format
from .gate import MISSED, PROVEN, ImageSet, Parity, Tolerance
from .original import CALIBRATION_SEED
from .pages import PageParity
from .repair.choice import Choice
from .repair.explain import Explanation
from .repair.recipe import Recipe
from .repair.tries import Try

# The version of the JSON object of `lettercast export --json`.
SCHEMA = 1
# What formats call hardware that computes with integers alone.
INTEGER_HARDWARE = ("NPU", "microcontroller", "microcontrollers")


@dataclass(frozen=True)
class Artifact:
    """One exported model. If it passed the gate, misses is empty and the file is written; otherwise cause says why not.

    reads_letters is true if the reader can use the file, because it takes letters. pages is what whole pages say, None if none
    were read with it. is_alike_everywhere is false if other processors would give other answers. misses names each limit that
    is exceeded, and a drop that is unproven if a proof was required. cause names a format to take instead only if it passed in
    this run, or was not built in it. recipe is how a repaired file was made, None for the format's own way; parity is then
    that of the half of the check images that the search did not see. tries are what the search tried. explanation says where the
    format's own way loses answers, None if that was not asked for.
    """

    format: Format
    path: Path
    size_bytes: int
    parity: Parity
    tolerance: Tolerance
    misses: tuple[str, ...]
    cause: str = ""
    reads_letters: bool = True
    pages: PageParity | None = None
    is_alike_everywhere: bool = True
    recipe: Recipe | None = None
    tries: tuple[Try, ...] = ()
    explanation: Explanation | None = None
    float_bytes: int | None = None

    @property
    def verdict(self) -> str:
        """`proven`, `unproven` or `missed`: what the check set says about the tolerance, see Parity.

        Pages can only miss, and so can a file that other processors compute otherwise.
        """
        is_refused = bool(self.pages and self.pages.misses) or not self.is_alike_everywhere
        return MISSED if is_refused else self.parity.verdict(self.tolerance)

    @property
    def is_integer_only(self) -> bool:
        """Whether no layer of the file was left in float or takes its scale at run time; a format's own way is not asked."""
        return self.recipe is None or self.recipe.is_integer_only

    @property
    def suits(self) -> str:
        """The devices that the file is for, in words: those of its format, without those that compute with integers alone."""
        named = self.format.device.split(", ")
        return ", ".join(one for one in named if self.is_integer_only or one not in INTEGER_HARDWARE)

    @property
    def needed(self) -> int | None:
        """How many check images would prove an unproven drop; None if it is not unproven, or if no number would."""
        return self.parity.needed(self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Return the artifact as in `lettercast export --json`."""
        known = {name: float(f"{value:.6g}") for name, value in asdict(self.parity).items()}

        def with_change(figure: str, change: str) -> dict[str, float]:
            ends = {f"change_{end}": known[f"{change}_change_{end}"] for end in ("low", "high")}
            return {"original": known[f"original_{figure}"], "exported": known[figure], **ends}

        return {
            "format": self.format.name,
            "file": None if self.misses else str(self.path),
            "size_bytes": self.size_bytes,
            "verdict": self.verdict,
            "needed": self.needed,
            "accuracy": {"original": known["original_accuracy"], "exported": known["accuracy"]},
            "drop": {"points": known["drop"], "low": known["drop_low"], "high": known["drop_high"]},
            "lost": self.parity.lost,
            "won": self.parity.won,
            "agreement": {"percent": known["agreement"], "low": known["agreement_low"], "high": known["agreement_high"]},
            "difference": known["difference"],
            "calibration_error": with_change("calibration_error", "calibration"),
            "rejected": with_change("rejected", "rejected"),
            "tolerance": asdict(self.tolerance),
            "pages": self.pages.to_dict() if self.pages else None,
            "misses": list(self.misses),
            "cause": self.cause,
            "recipe": self.recipe.to_dict() if self.recipe else None,
            "tried": [one.to_dict() for one in self.tries],
            "explanation": self.explanation.to_dict() if self.explanation else None,
        }


@dataclass(frozen=True)
class Exports:
    """The result for each format: the artifacts that were built, and a line for each that cannot hold the network.

    model, source_sha256 and network_sha256 name the original: the hash of its file, and of its layers and weights. takes is
    `letters` or `images`. check and calibration are the images that were used. devices are the names that were asked for.
    is_interrupted is true if Ctrl-C ended a search; formats that follow were not built then. choice is what a budget found, None
    without one; if no file meets it, there are no artifacts.
    """

    artifacts: tuple[Artifact, ...]
    faults: tuple[str, ...]
    model: str = ""
    source_sha256: str = ""
    network_sha256: str = ""
    takes: str = "letters"
    check: ImageSet | None = None
    calibration: ImageSet | None = None
    devices: tuple[str, ...] = ()
    is_interrupted: bool = False
    choice: Choice | None = None
    page: str = ""

    @property
    def passed(self) -> bool:
        """Whether every format could be built and passed the gate, or a file meets the budget."""
        is_met = self.choice is None or bool(self.artifacts)
        return is_met and not self.faults and not any(artifact.misses for artifact in self.artifacts)

    @property
    def recommended(self) -> list[Recommendation]:
        """The file to take for each device that was asked for, by default for each that one of the files suits."""
        proven = [artifact.format.name for artifact in self.artifacts if artifact.verdict == PROVEN]
        found = []
        for device in find_devices(self.devices or tuple(DEVICES)):
            passed = [one for one in self.artifacts if not one.misses and (one.is_integer_only or not device.is_integer_only)]
            found.append(by_table(device, {one.format.name: one.path.name for one in passed}, proven))
        return [one for one in found if one.name or self.devices]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `lettercast export --json`; docs/export.schema.json describes its fields."""
        calibration = {**asdict(self.calibration), "seed": CALIBRATION_SEED} if self.calibration else None
        return {
            "schema": SCHEMA,
            "lettercast": __version__,
            "model": self.model,
            "source_sha256": self.source_sha256,
            "network_sha256": self.network_sha256,
            "takes": self.takes,
            "passed": self.passed,
            "check": asdict(self.check) if self.check else None,
            "calibration": calibration,
            "formats": [artifact.to_dict() for artifact in self.artifacts],
            "page": self.page or None,
            "budget": self.choice.to_dict() if self.choice else None,
            "recommended": [asdict(one) for one in self.recommended],
            "faults": list(self.faults),
        }

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.artifacts)
