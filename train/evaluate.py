"""Evaluation of a model of any format on labelled letters."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix

from .. import LettercastError
from ..runtime.engine import Engine
from ..runtime.pixels import Pixels
from .confidence import Reliability, reliability
from .photo import shown
from .source import Source, draw_all, relabel
from .writers import Writers, WriterSummary, group_by_writer


@dataclass(frozen=True)
class Evaluation:
    """Answers of one model to the letters of one split; every figure is computed from them.

    truth (N,) int64 index into labels; probabilities (N, classes) float32; pictures (N, H, W, C) uint8, white ink on
    black; writers (N,) a number for each hand and upper (N,) True for capitals, None where they are not known.
    reject_below is the confidence 0..1 below which the model's reader claims no letter.
    """

    model: str
    engine: str
    data: str
    split: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    pictures: Pixels
    writers: NDArray[np.int64] | None = None
    upper: NDArray[np.bool_] | None = None
    reject_below: float = 0.0

    def __post_init__(self) -> None:
        for name in ("probabilities", "pictures", "writers", "upper"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.truth):
                raise ValueError(f"{name} needs one entry for each of {len(self.truth)} letters, not {len(values)}")

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
        """(N,) True where the likeliest class is the written one."""
        return self.predicted == self.truth

    @property
    def accuracy(self) -> float:
        """Share of letters whose likeliest class is right, 0..1."""
        return float(self.right.mean())

    @property
    def top2(self) -> float:
        """Share of letters whose two likeliest classes hold the right one, 0..1."""
        two = np.argsort(-self.probabilities, 1, kind="stable")[:, :2]
        return float((two == self.truth[:, None]).any(1).mean())

    @property
    def capitals(self) -> float | None:
        """Accuracy 0..1 on capitals; None where there are none, or none known."""
        return None if self.upper is None else _share(self.right[self.upper])

    @property
    def small(self) -> float | None:
        """Accuracy 0..1 on small letters; None where there are none, or none known."""
        return None if self.upper is None else _share(self.right[~self.upper])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts; rows are the truth."""
        return confusion_matrix(self.truth, self.predicted, labels=range(len(self.labels)))

    @property
    def reliability(self) -> Reliability:
        """How often answers of each confidence are right."""
        return reliability(self.probabilities, self.truth)

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1."""
        return self.reliability.error

    @property
    def kept(self) -> float:
        """Share of letters that the reader claims: those whose confidence reaches reject_below, 0..1."""
        return float((self.confidence >= self.reject_below).mean())

    @property
    def accuracy_kept(self) -> float | None:
        """Accuracy 0..1 on the letters that the reader claims; None where it claims none."""
        return _share(self.right[self.confidence >= self.reject_below])

    def merged_accuracy(self, first: str, second: str) -> float:
        """Return the accuracy 0..1 where two labels count as one: a bare stroke is I and small l alike."""
        if first not in self.labels or second not in self.labels:
            return self.accuracy
        pair = [self.labels.index(first), self.labels.index(second)]
        return float((self.right | (np.isin(self.truth, pair) & np.isin(self.predicted, pair))).mean())

    def pair_share(self, first: str, second: str) -> float:
        """Share of all errors that take one of two labels for the other, 0..1; I and L look alike, G and Q nearly."""
        if first not in self.labels or second not in self.labels:
            return 0.0
        a, b = self.labels.index(first), self.labels.index(second)
        errors = int((~self.right).sum())
        return float(self.confusion[a, b] + self.confusion[b, a]) / max(1, errors)

    def mistakes(self) -> NDArray[np.int64]:
        """Return the indices of the letters that were read wrongly, the surest first, equals in the order of the letters."""
        surest_first = np.argsort(-self.confidence, kind="stable")
        return surest_first[~self.right[surest_first]]

    def by_writer(self) -> Writers | None:
        """Return count and accuracy of every writer, the worst read first; None where they are not known."""
        return None if self.writers is None else group_by_writer(self.writers, self.right)

    def writer_summary(self) -> WriterSummary | None:
        """Return number, median and worst tenth of the writers; None where none is known with enough letters."""
        writers = self.by_writer()
        return writers.summary() if writers else None

    def notes(self) -> list[str]:
        """Return what is known beside the accuracy, each in a few words."""
        notes = []
        if "I" in self.labels and "L" in self.labels:
            notes.append(f"I and L merged {100 * self.merged_accuracy('I', 'L'):.2f} %")
            pairs = (100 * self.pair_share(*pair) for pair in ("IL", "GQ"))
            notes.append("of the errors {:.0f} % are I/L, {:.0f} % G/Q".format(*pairs))
        if self.capitals is not None and self.small is not None:
            notes.append(f"capitals {100 * self.capitals:.2f} %, small letters {100 * self.small:.2f} %")
        if writers := self.writer_summary():
            median, worst = 100 * writers.median, 100 * writers.worst_tenth
            notes.append(f"median of {writers.count} writers {median:.2f} %, worst tenth {worst:.2f} %")
        notes.append(f"expected calibration error {100 * self.ece:.2f} %")
        if self.reject_below:
            notes.append(f"{100 * self.kept:.2f} % kept by the threshold of {self.reject_below:.2f}")
        return notes

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return scikit-learn's report: precision, recall, f1-score and support by label."""
        report: Any = classification_report(
            self.truth,
            self.predicted,
            labels=range(len(self.labels)),
            target_names=self.labels,
            output_dict=True,
            zero_division=0,
        )
        return {label: report[label] for label in self.labels}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `lettercast evaluate --json` prints; what is not known is null."""
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


def evaluate(engine: Engine, source: Source) -> Evaluation:
    """Classify every letter of a source, drawn plainly.

    Raises LettercastError where the source has a class that the model does not know.
    """
    facts = engine.facts
    truth = relabel(source, facts.labels)
    if (truth < 0).any():
        unknown = sorted({source.classes[i] for i in source.labels[truth < 0]})
        raise LettercastError(
            f"{source.name}: the model knows no class {', '.join(unknown[:5])}; it knows {' '.join(facts.labels)}"
        )
    pictures = draw_all(source)
    asked = shown(facts, pictures)
    if asked.shape[1:] != facts.input_shape:
        raise LettercastError(
            f"{facts.name}: takes {facts.input_shape} pictures, letters are {pictures.shape[1:]}; take another model"
        )
    return Evaluation(
        facts.name,
        engine.name,
        source.name,
        source.split,
        facts.labels,
        truth,
        engine(asked),
        pictures,
        writers=source.writers,
        upper=source.upper,
        reject_below=facts.reject_below,
    )


def _share(right: NDArray[np.bool_]) -> float | None:
    """Return the share of True; None of nothing."""
    return float(right.mean()) if len(right) else None
