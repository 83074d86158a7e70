"""The handwritten digits that scikit-learn comes with: 1,797 of 8 by 8 pixels, from the UCI repository.

Source: Kaynak 1995, "Methods of combining multiple classifiers and their applications to handwritten digit recognition".
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.pixels import Pixels
from .source import SPLITS, ImageSource, in_split

NAME = "sklearn-digits"
# The side to which digits are enlarged, and the scale of their values, 0..16.
DIGIT_PX, DIGIT_SCALE = 64, 255 / 16
# The digits stand in the order of the people who wrote them, each of whom filled in the same form of about 130 digits: at
# these places the forms of val and of test begin, two of each.
VAL_FROM, TEST_FROM = 1287, 1545


def open_digits(split: str) -> ImageSource:
    """Open scikit-learn's digits, classes 0 to 9; raises LettercastError if scikit-learn is not installed.

    Nobody wrote digits of two splits.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise LettercastError(f"{NAME} comes with scikit-learn; run: pip install 'lettercast[train]'") from error
    data = load_digits()
    labels = np.asarray(data.target, np.int64)
    splits = np.full(len(labels), SPLITS["train"])
    splits[VAL_FROM:TEST_FROM], splits[TEST_FROM:] = SPLITS["val"], SPLITS["test"]
    keep = in_split(splits, split)
    return ImageSource(NAME, split, [enlarged(image) for image in data.images[keep]], labels[keep], tuple("0123456789"))


def enlarged(image: NDArray[np.float64]) -> Pixels:
    """Return the ink (64, 64) uint8 of a digit (8, 8) of 0..16."""
    ink = np.clip(image * DIGIT_SCALE, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(ink, (DIGIT_PX, DIGIT_PX), interpolation=cv2.INTER_CUBIC))
