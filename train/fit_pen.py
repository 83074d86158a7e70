"""Maintainer's command: fit the built-in pen to the training writers of a strokes file.

python -m lettercast.train.fit_pen unipen_letters.npz --without ibm --sheet docs/pen.png
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
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
from .data.strokes import Strokes, load_strokes, stroke_classes

# The sheet of samples: cells, letters and the pen in pixels, and cells per row.
CELL_PX, LETTER_PX, PEN_PX, COLUMNS = 48, 36, 2.6, 24


def contact_sheet(pen: Pen, seed: int = 0) -> Pixels:
    """Return a sheet of samples, (26 * 48, 24 * 48) uint8, dark on light: one letter per row, twelve small and twelve capital.

    Cells of letters that the pen does not know stay empty.
    """
    rng = np.random.default_rng(seed)
    sheet = np.zeros((len(LETTERS) * CELL_PX, COLUMNS * CELL_PX), np.uint8)
    known = {(shape.label, shape.upper) for shape in pen.shapes}
    for label in range(len(LETTERS)):
        for column in range(COLUMNS):
            upper = column >= COLUMNS // 2
            if (label, upper) not in known:
                continue
            ink = draw_ink(pen.sample(label, rng, upper), LETTER_PX, PEN_PX)
            height, width = ink.shape
            top, left = label * CELL_PX + (CELL_PX - height) // 2, column * CELL_PX + (CELL_PX - width) // 2
            sheet[top : top + height, left : left + width] = ink
    return cv2.bitwise_not(sheet)


@dataclass(frozen=True)
class PenFit:
    """How shapes are found among the letters of the training writers.

    Chosen by hand for UNIPEN's training writers without the contributor IBM, whose letters are left out of the built-in
    pen; no search over these values is recorded.
    """

    min_cluster: int = 15
    """A way of writing that fewer letters show is one person's habit or a flaw."""
    min_share: float = 0.06
    """A stroke count that is rarer among a letter's samples is mostly a slip of the pen."""
    max_strokes: int = 4
    letters_per_cluster: int = 45
    max_clusters: int = 8
    explained: float = 0.9
    """Share of the variance that a shape's principal components explain."""
    max_components: int = 10
    max_distance: float = 1.7
    """Letters further from the median of their cluster than this many median distances are left out."""


FIT = PenFit()


def fit_pen(strokes: Strokes, seed: int = 0) -> Pen:
    """Cluster the stroke shapes of every letter and case, and describe each cluster by its mean and principal components."""
    strokes = strokes.only(strokes.split == SPLITS["train"])
    _, writer, count = np.unique(strokes.writer, return_inverse=True, return_counts=True)
    weights = count[writer].astype(float) ** WRITER_POWER
    shapes: list[Shape] = []
    for label in range(26):
        for upper in (False, True):
            members = np.flatnonzero((strokes.label == label) & (strokes.upper == upper))
            shapes += _fit_letter(strokes, members, weights[members], (label, upper), seed)
    return Pen(tuple(shapes))


def resample(stroke: NDArray[np.float32], count: int = POINTS_PER_STROKE) -> NDArray[np.float32]:
    """Return `count` evenly spaced points along a stroke (n, 2); a dot becomes the same point `count` times."""
    steps = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
    along = np.concatenate([[0], np.cumsum(steps)])
    even = np.linspace(0, along[-1], count)
    return np.stack([np.interp(even, along, stroke[:, axis]) for axis in (0, 1)], 1).astype(np.float32)


def _fit_letter(
    strokes: Strokes, members: NDArray[np.int64], weights: NDArray[np.float64], kind: tuple[int, bool], seed: int
) -> list[Shape]:
    counts = strokes.strokes_per_sample[members]
    found: list[Shape] = []
    for count in range(1, FIT.max_strokes + 1):
        chosen = counts == count
        if chosen.sum() < FIT.min_cluster or weights[chosen].sum() < FIT.min_share * weights.sum():
            continue
        vectors = np.stack([np.concatenate([resample(s) for s in strokes.letter(i)]).ravel() for i in members[chosen]])
        found += _fit_group(vectors, weights[chosen], kind, seed)
    return found


def _fit_group(vectors: NDArray[np.float32], weights: NDArray[np.float64], kind: tuple[int, bool], seed: int) -> list[Shape]:
    """Cluster letters of one kind (label, upper) and stroke count, (n, S * 24 * 2), and describe each cluster."""
    clusters = int(np.clip(len(vectors) // FIT.letters_per_cluster, 1, FIT.max_clusters))
    nearest = KMeans(clusters, n_init=4, random_state=seed).fit(vectors, sample_weight=weights).labels_
    found = []
    for cluster in range(clusters):
        group, share = vectors[nearest == cluster], float(weights[nearest == cluster].sum())
        distance = np.linalg.norm(group - np.median(group, 0), axis=1)
        group = group[distance <= FIT.max_distance * np.median(distance)]
        if len(group) < FIT.min_cluster:
            continue
        pca = PCA(min(FIT.max_components, len(group) - 1), random_state=seed).fit(group)
        rank = min(pca.n_components_, int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), FIT.explained)) + 1)
        spread = np.sqrt(pca.explained_variance_[:rank, None])
        found.append(Shape(*kind, share, pca.mean_, (pca.components_[:rank] * spread).astype(np.float32)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the pen and write it into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", type=Path, help="a strokes .npz that is split by writer")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="contributors to leave out")
    parser.add_argument("--out", type=Path, default=PEN_FILE, help="the pen (default: the one of this package)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also write a sheet of samples of the pen")
    options = parser.parse_args(arguments)
    try:
        with np.load(options.strokes, allow_pickle=False) as archive:
            arrays = dict(archive)
        strokes = load_strokes(options.strokes, arrays)
        if (stroke_classes(arrays) or LETTERS) != LETTERS:
            raise LettercastError(f"{options.strokes}: has other classes than A to Z; the pen writes letters only")
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
        # Drawn by the pen as it is in the file, where components are rounded.
        write_bytes(options.sheet, cv2.imencode(".png", contact_sheet(unpack(pack(pen))))[1].tobytes())
        print(options.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
