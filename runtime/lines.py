"""Reading order: lines that may climb or fall with the page, from the top, each from the left."""

from collections.abc import Sequence
from statistics import median

from .text import Box

# Letters of one line lie within this share of a letter's height of their neighbour.
LINE_SHARE = 0.6


def order_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Sort boxes (x, y, width, height) into lines, the top line first; returns the indices of each line from the left."""
    lines: list[list[int]] = []
    for i in sorted(range(len(boxes)), key=lambda i: _middle(boxes[i])[0]):
        fits = [(_apart(boxes[line[-1]], boxes[i]), line) for line in lines if _neighbours(boxes[line[-1]], boxes[i])]
        if fits:
            min(fits, key=lambda fit: fit[0])[1].append(i)
        else:
            lines.append([i])
    ends = [(_middle(boxes[line[0]]), _middle(boxes[line[-1]])) for line in lines]
    slopes = [(last[1] - first[1]) / (last[0] - first[0]) for first, last in ends if last[0] > first[0]]
    slope = median(slopes) if slopes else 0.0
    heights = [sum(y - slope * x for x, y in (_middle(boxes[i]) for i in line)) / len(line) for line in lines]
    return [line for _, line in sorted(zip(heights, lines, strict=True), key=lambda pair: pair[0])]


def _middle(box: Box) -> tuple[float, float]:
    x, y, w, h = box
    return x + w / 2, y + h / 2


def _apart(left: Box, right: Box) -> float:
    """Return how far a box is above or below its left neighbour, in pixels."""
    return abs(_middle(left)[1] - _middle(right)[1])


def _neighbours(left: Box, right: Box) -> bool:
    height = max(left[3], right[3], 0.5 * max(left[2], right[2]))
    return _apart(left, right) <= LINE_SHARE * height
