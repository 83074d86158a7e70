"""What `--data` names: the built-in pen, EMNIST, strokes or pictures in a `.npz`, an A-Z CSV, or a folder of class folders."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .. import LettercastError
from ..runtime.engine import first_line
from ..runtime.npz import load_npz
from .az_csv import read_az_csv
from .emnist import emnist_splits, open_emnist, open_emnist_folder
from .folder import open_folder, split_folders
from .mixed import MixedSource
from .pen import PenSource, load_pen
from .source import LETTERS, ImageSource, Source, StrokeSource, image_source
from .splits import SPLITS, hashed_split, in_split
from .strokes import load_strokes

SPLIT_NAMES = (*SPLITS, "all")
# Sources known by name rather than by a path; they have every split.
NAMED = ("pen", "emnist")
# A million letters of 64 x 64 pixels.
MOST_BYTES = 4_000_000_000
MOST_CLASSES = 65_535
TAKEN = "pen, emnist, an .npz file, an A-Z .csv, a folder of class folders or of EMNIST files"
Shape: TypeAlias = tuple[int, int, int]
SHARE = re.compile(r"^(?P<path>.+)@(?P<share>\d+(\.\d+)?)$")


def open_sources(specs: Sequence[str], split: str) -> Source:
    """Open one or several sources as one; `D@SHARE` says how often training draws from D, relative to the others.

    Sources without a share divide what the shares leave of 1, each by its number of letters.
    """
    parts = [SHARE.match(spec) for spec in specs]
    sources = [open_source(part["path"] if part else spec, split) for part, spec in zip(parts, specs, strict=True)]
    if len(sources) == 1:
        return sources[0]
    rest = 1 - sum(float(part["share"]) for part in parts if part)
    others = sum(len(source.labels) for source, part in zip(sources, parts, strict=True) if not part)
    if others and rest <= 0:
        raise LettercastError("the shares of --data leave nothing for those without one: give every one a share")
    amounts = [float(p["share"]) if p else rest * len(s.labels) / others for p, s in zip(parts, sources, strict=True)]
    if sum(amounts) <= 0:
        raise LettercastError("the shares of --data add up to nothing: give at least one a share above 0")
    classes = tuple(dict.fromkeys(name for source in sources for name in source.classes))
    return MixedSource(sources, [a / sum(amounts) for a in amounts], split, classes)


def letters_of(specs: Sequence[str]) -> str:
    """Return what --data or --val names, with its shares and without its folders."""
    return " + ".join(map(letters_name, specs))


def letters_name(spec: str) -> str:
    """Return the name of the file or folder that one --data names, with its share."""
    path = data_path(spec)
    return Path(path).resolve().name + spec[len(path) :]


def data_path(spec: str) -> str:
    """Return what one `--data` names, without its share."""
    return match["path"] if (match := SHARE.match(spec)) else spec


def open_validation(specs: Sequence[str]) -> Source:
    """Open the validation split of those sources that have one; shares do not count here."""
    paths = [data_path(spec) for spec in specs]
    # A folder may bring splits of its own, and no val among them.
    with_val = [path for path in paths if path in NAMED or "val" in (own_splits(Path(path)) or SPLITS)]
    found = [source for path in with_val if len((source := read_source(path, "val")).labels)]
    if not found:
        raise LettercastError(f"{', '.join(paths)}: no letters to validate on; name some with --val")
    classes = tuple(dict.fromkeys(name for source in found for name in source.classes))
    return found[0] if len(found) == 1 else MixedSource(found, [1 / len(found)] * len(found), "val", classes)


def open_source(spec: str, split: str, shape: Shape | None = None) -> Source:
    """Open what one `--data` names; raises LettercastError also where it has no letters in this split."""
    source = read_source(spec, split, shape)
    if len(source.labels) == 0:
        raise LettercastError(f"{spec}: no letters in split '{split}'; try another --split, or all")
    return source


def read_source(spec: str, split: str, shape: Shape | None = None) -> Source:
    """Read what one `--data` names; the split may turn out empty.

    Args:
        spec: `pen`, `emnist`, a `.npz` of strokes or images, an A-Z `.csv`, or a folder of class folders or of EMNIST files.
        split: train, val, test or all.
        shape: (H, W, C) of what a model takes that is shown pictures as they are; None where it is shown letters.

    Raises:
        LettercastError: it does not exist or cannot be read.
    """
    if split not in SPLIT_NAMES:
        raise LettercastError(f"unknown split '{split}': choose one of {', '.join(SPLIT_NAMES)}")
    path = Path(spec)
    if shape and not path.is_dir() and path.suffix.lower() != ".npz":
        size = " x ".join(map(str, shape))
        raise LettercastError(
            f"{spec}: holds letters, the model takes pictures of {size}; give a folder of class folders or an .npz"
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
    what = "not a source that can be read" if path.exists() else "no such data source or file"
    raise LettercastError(f"{spec}: {what}; --data takes {TAKEN}")


def default_split(spec: str, trained_on: str = "") -> str:
    """Return the split that figures are reported on: one that training left out, or all of a folder that it never saw.

    trained_on names the sources of a model's training, as its facts do.
    """
    path = Path(spec)
    known = [data_path(name) for name in trained_on.split(" + ")]
    if spec not in NAMED and path.is_dir() and not own_splits(path) and path.resolve().name not in known:
        return "all"
    return held_out_split(spec)


def held_out_split(spec: str) -> str:
    """Return the split that no training or calibration takes from: test, or val where a folder has its own splits but no test."""
    splits = SPLITS if spec in NAMED else own_splits(Path(spec))
    return "val" if "val" in splits and "test" not in splits else "test"


def own_splits(path: Path) -> list[str]:
    """Return the splits that a folder brings along; none where it is split by its file names."""
    return emnist_splits(path) or split_folders(path)


def open_npz(path: Path, split: str, shape: Shape | None = None) -> Source:
    """Open strokes (`points`, ...) or pictures (`image` (N, H, W) or RGB uint8, `label` (N,), optional `classes`, `split`)."""
    try:
        arrays = load_npz(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; give a .npz of strokes or images") from error
    except (OSError, ValueError) as error:
        raise LettercastError(f"{path}: not a readable .npz ({first_line(error)}); make it anew with numpy.savez") from error
    if "points" in arrays and not shape:
        strokes = load_strokes(path, arrays)
        return StrokeSource(path.name, split, strokes.only(in_split(strokes.split, split)))
    if "image" not in arrays or "label" not in arrays:
        raise LettercastError(f"{path}: holds neither strokes ('points') nor pictures ('image', 'label')")
    images, labels = arrays["image"], arrays["label"]
    is_picture = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4))
    if images.dtype != np.uint8 or not is_picture or min(images.shape[1:]) < 1 or labels.shape != images.shape[:1]:
        raise LettercastError(f"{path}: 'image' must be (N, H, W) uint8 and 'label' (N,); got {images.shape} {images.dtype}")
    # Of pictures for a network of anything labels without names are numbers; of letters they are A to Z.
    unnamed = (
        tuple(map(str, range(min(int(labels.max(initial=0)), MOST_CLASSES) + 1)))
        if shape and labels.dtype.kind in "iu"
        else LETTERS
    )
    classes = tuple(str(name) for name in np.atleast_1d(arrays["classes"])) if "classes" in arrays else unnamed
    if len(set(classes)) != len(classes):
        raise LettercastError(f"{path}: 'classes' names one twice; give every class a name of its own")
    if labels.dtype.kind not in "iu" or (len(labels) and not (labels.min() >= 0 and labels.max() < len(classes))):
        raise LettercastError(f"{path}: 'label' must be whole numbers from 0 to {len(classes) - 1}")
    splits = arrays["split"] if "split" in arrays else hashed_split(range(len(labels)))
    if splits.shape != labels.shape or splits.dtype.kind not in "iu":
        raise LettercastError(f"{path}: 'split' must have 0, 1 or 2 for each label; got {splits.shape} {splits.dtype}")
    keep = in_split(splits, split)
    chosen = images[keep]
    if chosen.ndim == 4 and chosen.shape[3] >= 3:
        # Arrays are RGB, as everybody keeps them but OpenCV.
        chosen = np.concatenate([chosen[..., 2::-1], chosen[..., 3:]], axis=3)
    return image_source(path.name, split, chosen, labels[keep].astype(np.int64), classes, shape=shape)


def open_az_csv(path: Path, split: str) -> ImageSource:
    """Open a CSV of label and 784 pixels; it has no splits of its own, so rows go by their number, the same way every time."""
    inks, labels = read_az_csv(path)
    keep = in_split(hashed_split(range(len(labels))), split)
    return ImageSource(path.name, split, list(inks[keep]), labels[keep])
