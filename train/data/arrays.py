"""Labelled images in arrays, from an `.npz` or from Python, in the forms that users of Keras and NumPy have them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.arguments import plain_name
from ...runtime.console import say_once
from ...runtime.files import load_npz
from ...runtime.model.engine import first_line
from ...runtime.page.ink import letter_only
from ...runtime.pixels import Pixels
from .emnist import sample_places, stored_way
from .source import LETTERS, SPLITS, ImageSource, Shape, Source, StrokeSource, hashed_split, image_source, in_split, relabel
from .strokes import load_strokes, stroke_classes

DIGITS = tuple("0123456789")
# A million letters of 64 x 64 pixels.
MAX_BYTES = 4_000_000_000
MAX_CLASSES = 65_535
# What an array of an .npz is called, and what it holds. NumPy calls arrays without names arr_0 and arr_1.
NAMES = {
    "image": ("image", "images", "x", "data", "arr_0"),
    "label": ("label", "labels", "y", "target", "targets", "arr_1"),
    "classes": ("classes", "class_names", "target_names"),
    "split": ("split", "splits"),
}
SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
EXPECTED = "'image' and 'label', or x_train, y_train, x_test and y_test"
# Rounding may push pixels so far beyond 0 and 1.
PIXEL_ERROR = 1e-3
# Floats that are no whole numbers are pixels of 0 to 255 if one is at least this bright.
MIN_BRIGHTEST = 128


@dataclass(frozen=True)
class Arrays:
    """Images with labels as they were given, and what they are called in messages.

    images (N, H, W) or (N, H, W, C); labels (N,), (N, 1) or (N, classes); class_names and splits (N,) are None if not given.
    """

    where: str
    images: NDArray[Any]
    labels: NDArray[Any]
    class_names: NDArray[Any] | None = None
    splits: NDArray[Any] | None = None


def open_npz(path: Path, split: str, shape: Shape | None = None) -> Source:
    """Open strokes (`points`, ...) or images (`image`, `label`, optional `classes`, `split`; or `x_train`, `y_train`, ...).

    Raises LettercastError if the file cannot be read, or its arrays do not fit together.
    """
    try:
        arrays = load_npz(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; give a .npz of strokes or images") from error
    except (OSError, ValueError) as error:
        reason = f"not a readable .npz ({first_line(error)})"
        if "allow_pickle" in str(error):
            reason = "holds Python objects, which are never loaded"
        raise LettercastError(f"{path}: {reason}; write it again with numpy.savez") from error
    if "points" in arrays and not shape:
        strokes = load_strokes(path, arrays)
        return StrokeSource(path.name, split, strokes.only(in_split(strokes.split, split)), stroke_classes(arrays) or LETTERS)
    return arrays_source(path.name, named_arrays(str(path), arrays), split, shape)


def npz_splits(path: Path) -> list[str]:
    """Return the splits that an `.npz` has of its own; none if it has none, or cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            roles = [role_of(name) for name in archive.files]
            if ("split", "") not in roles:
                return [name for name in SPLITS if any(split == name for _, split in roles)]
            values = np.ravel(archive[archive.files[roles.index(("split", ""))]])
            numbers = set(split_numbers(str(path), values, len(values)).tolist())
    except Exception:  # a damaged file raises all kinds of errors; opening it says what is wrong
        return []
    return [name for name, number in SPLITS.items() if number in numbers]


def role_of(name: str) -> tuple[str, str]:
    """Return what an array of this name holds, a key of NAMES or nothing, and for which split, or nothing.

    `x_train`, `train_images` and `images_train` hold the images of train.
    """
    words = name.lower().split("_")
    split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "")
    rest = "_".join(word for word in words if word not in SPLIT_WORDS)
    return next((role for role, names in NAMES.items() if rest in names), ""), split


def named_arrays(where: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Find images, labels, class names and splits among the arrays of an `.npz`; raises LettercastError if some are missing."""
    found = {role_of(name): values for name, values in arrays.items()}
    classes = found.get(("classes", ""))
    if ("image", "") in found and ("label", "") in found:
        return Arrays(where, found["image", ""], found["label", ""], classes, found.get(("split", "")))
    parts = [split for split in SPLITS if ("image", split) in found and ("label", split) in found]
    if not parts:
        raise LettercastError(
            f"{where}: holds neither strokes ('points') nor labelled images ({EXPECTED}), but {', '.join(sorted(arrays)[:6])}"
        )
    images, labels = ([found[role, part] for part in parts] for role in ("image", "label"))
    for what, some in (("images", images), ("labels", labels)):
        if len({one.shape[1:] for one in some}) > 1:
            shapes = " and ".join(str(one.shape) for one in some)
            raise LettercastError(f"{where}: its splits have {what} of different shapes, {shapes}; give them one shape")
    numbers = np.concatenate([np.full(len(one), SPLITS[part]) for part, one in zip(parts, images, strict=True)])
    return Arrays(where, np.concatenate(images), np.concatenate(labels), classes, numbers)


def given_arrays(where: str, given: tuple[Any, ...]) -> Arrays:
    """Return `(images, labels)` or `(images, labels, class names)` as arrays; raises LettercastError for other tuples."""
    if not 2 <= len(given) <= 3:
        raise LettercastError(f"{where}: give (images, labels) or (images, labels, class names), not {len(given)} arrays")
    images, labels = np.asarray(given[0]), np.asarray(given[1])
    return Arrays(where, images, labels, np.asarray(given[2]) if len(given) == 3 and given[2] is not None else None)


def arrays_source(name: str, arrays: Arrays, split: str, shape: Shape | None) -> Source:
    """Build a source of one split of labelled images.

    Args:
        name: of the source.
        arrays: as they were given.
        split: train, val, test or all.
        shape: (H, W, C) of a model that takes images as they are; None for a model of letters.

    Raises:
        LettercastError: images, labels, classes or splits are not what they must be; the message says which.
    """
    where = arrays.where
    check_images(where, arrays.images)
    labels, classes, is_named = whole_labels(arrays, are_letters=shape is None)
    count = len(labels)
    splits = hashed_split(range(count), labels) if arrays.splits is None else split_numbers(where, arrays.splits, count)
    scale = pixel_scale(where, arrays.images)
    is_sideways = False
    if shape is None and set(classes) <= set(LETTERS):
        some = sample_places(len(labels))
        inks = [letter_only(image) for image in to_pixels(arrays.images[some], scale)]
        letters = relabel(ImageSource(name, split, inks, labels[some], classes), LETTERS)
        is_sideways, first = stored_way(where, inks, letters)
        labels, classes = (labels, classes) if not first else (labels - first, LETTERS)
    keep = in_split(splits, split)
    images = to_pixels(arrays.images[keep], scale)
    total = count if arrays.splits is None else 0
    source = image_source(name, split, images, labels[keep], classes, shape=shape, total=total, is_named=is_named)
    if is_sideways and isinstance(source, ImageSource):
        return replace(source, inks=[np.ascontiguousarray(ink.T) for ink in source.inks])
    return source


def check_images(where: str, images: NDArray[Any]) -> None:
    """Raise LettercastError unless images are (N, H, W) or (N, H, W, 1, 3 or 4), and not empty."""
    shape = images.shape
    is_grey, is_colour = images.ndim == 3, images.ndim == 4 and shape[3] in (1, 3, 4)
    if (is_grey or is_colour) and min(shape[1:]) >= 1:
        return
    mend = "give (N, H, W) grey or (N, H, W, 3) RGB"
    side = math.isqrt(shape[1]) if images.ndim == 2 else 0
    if images.ndim == 2 and side * side == shape[1]:
        mend = f"give images.reshape(-1, {side}, {side})"
    elif images.ndim == 4 and shape[1] in (1, 3, 4):
        mend = "the channels come first; give images.transpose(0, 2, 3, 1)"
    raise LettercastError(f"{where}: its images have the shape {shape}; {mend}")


def whole_labels(arrays: Arrays, *, are_letters: bool) -> tuple[NDArray[np.int64], tuple[str, ...], bool]:
    """Return labels (N,) int64 counted from 0, the classes, and whether these have names.

    Labels may be (N,), (N, 1) or one-hot (N, classes); whole numbers in any type, or names. Letters may be counted from 1, as in
    EMNIST. Raises LettercastError if labels are something else, or do not fit the images or the classes.
    """
    where, labels = arrays.where, arrays.labels
    count = len(arrays.images)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    classes = None if arrays.class_names is None else tuple(map(text_of, np.ravel(arrays.class_names)))
    if classes is not None and len(set(classes)) != len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise LettercastError(f"{where}: its classes have '{twice}' twice; give every class its own name")
    if labels.ndim not in (1, 2) or len(labels) != count:
        reason = f"labels of shape {arrays.labels.shape} do not fit its {count} images"
        raise LettercastError(f"{where}: {reason}; give (N,) numbers or names, or (N, classes) one-hot")
    width = labels.shape[1] if labels.ndim == 2 else 0
    if labels.dtype.kind in "USO" and not width:
        names = np.array([text_of(label) for label in labels])
        classes = tuple(map(str, np.unique(names))) if classes is None else classes
        known = {name: place for place, name in enumerate(classes)}
        unknown = next((str(name) for name in names if str(name) not in known), None)
        if unknown is not None:
            raise LettercastError(f"{where}: has the label '{unknown}', which is not among its classes; name them alike")
        return np.array([known[str(name)] for name in names], np.int64), classes, True
    numbers = one_hot_labels(where, labels) if width else whole_numbers(where, labels)
    low, high = (int(numbers.min()), int(numbers.max())) if count else (0, 0)
    if width and classes is not None and len(classes) != width:
        raise LettercastError(f"{where}: its labels are one-hot of {width}, and it names {len(classes)} classes; give as many")
    if are_letters and low >= 1 and high == len(LETTERS) and classes in (None, LETTERS):
        say_once(f"{where}: its labels go from 1 (A) to 26 (Z), as in EMNIST")
        return numbers - 1, LETTERS, True
    if are_letters and classes is None and np.array_equal(np.unique(numbers), range(10)):
        say_once(f"{where}: its labels go from 0 to 9, and are taken as digits, as in MNIST; name its classes for others")
        return numbers, DIGITS, True
    is_named = are_letters or classes is not None
    if classes is None:
        classes = LETTERS if are_letters else tuple(map(str, range(max(width, min(max(0, high), MAX_CLASSES) + 1))))
    if low < 0 or high >= len(classes):
        limit = f"{len(classes)} classes are counted from 0 to {len(classes) - 1}"
        raise LettercastError(f"{where}: its labels go from {low} to {high}; {limit}")
    return numbers, classes, is_named


def text_of(value: object) -> str:
    """Return a label or class name as text; bytes are UTF-8."""
    return plain_name(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def whole_numbers(where: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels (N,) of any numeric type as int64; raises LettercastError if one is not a whole number."""
    if labels.dtype.kind not in "biuf":
        raise LettercastError(f"{where}: its labels are {labels.dtype}; give whole numbers or names")
    if labels.dtype.kind == "f":
        wrong = labels[~(np.isfinite(labels) & (labels == np.rint(labels)))]
        if len(wrong):
            raise LettercastError(f"{where}: has the label {wrong[0]:g}; labels are whole numbers or names")
    return np.clip(labels, -1, 2**62).astype(np.int64)


def one_hot_labels(where: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the classes (N,) of one-hot labels (N, classes); raises LettercastError if they are not one-hot."""
    is_numeric = labels.dtype.kind in "biuf"
    if not is_numeric or not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
        mend = "give labels.argmax(1)" if is_numeric and np.allclose(labels.sum(1), 1, atol=1e-3) else "give one label per image"
        raise LettercastError(f"{where}: its labels have the shape {labels.shape} and are not one-hot; {mend}")
    return labels.argmax(1).astype(np.int64)


def split_numbers(where: str, splits: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return splits (N,) as 0 train, 1 val and 2 test, from these numbers or names; raises LettercastError for others."""
    flat = splits[:, 0] if splits.ndim == 2 and splits.shape[1] == 1 else splits
    if flat.dtype.kind == "U":
        flat = np.array([SPLITS.get(SPLIT_WORDS.get(name.lower(), ""), -1) for name in np.ravel(flat)]).reshape(flat.shape)
    if flat.shape != (count,) or flat.dtype.kind not in "iu" or not np.isin(flat, (0, 1, 2)).all():
        raise LettercastError(f"{where}: 'split' must have 0, 1 or 2 for each label; got {splits.shape} {splits.dtype}")
    return flat.astype(np.int64)


def pixel_scale(where: str, images: NDArray[Any]) -> float:
    """Return the factor that brings pixels to 0..255: 255 for booleans, zeros and ones, and floats of 0 to 1, else 1.

    Raises LettercastError if it is not clear which pixels are white.
    """
    kind = images.dtype.kind
    if kind not in "biuf":
        raise LettercastError(f"{where}: its images are {images.dtype}; give uint8 pixels, 0 to 255")
    if images.size == 0:
        return 1.0
    low, high = float(images.min()), float(images.max())
    if kind == "f" and not (math.isfinite(low) and math.isfinite(high)):
        raise LettercastError(f"{where}: its images have NaN or infinite pixels; give uint8 pixels, 0 to 255")
    if kind == "b" or (kind in "iu" and (low, high) == (0, 1)):
        return 255.0
    if kind == "f" and low >= -PIXEL_ERROR and 0 < high <= 1 + PIXEL_ERROR:
        say_once(f"{where}: its pixels go from 0 to 1; they are taken times 255")
        return 255.0
    is_clear = kind in "iu" or high >= MIN_BRIGHTEST or bool((images == np.rint(images)).all())
    if low >= 0 and high <= 255 and is_clear:
        return 1.0
    mend = "give pixels of 0 to 255, or floats of 0 to 1"
    if kind == "f" and -1 - PIXEL_ERROR <= low < 0 and high <= 1 + PIXEL_ERROR:
        mend = "give (images + 1) * 127.5 if they were scaled to -1..1"
    raise LettercastError(f"{where}: its pixels go from {low:g} to {high:g}; {mend}")


def to_pixels(images: NDArray[Any], scale: float) -> Pixels:
    """Return RGB or grey images (N, H, W[, C]) of any type as uint8 in OpenCV's order, which is BGR."""
    if images.dtype != np.uint8 or scale != 1:
        images = np.clip(np.rint(images * np.float32(scale)), 0, 255).astype(np.uint8)
    if images.ndim == 4 and images.shape[3] >= 3:
        return np.concatenate([images[..., 2::-1], images[..., 3:]], axis=3)
    return images
