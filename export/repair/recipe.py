"""Recipes: how a quantized file is made from its original, layer by layer, so that it can be made again to the bit."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ... import LettercastError
from ...runtime.arguments import MAX_COUNT
from ...runtime.model.engine import first_line, open_engine
from .proof import MAX_LOOKS

# How a layer computes. INT8: 8-bit weights, and activations with scales from the calibration set. INT4: 4-bit weights, the same
# activations. INT16: 8-bit weights, 16-bit activations. DYNAMIC: 8-bit weights, and activations that are quantized at run time.
# WEIGHTS: 8-bit weights, which are widened to float before they are used. FLOAT: as the original.
INT4, INT8, INT16, DYNAMIC, WEIGHTS, FLOAT = "int4", "int8", "int16", "dynamic", "weights", "float"
PRECISIONS = (INT4, INT8, INT16, DYNAMIC, WEIGHTS, FLOAT)
IN_WORDS = {
    INT4: "with 4-bit weights",
    INT8: "with 8-bit weights and activations",
    INT16: "with 16-bit activations",
    DYNAMIC: "with dynamic activations",
    WEIGHTS: "with 8-bit weights in float",
    FLOAT: "in float",
}
SCHEMA = 1
EXPORTED = (".tflite", ".onnx")
MAX_SEED = 2**32 - 1


def is_whole(value: object, low: int, high: int) -> bool:
    """Whether a value of a JSON file is a whole number from low to high; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


@dataclass(frozen=True)
class Finetuning:
    """How the weights were trained on: data, split and its number of images, epochs, learning rate and seed.

    was_interrupted is true if Ctrl-C ended it after fewer epochs, so that it cannot be repeated.
    """

    data: str
    split: str
    n: int
    epochs: int
    rate: float
    seed: int
    was_interrupted: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.data, str) and isinstance(self.split, str) and isinstance(self.was_interrupted, bool)):
            raise ValueError("data and split of its fine-tuning must be text, and was_interrupted true or false")
        if not (is_whole(self.n, 1, MAX_COUNT) and is_whole(self.epochs, 1, MAX_COUNT) and is_whole(self.seed, 0, MAX_SEED)):
            raise ValueError("n, epochs and seed of its fine-tuning must be whole numbers, the first two above 0")
        if not (isinstance(self.rate, float) and 0 < self.rate <= 1):
            raise ValueError("the rate of its fine-tuning must be above 0 and at most 1")


@dataclass(frozen=True)
class Recipe:
    """How one quantized file is made.

    Attributes:
        format: the row of the table of formats, such as `tflite-int8`.
        network_sha256: the original that it is for.
        calibration: the images that set the scales, in words.
        precision: how layers compute that are not in `layers`, one of PRECISIONS.
        layers: the precision of other layers, by the name of the Keras layer.
        unsigned_weights: whether ONNX files store weights as uint8, whose products no processor cuts off.
        equalized: whether the ranges of neighbouring layers are balanced first.
        finetuning: how the weights were trained on, None if they are the original's.
        looks: how many files the images that prove it had judged, with this one; 0 if they judge no other.
        seed: of everything random.
    """

    format: str
    network_sha256: str
    calibration: str = ""
    precision: str = INT8
    layers: Mapping[str, str] = field(default_factory=dict)
    unsigned_weights: bool = False
    equalized: bool = False
    finetuning: Finetuning | None = None
    looks: int = 0
    seed: int = 7
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"it has schema {self.schema}, this version reads schema {SCHEMA}: update lettercast")
        if not (isinstance(self.format, str) and isinstance(self.network_sha256, str) and isinstance(self.calibration, str)):
            raise ValueError("format, network_sha256 and calibration must be text")
        if not (isinstance(self.layers, Mapping) and all(isinstance(one, str) for one in self.layers.values())):
            raise ValueError("layers must be an object with the precision of each layer")
        if not (is_whole(self.looks, 0, MAX_LOOKS) and is_whole(self.seed, 0, MAX_SEED)):
            raise ValueError(f"looks and seed must be whole numbers, looks from 0 to {MAX_LOOKS} and seed from 0 to {MAX_SEED}")
        if not (isinstance(self.unsigned_weights, bool) and isinstance(self.equalized, bool)):
            raise ValueError("unsigned_weights and equalized must be true or false")
        if not isinstance(self.precision, str):
            raise ValueError("precision must be text")
        unknown = {self.precision, *self.layers.values()} - set(PRECISIONS)
        if unknown:
            raise ValueError(f"precision '{min(unknown)}' is unknown; this version knows {', '.join(PRECISIONS)}")

    def with_layers(self, names: "list[str] | tuple[str, ...]", precision: str) -> "Recipe":
        """Return the recipe with these layers in another precision."""
        return replace(self, layers={**self.layers, **dict.fromkeys(names, precision)})

    def precision_of(self, layer: str) -> str:
        """Return the precision of a layer, by its name."""
        return self.layers.get(layer, self.precision)

    def describe(self) -> str:
        """Return in words what differs from the format's own way."""
        words = []
        if self.finetuning:
            words.append(f"fine-tuned for {self.finetuning.epochs} epoch{'s' if self.finetuning.epochs > 1 else ''}")
        words += ["equalized"] if self.equalized else []
        words += ["uint8 weights"] if self.unsigned_weights else []
        if self.precision != INT8:
            words.append(f"all layers {IN_WORDS[self.precision]}")
        for precision in PRECISIONS:
            names = [name for name, one in self.layers.items() if one == precision]
            if names:
                words.append(f"{len(names)} layer{'s' if len(names) > 1 else ''} {IN_WORDS[precision]}")
        return ", ".join(words) or "8-bit weights and activations"

    @property
    def is_integer_only(self) -> bool:
        """Whether every layer computes with integers whose scales are in the file, as microcontrollers and NPUs need it."""
        return {self.precision, *self.layers.values()} <= {INT4, INT8, INT16}

    @property
    def key(self) -> str:
        """What files are known by in a search, because a recipe cannot be hashed."""
        return repr(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as in the facts of a file, and in a recipe file."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False, 0, {}, "")}


def parse_recipe(raw: Any) -> Recipe:
    """Return a recipe from its dictionary; raises ValueError or TypeError if it is none."""
    if not isinstance(raw, dict):
        raise TypeError("a recipe is an object")
    unknown = set(raw) - {one.name for one in fields(Recipe)}
    if unknown:
        raise ValueError(f"'{min(unknown)}' is no part of a recipe")
    if raw.get("finetuning"):
        if not isinstance(raw["finetuning"], dict):
            raise TypeError("finetuning must be an object")
        missing = {one.name for one in fields(Finetuning) if one.default is MISSING} - set(raw["finetuning"])
        if missing:
            raise ValueError(f"its fine-tuning has no {min(missing)}")
        raw = {**raw, "finetuning": Finetuning(**raw["finetuning"])}
    return Recipe(**raw)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a file (JSON), or from the facts of an exported file; raises LettercastError if it cannot be used."""
    mend = "make one with `lettercast export --repair`"
    try:
        if path.suffix in EXPORTED:
            if not (found := open_engine(path).facts.recipe):
                raise LettercastError(f"{path}: was made in its format's own way, without a recipe; {mend}")
            return parse_recipe(found)
        return parse_recipe(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, RecursionError, AttributeError) as error:
        raise LettercastError(f"{path}: cannot be used as a recipe ({first_line(error)}); {mend}") from error
