"""Open what `--data` names: the built-in pen, EMNIST, strokes or images in a `.npz`, an A-Z CSV, or a folder of class folders."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.files import load_npz
from ...runtime.glyph import GLYPH_PX
from ...runtime.model.engine import first_line
from ...runtime.pixels import Pixels
from ...runtime.sources.images import IMAGE_SUFFIXES, read_image
from .emnist import emnist_splits, open_emnist, open_emnist_folder
from .pen import PenSource, load_pen
from .source import LETTERS, SPLITS, ImageSource, MixedSource, Source, StrokeSource, hashed_split, image_source, in_split
from .strokes import load_strokes

NUMBERS_A_ROW = 1 + GLYPH_PX * GLYPH_PX
# The file is read in pieces: the text of 700 MB is never in memory at once.
ROWS_AT_ONCE = 10_000
WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
PIXEL = re.compile(r"\s*\+?0*\d{1,3}\s*", re.ASCII)


def read_az_csv(path: Path, rows_at_once: int = ROWS_AT_ONCE) -> tuple[Pixels, NDArray[np.int64]]:
    """Read a CSV of letters: label 0 (A) to 25 (Z), then 28x28 pixels row by row, white ink on black, 0..255.

    If fewer than half of the first line's values are whole numbers, it is a header. Blank lines are skipped.

    Returns:
        Ink (N, 28, 28) uint8 and labels (N,).

    Raises:
        LettercastError: the file cannot be read, holds no letters, or has an invalid line, which the message names.
    """
    pieces = []
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline()
            names = [field for field in head.split(",") if not WHOLE_NUMBER.fullmatch(field)]
            has_header = 2 * len(names) > len(head.split(","))
            first, lines = (2, file) if has_header else (1, chain([head], file))
            while piece := list(islice(lines, rows_at_once)):
                pieces.append(parse(path, piece, first))
                first += len(piece)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; give a CSV of label and 784 pixels") from error
    rows = np.concatenate(pieces) if pieces else np.empty((0, NUMBERS_A_ROW), np.uint8)
    if len(rows) == 0:
        raise LettercastError(f"{path}: holds no letters; give a CSV of label and 784 pixels")
    return rows[:, 1:].reshape(-1, GLYPH_PX, GLYPH_PX), rows[:, 0].astype(np.int64)


def parse(path: Path, lines: Sequence[str], first: int) -> NDArray[np.uint8]:
    """Parse lines to (N, 785) uint8; `first` is the number of the first line in the file."""
    filled = [line for line in lines if not line.isspace()]
    if not filled:
        return np.empty((0, NUMBERS_A_ROW), np.uint8)
    try:
        rows = np.loadtxt(filled, np.uint8, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise LettercastError(f"{path}: {find_fault(lines, first)}") from error
    if rows.shape[1] != NUMBERS_A_ROW or rows[:, 0].max() >= len(LETTERS):
        raise LettercastError(f"{path}: {find_fault(lines, first)}")
    return rows


def find_fault(lines: Sequence[str], first: int) -> str:
    """Describe the first invalid line and its fault. Slow: meant for lines that are known to hold one."""
    faults = ((number, fault_of(line)) for number, line in enumerate(lines, first) if not line.isspace())
    where = f"lines {first} to {first + len(lines) - 1} are not rows of whole numbers"
    return next((f"line {number} {fault}" for number, fault in faults if fault), where)


def fault_of(line: str) -> str:
    """Describe what is wrong with a line; empty if it is a letter."""
    fields = line.rstrip("\n").split(",")
    if len(fields) != NUMBERS_A_ROW:
        return f"has {len(fields)} values; a row is a label and {NUMBERS_A_ROW - 1} pixels, separated by commas"
    wrong = next((field for field in fields if not PIXEL.fullmatch(field) or int(field) > 255), None)
    if wrong is not None:
        return f"has '{wrong.strip()[:20]}' among its values; they are whole numbers from 0 to 255"
    if int(fields[0]) >= len(LETTERS):
        return f"has the label {int(fields[0])}; labels go from 0 (A) to {len(LETTERS) - 1} (Z)"
    return ""


def split_folders(path: Path) -> list[str]:
    """Return which of the folders train, val and test a folder contains."""
    return [name for name in SPLITS if (path / name).is_dir()]


def open_folder(path: Path, split: str, shape: tuple[int, int, int] | None = None) -> Source:
    """Open a folder of class folders, or of `train`, `val` and `test` folders of them.

    Class names are the folders' names; single letters become capitals. If the folder has no splits, the file names decide
    the split, the same way every time. With a shape (H, W, C) a model gets the images as they are, else they are letters.

    Raises:
        LettercastError: there are no images, a class folder is empty, or a class has no image left to train on.
    """
    splits = split_folders(path)
    if splits and split not in (*splits, "all"):
        raise LettercastError(f"{path}: has no split '{split}'; it has {', '.join(splits)}")
    roots = [path / name for name in (splits if split == "all" else [split])] if splits else [path]
    files = class_images(roots)
    if not files:
        raise LettercastError(f"{path}: no images in class folders; expected e.g. {path / 'A' / 'one.png'}")
    names = class_names(files, are_letters=shape is None)
    classes = tuple(sorted(set(names)))
    if not splits:
        keep = in_split(hashed_split(str(f.relative_to(path)) for f in files), split)
        counts = Counter(names)
        files = [file for file, kept in zip(files, keep, strict=True) if kept]
        names = [name for name, kept in zip(names, keep, strict=True) if kept]
        if split == "train":
            missing = sorted(set(classes) - set(names))
            if missing:
                few = f"class '{missing[0]}' has {counts[missing[0]]} image(s), all held out for val or test by their names"
                raise LettercastError(f"{path}: {few}; add some, at least ten, or remove its folder")
    labels = np.array([classes.index(name) for name in names], np.int64)
    return image_source(path.name, split, map(read_image, files), labels, classes, shape=shape)


def class_images(roots: list[Path]) -> list[Path]:
    """Return the images in the class folders of some folders; raises LettercastError if a class folder has none."""
    files: list[Path] = []
    for root in roots:
        for folder in sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")):
            inside = sorted(f for f in folder.iterdir() if is_image_file(f))
            if not inside:
                raise LettercastError(f"{folder}: a class folder without an image; add some, or remove the folder")
            files += inside
    return files


def is_image_file(file: Path) -> bool:
    """Return whether a file's name is that of an image. Hidden files are not: macOS leaves `._one.png` beside `one.png`."""
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()


def class_names(files: list[Path], *, are_letters: bool = True) -> list[str]:
    """Return the class of each image: its folder's name, in capitals if every class is a single letter.

    Folders A and a are one class of letters, and two classes of images for a model that takes images as they are.
    """
    names = [file.parent.name for file in files]
    is_single = all(len(name) == 1 and name.isascii() and name.isalpha() for name in names)
    if is_single and (are_letters or len({name.upper() for name in names}) == len(set(names))):
        names = [name.upper() for name in names]
    return names


SPLIT_NAMES = (*SPLITS, "all")
# Sources that have a name instead of a path; they have every split.
NAMED = ("pen", "emnist")
# A million letters of 64 x 64 pixels.
MAX_BYTES = 4_000_000_000
MAX_CLASSES = 65_535
TAKEN = "pen, emnist, an .npz file, an A-Z .csv, a folder of class folders or of EMNIST files"
Shape: TypeAlias = tuple[int, int, int]
SHARE = re.compile(r"^(?P<path>.+)@(?P<share>\d+(\.\d+)?)$")


# The name of labelled images that are given as arrays.
ARRAYS = "arrays"
# Labelled images: a name or path as --data takes it, or arrays `(images, labels)` or `(images, labels, class names)`.
Data: TypeAlias = str | Path | tuple[Any, ...]


def open_sources(specs: Sequence[Data], split: str) -> Source:
    """Open one or several sources as one; `D@SHARE` is how often training draws from D, relative to the others.

    Sources without a share divide the rest up to 1 among them, by their numbers of letters.
    """
    parts = [None if isinstance(spec, tuple) else SHARE.match(str(spec)) for spec in specs]
    sources = [open_source(part["path"] if part else spec, split) for part, spec in zip(parts, specs, strict=True)]
    if len(sources) == 1:
        return sources[0]
    rest = 1 - sum(float(part["share"]) for part in parts if part)
    others = sum(len(source.labels) for source, part in zip(sources, parts, strict=True) if not part)
    if others and rest <= 0:
        raise LettercastError("the shares of --data leave nothing for sources without one: give every source a share")
    amounts = [float(p["share"]) if p else rest * len(s.labels) / others for p, s in zip(parts, sources, strict=True)]
    if sum(amounts) <= 0:
        raise LettercastError("the shares of --data add up to nothing: give at least one source a share above 0")
    classes = tuple(dict.fromkeys(name for source in sources for name in source.classes))
    return MixedSource(sources, [a / sum(amounts) for a in amounts], split, classes)


def letters_of(specs: Sequence[Data]) -> str:
    """Return what --data or --val names, with its shares and without its folders."""
    return " + ".join(map(letters_name, specs))


def letters_name(spec: Data) -> str:
    """Return the name of the file or folder that one --data names, with its share."""
    if isinstance(spec, tuple):
        return ARRAYS
    path = data_path(spec)
    return Path(path).resolve().name + str(spec)[len(path) :]


def data_path(spec: str | Path) -> str:
    """Return what one `--data` names, without its share."""
    return match["path"] if (match := SHARE.match(str(spec))) else str(spec)


def open_validation(specs: Sequence[Data]) -> Source:
    """Open the validation split of those sources that have one; shares are ignored here."""
    paths = [spec if isinstance(spec, tuple) else data_path(spec) for spec in specs]
    # A folder with splits may have no val among them.
    with_val = [path for path in paths if "val" in (own_splits(path) or SPLITS)]
    found = [source for path in with_val if len((source := read_source(path, "val")).labels)]
    if not found:
        raise LettercastError(f"{letters_of(paths).replace(' + ', ', ')}: no letters to validate on; name some with --val")
    classes = tuple(dict.fromkeys(name for source in found for name in source.classes))
    return found[0] if len(found) == 1 else MixedSource(found, [1 / len(found)] * len(found), "val", classes)


def open_source(spec: Data, split: str, shape: Shape | None = None) -> Source:
    """Open labelled letters or images.

    Args:
        spec: `pen`, `emnist`, the path of an `.npz`, an A-Z `.csv`, a folder of class folders or of EMNIST files, or arrays
            `(images, labels)` or `(images, labels, class names)`: images (N, H, W) grey or (N, H, W, 3) RGB uint8.
        split: train, val, test or all.
        shape: (H, W, C) of a model that takes images as they are; None for a model that takes letters.

    Raises:
        LettercastError: the data does not exist, cannot be read, or has no letters in this split.
    """
    source = read_source(spec, split, shape)
    if len(source.labels) == 0:
        raise LettercastError(
            f"{ARRAYS if isinstance(spec, tuple) else spec}: no letters in split '{split}'; try another --split, or all"
        )
    return source


def read_source(spec: Data, split: str, shape: Shape | None = None) -> Source:
    """Read what one `--data` names; the split may be empty.

    Args:
        spec: `pen`, `emnist`, a `.npz` of strokes or images, an A-Z `.csv`, or a folder of class folders or of EMNIST files.
        split: train, val, test or all.
        shape: (H, W, C) of a model that gets images as they are; None for a model of letters.

    Raises:
        LettercastError: it does not exist or cannot be read.
    """
    if split not in SPLIT_NAMES:
        raise LettercastError(f"unknown split '{split}': choose one of {', '.join(SPLIT_NAMES)}")
    if isinstance(spec, tuple):
        return from_arrays(ARRAYS, named_arrays(spec), split, shape)
    path = Path(spec)
    if shape and not path.is_dir() and path.suffix.lower() != ".npz":
        size = " x ".join(map(str, shape))
        raise LettercastError(
            f"{spec}: holds letters, but the model takes images of {size}; give a folder of class folders or an .npz"
        )
    if spec == "pen":
        return PenSource(load_pen(), split)
    if spec == "emnist":
        return open_emnist(split)
    if path.is_dir():
        return open_emnist_folder(path, split) if emnist_splits(path) else open_folder(path, split, shape)
    if path.suffix.lower() == ".npz" and (path.is_file() or not path.exists()):
        return open_npz(path, split, shape)
    if path.suffix.lower() == ".csv" and path.is_file():
        return open_az_csv(path, split)
    what = "not a readable data source" if path.exists() else "no such data source or file"
    raise LettercastError(f"{spec}: {what}; --data takes {TAKEN}")


def default_split(spec: Data, trained_on: str = "") -> str:
    """Return the split to report figures on: one that training left out, or all of a folder that training never saw.

    trained_on names the sources of a model's training, as its facts do.
    """
    if isinstance(spec, tuple):
        return "all"
    path = Path(spec)
    known = [data_path(name) for name in trained_on.split(" + ")]
    if spec not in NAMED and path.is_dir() and not own_splits(path) and path.resolve().name not in known:
        return "all"
    return held_out_split(spec)


def held_out_split(spec: Data) -> str:
    """Return the split that neither training nor calibration uses: test, or val if a folder has splits but no test."""
    splits = own_splits(spec)
    return "val" if "val" in splits and "test" not in splits else "test"


def own_splits(spec: Data) -> list[str]:
    """Return the splits that a folder has; none if lettercast splits it by its file names."""
    if isinstance(spec, tuple) or spec in NAMED:
        return list(SPLITS)
    return emnist_splits(Path(spec)) or split_folders(Path(spec))


def whole(spec: Data, split: str) -> Data:
    """Return arrays so that all of them belong to one split; what has a name or a path stays as it is."""
    if not isinstance(spec, tuple) or len(spec) < 2:
        return spec
    return (*spec[:2], spec[2] if len(spec) > 2 else None, np.full(len(np.asarray(spec[1])), SPLITS[split]))


def named_arrays(spec: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    """Return `(images, labels[, classes[, splits]])` by the names that an `.npz` has for them; labels may be names."""
    if not 2 <= len(spec) <= 4:
        raise LettercastError(f"{ARRAYS}: give (images, labels) or (images, labels, class names), not {len(spec)} arrays")
    arrays = {
        name: np.asarray(values)
        for name, values in zip(("image", "label", "classes", "split"), spec, strict=False)
        if values is not None
    }
    if arrays["label"].dtype.kind in "US" and "classes" not in arrays:
        arrays["classes"], arrays["label"] = np.unique(arrays["label"], return_inverse=True)
    return arrays


def open_npz(path: Path, split: str, shape: Shape | None = None) -> Source:
    """Open strokes (`points`, ...) or images (`image` (N, H, W) or RGB uint8, `label` (N,), optional `classes`, `split`)."""
    try:
        arrays = load_npz(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; give a .npz of strokes or images") from error
    except (OSError, ValueError) as error:
        raise LettercastError(f"{path}: not a readable .npz ({first_line(error)}); write it again with numpy.savez") from error
    if "points" in arrays and not shape:
        strokes = load_strokes(path, arrays)
        return StrokeSource(path.name, split, strokes.only(in_split(strokes.split, split)))
    if "image" not in arrays or "label" not in arrays:
        raise LettercastError(f"{path}: holds neither strokes ('points') nor images ('image', 'label')")
    return from_arrays(path.name, arrays, split, shape, said=str(path))


def from_arrays(name: str, arrays: dict[str, NDArray[Any]], split: str, shape: Shape | None, *, said: str = "") -> Source:
    """Build a source of `image` (N, H, W) grey or (N, H, W, C) RGB uint8, `label` (N,), optional `classes` and `split`.

    Messages call it `said`, by default its name. Raises LettercastError if the arrays do not fit together.
    """
    path = said or name
    images, labels = arrays["image"], arrays["label"]
    is_picture = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4))
    if images.dtype != np.uint8 or not is_picture or min(images.shape[1:]) < 1 or labels.shape != images.shape[:1]:
        raise LettercastError(f"{path}: 'image' must be (N, H, W) uint8 and 'label' (N,); got {images.shape} {images.dtype}")
    # Labels without class names are numbers if the images may show anything, and A to Z if they are letters.
    unnamed = (
        tuple(map(str, range(min(int(labels.max(initial=0)), MAX_CLASSES) + 1)))
        if shape and labels.dtype.kind in "iu"
        else LETTERS
    )
    classes = tuple(str(name) for name in np.atleast_1d(arrays["classes"])) if "classes" in arrays else unnamed
    if len(set(classes)) != len(classes):
        raise LettercastError(f"{path}: 'classes' has a name twice; give every class its own name")
    if labels.dtype.kind not in "iu" or (len(labels) and not (labels.min() >= 0 and labels.max() < len(classes))):
        raise LettercastError(f"{path}: 'label' must be whole numbers from 0 to {len(classes) - 1}")
    splits = arrays["split"] if "split" in arrays else hashed_split(range(len(labels)))
    if splits.shape != labels.shape or splits.dtype.kind not in "iu":
        raise LettercastError(f"{path}: 'split' must have 0, 1 or 2 for each label; got {splits.shape} {splits.dtype}")
    keep = in_split(splits, split)
    chosen = images[keep]
    if chosen.ndim == 4 and chosen.shape[3] >= 3:
        # Arrays are RGB, as everywhere but in OpenCV.
        chosen = np.concatenate([chosen[..., 2::-1], chosen[..., 3:]], axis=3)
    return image_source(name, split, chosen, labels[keep].astype(np.int64), classes, shape=shape)


def open_az_csv(path: Path, split: str) -> ImageSource:
    """Open a CSV of label and 784 pixels; the row numbers decide the split, the same way every time."""
    inks, labels = read_az_csv(path)
    keep = in_split(hashed_split(range(len(labels))), split)
    return ImageSource(path.name, split, list(inks[keep]), labels[keep])
