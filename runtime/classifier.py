"""The classifier: takes an image that shows one thing, and returns its label.

from lettercast.runtime import Classifier
print(Classifier("digits.tflite").classify("7.png").label)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import LettercastError
from .arguments import DEFAULT_NAME, find_model, plain_name
from .glyph import glyph
from .hand.apply import with_hand
from .hand.file import Hand
from .model.engine import Engine, open_engine
from .model.facts import LETTERS, Facts
from .page.ink import letter_only, on_paper, to_gray
from .pixels import Pixels, check_image
from .text.codes import best_of

# How many labels a classification names.
TOP = 3


@dataclass(frozen=True)
class Classification:
    """What one image shows: the likeliest label, its probability 0..1, and the next likeliest labels with theirs.

    rejected is true if the probability is lower than the model's rejection threshold: then the image probably shows none of
    the labels.
    """

    label: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    rejected: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the classification as in the JSON of `lettercast classify --json`."""
        return {
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "alternatives": [[name, round(probability, 4)] for name, probability in self.alternatives],
            "rejected": self.rejected,
        }


class Classifier:
    """Classify whole images with one model: any images, or images of one letter each if the model takes letters.

    Args:
        model: the path of a `.tflite` or `.onnx` file, the name of a model that comes with lettercast (`letters-base`, the
            default, `letters-nano` or `letters-digits`), or an engine that is open already.
        threads: threads of the engine.
        hand: the name of a hand that was learned with `lettercast hand`, or the path of its file.

    Raises:
        LettercastError: there is no such model or hand, or no engine for the model is installed.

    Example:
        found = Classifier("digits.tflite").classify("7.png")
        print(found.label, found.confidence)
    """

    def __init__(
        self, model: str | Path | Engine = DEFAULT_NAME, threads: int = 1, hand: Hand | str | Path | None = None
    ) -> None:
        # A model inside a zip file is neither a str nor a Path but reads like one, so it stays as it is.
        path = find_model(model) if isinstance(model, str | Path) else model
        engine = path if isinstance(path, Engine) else open_engine(path, threads)
        self.engine = engine if hand is None else with_hand(engine, hand)

    def classify(self, image: Pixels | str | Path, top: int = TOP) -> Classification:
        """Classify one image.

        Args:
            image: the path of an image file, or pixels as OpenCV has them: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8.
            top: how many labels to name, the first one included; at most all.

        Raises:
            LettercastError: the file cannot be read as an image.
            TypeError, ValueError: the pixels are not an image.
        """
        if isinstance(image, str | Path):
            from .sources.images import read_image

            image = read_image(Path(image))
        check_image(image)
        facts = self.engine.facts
        probabilities = self.engine(prepare(image, facts)[None])[0]
        best, *rest = (int(i) for i in np.argsort(-probabilities, kind="stable")[: max(1, top)])
        confidence = float(probabilities[best])
        others = tuple((facts.labels[i], float(probabilities[i])) for i in rest)
        is_rejected = float(best_of(probabilities[None], facts.labels)[0]) < facts.reject_below
        return Classification(facts.labels[best], confidence, others, is_rejected)


def prepare(image: Pixels, facts: Facts) -> Pixels:
    """Return an image (H, W) grey or (H, W, C) BGR or BGRA uint8 as a model takes it, of its facts' input shape.

    Folders of images become the same pixels for `lettercast evaluate` and for the check set of `lettercast export`.
    """
    if facts.takes == LETTERS:
        return glyph(letter_only(image))[..., None]
    return fit_image(image, facts.input_shape)


def fit_image(image: Pixels, shape: tuple[int, int, int]) -> Pixels:
    """Scale an image (H, W) grey or (H, W, C) BGR or BGRA uint8 to a shape (H, W, 1) grey or (H, W, 3) RGB.

    A side that shrinks is averaged, and one that grows is interpolated linearly, whatever happens to the other side.
    """
    height, width, channels = shape
    if channels == 1 or image.ndim == 2 or image.shape[2] == 1:
        fitted = to_gray(image)
    else:
        fitted = cv2.cvtColor(on_paper(image) if image.shape[2] == 4 else image, cv2.COLOR_BGR2RGB)
    smaller = min(width, fitted.shape[1]), min(height, fitted.shape[0])
    fitted = cv2.resize(fitted, smaller, interpolation=cv2.INTER_AREA)
    # OpenCV's faster method rounds differently on ARM.
    fitted = cv2.resize(fitted, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.broadcast_to(fitted.reshape(height, width, -1), shape)


def letters_in_folders(folder: Path, facts: Facts) -> tuple[Pixels, list[str]]:
    """Return the images of a folder of class folders as a model takes them, (n, H, W, C), and the names of their folders.

    Raises LettercastError if there are none, or an image cannot be read.
    """
    from .sources.images import read_image
    from .sources.source import images_in

    if not folder.is_dir():
        raise LettercastError(
            f"{folder}: no such folder; give one with a folder of images for each class, such as {folder}/A/one.png"
        )
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [(path, one.name) for one in classes for path in images_in(one)]
    if not found:
        raise LettercastError(f"{folder}: has no folders of images inside, one for each class, such as {folder}/A/one.png")
    return np.stack([prepare(read_image(path), facts) for path, _ in found]), [plain_name(name) for _, name in found]
