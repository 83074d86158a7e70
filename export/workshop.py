"""The workshop of a search: it makes candidates from recipes, and keeps what several recipes need."""

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import LettercastError
from ..runtime.console import quiet
from ..runtime.pixels import Pixels
from .formats import Format
from .judge import Candidate, ImpossibleError, candidate_of, stated
from .original import Original
from .repair.layers import Quantizer
from .repair.recipe import Finetuning, Recipe

if TYPE_CHECKING:
    import keras


def open_quantizer(suffix: str, network: "keras.Model", calibration: Pixels) -> Quantizer:
    """Open the quantizer for files of a suffix, `tflite` or `onnx`, with calibration images (N, H, W, C) uint8."""
    if suffix == "onnx":
        from .repair.onnx_layers import open_onnx

        return open_onnx(network, calibration)
    from .repair.tflite_layers import open_tflite

    return open_tflite(network, calibration)


class Workshop:
    """Makes candidates of one original from recipes.

    Attributes:
        original: with the images that set the scales.
        finetuned: the fine-tuned network and how it was trained, None if recipes must not ask for one.
    """

    def __init__(self, original: Original, finetuned: "tuple[keras.Model, Finetuning] | None" = None) -> None:
        self.original, self.finetuned = original, finetuned
        self.networks: dict[tuple[bool, bool, bool], keras.Model] = {}
        self.quantizers: dict[tuple[str, bool, bool, bool], Quantizer] = {}

    def base(self, row: Format, seed: int) -> Recipe:
        """Return the recipe that is closest to a format's own way."""
        return Recipe(
            row.name,
            self.original.facts.network_sha256,
            str(self.original.facts.made.get("calibration", "")),
            row.precision,
            finetuning=self.finetuned[1] if self.finetuned else None,
            seed=seed,
        )

    def quantizer(self, row: Format, recipe: Recipe) -> Quantizer:
        """Return the quantizer that a recipe needs; raises ImpossibleError if the format cannot hold the network."""
        key = (bool(recipe.finetuning), recipe.equalized, recipe.bias_corrected)
        place = (row.suffix, *key)
        if place not in self.quantizers:
            try:
                with quiet():
                    self.quantizers[place] = open_quantizer(row.suffix, self._network(key), self.original.calibration)
            except (LettercastError, KeyboardInterrupt):
                raise
            except Exception as error:  # converters raise any type of error
                raise ImpossibleError(str(error).partition("\n")[0] or type(error).__name__) from error
        return self.quantizers[place]

    def make(self, row: Format, recipe: Recipe) -> Candidate:
        """Make the file of a recipe; raises ValueError if the network cannot be made so, ImpossibleError if the format cannot."""
        quantizer = self.quantizer(row, recipe)
        facts = replace(stated(row, self.original), input_dtype=getattr(quantizer, "input_dtype", row.input_dtype))
        with quiet():
            model = quantizer.build(recipe)
        return candidate_of(row, facts, model, recipe)

    def _network(self, key: tuple[bool, bool, bool]) -> "keras.Model":
        if key not in self.networks:
            is_finetuned, is_equalized, is_corrected = key
            from .repair.equalize import bias_corrected, equalized

            network = self.original.network
            if is_finetuned and self.finetuned:
                network = self.finetuned[0]
            if is_equalized:
                network = equalized(network, self.original.calibration)
            if is_corrected:
                network = bias_corrected(network, self.original.calibration)
            self.networks[key] = network
        return self.networks[key]
