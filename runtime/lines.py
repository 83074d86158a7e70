"""Reading order: lines that may climb or fall with the page, from the top, each from the left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from .text import Box

# A letter belongs to a line whose last letters it lies beside, within this share of their height.
LINE_SHARE = 0.6
# So many letters tell where a line has come to.
LAST_LETTERS = 3
# Pieces of a line that lie this close in height, as a share of it, and not above each other are one line.
SAME_LINE_SHARE = 0.45
# Boxes beside each other, at most so many heights apart, tell how a page is tilted.
NEIGHBOUR_HEIGHTS = 3.0


@dataclass
class _Row:
    """Letters of one line: indices, and the left, middle height (tilt taken away) and size of each.

    here and tall are the middle height and the size of the last letters: where the line has come to.
    """

    letters: list[int] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    here: float = 0.0
    tall: float = 0.0

    def add(self, letter: int, box: Box, level: float) -> None:
        self.letters.append(letter)
        self.left.append(box[0])
        self.level.append(level)
        self.size.append(_size(box))
        self.here, self.tall = fmean(self.level[-LAST_LETTERS:]), median(self.size[-LAST_LETTERS:])

    def height(self) -> float:
        return median(self.size)

    def reach(self, box: Box, level: float) -> float:
        """Return how far a box lies from where the line has come to, as a share of the letters' height."""
        return abs(level - self.here) / max(_size(box), self.tall)


def order_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Sort boxes (x, y, width, height) into lines, the top line first; returns the indices of each line from the left."""
    slope = tilt(boxes)
    rows: list[_Row] = []
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i][0] + boxes[i][2] / 2):
        x, y, w, h = boxes[i]
        level = y + h / 2 - slope * (x + w / 2)
        fits = [(row.reach(boxes[i], level), k) for k, row in enumerate(rows)]
        nearest, k = min(fits, default=(LINE_SHARE + 1, 0))
        if nearest > LINE_SHARE:
            rows.append(_Row())
            k = len(rows) - 1
        rows[k].add(i, boxes[i], level)
    rows = sorted(_joined(rows), key=lambda row: fmean(row.level))
    return [[i for _, i in sorted(zip(row.left, row.letters, strict=True))] for row in rows]


def tilt(boxes: Sequence[Box]) -> float:
    """Return the pixels that lines fall a pixel across: the median over boxes and their next neighbours to the right."""
    slopes = []
    ordered = sorted(boxes)
    for k, (x, y, w, h) in enumerate(ordered):
        size = _size((x, y, w, h))
        for ox, oy, ow, oh in ordered[k + 1 :]:
            across, down = ox + ow / 2 - x - w / 2, oy + oh / 2 - y - h / 2
            if across > NEIGHBOUR_HEIGHTS * size:
                break
            if across > w / 2 and abs(down) <= LINE_SHARE * max(size, _size((ox, oy, ow, oh))):
                slopes.append(down / across)
                break
    return median(slopes) if slopes else 0.0


def _joined(rows: list[_Row]) -> list[_Row]:
    """Join rows that are pieces of one line: at one height, and none above the other."""
    whole: list[_Row] = []
    for row in sorted(rows, key=lambda row: fmean(row.level)):
        for other in whole[-2:]:
            near = abs(fmean(row.level) - fmean(other.level)) <= SAME_LINE_SHARE * max(row.height(), other.height())
            beside = max(row.left) < min(other.left) or min(row.left) > max(other.left)
            if near and beside:
                for name in ("letters", "left", "level", "size"):
                    getattr(other, name).extend(getattr(row, name))
                break
        else:
            whole.append(row)
    return whole


def _size(box: Box) -> float:
    return max(box[3], 0.5 * box[2])
