"""Repair: search the smallest quantized file that is proven equal, if the format's own way misses the gate.

The search chooses on one half of the check images and proves on the other, see `repair.proof`. It tries in order of cost: first
what costs nothing on the device, then single layers that are not rounded, then what costs time in every layer.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels
from ..train.data.drawing import shown
from .gate import MISSED, PROVEN, Tolerance, compare, drop_interval, normal_quantile
from .judge import Candidate, ImpossibleError
from .original import Original
from .repair.explain import Sample, draw_sample
from .repair.latency import latency_ratios
from .repair.layers import Quantizer, float_group, float_groups
from .repair.proof import MAX_LOOKS, Prover, halves, level_of
from .repair.recipe import DYNAMIC, FLOAT, INT16, WEIGHTS, Recipe
from .repair.tries import Try
from .workshop import Workshop

# Numbers of first layers with weights that are kept in float, one after the other.
FIRST_COUNTS = (2, 4, 6, 9, 12, 18, 24, 32)
# With dynamic activations, layers with less than these shares of all weights are kept in float, one share after the other. They
# are those on large images: rounding what they take at run time costs more than it saves. Agreement on 10,000 fashion images with
# none, 0.1 and 0.3 %: MobileNetV2 99.3, 99.6, 99.9; MobileNetV3Small 99.5, 99.8, 99.9; EfficientNetV2B0 99.7, 99.8, 99.9.
SMALL_SHARES = (0.001, 0.003, 0.01)
# Numbers of worst layers that are not rounded, one after the other. Between the last number that fails and the first that
# passes, all are searched by halving.
LAYER_COUNTS = (1, 2, 3, 5, 8, 12, 18, 26, 36)
# A larger share of the float32 file is little gain over float16, which is half of it and hardly ever misses. Of very small files,
# in which facts and names weigh more than weights, a repaired one may grow by this factor.
MAX_SHARE, MAX_GROWTH = 0.4, 1.3
# So many layers, the noisiest, are left out of the rounding one by one, on images that stand for the whole search half.
MAX_RANKED, RANKING_IMAGES, NOISE_IMAGES = 60, 256, 64
# A file is shown to the proof half if its agreement is this many standard errors above what is required.
MARGIN = 1.0
# How long one file is timed against the one that missed, in seconds.
TIMING_S = 1.0
# Keras layers that multiply matrices.
DENSE_LAYERS = ("Dense", "EinsumDense", "MultiHeadAttention", "GroupQueryAttention")
# Characters of the progress bar.
BAR_WIDTH = 20

Report = Callable[[str], None]


@dataclass(frozen=True)
class Repair:
    """What a search found.

    candidate is the smallest file that is proven, None if there is none. float_bytes is the size of the float32 file.
    """

    candidate: Candidate | None
    tries: tuple[Try, ...]
    float_bytes: int
    is_interrupted: bool = False


def progress_bar(done: int, total: int) -> str:
    """Return a bar of text that shows how much of a stage is done."""
    full = round(BAR_WIDTH * done / max(1, total))
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}]"


def part(original: Original, places: NDArray[np.int64]) -> Original:
    """Return an original with a part of its check images."""
    return replace(
        original,
        images=original.images[places],
        truth=original.truth[places],
        probabilities=original.probabilities[places],
    )


def divided(original: Original, seed: int) -> tuple[Original, Prover]:
    """Return an original with the half of its check images that chooses, and the other half, which proves."""
    first, second = halves(original.truth, seed)
    proof = part(original, second)
    return part(original, first), Prover(proof.images, proof.truth, proof.probabilities, original.facts.reject_below)


def repair(
    missed: Candidate,
    workshop: Workshop,
    tolerance: Tolerance,
    *,
    is_integer_only: bool = False,
    seed: int,
    report: Report = lambda step: None,
) -> Repair:
    """Search the smallest file of a format that keeps the tolerance on the proof half of the check images.

    Args:
        missed: the format's own file, which missed the gate or is unproven.
        workshop: makes files of recipes.
        tolerance: what the file may lose.
        is_integer_only: whether the device computes with integers alone, so that no layer may be in float or dynamic.
        seed: of the halves.
        report: is told what is tried.

    Ctrl-C ends the search with what is proven so far.

    Raises:
        ImpossibleError: the format's quantizer cannot hold the network.
    """
    search = Search(missed, workshop, tolerance, is_integer_only=is_integer_only, seed=seed, report=report)
    is_interrupted = False
    try:
        search.run()
    except KeyboardInterrupt:
        is_interrupted = True
    kept = search.kept
    made_by = replace(kept.recipe, looks=0) if kept and kept.recipe else None
    tries = tuple(replace(one, is_kept=one.recipe == made_by) for one in search.tries.values())
    return Repair(kept, tries, search.float_bytes, is_interrupted)


class Search:
    """One search: what was tried, what is proven, and the images of both halves."""

    def __init__(
        self,
        missed: Candidate,
        workshop: Workshop,
        tolerance: Tolerance,
        *,
        is_integer_only: bool,
        seed: int,
        report: Report,
    ) -> None:
        self.row, self.missed, self.workshop, self.tolerance, self.report = missed.row, missed, workshop, tolerance, report
        self.is_integer_only = is_integer_only
        self.half, self.prover = divided(workshop.original, seed)
        self.base = workshop.base(missed.row, seed)
        self.tries: dict[str, Try] = {}
        self.rankings: dict[str, list[str]] = {}
        self.candidates: dict[str, Candidate] = {}
        self.kept: Candidate | None = None
        self.float_bytes, self.max_size = 0, 0.0
        # With so few images nothing can be proven, and a file that misses no limit is all that can be had.
        nothing_lost = drop_interval(0, 0, len(self.prover.truth), normal_quantile(level_of(1)))[1]
        self.can_prove = 100 * nothing_lost <= tolerance.max_drop

    def run(self) -> None:
        """Try recipes in order of cost until one is proven, then smaller ones next to it."""
        exact = self.workshop.make(self.row, replace(self.base, precision=FLOAT))
        self.float_bytes = len(exact.content())
        self.max_size = max(MAX_SHARE * self.float_bytes, MAX_GROWTH * len(self.missed.content()))
        for stage in self.stages():
            passing = None
            failing: Recipe | None = None
            for recipe in stage:
                tried = self.attempt(recipe)
                if tried and self.promises(tried) and self.prove(tried):
                    passing = tried
                    break
                failing = recipe
                if self.prover.looks >= MAX_LOOKS:
                    return
            if passing:
                self.refine(failing, passing.recipe)
                return

    def stages(self) -> Iterator[Iterable[Recipe]]:
        """Yield the stages of the search, the cheapest first."""
        equalized = replace(self.base, equalized=True)
        if self.is_integer_only:
            yield [self.base, equalized]
            return
        yield self.for_nothing()
        # Balancing needs a conversion of its own. It may help integers alone, while dynamic activations gained more without it.
        yield [equalized, replace(self.best_so_far(), equalized=True)]
        best = self.best_so_far()
        yield self.first_layers(best)
        yield self.layer_by_layer(best, FLOAT)
        if WEIGHTS in self.quantizer(best).precisions:
            yield self.layer_by_layer(best, WEIGHTS)
        yield self.everywhere()

    def for_nothing(self) -> Iterator[Recipe]:
        """Yield recipes that cost no bytes, and no time or little.

        Dynamic activations are as fast as static ones where the engine has kernels for them: in LiteRT for convolutions and dense
        layers, in ONNX Runtime for products of matrices only. There, layers without weights are cheap in float. Layers with few
        weights cost few bytes in float.
        """
        yield self.base
        if self.base.precision == DYNAMIC:
            return
        layers = self.quantizer(self.base).layers
        if self.row.suffix == "tflite":
            dynamic = replace(self.base, precision=DYNAMIC)
            yield dynamic
            weights = sum(layer.weights for layer in layers)
            for share in SMALL_SHARES:
                yield dynamic.with_layers([layer.name for layer in layers if 0 < layer.weights < share * weights], FLOAT)
            return
        in_float = self.base.with_layers([layer.name for layer in layers if not layer.weights], FLOAT)
        yield in_float
        if dense := [layer.name for layer in layers if layer.kind in DENSE_LAYERS]:
            yield in_float.with_layers(dense, DYNAMIC)

    def first_layers(self, best: Recipe) -> Iterator[Recipe]:
        """Yield recipes that keep more and more of the first layers in float.

        They have few weights, and their rounding errors pass through all that follow.
        """
        layers = self.quantizer(best).layers
        ends = [place for place, layer in enumerate(layers) if layer.weights]
        for count in FIRST_COUNTS:
            if count >= len(ends):
                return
            yield best.with_layers([layer.name for layer in layers[: ends[count]]], FLOAT)

    def layer_by_layer(self, best: Recipe, precision: str) -> Iterator[Recipe]:
        """Yield recipes that round ever fewer layers, those first whose rounding changes the answers most."""
        layers = self.quantizer(best).layers
        ranking = self.rank(best)
        for count in LAYER_COUNTS:
            if count > len(ranking):
                return
            yield best.with_layers(float_groups(layers, ranking[:count]), precision)

    def quantizer(self, recipe: Recipe) -> Quantizer:
        """Return the quantizer that a recipe needs."""
        return self.workshop.quantizer(self.row, recipe)

    def everywhere(self) -> Iterator[Recipe]:
        """Yield recipes that cost time in every layer."""
        precisions = self.quantizer(self.base).precisions
        for precision in (WEIGHTS, DYNAMIC, INT16):
            if precision in precisions and precision != self.base.precision:
                yield replace(self.base, precision=precision)
        if self.row.suffix == "onnx":
            yield replace(self.base, unsigned_weights=True)

    def rank(self, best: Recipe) -> list[str]:
        """Return the layers of a file that are rounded, those first whose rounding changes the probabilities most."""
        if (known := self.rankings.get(best.key)) is not None:
            return known
        quantizer = self.quantizer(best)
        images = self.shown(self.half.images)
        sample = draw_sample(self.half.probabilities, RANKING_IMAGES, best.seed)
        chosen, exact = images[sample.places], self.half.probabilities[sample.places]
        noise = quantizer.errors(chosen[:: max(1, len(chosen) // NOISE_IMAGES)])
        rounded = [name for name in noise if best.precision_of(name) != FLOAT]
        noisy = sorted(rounded, key=lambda name: noise[name])[:MAX_RANKED]
        change = self.change(best, sample, chosen, exact)
        gains: dict[str, float] = {}
        for number, name in enumerate(noisy):
            self.say(f"without rounding layer {number + 1} of {len(noisy)}", number, len(noisy))
            kept = best.with_layers(float_group(quantizer.layers, name), FLOAT)
            gains[name] = change - self.change(kept, sample, chosen, exact)
        ranking = sorted((name for name in noisy if gains[name] > 0), key=lambda name: -gains[name])
        self.rankings[best.key] = ranking
        return ranking

    def change(self, recipe: Recipe, sample: Sample, images: Pixels, exact: NDArray[np.float32]) -> float:
        """Return the mean change of the probabilities in the file of a recipe, infinite if there is no such file."""
        try:
            return sample.compare(exact, self.workshop.make(self.row, recipe).classify(images))[1]
        except (ValueError, ImpossibleError):
            return float("inf")

    def best_so_far(self) -> Recipe:
        """Return the recipe whose file gives most answers of the original."""
        return max(self.tries.values(), key=lambda one: one.parity.agreement).recipe if self.tries else self.base

    def refine(self, failing: Recipe | None, passing: Recipe) -> None:
        """Search the smallest number of exact layers between a file that fails and one that is proven, by halving."""
        if failing is None or not set(failing.layers) < set(passing.layers):
            return
        names = [name for name in passing.layers if name not in failing.layers]
        low, high = 0, len(names)
        while high - low > 1 and self.prover.looks < MAX_LOOKS:
            middle = (low + high) // 2
            tried = self.attempt(failing.with_layers(names[:middle], passing.layers[names[0]]))
            if tried and self.promises(tried) and self.prove(tried):
                high = middle
            else:
                low = middle

    def attempt(self, recipe: Recipe) -> Try | None:
        """Make the file of a recipe and compare it on the search half; None if there is no such file, or it is too large."""
        if recipe.key in self.tries:
            return self.tries[recipe.key]
        self.say(recipe.describe())
        try:
            candidate = self.workshop.make(self.row, recipe)
            content = candidate.content()
            if len(content) > self.max_size:
                return None
            answers = candidate.classify(self.shown(self.half.images))
        except (ValueError, ImpossibleError):
            return None
        level = level_of(self.prover.looks + 1)
        half = self.half
        parity = compare(half.truth, half.probabilities, answers, self.tolerance.tie, half.facts.reject_below, level=level)
        files = {"missed": self.missed.content(), "tried": content}
        ratio = latency_ratios(files, self.row.suffix, self.shown(half.images), TIMING_S)["tried"]
        tried = Try(recipe, len(content), parity, parity.verdict(self.tolerance), ratio)
        self.tries[recipe.key], self.candidates[recipe.key] = tried, candidate
        return tried

    def promises(self, tried: Try) -> bool:
        """Whether a file is worth a look of the proof half: it would pass there, even if its agreement is a little lower."""
        parity, tolerance = tried.parity, self.tolerance
        verdict = parity.verdict(tolerance)
        if verdict == MISSED or (self.can_prove and verdict != PROVEN):
            return False
        if tolerance.agreement_is_required or verdict != PROVEN:
            error = 100 * (max(parity.agreement / 100 * (1 - parity.agreement / 100), 1 / parity.n**2) / parity.n) ** 0.5
            return parity.agreement - MARGIN * error >= tolerance.min_agreement
        return True

    def prove(self, tried: Try) -> bool:
        """Judge a file on the proof half; keeps it if it passes."""
        if self.prover.looks >= MAX_LOOKS:
            return False
        self.say(f"proving: {tried.recipe.describe()}")
        candidate, images = self.candidates[tried.recipe.key], self.shown(self.prover.images)
        answers = candidate.classify(images)
        proof = self.prover.look(lambda _: answers, self.tolerance.tie)
        verdict = proof.verdict(self.tolerance)
        passes = verdict == PROVEN or (verdict != MISSED and not self.can_prove)
        passes = passes and not candidate.unlike_elsewhere(images, answers)
        self.tries[tried.recipe.key] = replace(tried, proof=proof, verdict=verdict if passes or verdict == MISSED else MISSED)
        if passes:
            self.kept = candidate.judged_after(self.prover.looks)
        return passes

    def shown(self, images: Pixels) -> Pixels:
        """Return check images as the file takes them."""
        return shown(self.missed.facts, images)

    def say(self, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is tried, and what is proven so far."""
        bar = f" {progress_bar(done, total)}" if total else ""
        proven = f"; proven so far: {self.kept.recipe.describe()}" if self.kept and self.kept.recipe else ""
        self.report(f"repairing {self.row.name}: try {len(self.tries) + 1}{bar}, {what}{proven}")
