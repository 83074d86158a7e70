"""Maintainer's command: fit the built-in pen on the training writers of a strokes file.

python -m lettercast.train.fit_pen unipen_letters.npz --without ibm
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.pixels import Pixels
from .data.drawing import draw_ink
from .data.pen import PEN_FILE, POINTS_PER_STROKE, Pen, Shape, pack, unpack
from .data.source import LETTERS, SPLITS, WRITER_POWER
from .data.strokes import Strokes, load_strokes

CELL_PX, LETTER_PX, PEN_PX, COLUMNS = 48, 36, 2.6, 24


def contact_sheet(pen: Pen, seed: int = 0) -> Pixels:
    """Return (26 * 48, 24 * 48) uint8, dark on light: a letter a row, twelve small ones and twelve capitals."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((len(LETTERS) * CELL_PX, COLUMNS * CELL_PX), np.uint8)
    for label in range(len(LETTERS)):
        for column in range(COLUMNS):
            ink = draw_ink(pen.sample(label, rng, upper=column >= COLUMNS // 2), LETTER_PX, PEN_PX)
            height, width = ink.shape
            top, left = label * CELL_PX + (CELL_PX - height) // 2, column * CELL_PX + (CELL_PX - width) // 2
            sheet[top : top + height, left : left + width] = ink
    return cv2.bitwise_not(sheet)


# A way of writing that fewer letters show than this is one person's habit or a flaw.
SMALLEST_CLUSTER = 15
# Stroke counts that are rarer than this share of a letter are mostly slips of the pen.
SMALLEST_SHARE = 0.06
LARGEST_STROKES = 4
LETTERS_PER_CLUSTER, MOST_CLUSTERS = 45, 8
EXPLAINED, MOST_COMPONENTS = 0.9, 10
# Letters further from their cluster's mean than this many median distances are left out.
OUTLIER_DISTANCE = 1.7


def fit_pen(strokes: Strokes, seed: int = 0) -> Pen:
    """Fit clusters of stroke shapes for every letter and case, each with mean and principal components."""
    strokes = strokes.only(strokes.split == SPLITS["train"])
    _, hand, count = np.unique(strokes.writer, return_inverse=True, return_counts=True)
    weights = count[hand].astype(float) ** WRITER_POWER
    shapes: list[Shape] = []
    for label in range(26):
        for upper in (False, True):
            members = np.flatnonzero((strokes.label == label) & (strokes.upper == upper))
            shapes += _fit_letter(strokes, members, weights[members], (label, upper), seed)
    return Pen(tuple(shapes))


def resample(stroke: NDArray[np.float32], count: int = POINTS_PER_STROKE) -> NDArray[np.float32]:
    """Return `count` points at even steps along a stroke (n, 2); a dot becomes the same point many times."""
    steps = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
    along = np.concatenate([[0], np.cumsum(steps)])
    even = np.linspace(0, along[-1], count)
    return np.stack([np.interp(even, along, stroke[:, axis]) for axis in (0, 1)], 1).astype(np.float32)


def _fit_letter(
    strokes: Strokes, members: NDArray[np.int64], weights: NDArray[np.float64], kind: tuple[int, bool], seed: int
) -> list[Shape]:
    counts = strokes.strokes_per_sample[members]
    found: list[Shape] = []
    for count in range(1, LARGEST_STROKES + 1):
        chosen = counts == count
        if chosen.sum() < SMALLEST_CLUSTER or weights[chosen].sum() < SMALLEST_SHARE * weights.sum():
            continue
        vectors = np.stack([np.concatenate([resample(s) for s in strokes.letter(i)]).ravel() for i in members[chosen]])
        found += _fit_group(vectors, weights[chosen], kind, seed)
    return found


def _fit_group(vectors: NDArray[np.float32], weights: NDArray[np.float64], kind: tuple[int, bool], seed: int) -> list[Shape]:
    """Cluster letters of one kind (label, upper) and stroke count, (n, S * 24 * 2), and describe each cluster."""
    clusters = int(np.clip(len(vectors) // LETTERS_PER_CLUSTER, 1, MOST_CLUSTERS))
    nearest = KMeans(clusters, n_init=4, random_state=seed).fit(vectors, sample_weight=weights).labels_
    found = []
    for cluster in range(clusters):
        group, share = vectors[nearest == cluster], float(weights[nearest == cluster].sum())
        distance = np.linalg.norm(group - np.median(group, 0), axis=1)
        group = group[distance <= OUTLIER_DISTANCE * np.median(distance)]
        if len(group) < SMALLEST_CLUSTER:
            continue
        pca = PCA(min(MOST_COMPONENTS, len(group) - 1), random_state=seed).fit(group)
        rank = min(pca.n_components_, int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), EXPLAINED)) + 1)
        spread = np.sqrt(pca.explained_variance_[:rank, None])
        found.append(Shape(*kind, share, pca.mean_, (pca.components_[:rank] * spread).astype(np.float32)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the pen and write it into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", type=Path, help="a strokes .npz with a split by writer")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="contributors to leave out")
    parser.add_argument("--out", type=Path, default=PEN_FILE)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also draw a sheet of what the pen writes")
    options = parser.parse_args(arguments)
    try:
        with np.load(options.strokes, allow_pickle=False) as archive:
            arrays = dict(archive)
        strokes = load_strokes(options.strokes, arrays)
        if options.without:
            names = arrays["contributors"][arrays["contributor"]]
            strokes = strokes.only(~np.isin(names, options.without))
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, LettercastError) as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    pen = fit_pen(strokes)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **pack(pen))
    options.out.write_bytes(buffer.getvalue())
    print(f"{options.out}: {len(pen.shapes)} shapes, {len(buffer.getvalue()) / 1000:.0f} kB")
    if options.sheet:
        # As it lies in the file, where components are rounded.
        write_bytes(options.sheet, cv2.imencode(".png", contact_sheet(unpack(pack(pen))))[1].tobytes())
        print(options.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
