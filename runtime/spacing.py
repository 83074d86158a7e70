"""Gaps between words of one line."""

import itertools
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from .text import Box

# A word's gap is wider than the line's usual gap by this share of the letters' height.
GAP_SHARE = 0.6


def part_words(boxes: Sequence[Box]) -> list[slice]:
    """Part the letters of one line, from left to right, into words; returns the slice of each word's letters."""
    gaps = [right[0] - left[0] - left[2] for left, right in itertools.pairwise(boxes)]
    if not gaps:
        return [slice(0, len(boxes))]
    height = median(max(w, h) for _, _, w, h in boxes)
    limit = max(0.0, sorted(gaps)[len(gaps) // 3]) + GAP_SHARE * height
    starts = [0, *(i for i, gap in enumerate(gaps, 1) if gap > limit), len(boxes)]
    return [slice(a, b) for a, b in itertools.pairwise(starts)]


def first_letters(words: Sequence[slice]) -> NDArray[np.bool_]:
    """Return (n,) True where a letter of a line of these words is the first of its word."""
    first = np.zeros(words[-1].stop, bool)
    first[[word.start for word in words]] = True
    return first
