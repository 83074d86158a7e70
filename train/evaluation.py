"""Evaluation of a model of any format on labelled letters."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import classification_report, confusion_matrix

from .. import LettercastError
from ..runtime.console import progress as show_progress
from ..runtime.model.engine import Engine
from ..runtime.model.facts import PHOTOS
from ..runtime.pixels import Pixels
from ..runtime.text.codes import best_of
from .custom import use_custom
from .data.drawing import shown
from .data.open import Data, default_split, open_source, say_held_out, seen_data
from .data.source import Source, draw_all, relabel
from .predict import open_any, picture_shape

if TYPE_CHECKING:
    import keras

# Bins of a reliability diagram.
BINS = 15
# The rejection threshold keeps this share of the validation letters.
KEPT_SHARE = 0.98
# The range in which the temperature is searched.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 5.0
# Smaller probabilities are rounding noise.
MIN_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence, in bins of equal width over 0..1.

    count, confidence and accuracy (bins,): number of letters, mean confidence and share of right ones; NaN in empty bins.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error 0..1: mean gap of confidence and accuracy, weighted by count (Guo et al. 2017)."""
        filled = self.count > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float((self.count[filled] * gaps).sum() / max(1, self.count.sum()))


def reliability(probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = BINS) -> Reliability:
    """Sort answers into bins by confidence, from probabilities (N, classes) and truth (N,)."""
    confidence, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            count.astype(np.int64),
            np.bincount(place, confidence, bins) / count,
            np.bincount(place, right, bins) / count,
        )


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits behind probabilities (N, classes) by a temperature: above 1 softens, below 1 sharpens."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY)) / temperature
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def best_temperature(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the temperature with the smallest cross-entropy, from probabilities (N, classes) and truth (N,)."""
    rows = np.arange(len(truth))

    def cross_entropy(log_temperature: float) -> float:
        right = tempered(probabilities, float(np.exp(log_temperature)))[rows, truth]
        return float(-np.log(np.maximum(right, MIN_PROBABILITY)).mean())

    low, high = np.log((MIN_TEMPERATURE, MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(low, high), method="bounded").x))


def temperature_for(probabilities: NDArray[np.float32], confidence: float) -> float:
    """Return the temperature that brings the mean confidence of probabilities (N, classes) nearest to a given one, 0..1."""

    def gap(log_temperature: float) -> float:
        return abs(float(tempered(probabilities, float(np.exp(log_temperature))).max(1).mean()) - confidence)

    low, high = np.log((MIN_TEMPERATURE, MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(gap, bounds=(low, high), method="bounded").x))


def rejection_threshold(probabilities: NDArray[np.float32], kept: float = KEPT_SHARE, labels: Sequence[str] = ()) -> float:
    """Return the confidence that this share of letters reaches, from their probabilities (N, classes).

    With labels, a digit and a letter that looks like it count as one, as they do for the reader.
    """
    return float(np.quantile(best_of(probabilities, labels), 1 - kept))


def rejected_share(probabilities: NDArray[np.float32], threshold: float, labels: Sequence[str] = ()) -> float:
    """Return the share of images whose highest probability is below the threshold, from probabilities (N, classes).

    With labels, a digit and a letter that looks like it count as one.
    """
    return float((best_of(probabilities, labels) < threshold).mean())


# With fewer letters a writer's accuracy says little: one more mistake costs over five points.
MIN_LETTERS = 20


@dataclass(frozen=True)
class WriterSummary:
    """Figures of the writers with at least MIN_LETTERS letters, each writer counted once.

    median is the median of their accuracies, worst_tenth the mean accuracy of the worst tenth, at least one writer; both 0..1.
    """

    count: int
    median: float
    worst_tenth: float


@dataclass(frozen=True)
class Writers:
    """Every writer once, from worst to best: number, count of letters and accuracy 0..1, each (W,)."""

    number: NDArray[np.int64]
    count: NDArray[np.int64]
    accuracy: NDArray[np.float64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(W,) True for writers with at least MIN_LETTERS letters."""
        return self.count >= MIN_LETTERS

    @property
    def worst(self) -> NDArray[np.bool_]:
        """(W,) True for the worst tenth of the counted writers, at least one if there is any."""
        return self.counted & (np.cumsum(self.counted) <= max(1, self.counted.sum() // 10))

    def summary(self) -> WriterSummary | None:
        """Return the figures of the counted writers; None if there are none."""
        counted = self.accuracy[self.counted]
        if len(counted) == 0:
            return None
        return WriterSummary(len(counted), float(np.median(counted)), float(self.accuracy[self.worst].mean()))


def group_by_writer(writers: NDArray[np.int64], right: NDArray[np.bool_]) -> Writers:
    """Group letters by writer, from writers (N,) and right (N,), whether each was read correctly; ties go by number."""
    number, writer, count = np.unique(writers, return_inverse=True, return_counts=True)
    accuracy = np.bincount(writer, right, len(number)) / count
    worst_first = np.argsort(accuracy, kind="stable")
    return Writers(number[worst_first], count[worst_first], accuracy[worst_first])


@dataclass(frozen=True)
class Evaluation:
    """One model's answers to the letters of one split; every figure is computed from them.

    truth (N,) int64 index into labels; probabilities (N, classes) float32; images (N, H, W, C) uint8, white ink on
    black; writers (N,) a number per writer and upper (N,) True for capitals, None if unknown. reject_below is the
    confidence 0..1 below which the reader rejects a letter. unit is `letters` or `images`, which the model takes.
    """

    model: str
    engine: str
    data: str
    split: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    images: Pixels
    writers: NDArray[np.int64] | None = None
    upper: NDArray[np.bool_] | None = None
    reject_below: float = 0.0
    unit: str = "letters"

    def __post_init__(self) -> None:
        for name in ("probabilities", "images", "writers", "upper"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.truth):
                raise ValueError(f"{name} needs one entry for each of {len(self.truth)} {self.unit}, not {len(values)}")

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the likeliest class."""
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) the probability of the likeliest class."""
        return self.probabilities.max(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) True if the likeliest class is the written one."""
        return self.predicted == self.truth

    @property
    def accuracy(self) -> float:
        """Share of letters whose likeliest class is right, 0..1."""
        return float(self.right.mean())

    @property
    def top2(self) -> float:
        """Share of letters whose right class is among the two likeliest, 0..1."""
        two = np.argsort(-self.probabilities, 1, kind="stable")[:, :2]
        return float((two == self.truth[:, None]).any(1).mean())

    @property
    def capitals(self) -> float | None:
        """Accuracy 0..1 on capitals; None if there are none or their case is unknown."""
        return None if self.upper is None else _share(self.right[self.upper])

    @property
    def small(self) -> float | None:
        """Accuracy 0..1 on small letters; None if there are none or their case is unknown."""
        return None if self.upper is None else _share(self.right[~self.upper])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts; rows are the truth."""
        return confusion_matrix(self.truth, self.predicted, labels=range(len(self.labels)))

    @property
    def reliability(self) -> Reliability:
        """Accuracy by confidence."""
        return reliability(self.probabilities, self.truth)

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1."""
        return self.reliability.error

    @property
    def kept(self) -> float:
        """Share of letters that the reader does not reject: their confidence reaches reject_below, 0..1."""
        return float(self._is_kept.mean())

    @property
    def accuracy_kept(self) -> float | None:
        """Accuracy 0..1 on the letters that the reader does not reject; None if it rejects all."""
        return _share(self.right[self._is_kept])

    @property
    def _is_kept(self) -> NDArray[np.bool_]:
        """(N,) True for letters that the reader does not reject."""
        kept: NDArray[np.bool_] = best_of(self.probabilities, self.labels) >= self.reject_below
        return kept

    def merged_accuracy(self, first: str, second: str) -> float:
        """Return the accuracy 0..1 if two labels count as one: a bare stroke may be I or small l."""
        if first not in self.labels or second not in self.labels:
            return self.accuracy
        pair = [self.labels.index(first), self.labels.index(second)]
        return float((self.right | (np.isin(self.truth, pair) & np.isin(self.predicted, pair))).mean())

    def pair_share(self, first: str, second: str) -> float:
        """Return the share of all errors that mistake one of two labels for the other, 0..1."""
        if first not in self.labels or second not in self.labels:
            return 0.0
        a, b = self.labels.index(first), self.labels.index(second)
        errors = int((~self.right).sum())
        return float(self.confusion[a, b] + self.confusion[b, a]) / max(1, errors)

    def mistakes(self) -> NDArray[np.int64]:
        """Return the indices of misread letters, the most confident first; ties keep the order of the letters."""
        confident_first = np.argsort(-self.confidence, kind="stable")
        return confident_first[~self.right[confident_first]]

    def by_writer(self) -> Writers | None:
        """Return count and accuracy of every writer, from worst to best; None if the writers are unknown."""
        return None if self.writers is None else group_by_writer(self.writers, self.right)

    def writer_summary(self) -> WriterSummary | None:
        """Return number, median and worst tenth of the writers; None if no known writer has enough letters."""
        writers = self.by_writer()
        return writers.summary() if writers else None

    def notes(self) -> list[str]:
        """Return the figures beside the accuracy, each as a short phrase."""
        notes = []
        if "I" in self.labels and "L" in self.labels:
            notes.append(f"I and L merged {100 * self.merged_accuracy('I', 'L'):.2f} %")
            pairs = (100 * self.pair_share(*pair) for pair in ("IL", "GQ"))
            notes.append("{:.0f} % of the errors are I/L, {:.0f} % are G/Q".format(*pairs))
        if self.capitals is not None and self.small is not None:
            notes.append(f"capitals {100 * self.capitals:.2f} %, small letters {100 * self.small:.2f} %")
        if writers := self.writer_summary():
            median, worst = 100 * writers.median, 100 * writers.worst_tenth
            notes.append(f"median of {writers.count} writers {median:.2f} %, worst tenth {worst:.2f} %")
        notes.append(f"expected calibration error {100 * self.ece:.2f} %")
        if self.reject_below:
            notes.append(f"the rejection threshold {self.reject_below:.2f} keeps {100 * self.kept:.2f} %")
        return notes

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return scikit-learn's report: precision, recall, f1-score and support, of every label that was written."""
        report: Any = classification_report(
            self.truth,
            self.predicted,
            labels=range(len(self.labels)),
            target_names=self.labels,
            output_dict=True,
            zero_division=0,
        )
        return {label: report[label] for label in self.labels if report[label]["support"]}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `lettercast evaluate --json` prints; unknown figures are null."""
        writers = self.writer_summary()
        return {
            "model": self.model,
            "engine": self.engine,
            "data": self.data,
            "split": self.split,
            "n": len(self.truth),
            "accuracy": self.accuracy,
            "top2": self.top2,
            "accuracy_i_l_merged": self.merged_accuracy("I", "L"),
            "capitals": self.capitals,
            "small": self.small,
            "errors_i_l": self.pair_share("I", "L"),
            "errors_g_q": self.pair_share("G", "Q"),
            "ece": self.ece,
            "reject_below": self.reject_below,
            "kept": self.kept,
            "accuracy_kept": self.accuracy_kept,
            "writers": asdict(writers) if writers else None,
            "per_class": self.per_class(),
        }


def evaluate(
    model: "str | Path | Engine | keras.Model",
    data: Data | Source = "pen",
    split: str | None = None,
    *,
    threads: int = 1,
    custom: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Classify labelled letters with a model, and return its answers with every figure that follows from them.

    Args:
        model: `letters-base`, `letters-nano`, the path of a `.keras`, `.h5`, `.tflite` or `.onnx` file, a Keras model, or an
            engine that is open already.
        data: what `--data` takes (`pen`, `emnist`, the path of an `.npz`, `.csv` or folder of class folders), or arrays
            `(images, labels)` or `(images, labels, class names)`: images (N, H, W) grey or (N, H, W, 3) RGB uint8, labels (N,)
            whole numbers or names. Letters are drawn plainly.
        split: train, val, test or all; by default the split that training left out, or all of a folder or of arrays.
        threads: threads of the engine.
        custom: the Python file or module that defines layers and functions of a model's own, which is imported; it need not
            be given for a Keras model, or for what you registered with Keras yourself.
        progress: whether to show what is being done.

    Raises:
        LettercastError: the model or the data cannot be used, or the data has a class that the model does not know.

    Example:
        evaluate("letters-nano", "my_letters/").accuracy
    """
    use_custom(custom)
    engine = open_any(model, threads)
    facts = engine.facts
    if isinstance(data, str | Path | tuple):
        # Opening may download, and shows a bar of its own.
        split = split or default_split(data, seen_data(facts))
        # A folder may hold photographs as an app takes them; other letters become photographs in classify_source.
        is_photos = facts.takes == PHOTOS and not isinstance(data, tuple) and Path(data).is_dir()
        data = open_source(data, split, facts.input_shape if is_photos else picture_shape(facts))
        say_held_out(data, facts.unit)
    with show_progress(f"classifying {len(data.labels)} {facts.unit} of {data.name} with {facts.name}", progress):
        return classify_source(with_names(engine, data), data)


def with_names(engine: Engine, source: Source) -> Engine:
    """Return the engine with the names of a source's classes if its own are only numbers that were assumed for a Keras model."""
    facts = engine.facts
    is_numbered = facts.labels == tuple(map(str, range(len(source.classes)))) and facts.format == "keras" and not facts.made
    return replace(engine, facts=replace(facts, labels=source.classes)) if is_numbered else engine


def classify_source(engine: Engine, source: Source) -> Evaluation:
    """Classify every letter of a source, drawn plainly; raises LettercastError if it has a class that the model does not know."""
    facts = engine.facts
    truth = relabel(source, facts.labels)
    if (truth < 0).any():
        unknown = sorted({source.classes[i] for i in source.labels[truth < 0]})
        raise LettercastError(
            f"{source.name}: the model knows no class {', '.join(unknown[:5])}; it knows {' '.join(facts.labels)}"
        )
    images = draw_all(source)
    asked = shown(facts, images)
    if asked.shape[1:] != facts.input_shape:
        raise LettercastError(
            f"{facts.name}: takes {facts.input_shape} images, but letters are {images.shape[1:]}; use another model"
        )
    return Evaluation(
        facts.name,
        engine.name,
        source.name,
        source.split,
        facts.labels,
        truth,
        engine(asked),
        images,
        writers=source.writers,
        upper=source.upper,
        reject_below=facts.reject_below,
        unit=facts.unit,
    )


def _share(right: NDArray[np.bool_]) -> float | None:
    """Return the share of True values; None if there are no values."""
    return float(right.mean()) if len(right) else None
