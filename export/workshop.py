"""The workshop of a search: it makes candidates from recipes, and keeps what several recipes need."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import LettercastError
from ..runtime.arguments import checked, positive
from ..runtime.console import first_line, quiet, say
from ..runtime.pixels import Pixels
from ..train.data.open import Data
from ..train.data.source import Source
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
        self.balanced: dict[bool, keras.Model] = {}
        self.quantizers: dict[tuple[str, int], Quantizer] = {}

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
        try:
            network = self._network(is_finetuned=bool(recipe.finetuning), is_equalized=recipe.equalized)
            # Balancing returns a network as it is if that gains nothing.
            place = row.suffix, id(network)
            if place not in self.quantizers:
                with quiet():
                    self.quantizers[place] = open_quantizer(row.suffix, network, self.original.calibration)
        except LettercastError:
            raise
        except Exception as error:  # converters raise any type of error
            raise ImpossibleError(first_line(error)) from error
        return self.quantizers[place]

    def make(self, row: Format, recipe: Recipe) -> Candidate:
        """Make the file of a recipe; raises ValueError if the network cannot be made so, ImpossibleError if the format cannot."""
        quantizer = self.quantizer(row, recipe)
        with quiet():
            model = quantizer.build(recipe)
        return candidate_of(row, stated(row, self.original), model, recipe)

    def _network(self, *, is_finetuned: bool, is_equalized: bool) -> "keras.Model":
        network = self.finetuned[0] if is_finetuned and self.finetuned else self.original.network
        if not is_equalized:
            return network
        if is_finetuned not in self.balanced:
            from .repair.equalize import equalized

            with quiet():
                self.balanced[is_finetuned] = equalized(network, self.original.calibration)
        return self.balanced[is_finetuned]


def refuse_other_recipe(recipe: Recipe, original: Original) -> None:
    """Raise LettercastError if a recipe is for another model; a line on stderr says if it was made with other images."""
    if recipe.network_sha256 != original.facts.network_sha256:
        name, own = original.facts.name, original.facts.network_sha256[:12]
        other = f"it is for a network with hash {recipe.network_sha256[:12]}, and {name} has {own}"
        raise LettercastError(f"--recipe: {other}; give the model that it was made for, or search again with --repair")
    calibration = original.facts.made.get("calibration", "")
    if recipe.calibration != calibration:
        say(f"the recipe was made with other calibration images ({recipe.calibration}), so the file may differ")


def by_recipe(workshop: Workshop, row: Format, recipe: Recipe) -> Candidate:
    """Make the file of a recipe; raises LettercastError if it is for another model."""
    try:
        return workshop.make(row, recipe)
    except ValueError as error:
        raise LettercastError(f"--recipe: {error}; use the recipe of this model") from error


def checked_epochs(finetune: Data | None, epochs: int | None, recipe: Recipe | None) -> int | None:
    """Return the number of epochs of a fine-tuning; raises LettercastError for a recipe or options that do not fit together."""
    done = recipe.finetuning if recipe else None
    if epochs is not None and finetune is None:
        raise LettercastError("--epochs: nothing is trained without --finetune; name training images, or leave it out")
    if recipe and finetune is not None and not done:
        raise LettercastError("--finetune: the recipe has no fine-tuning; leave one of the two out")
    if done and finetune is None:
        raise LettercastError(f"--recipe: it was fine-tuned on {done.data}; give these images with --finetune")
    if done and done.was_interrupted:
        raise LettercastError("--recipe: its fine-tuning was ended early and cannot be repeated; fine-tune again")
    if done and epochs not in (None, done.epochs):
        raise LettercastError(f"--epochs {epochs}: the recipe was fine-tuned for {done.epochs}; leave it out")
    return epochs if epochs is None else checked("epochs", positive, epochs)


def finetuned(
    original: Original,
    data: Data | None,
    check: Source,
    *,
    recipe: Recipe | None,
    epochs: int | None,
    seed: int,
    report: Callable[[str], None],
) -> "tuple[keras.Model, Finetuning] | None":
    """Fine-tune a copy of the original on training images, and say how; None without images.

    A recipe's own settings are used if there is one. Ctrl-C keeps the best epoch so far.
    """
    if data is None:
        return None
    from .repair.finetune import EPOCHS, IMAGES, RATE, described, open_images
    from .repair.finetune import finetune as train

    wanted = recipe.finetuning if recipe and recipe.finetuning else None
    n, rate = (wanted.n, wanted.rate) if wanted else (IMAGES, RATE)
    epochs, seed = (wanted.epochs, wanted.seed) if wanted else (epochs or EPOCHS, seed)
    images, source = open_images(data, original, n=n, seed=seed, check=check.name)
    done = train(original.network, images, original.calibration, epochs=epochs, rate=rate, seed=seed, report=report)
    ended = f"ended early, epoch {done.best.number} is kept" if done.was_interrupted else f"epoch {done.best.number} is best"
    before, after = done.history[0].agreement, done.best.agreement
    shown = f"fine-tuned on {len(images):,} {original.facts.unit} of {source.name}, {ended}"
    say(f"{shown}: {after:.2f} % of the answers of a held-out tenth agree, {before:.2f} % without training")
    told = described(source, len(images), epochs, rate, seed)
    return done.network, replace(told, was_interrupted=done.was_interrupted)
