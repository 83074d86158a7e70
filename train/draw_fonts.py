"""Maintainer's command: thin the characters of handwriting fonts to pen strokes, and write them as a strokes file.

python -m lettercast.train.draw_fonts node_modules/@fontsource digits.npz --characters 0123456789 --sheet digits.png

Each font is a writer, named with its licence. Some fonts are held out, by the checksums of their names. Unpack packages such as
@fontsource/caveat from the npm registry into the folder: each has its licence beside its files.
"""

import argparse
import json
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.pixels import Pixels
from .data.drawing import Stroke, draw_ink, to_side
from .data.source import LETTERS, SPLITS
from .data.strokes import save_strokes

ENDINGS = (".woff2", ".woff", ".ttf", ".otf")
# Of the files of one package, the regular Latin one.
REGULAR = re.compile(r"latin-400-normal|regular", re.IGNORECASE)
LICENCES = (("SIL Open Font License", "OFL-1.1"), ("Apache License", "Apache-2.0"))
# Of this many fonts one is held out for val, and one for test.
HELD_OUT = 7
# No font has these code points, so that it draws its sign for a missing character.
MISSING = ("\ufffe", "\U0010fffe")
# The longer side of strokes in the file.
SIDE = 1000
CELL_PX, SHEET_LETTER_PX, SHEET_PEN_PX = 48, 36, 2.6


@dataclass(frozen=True)
class Thinning:
    """How a drawn character becomes strokes. Chosen by hand, by looking at letters and digits of handwriting fonts."""

    side_px: int = 320
    """The size at which the font is drawn."""
    max_hole: float = 0.3
    """Smaller holes than this square of the pen's width are flaws of a dry brush."""
    min_scrap: float = 0.35
    """Smaller ink than this square of the pen's width is a speck."""
    spur: float = 0.9
    """A side branch is shorter than this many pen widths: thinning leaves it at the corners of ink."""
    bridge: float = 1.0
    """Two forks nearer to each other than this many pen widths are one crossing."""
    max_turn: float = np.radians(55)
    """A stroke goes straight on through a crossing if it turns by less than this."""
    look_px: int = 14
    """The direction of a branch is that of its first pixels."""
    smooth_px: int = 5
    """Standard deviation of what smooths the stairs of pixels."""
    step_px: float = 9
    """The distance of the points that are kept."""
    max_strokes: int = 5
    """A character of more strokes is drawn as an outline or by a dry brush, not written."""
    max_left_out: float = 0.3
    """A font that has more than this share of its characters left out is left out as a whole."""


THINNING = Thinning()


@dataclass(frozen=True)
class FontStrokes:
    """The characters of one font as strokes, each (n, 2) within 0..1000, and why the others are missing."""

    name: str
    characters: tuple[str, ...]
    strokes: tuple[list[Stroke], ...]
    missing: tuple[str, ...]


def draw_fonts(folder: str | Path, characters: str, size_px: int = THINNING.side_px) -> list[FontStrokes]:
    """Draw the characters of all fonts of a folder and thin them to strokes; one regular font of each package.

    Raises LettercastError if the folder has no fonts, or scikit-image is not installed.
    """
    fonts = find_fonts(Path(folder))
    if not fonts:
        raise LettercastError(f"{folder}: no fonts in it; give a folder of {', '.join(ENDINGS)} files")
    return [thin_font(path, characters, size_px) for path in fonts]


def find_fonts(folder: Path) -> list[Path]:
    """Return the fonts below a folder, one of each folder of fonts: the regular Latin one if the others are other weights."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    chosen: dict[tuple[Path, str], Path] = {}
    for path in sorted(files, key=lambda one: (not REGULAR.search(one.name), ENDINGS.index(one.suffix.lower()), one.name)):
        # A package of @fontsource has one family in files/; elsewhere each file is a family.
        is_package = path.parent.name == "files" and (path.parent.parent / "package.json").is_file()
        chosen.setdefault((path.parent, "" if is_package else path.stem), path)
    return sorted(chosen.values())


def font_name(path: Path) -> str:
    """Return the name of a font's package or file, with its licence in brackets, such as `caveat (OFL-1.1)`."""
    package = path.parent.parent if path.parent.name == "files" else path.parent
    name = package.name if path.parent.name == "files" else path.stem
    try:
        licence = str(json.loads((package / "package.json").read_text())["license"])
    except (OSError, ValueError, KeyError, TypeError):
        try:
            text = (package / "LICENSE").read_text(errors="replace")
        except OSError:
            text = ""
        licence = next((short for phrase, short in LICENCES if phrase.lower() in text.lower()), "licence unknown")
    return f"{name} ({licence})"


def thin_font(path: Path, characters: str, size_px: int = THINNING.side_px) -> FontStrokes:
    """Draw the characters of one font and thin them; raises LettercastError if the file is no font."""
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise LettercastError("fonts are drawn with Pillow; run: pip install 'lettercast[fonts]'") from error
    try:
        font = ImageFont.truetype(str(path), size_px)
    except (OSError, ValueError) as error:
        raise LettercastError(f"{path}: not a readable font ({error}); leave it out") from error
    tofu = [image for image in (draw_character(font, one) for one in MISSING) if image is not None]
    found, strokes, missing = [], [], []
    for one in characters:
        image = draw_character(font, one)
        if image is None or any(np.array_equal(image, other) for other in tofu):
            missing.append(f"{one}: the font has none")
            continue
        traced = trace(image)
        if not 0 < len(traced) <= THINNING.max_strokes:
            missing.append(f"{one}: {len(traced)} strokes")
            continue
        found.append(one)
        strokes.append(to_side(traced, SIDE))
    return FontStrokes(font_name(path), tuple(found), tuple(strokes), tuple(missing))


def draw_character(font: Any, character: str) -> Pixels | None:
    """Draw one character in the font's size, (H, W) uint8 of 0 and 255, with a margin; None if it has no ink."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = (int(side) for side in font.getbbox(character))
    margin = 8
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    if width <= 2 * margin or height <= 2 * margin:
        return None
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).text((margin - left, margin - top), character, fill=255, font=font)
    ink = np.where(np.asarray(image) > 127, 255, 0).astype(np.uint8)
    return ink if ink.any() else None


def trace(ink: Pixels) -> list[Stroke]:
    """Thin ink (H, W) uint8 of 0 and 255 to strokes, each (n, 2) of x and y in pixels, from the top left one to the last."""
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise LettercastError("fonts are thinned with scikit-image; run: pip install 'lettercast[fonts]'") from error
    solid, width = without_flaws(ink)
    paths = link(prune(edges_of(np.asarray(skeletonize(solid > 0))), THINNING.spur * width, THINNING.bridge * width))
    smoothed = [even(path) for path in paths]
    # Ink as round as a dot thins to a few pixels.
    dots = [stroke.mean(0, keepdims=True) if np.ptp(stroke, 0).max() < width else stroke for stroke in smoothed]
    return [stroke.astype(np.float32) for stroke in sorted(dots, key=lambda one: (one[0, 1] + one[0, 0] / 2).item())]


def without_flaws(ink: Pixels) -> tuple[Pixels, float]:
    """Return ink (H, W) without specks and holes, and the width of its pen in pixels."""
    inside = cv2.distanceTransform(ink, cv2.DIST_L2, 5)
    ridge = inside[(inside >= cv2.dilate(inside, np.ones((3, 3)))) & (inside > 1)]
    width = max(2.0, 2 * float(np.median(ridge)) if len(ridge) else 2.0)
    solid = ink.copy()
    for value, least in ((0, THINNING.max_hole), (255, THINNING.min_scrap)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (solid == value).astype(np.uint8), connectivity=8 if value else 4
        )
        small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < least * width * width)
        if count - 1 > len(small):
            solid[np.isin(labels, small[small > 0])] = 255 - value
    return solid, width


@dataclass(eq=False)
class Edge:
    """A branch of a thinned character: its pixels (n, 2) of x and y, and the nodes at its ends; one without nodes is a ring."""

    path: NDArray[np.float64]
    ends: tuple[int, int]

    @property
    def length(self) -> float:
        return float(np.hypot(*np.diff(self.path, axis=0).T).sum())


def edges_of(skeleton: NDArray[np.bool_]) -> list[Edge]:
    """Cut a skeleton (H, W) at its ends and forks into branches; the pixels of one fork are one node."""
    pixels = {(int(x), int(y)) for y, x in zip(*np.nonzero(skeleton), strict=True)}

    def neighbours(at: tuple[int, int]) -> list[tuple[int, int]]:
        x, y = at
        straight = [one for one in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)) if one in pixels]
        aslant = [(x + i, y + j) for i in (1, -1) for j in (1, -1) if (x + i, y + j) in pixels]
        # A diagonal step where two straight ones lead to the same pixel is none of its own.
        return straight + [one for one in aslant if not ((one[0], y) in pixels or (x, one[1]) in pixels)]

    around = {at: neighbours(at) for at in pixels}
    nodes: dict[tuple[int, int], int] = {}
    for at in sorted(at for at, near in around.items() if len(near) != 2):
        if at in nodes:
            continue
        number, waiting = len(set(nodes.values())), [at]
        while waiting:
            one = waiting.pop()
            if one not in nodes:
                nodes[one] = number
                waiting += [near for near in around[one] if len(around[near]) > 2] if len(around[one]) > 2 else []
    middle = {number: np.mean([at for at, own in nodes.items() if own == number], 0) for number in set(nodes.values())}
    edges, done = [], set[tuple[tuple[int, int], tuple[int, int]]]()
    for start in sorted(nodes):
        if not around[start]:
            edges.append(Edge(np.array([start], float), (nodes[start], nodes[start])))
        for step in around[start]:
            if (start, step) in done or nodes.get(step) == nodes[start]:
                continue
            path = [start, step]
            while path[-1] not in nodes:
                path.append(next(one for one in around[path[-1]] if one != path[-2]))
            done |= {(path[0], path[1]), (path[-1], path[-2])}
            ends = nodes[path[0]], nodes[path[-1]]
            inner = np.array(path[1:-1], float).reshape(-1, 2)
            edges.append(Edge(np.concatenate([middle[ends[0]][None], inner, middle[ends[1]][None]]), ends))
    walked = set(nodes) | {(int(x), int(y)) for edge in edges for x, y in edge.path[1:-1]}
    return edges + list(_rings(around, pixels - walked))


def _rings(around: dict[tuple[int, int], list[tuple[int, int]]], left: set[tuple[int, int]]) -> Iterator[Edge]:
    """Yield the closed branches without any fork, each from its highest pixel."""
    while left:
        start = min(left, key=lambda at: (at[1], at[0]))
        path = [start, around[start][0]]
        while path[-1] != start:
            path.append(next(one for one in around[path[-1]] if one != path[-2]))
        left -= set(path)
        yield Edge(np.array(path, float), (-1, -1))


def prune(edges: list[Edge], spur: float, bridge: float) -> list[Edge]:
    """Remove short side branches, the shortest first, and make one crossing of forks that are near each other."""
    edges = list(edges)
    while True:
        degree = degrees(edges)
        spurs = [e for e in edges if e.length < spur and e.ends[0] != e.ends[1] and sorted(degree[n] == 1 for n in e.ends)[1]]
        spurs = [e for e in spurs if max(degree[n] for n in e.ends) > 2]
        if spurs:
            edges.remove(min(spurs, key=lambda one: one.length))
            edges = melt(edges)
            continue
        bridges = [e for e in edges if e.length < bridge and e.ends[0] != e.ends[1] and min(degree[n] for n in e.ends) > 2]
        if not bridges:
            return edges
        short = min(bridges, key=lambda one: one.length)
        edges.remove(short)
        kept, gone = short.ends
        middle = short.path.mean(0)
        edges = [_moved(edge, {kept, gone}, kept, middle) for edge in edges]


def _moved(edge: Edge, old: set[int], new: int, place: NDArray[np.float64]) -> Edge:
    """Return an edge whose ends at the nodes `old` are at the node `new`, which lies at another place."""
    path = edge.path
    if edge.ends[0] in old:
        path = np.concatenate([place[None], path[1:]])
    if edge.ends[1] in old:
        path = np.concatenate([path[:-1], place[None]])
    first, last = (new if end in old else end for end in edge.ends)
    return Edge(path, (first, last))


def degrees(edges: Sequence[Edge]) -> dict[int, int]:
    """Return how many ends of edges meet at each node."""
    count: dict[int, int] = {}
    for edge in edges:
        for end in edge.ends:
            count[end] = count.get(end, 0) + 1
    return count


def melt(edges: list[Edge]) -> list[Edge]:
    """Join two edges where only they meet."""
    degree = degrees(edges)
    for node in [node for node, count in degree.items() if count == 2 and node >= 0]:
        own = [edge for edge in edges if node in edge.ends]
        if len(own) == 2:
            edges = [edge for edge in edges if edge not in own] + [joined(own[0], own[1], node)]
    return edges


def joined(one: Edge, other: Edge, node: int) -> Edge:
    """Return two edges as one, through a node at which both end."""
    first = one if one.ends[1] == node else turned(one)
    last = other if other.ends[0] == node else turned(other)
    return Edge(np.concatenate([first.path, last.path[1:]]), (first.ends[0], last.ends[1]))


def turned(edge: Edge) -> Edge:
    """Return an edge from its end to its start."""
    return Edge(edge.path[::-1], (edge.ends[1], edge.ends[0]))


def link(edges: list[Edge]) -> list[NDArray[np.float64]]:
    """Join branches that go straight on through a crossing, the straightest first; returns the paths (n, 2)."""
    pairs = []
    for node in sorted(degrees(edges)):
        # A loop may end twice at the same node.
        ends = [(edge, side) for edge in edges for side in (0, 1) if edge.ends[side] == node >= 0]
        for i, (edge, side) in enumerate(ends):
            for other, side_of in ends[i + 1 :]:
                turn = abs(_between(_leaving(edge, side), -_leaving(other, side_of)))
                pairs.append((turn, node, (edge, side), (other, side_of)))
    partner: dict[tuple[int, int], tuple[Edge, int]] = {}
    for turn, _, (edge, side), (other, side_of) in sorted(pairs, key=lambda pair: pair[0]):
        keys = (id(edge), side), (id(other), side_of)
        if turn < THINNING.max_turn and not any(key in partner for key in keys):
            partner[keys[0]], partner[keys[1]] = (other, side_of), (edge, side)
    paths, used = [], set[int]()
    # Strokes begin where nothing goes on; what is left then is closed.
    starts = [(edge, side) for edge in edges for side in (0, 1) if (id(edge), side) not in partner]
    for start in [*starts, *((edge, 0) for edge in edges)]:
        edge, side = start
        points: list[NDArray[np.float64]] = []
        while id(edge) not in used:
            used.add(id(edge))
            path = edge.path if side == 0 else edge.path[::-1]
            points.append(path[1:] if points else path)
            if (id(edge), 1 - side) not in partner:
                break
            edge, side = partner[id(edge), 1 - side]
        if points:
            paths.append(np.concatenate(points))
    return [_as_written(path) for path in paths]


def _leaving(edge: Edge, side: int) -> NDArray[np.float64]:
    """Return the direction (2,) in which an edge leaves its node on one side."""
    path = edge.path if side == 0 else edge.path[::-1]
    direction: NDArray[np.float64] = path[min(len(path) - 1, THINNING.look_px)] - path[0]
    return direction


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the angle between two directions, in radians."""
    return float(np.arctan2(one[0] * other[1] - one[1] * other[0], one @ other))


def _as_written(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a path that starts at its upper end, or at its left one if it is rather level."""
    width, height = np.ptp(path, 0)
    first, last = path[0], path[-1]
    is_level = abs(last[0] - first[0]) > 2 * abs(last[1] - first[1])
    return path[::-1] if (first[0] > last[0] if is_level else first[1] > last[1]) and max(width, height) > 0 else path


def even(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth a path (n, 2) of pixels, and keep points at even distances; its ends stay."""
    if len(path) < 3:
        return path
    reach = 2 * THINNING.smooth_px
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / THINNING.smooth_px) ** 2)
    is_closed = np.allclose(path[0], path[-1])
    # Mirrored in its ends, so that they stay; a ring goes round.
    before = path[-1 - reach : -1] if is_closed and len(path) > reach else 2 * path[0] - path[1 : reach + 1][::-1]
    after = path[1 : reach + 1] if is_closed and len(path) > reach else 2 * path[-1] - path[-1 - reach : -1][::-1]
    padded = np.concatenate([before, path, after])
    lack = (len(path) + 2 * reach - len(padded)) // 2
    padded = np.pad(padded, ((lack, len(path) + 2 * reach - len(padded) - lack), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, i], weights / weights.sum(), mode="valid") for i in (0, 1)], 1)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))])
    at = np.linspace(0, way[-1], max(2, round(way[-1] / THINNING.step_px) + 1))
    return np.stack([np.interp(at, way, smooth[:, i]) for i in (0, 1)], 1)


def splits_of(names: Sequence[str]) -> list[int]:
    """Return 0 train, 1 val or 2 test for each font: in the order of their checksums, two of HELD_OUT are held out."""
    order = sorted(range(len(names)), key=lambda i: zlib.crc32(names[i].split(" (", maxsplit=1)[0].encode()))
    place = {font: rank % HELD_OUT for rank, font in enumerate(order)}
    return [{0: SPLITS["val"], 1: SPLITS["test"]}.get(place[i], SPLITS["train"]) for i in range(len(names))]


def classes_of(characters: str) -> tuple[str, ...]:
    """Return the classes of characters: A to Z if all are letters, whatever their case, else what they are, as capitals."""
    names = tuple(dict.fromkeys(one.upper() for one in characters))
    return LETTERS if set(names) <= set(LETTERS) else names


def write_fonts(path: Path, fonts: Sequence[FontStrokes], characters: str) -> None:
    """Write the characters of fonts as a strokes file with the names of its writers."""
    classes = classes_of(characters)
    rows = [(number, one) for number, font in enumerate(fonts) for one in font.characters]
    labels = [classes.index(one.upper()) for _, one in rows]
    splits = splits_of([font.name for font in fonts])
    save_strokes(
        path,
        [[np.rint(stroke).astype(np.int16) for stroke in letter] for font in fonts for letter in font.strokes],
        np.array(labels, np.uint8),
        upper=np.array([not one.islower() for _, one in rows]),
        writer=np.array([number for number, _ in rows], np.int16),
        split=np.array([splits[number] for number, _ in rows], np.uint8),
        classes=None if classes == LETTERS else classes,
        writers=[font.name for font in fonts],
    )


def contact_sheet(fonts: Sequence[FontStrokes], characters: str) -> Pixels:
    """Return a sheet of all strokes, (fonts * 48, characters * 48) uint8, dark on light: a font per row."""
    sheet = np.zeros((len(fonts) * CELL_PX, len(characters) * CELL_PX), np.uint8)
    for row, font in enumerate(fonts):
        for one, strokes in zip(font.characters, font.strokes, strict=True):
            ink = draw_ink(strokes, SHEET_LETTER_PX, SHEET_PEN_PX)
            height, width = ink.shape
            top, left = row * CELL_PX + (CELL_PX - height) // 2, characters.index(one) * CELL_PX + (CELL_PX - width) // 2
            sheet[top : top + height, left : left + width] = ink
    return cv2.bitwise_not(sheet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the fonts, write the strokes file and say what is left out; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder with fonts (.woff2, .woff, .ttf, .otf) anywhere below it")
    parser.add_argument("out", type=Path, help="the strokes .npz to write")
    parser.add_argument("--characters", default="0123456789", help="the characters to draw (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also write a sheet of the strokes")
    options = parser.parse_args(arguments)
    try:
        fonts = draw_fonts(options.folder, options.characters)
        usable = [one for one in fonts if len(one.missing) <= THINNING.max_left_out * len(options.characters)]
        for font in fonts:
            if font.missing:
                print(f"{font.name}: {'' if font in usable else 'left out, '}{'; '.join(font.missing)}", file=sys.stderr)
        write_fonts(options.out, usable, options.characters)
        if options.sheet:
            write_bytes(options.sheet, cv2.imencode(".png", contact_sheet(usable, options.characters))[1].tobytes())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    counts = np.bincount(splits_of([font.name for font in usable]), minlength=len(SPLITS))
    splits = ", ".join(f"{count} {name}" for name, count in zip(SPLITS, counts, strict=True))
    print(f"{options.out}: {sum(len(one.characters) for one in usable)} characters of {len(usable)} fonts ({splits})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
