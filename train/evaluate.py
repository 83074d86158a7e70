"""Evaluation of a model of any format on labelled letters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix, top_k_accuracy_score

from .. import LettercastError
from ..runtime.engine import Engine
from .source import Source, draw_all, relabel


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one split; truth and probabilities are kept for figures and comparisons.

    truth (N,) int64 index into labels; probabilities (N, classes) float32.
    """

    model: str
    engine: str
    data: str
    split: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the likeliest class."""
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        """Share of letters whose likeliest class is right, 0..1."""
        return float((self.predicted == self.truth).mean())

    @property
    def top2(self) -> float:
        """Share of letters whose two likeliest classes hold the right one, 0..1."""
        return float(top_k_accuracy_score(self.truth, self.probabilities, k=2, labels=range(len(self.labels))))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts; rows are the truth."""
        return confusion_matrix(self.truth, self.predicted, labels=range(len(self.labels)))

    def pair_share(self, first: str, second: str) -> float:
        """Share of all errors that take one of two labels for the other, 0..1; I and L look alike, G and Q nearly."""
        if first not in self.labels or second not in self.labels:
            return 0.0
        a, b = self.labels.index(first), self.labels.index(second)
        errors = int((self.predicted != self.truth).sum())
        return float(self.confusion[a, b] + self.confusion[b, a]) / max(1, errors)

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
        """Return the JSON object that `lettercast evaluate --json` prints."""
        return {
            "model": self.model,
            "engine": self.engine,
            "data": self.data,
            "split": self.split,
            "n": len(self.truth),
            "accuracy": self.accuracy,
            "top2": self.top2,
            "errors_i_l": self.pair_share("I", "L"),
            "errors_g_q": self.pair_share("G", "Q"),
            "per_class": self.per_class(),
        }


def evaluate(engine: Engine, source: Source) -> Evaluation:
    """Classify every letter of a source, drawn plainly.

    Raises LettercastError where the source has a class that the model does not know.
    """
    labels = engine.facts.labels
    truth = relabel(source, labels)
    if (truth < 0).any():
        unknown = sorted({source.classes[i] for i in source.labels[truth < 0]})
        raise LettercastError(f"{source.name}: the model knows no class {', '.join(unknown[:5])}; it knows {' '.join(labels)}")
    pictures = draw_all(source)
    if pictures.shape[1:] != engine.facts.input_shape:
        taken = engine.facts.input_shape
        raise LettercastError(
            f"{engine.facts.name}: takes {taken} pictures, letters are {pictures.shape[1:]}; take another model"
        )
    probabilities = engine(pictures)
    return Evaluation(engine.facts.name, engine.name, source.name, source.split, labels, truth, probabilities)
