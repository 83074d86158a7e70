"""Pen strokes of many letters in flat arrays, the format of a strokes `.npz`."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import LettercastError
from ...runtime.arguments import plain_name
from ...runtime.files import write_bytes

ALPHABET = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# More than any tablet resolves; larger float32 coordinates would overflow when they are subtracted.
MAX_COORDINATE = 1e9


@dataclass(frozen=True)
class Strokes:
    """N letters as pen strokes.

    points (P, 2): x, y of every pen point, y grows downwards; points_per_stroke (S,) and
    strokes_per_sample (N,) cut them into strokes and strokes into letters. label (N,) counts from 0 for A, or
    for the first of other classes; upper (N,) is True for capitals; writer (N,) is a number per writer; split
    (N,) is 0 train, 1 val, 2 test.
    """

    points: NDArray[np.float32]
    points_per_stroke: NDArray[np.int64]
    strokes_per_sample: NDArray[np.int64]
    label: NDArray[np.int64]
    upper: NDArray[np.bool_]
    writer: NDArray[np.int64]
    split: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("points_per_stroke", "strokes_per_sample", "label", "upper", "writer", "split"):
            if getattr(self, name).ndim != 1:
                raise LettercastError(f"{name} must have one dimension")
        if self.points.ndim != 2 or self.points.shape[1] != 2 or not (np.abs(self.points) <= MAX_COORDINATE).all():
            raise LettercastError(f"strokes need finite points of shape (P, 2), none beyond {MAX_COORDINATE:g}")
        if len(self.points_per_stroke) and self.points_per_stroke.min() < 1:
            raise LettercastError("strokes hold an empty stroke")
        if len(self.strokes_per_sample) and self.strokes_per_sample.min() < 1:
            raise LettercastError("strokes hold a letter without a stroke")
        # Checked before the sums: absurd counts could overflow to a sum that fits.
        for counts in (self.points_per_stroke, self.strokes_per_sample):
            if len(counts) and counts.max() > len(self.points):
                raise LettercastError("a count is larger than the number of points")
        if self.points_per_stroke.sum() != len(self.points):
            raise LettercastError("points_per_stroke does not add up to the number of points")
        if self.strokes_per_sample.sum() != len(self.points_per_stroke):
            raise LettercastError("strokes_per_sample does not add up to the number of strokes")
        for name in ("label", "upper", "writer", "split"):
            if len(getattr(self, name)) != len(self.strokes_per_sample):
                raise LettercastError(f"{name} needs one entry for each letter")

    def __len__(self) -> int:
        return len(self.strokes_per_sample)

    @cached_property
    def stroke_start(self) -> NDArray[np.int64]:
        """(S + 1,) index of each stroke's first point."""
        return np.concatenate([[0], np.cumsum(self.points_per_stroke)])

    @cached_property
    def letter_start(self) -> NDArray[np.int64]:
        """(N + 1,) index of each letter's first stroke."""
        return np.concatenate([[0], np.cumsum(self.strokes_per_sample)])

    def letter(self, index: int) -> list[NDArray[np.float32]]:
        """Return the strokes of one letter, each (n, 2)."""
        first, last = self.letter_start[index], self.letter_start[index + 1]
        start = self.stroke_start
        return [self.points[start[s] : start[s + 1]] for s in range(first, last)]

    def only(self, keep: NDArray[np.bool_]) -> "Strokes":
        """Return the letters where keep (N,) is True."""
        stroke_keep = np.repeat(keep, self.strokes_per_sample)
        point_keep = np.repeat(stroke_keep, self.points_per_stroke)
        return Strokes(
            self.points[point_keep],
            self.points_per_stroke[stroke_keep],
            self.strokes_per_sample[keep],
            self.label[keep],
            self.upper[keep],
            self.writer[keep],
            self.split[keep],
        )


def load_strokes(path: Path, arrays: dict[str, NDArray[Any]]) -> Strokes:
    """Build Strokes from the arrays of a `.npz`; upper, writer, split and classes may be absent.

    Raises LettercastError if the arrays do not fit together or a label is not one of the classes.
    """
    try:
        count = len(arrays["strokes_per_sample"])
        if arrays["label"].dtype.kind not in "iu":
            raise LettercastError("label must be whole numbers")
        label = arrays["label"].astype(np.int64)
        strokes = Strokes(
            arrays["points"].astype(np.float32),
            arrays["points_per_stroke"].astype(np.int64),
            arrays["strokes_per_sample"].astype(np.int64),
            label,
            arrays.get("upper", np.ones(count)).astype(bool),
            arrays.get("writer", np.zeros(count)).astype(np.int64),
            arrays.get("split", np.zeros(count)).astype(np.int64),
        )
        classes = stroke_classes(arrays) or ALPHABET
        if count and not (label.min() >= 0 and label.max() < len(classes)):
            raise LettercastError(f"label must count from 0 ({classes[0]}) to {len(classes) - 1} ({classes[-1]})")
    except (KeyError, ValueError, TypeError) as error:
        raise LettercastError(f"{path}: not readable as strokes ({error}); see docs/data.md") from error
    except LettercastError as error:
        raise LettercastError(f"{path}: {error}; see docs/data.md") from error
    return strokes


def stroke_classes(arrays: dict[str, NDArray[Any]]) -> tuple[str, ...] | None:
    """Return the names of the classes of a strokes `.npz`; None if it has none, so that they are A to Z.

    Raises LettercastError if they are no different names.
    """
    if "classes" not in arrays:
        return None
    own = arrays["classes"]
    names = tuple(map(plain_name, own.tolist())) if own.ndim == 1 and own.dtype.kind == "U" else ()
    if not names or len(set(names)) != len(names):
        raise LettercastError("classes must be different names, (C,) of text")
    return names


def save_strokes(
    path: Path,
    letters: Sequence[Sequence[ArrayLike]],
    labels: ArrayLike,
    *,
    upper: ArrayLike | None = None,
    writer: ArrayLike | None = None,
    split: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    writers: Sequence[str] | None = None,
) -> None:
    """Write letters as a strokes `.npz` for `--data`; the file is never half-written.

    Args:
        path: ends in `.npz`.
        letters: each is a list of strokes, each (n, 2): x and y of its points, y grows downwards, in any unit.
        labels: (N,) from 0 for A to 25 for Z, or indices of the classes.
        upper: (N,) True for capitals; by default all letters are capitals.
        writer: (N,) a whole number per writer; by default one writer wrote all letters.
        split: (N,) 0 train, 1 val, 2 test; by default all are for training.
        classes: the names of the classes, if they are others than A to Z.
        writers: the name of each writer, by number.

    Raises:
        LettercastError: the arrays are not letters, or the file cannot be written.
    """
    if path.suffix.lower() != ".npz":
        raise LettercastError(f"{path}: a strokes file needs the ending .npz")
    try:
        strokes = [np.asarray(stroke, np.float32) for letter in letters for stroke in letter]
        points = np.concatenate(strokes) if strokes else np.empty((0, 2), np.float32)
        given = {"upper": upper, "writer": writer, "split": split, "classes": classes, "writers": writers}
        arrays = {
            "points": points,
            "points_per_stroke": np.array([len(stroke) for stroke in strokes], np.int64),
            "strokes_per_sample": np.array([len(letter) for letter in letters], np.int64),
            "label": np.asarray(labels),
        } | {name: np.asarray(values) for name, values in given.items() if values is not None}
    except (ValueError, TypeError) as error:
        raise LettercastError(f"{path}: a stroke must be numbers of shape (n, 2) ({error}); see docs/data.md") from error
    if not strokes:
        raise LettercastError(f"{path}: no letters to save; give each letter as a list of strokes")
    load_strokes(path, arrays)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_bytes(path, file.getvalue())
