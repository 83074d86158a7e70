"""Budgets: the fastest file that is proven within a largest size and a largest accuracy drop, of all formats and recipes.

It chooses on one half of the check images and proves on the other, see `repair.proof`. Files are tried in this order: the formats
of the device in their own way; then, if the size is too small for them, 4-bit weights for more and more layers, those first that
lose least for the bytes that they save; and if the drop is too large, the layers in float that lose most.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..train.data.drawing import shown
from .devices import Device
from .formats import FORMATS, Format
from .gate import MISSED, PROVEN, Tolerance, compare, drop_interval, normal_quantile
from .judge import Candidate, ImpossibleError, build
from .repair.choice import Budget, Choice, name_of, pareto, speed_order
from .repair.latency import latency_ratios, modelled_ratio, processor_name, runs_here
from .repair.layers import Layer, float_group, float_groups
from .repair.proof import MAX_LOOKS, level_of
from .repair.recipe import FLOAT, INT4, INT8, Recipe
from .repair.tries import Try
from .search import Report, divided
from .workshop import Workshop

# So many numbers of layers in 4 bits, and in float, are tried, and layers are ranked on so many images.
MAX_MIXES, MAX_FLOATS, RANKING_IMAGES = 12, 6, 256
# What the gate adds to the facts differs from file to file by a few digits.
SLACK_BYTES = 64
# How long all files together are timed, in seconds.
TIMING_S = 4.0
# Without logarithms of zero.
MIN_PROBABILITY = 1e-6


def formats_within(device: Device | None) -> list[Format]:
    """Return the formats that a budget chooses from: all of the engines that a device takes, but for tflite-mobile.

    tflite-mobile takes other images. On a microcontroller only formats of integers run.
    """
    rows = [row for row in FORMATS.values() if row.name != "tflite-mobile"]
    if device is None:
        return rows
    if device.is_integer_only:
        return [row for row in rows if row.name in device.formats]
    engines = {FORMATS[name].suffix for name in device.formats}
    return [row for row in rows if row.suffix in engines]


def within(
    budget: Budget,
    workshop: Workshop,
    formats: Sequence[Format],
    checked: Mapping[str, str],
    *,
    min_agreement: float | None = None,
    seed: int,
    report: Report = lambda step: None,
) -> tuple[Choice, Candidate | None]:
    """Find the fastest file within a budget that the proof half of the check images proves.

    Args:
        budget: its limits.
        workshop: makes files of recipes.
        formats: the formats to choose from.
        checked: what the facts say about the check set: its name (data) and its split.
        min_agreement: answers that must stay the same, in percent; by default the formats' own tolerances.
        seed: of the halves.
        report: is told what is tried.

    Returns:
        What was tried, and the file, None if there is none. Ctrl-C ends the search with what is proven so far.
    """
    search = Search(budget, workshop, formats, checked, min_agreement, seed=seed, report=report)
    is_interrupted = False
    try:
        search.run()
    except KeyboardInterrupt:
        is_interrupted = True
    tries = tuple(replace(one, is_kept=key == search.kept) for key, one in search.tries.items())
    choice = Choice(
        budget,
        search.prover.looks,
        tries,
        pareto(tries),
        search.timing,
        max((tolerance.max_drop for tolerance in search.tolerances.values()), default=0.0),
        is_interrupted,
    )
    return choice, search.finished()


class Search:
    """One search: what was tried, and the images of both halves. Files are known by the recipe's text."""

    def __init__(
        self,
        budget: Budget,
        workshop: Workshop,
        formats: Sequence[Format],
        checked: Mapping[str, str],
        min_agreement: float | None,
        *,
        seed: int,
        report: Report,
    ) -> None:
        self.budget, self.workshop, self.formats, self.seed, self.report = budget, workshop, formats, seed, report
        self.checked, self.gate = checked, dict[str, Any](checked)
        self.half, self.prover = divided(workshop.original, seed)
        self.tries: dict[str, Try] = {}
        self.candidates: dict[str, Candidate] = {}
        self.limits: dict[str, Tolerance] = {}
        self.kept: str | None = None
        self.tolerances = {row.name: row.tolerance.limited(budget.max_drop, min_agreement) for row in formats}
        device = budget.device
        self.is_measured = device is None or runs_here(device)
        self.timing = f"measured on {processor_name()}" if self.is_measured else f"modelled for {device.title if device else ''}"

    def run(self) -> None:
        """Try files and prove the fastest; recipes only if they may be better than all formats."""
        for row in self.formats:
            self.attempt_own(row)
        for row in self.quantized():
            if self.workshop.finetuned:
                self.attempt_all(row, [self.first_recipe(row)])
            own = self.tries.get(self.first_recipe(row).key)
            if own is None or not self.budget.holds(own.size_bytes):
                self.attempt_all(row, self.in_4_bits(row))
            elif own.verdict != PROVEN and not (self.budget.device and self.budget.device.is_integer_only):
                self.attempt_all(row, self.in_float(row))
        self.prove_fastest()

    def finished(self) -> Candidate | None:
        """Return the file that is kept, whose recipe says how many files the proof half judged; None if there is none."""
        return self.candidates[self.kept].judged_after(self.prover.looks) if self.kept else None

    def quantized(self) -> list[Format]:
        """Return the formats that recipes start from: int8, which runs on every device that takes its engine."""
        return [row for row in self.formats if row.is_quantized and row.precision == INT8]

    def own_recipe(self, row: Format) -> Recipe:
        """Return the recipe that stands for a format's own way."""
        return replace(self.first_recipe(row), finetuning=None)

    def first_recipe(self, row: Format) -> Recipe:
        """Return the recipe that others start from: the format's own way, or what was fine-tuned."""
        return self.workshop.base(row, self.seed)

    def attempt_own(self, row: Format) -> None:
        """Make a format in its own way."""
        self.report(f"trying {row.name}")
        try:
            self.compare(self.own_recipe(row), build(row, self.workshop.original))
        except ImpossibleError:
            return

    def attempt_all(self, row: Format, recipes: Iterable[Recipe]) -> None:
        """Make the files of some recipes."""
        try:
            for recipe in recipes:
                self.attempt(row, recipe)
        except ImpossibleError:
            return

    def attempt(self, row: Format, recipe: Recipe) -> Try | None:
        """Make the file of a recipe and compare it on the search half; None if there is no such file."""
        if recipe.key not in self.tries:
            self.report(f"trying {row.name}, {recipe.describe()}")
            try:
                self.compare(recipe, self.workshop.make(row, recipe))
            except ValueError:
                return None
        return self.tries[recipe.key]

    def compare(self, recipe: Recipe, candidate: Candidate) -> None:
        """Compare a file on the search half, and measure its size with all that its facts will hold."""
        half = self.half
        answers = candidate.classify(shown(candidate.facts, half.images))
        tolerance = candidate.widened(self.tolerances[candidate.row.name], half, answers)
        level = level_of(self.prover.looks + 1)
        parity = compare(half.truth, half.probabilities, answers, tolerance.tie, half.facts.reject_below, level=level)
        self.gate = {**self.checked, **parity.to_facts(tolerance), "looks": 1}
        self.tries[recipe.key] = Try(recipe, self.size_of(candidate), parity, parity.verdict(tolerance))
        self.candidates[recipe.key], self.limits[recipe.key] = candidate, tolerance

    def size_of(self, candidate: Candidate) -> int:
        """Return the size of a finished file in bytes, with what the gate will say about it."""
        return len(candidate.content(self.gate)) + SLACK_BYTES

    def in_4_bits(self, row: Format) -> Iterator[Recipe]:
        """Yield recipes with 4-bit weights in some layers: in as few as the size asks for, and in more up to all.

        Layers come in two orders: those first that change the answers least for the bytes that they save, and those first that
        multiply least for them, because 4-bit weights are unpacked at every call.
        """
        base = self.first_recipe(row)
        quantizer = self.workshop.quantizer(row, base)
        if INT4 not in quantizer.precisions:
            return
        heavy = [layer for layer in quantizer.layers if layer.weights]
        places = {layer.name: place for place, layer in enumerate(heavy)}
        loss = self.losses(row, base, [((layer.name,), INT4) for layer in heavy])
        able = [layer for layer in heavy if np.isfinite(loss[layer.name])]
        orders = (
            sorted(able, key=lambda layer: loss[layer.name] / layer.weights),
            sorted(able, key=lambda layer: layer.multiplications / layer.weights),
        )
        for order in orders:
            # Both orders end with the same files, which must be known as the same.
            heads = [
                sorted((layer.name for layer in order[: end + 1]), key=lambda name: places[name]) for end in range(len(order))
            ]
            recipes = [base.with_layers(names, INT4) for names in heads]
            if not recipes:
                return
            fewest = self.fewest(row, recipes)
            counts = np.linspace(fewest, len(recipes), min(MAX_MIXES, len(recipes) - fewest + 1)).round().astype(int)
            yield from (recipes[count - 1] for count in np.unique(counts))

    def fewest(self, row: Format, recipes: Sequence[Recipe]) -> int:
        """Return the number, counted from 1, of the first recipe whose file fits the budget; the last number if none does.

        Later recipes make smaller files.
        """
        low, high = 0, len(recipes)
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.budget.holds(self.size_of(self.workshop.make(row, recipes[middle - 1])))
            low, high = (low, middle) if fits else (middle, high)
        return high

    def in_float(self, row: Format) -> Iterator[Recipe]:
        """Yield recipes that keep more and more layers in float, those first whose rounding changes most."""
        base = self.first_recipe(row)
        quantizer = self.workshop.quantizer(row, base)
        heavy = [layer.name for layer in quantizer.layers if layer.weights]
        loss = self.losses(row, base, [(float_group(quantizer.layers, name), FLOAT) for name in heavy])
        ranked = sorted(heavy, key=lambda name: loss[name])
        for count in [2**power for power in range(MAX_FLOATS) if 2**power < len(ranked)]:
            yield base.with_layers(float_groups(quantizer.layers, ranked[:count]), FLOAT)

    def losses(self, row: Format, base: Recipe, changes: Sequence[tuple[tuple[str, ...], str]]) -> dict[str, float]:
        """Return how far probabilities move from the original's if some layers have another precision than in a recipe.

        It is the mean Kullback-Leibler divergence on a part of the search half, by the first layer of each change; infinite if
        there is no such file.
        """
        places = np.random.default_rng(self.seed).permutation(len(self.half.truth))[:RANKING_IMAGES]
        exact = self.half.probabilities[places]
        found = {}
        for number, (names, precision) in enumerate(changes):
            self.report(f"ranking layers of {row.name}: {number + 1} of {len(changes)}")
            try:
                candidate = self.workshop.make(row, base.with_layers(names, precision))
                found[names[0]] = divergence(exact, candidate.classify(shown(candidate.facts, self.half.images[places])))
            except ValueError:
                found[names[0]] = np.inf
        return found

    def prove_fastest(self) -> None:
        """Judge files within the size on the proof half, the fastest first, until one is proven."""
        self.time()
        fitting = [key for key, one in self.tries.items() if self.budget.holds(one.size_bytes)]
        for key in sorted(fitting, key=lambda key: speed_order(self.tries[key])):
            if self.prover.looks >= MAX_LOOKS:
                return
            if self.promises(key) and self.prove(key):
                self.kept = key
                return

    def promises(self, key: str) -> bool:
        """Whether the search half alone would prove a file, at the level of the next look."""
        parity = self.tries[key].parity
        z = normal_quantile(level_of(self.prover.looks + 1))
        low, high = drop_interval(parity.lost, parity.won, parity.n, z)
        return replace(parity, drop_low=100 * low, drop_high=100 * high).verdict(self.limits[key]) == PROVEN

    def prove(self, key: str) -> bool:
        """Judge a file on the proof half; returns whether it is proven."""
        candidate, one = self.candidates[key], self.tries[key]
        tolerance = self.limits[key]
        self.report(f"proving {name_of(one)}")
        images = shown(candidate.facts, self.prover.images)
        answers = candidate.classify(images)
        proof = self.prover.look(lambda _: answers, tolerance.tie)
        verdict = proof.verdict(tolerance)
        verdict = MISSED if candidate.unlike_elsewhere(images, answers) else verdict
        self.tries[key] = replace(one, proof=proof, verdict=verdict)
        return verdict == PROVEN

    def time(self) -> None:
        """Measure or model the latency of every file, relative to the first."""
        ratios = self.measured() if self.is_measured else self.modelled()
        for key, ratio in ratios.items():
            self.tries[key] = replace(self.tries[key], latency_ratio=ratio)

    def measured(self) -> dict[str, float]:
        """Return measured ratios; files of both engines take turns."""
        if not self.tries:
            return {}
        self.report(f"timing {len(self.tries)} files")
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for number, (key, candidate) in enumerate(self.candidates.items()):
                paths[key] = Path(folder) / f"{number}.{candidate.row.suffix}"
                paths[key].write_bytes(candidate.content())
            return latency_ratios(paths, "", self.half.images, TIMING_S)

    def modelled(self) -> dict[str, float]:
        """Return the ratios that the model of the device gives."""
        device, layers = self.budget.device, self.layers()
        if not device or not self.tries:
            return {}
        suffixes = {key: self.candidates[key].row.suffix for key in self.tries}
        ratios = {key: modelled_ratio(layers, one.recipe, suffixes[key], device) for key, one in self.tries.items()}
        first = next(iter(ratios.values()))
        return {key: ratio / first for key, ratio in ratios.items()}

    def layers(self) -> Sequence[Layer]:
        """Return the layers of the network."""
        for row in self.quantized():
            try:
                return self.workshop.quantizer(row, self.first_recipe(row)).layers
            except ImpossibleError:
                continue
        return ()


def divergence(exact: NDArray[np.float32], answers: NDArray[np.float32]) -> float:
    """Return the mean Kullback-Leibler divergence of answers (n, classes) from the original's, in nats."""
    first, second = (np.clip(one.astype(np.float64), MIN_PROBABILITY, 1) for one in (exact, answers))
    return float((first * np.log(first / second)).sum(1).mean())
