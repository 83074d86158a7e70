"""Where a quantized format loses answers: each layer's noise, and the agreement if that layer alone is kept in float."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from .layers import Layer, Quantizer, float_group
from .recipe import FLOAT, Recipe
from .tflite_graph import ACTIVATIONS

# Images that layers are compared on, and those that files with one layer in float are: half of them are the hardest.
NOISE_IMAGES, ANSWER_IMAGES = 64, 256
# This share of the check images, those whose two best probabilities are closest, holds most of the answers that change.
HARD_SHARE = 0.2
SAMPLE_SEED = 7
# How long files with one layer in float are built and run; MIN_MEASURED layers are measured however long it takes.
SECONDS = 20.0
MIN_MEASURED = 3
# The probabilities of a file in integers change by so much (total variation distance) through the rounding of its answer alone,
# for which no layer is to blame.
MIN_CHANGE = 0.02
# A layer with one filter so many times as large as the others is odd, and comes before layers that lose less than this. Trained
# networks were seen with up to 7 times. What such a filter does to the other channels, its activation function may hide.
ODD_SPREAD, ODD_LOSS = 100.0, 0.5
# A layer loses much if rounding erases this share of its output, or its share of the change of the probabilities is this large.
MUCH, SOME = 0.25, 0.05
# A smaller gain of agreement, in points, may be chance.
MIN_GAIN = 0.5
LOSES_MUCH, LOSES_SOME, LOSES_LITTLE = "loses much", "loses some", "loses little"

Answer = Callable[[bytes, Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class LayerLoss:
    """What a quantized format loses in one layer. What was not measured is None.

    Attributes:
        name: of the Keras layer.
        kind: its Keras class.
        weights: share of the network's weights, in percent.
        whole_db: signal-to-noise ratio of its output in the whole file, in dB.
        alone_db: the same if the layer alone is quantized and its input is exact.
        erased: share 0..1 of its output that its own rounding erases, without what the layers before it erase already.
        agreement: percent of the answers that stay the same if the layers of `group` are in float, and the others quantized.
        gain: points by which this agreement is higher than that of the whole file.
        recovered: share 0..1 of the change of the probabilities that this takes back.
        own: the same without what the other layers of `group` take back by themselves.
        group: the layer, and those that would round its output.
        group_weights: their share of the weights, in percent.
        spread: how many times as large as those of the median filter the weights of the largest one are.
    """

    name: str
    kind: str
    weights: float
    whole_db: float | None
    alone_db: float | None
    erased: float
    agreement: float | None
    gain: float | None
    recovered: float | None
    own: float | None
    group: tuple[str, ...]
    group_weights: float
    spread: float = 1.0

    @property
    def loss(self) -> float:
        """The share of the change that the layer is to blame for, plus what it erases itself: 0..2."""
        return (self.own or 0.0) + self.erased

    @property
    def is_odd(self) -> bool:
        """Whether one of its filters is far larger than the others."""
        return self.spread >= ODD_SPREAD

    @property
    def verdict(self) -> str:
        """`loses much`, `loses some` or `loses little`."""
        return LOSES_MUCH if self.loss >= MUCH else LOSES_SOME if self.loss >= SOME else LOSES_LITTLE

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as in `lettercast export --json`."""
        told = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**told, "group": list(self.group), "verdict": self.verdict}


@dataclass(frozen=True)
class Explanation:
    """Where a quantized format loses answers.

    Attributes:
        format: such as `tflite-int8`.
        images: how many check images the agreement was estimated on.
        agreement: estimate of the agreement of a file in which no layer stays in float, in percent.
        change: mean change of an image's probabilities, 0..1 (total variation distance).
        layers: the layer that loses most first.
        order: names of all layers in the order of execution.
        judged: agreement of the format's own file on all check images in percent, None if the gate did not judge it.
    """

    format: str
    images: int
    agreement: float
    change: float
    layers: tuple[LayerLoss, ...]
    order: tuple[str, ...]
    judged: float | None = None

    @property
    def measured(self) -> int:
        """How many layers were tried in float."""
        return sum(layer.agreement is not None for layer in self.layers)

    def sentence(self) -> str:
        """Return in words what the loss is, and which layer to look at."""
        differing = 100 - (self.agreement if self.judged is None else self.judged)
        lost = f"{self.format} gives other answers than the original for {differing:.1f} % of the images"
        lost = lost if differing else f"{self.format} gives the same answers as the original"
        if not self.layers:
            return f"{lost}; it has no layer that is quantized."
        first = self.layers[0]
        if first.verdict == LOSES_LITTLE and not first.is_odd:
            return f"{lost}; no single layer loses much, {first.name} loses most."
        reasons = [f"one of its filters is {first.spread:.0f} times as large as the others"] if first.is_odd else []
        if first.erased >= SOME:
            reasons.append(f"rounding erases {100 * first.erased:.0f} % of its output")
        if first.gain and first.gain >= MIN_GAIN:
            reasons.append(f"{first.gain:.1f} points more of the answers agree if it stays in float")
        elif first.own and first.own >= SOME:
            reasons.append(f"{100 * first.own:.0f} % of the change of the probabilities goes away if it stays in float")
        return f"{lost}. Look at {first.name} first: {'; '.join(reasons)}."

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as in `lettercast export --json`."""
        return {
            "judged": None if self.judged is None else round(self.judged, 4),
            "images": self.images,
            "agreement": round(self.agreement, 4),
            "change": float(f"{self.change:.4g}"),
            "layers": [layer.to_dict() for layer in self.layers],
            "order": list(self.order),
        }


def explain(
    quantizer: Quantizer,
    recipe: Recipe,
    images: Pixels,
    probabilities: NDArray[np.float32],
    answer: Answer,
    *,
    seconds: float = SECONDS,
    report: Callable[[str], None] = lambda step: None,
) -> Explanation:
    """Find the layers in which the file of a recipe loses answers.

    All layers are compared with the original. Then one layer after the other, the noisiest first, is kept in float until
    `seconds` are over.

    Args:
        quantizer: of the network and the format.
        recipe: how the file is made.
        images: check images (N, H, W, C) uint8, as the file takes them.
        probabilities: the original's for them (N, classes).
        answer: returns the probabilities of a file for images; it raises ValueError if the engine cannot run the file.

    Raises:
        ValueError: the file of the recipe cannot be built or run.
    """
    sample = draw_sample(probabilities)
    noisy = images[sample.places[:: max(1, len(sample.places) // NOISE_IMAGES)]]
    layers, parts = with_activations(quantizer.layers)
    alone, whole = quantizer.errors(noisy), quantizer.accumulated(recipe, noisy)
    # A layer is as noisy as its activation function, if that is the noisier one; its output is that of the function.
    alone = {name: min(alone[one] for one in group if one in alone) for name, group in parts.items() if set(group) & set(alone)}
    whole = {name: whole[group[-1]] for name, group in parts.items() if group[-1] in whole}
    erased = erased_shares(layers, alone)
    groups = {layer.name: float_group(layers, layer.name) for layer in layers}
    chosen, exact = images[sample.places], probabilities[sample.places]
    agreement, change = sample.compare(exact, answer(quantizer.build(recipe), chosen))
    tried: dict[str, tuple[float, float]] = {}
    candidates = [layer for layer in layers if layer.name in alone and recipe.precision_of(layer.name) != FLOAT]
    candidates.sort(key=lambda layer: (-erased[layer.name], alone[layer.name]))
    stop = time.monotonic() + seconds
    for number, layer in enumerate(candidates):
        if number >= MIN_MEASURED and time.monotonic() >= stop:
            break
        report(f"explaining {recipe.format}: layer {number + 1} of {len(candidates)} in float")
        try:
            kept = recipe.with_layers([part for name in groups[layer.name] for part in parts.get(name, (name,))], FLOAT)
            tried[layer.name] = sample.compare(exact, answer(quantizer.build(kept), chosen))
        except ValueError:
            # The format cannot keep it in float, or its engine cannot run such a file.
            continue
    taken_back = {name: max(0.0, change - left) / max(change, MIN_CHANGE) for name, (_, left) in tried.items()}
    odd = {layer.name for layer in layers if layer.spread >= ODD_SPREAD}
    own = own_shares(taken_back, groups, {name: share + ODD_LOSS * (name in odd) for name, share in erased.items()})
    weights = {layer.name: layer.weights for layer in layers}
    total = max(1, sum(weights.values()))
    losses = []
    for layer in layers:
        name, group = layer.name, groups[layer.name]
        found = tried.get(name)
        losses.append(
            LayerLoss(
                name,
                layer.kind,
                100 * layer.weights / total,
                whole.get(name),
                alone.get(name),
                erased[name],
                found and found[0],
                found and found[0] - agreement,
                taken_back.get(name),
                own.get(name),
                group,
                100 * sum(weights.get(one, 0) for one in group) / total,
                layer.spread,
            )
        )
    # A stable sort leaves equal layers in their order.
    losses.sort(key=lambda loss: -loss.loss - ODD_LOSS * loss.is_odd)
    return Explanation(recipe.format, len(chosen), agreement, change, tuple(losses), tuple(layer.name for layer in layers))


def erased_shares(layers: Sequence[Layer], alone: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each layer's output that its own rounding erases, given its signal-to-noise ratio in dB alone.

    Pooling or a sum behind a layer with one large channel erases as much as that layer, by passing on its numbers: what the
    layers before erase already is subtracted.
    """
    noise = {layer.name: 10 ** (-alone[layer.name] / 10) if layer.name in alone else 0.0 for layer in layers}
    before: dict[str, float] = {}
    for layer in layers:
        for follower in layer.followers:
            before[follower] = max(before.get(follower, 0.0), noise[layer.name])
    return {name: max(0.0, share - before.get(name, 0.0)) for name, share in noise.items()}


def own_shares(
    taken_back: Mapping[str, float], groups: Mapping[str, Sequence[str]], suspected: Mapping[str, float]
) -> dict[str, float]:
    """Return the share that each layer takes back in float and no other layer is to blame for.

    The group of a layer has those behind it, which may be bad themselves: what they take back alone is theirs. But a layer in
    float may no longer round its input, and so make up for the layer before it: if that one is suspected more, it is to blame.
    Layers are suspected for what they erase, and for odd filters.
    """
    own = {}
    for name, share in taken_back.items():
        behind = [one for one in groups[name][1:] if not is_blamed(name, one, suspected)]
        before = [one for one, group in groups.items() if name in group[1:] and is_blamed(one, name, suspected)]
        own[name] = max(0.0, share - max((taken_back.get(one, 0.0) for one in (*behind, *before)), default=0.0))
    return own


def is_blamed(name: str, follower: str, suspected: Mapping[str, float]) -> bool:
    """Whether a layer is to blame for what its follower takes back in float: it is suspected, and more than the follower."""
    return suspected[name] >= SOME and suspected[name] > suspected.get(follower, 0.0)


def with_activations(layers: Sequence[Layer]) -> tuple[tuple[Layer, ...], dict[str, tuple[str, ...]]]:
    """Return layers of which each has its normalization and activation function, and the names of what each consists of.

    Formats list them as layers where they round results of their own, which are those of the layer with the weights.
    """
    inputs = Counter(follower for layer in layers for follower in layer.followers)
    by_name = {layer.name: layer for layer in layers}
    host = {layer.name: layer.name for layer in layers}
    for layer in layers:
        after = by_name.get(layer.followers[0]) if len(layer.followers) == 1 else None
        if after is None or inputs[after.name] > 1:
            continue
        is_norm = after.kind == "BatchNormalization" and by_name[host[layer.name]].weights > 0
        if is_norm or (after.kind in ACTIVATIONS and not after.weights):
            host[after.name] = host[layer.name]
    parts: dict[str, list[str]] = {}
    for name, first in host.items():
        parts.setdefault(first, []).append(name)
    merged = []
    for name, group in parts.items():
        weights = sum(by_name[one].weights for one in group)
        merged.append(replace(by_name[name], weights=weights, followers=by_name[group[-1]].followers))
    return tuple(merged), {name: tuple(group) for name, group in parts.items()}


@dataclass(frozen=True)
class Sample:
    """A part of the check images that stands for all of them: places (n,) in the check set, and their weights (n,), sum 1."""

    places: NDArray[np.int64]
    weights: NDArray[np.float64]

    def compare(self, exact: NDArray[np.float32], answers: NDArray[np.float32]) -> tuple[float, float]:
        """Return the agreement in percent, and the mean total variation distance, of two models' probabilities (n, classes)."""
        agrees = exact.argmax(1) == answers.argmax(1)
        # A file that is broken may give NaN.
        distance = np.nan_to_num(np.abs(exact.astype(np.float64) - answers).sum(1) / 2, nan=1.0)
        return 100 - 100 * float(self.weights @ ~agrees), float(self.weights @ distance)


def draw_sample(probabilities: NDArray[np.float32], n: int = ANSWER_IMAGES, seed: int = SAMPLE_SEED) -> Sample:
    """Draw images by the original's probabilities (N, classes): one half from the hardest fifth, the other from the rest.

    The hardest are those whose two best probabilities are closest. The weights make the estimates unbiased.
    """
    total = len(probabilities)
    if total <= n:
        return Sample(np.arange(total), np.full(total, 1 / total))
    best = np.sort(probabilities, axis=1)[:, -2:]
    order = np.argsort(best[:, -1] - best[:, 0], kind="stable")
    hard = max(1, round(HARD_SHARE * total))
    rng = np.random.default_rng(seed)
    parts = order[:hard], order[hard:]
    counts = min(n // 2, hard), n - min(n // 2, hard)
    drawn = [rng.choice(part, count, replace=False) for part, count in zip(parts, counts, strict=True)]
    weights = np.repeat([len(part) / total / count for part, count in zip(parts, counts, strict=True)], counts)
    places = np.concatenate(drawn)
    shuffled = np.argsort(places)
    return Sample(places[shuffled], weights[shuffled])
