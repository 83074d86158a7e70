"""Open what `--data` names: a named source, strokes or images in a `.npz`, an A-Z CSV, or a folder of class folders."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ... import LettercastError
from ...runtime.console import say_once
from ...runtime.model.facts import Facts
from .arrays import arrays_source, given_arrays, npz_splits, open_npz
from .az_csv import open_az_csv
from .digits import NAME as DIGITS
from .digits import open_digits
from .emnist import open_emnist
from .folder import open_folder, split_folders
from .idx import find_set, idx_splits, open_idx_folder
from .pen import open_pen
from .source import NOT_TEST, SPLITS, MixedSource, Shape, Source, image_source

SPLIT_NAMES = (*SPLITS, "all")
# Sources that have a name instead of a path; they have every split.
NAMED = ("pen", "emnist", DIGITS)
TAKEN = f"pen, emnist, {DIGITS}, an .npz file, an A-Z .csv, a folder of class folders or of idx files (MNIST, EMNIST)"
SHARE = re.compile(r"^(?P<path>.+)@(?P<share>\d+(\.\d+)?)$")


# The name of labelled images that are given as arrays.
ARRAYS = "arrays"
# Labelled images: a name or path as --data takes it, or arrays `(images, labels)` or `(images, labels, class names)`.
Data: TypeAlias = str | Path | tuple[Any, ...]


def open_sources(specs: Sequence[Data], split: str, validation: Sequence[Data] = ()) -> Source:
    """Open one or several sources as one; `D@SHARE` is how often training draws from D, relative to the others.

    Sources without a share divide the rest up to 1 among them, by their numbers of letters. If validation names other data, all
    of a source without splits of its own belongs to training. The split NOT_TEST is the train of data that has its own splits.
    """
    parts = [None if isinstance(spec, tuple) else SHARE.match(str(spec)) for spec in specs]
    paths = [part["path"] if part else spec for part, spec in zip(parts, specs, strict=True)]
    others = [without_share(spec) for spec in validation]
    sources = [open_source(path, part_of(path, split, others)) for path in paths]
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


def part_of(path: Data, split: str, others: Sequence[Data]) -> str:
    """Return the split that open_sources takes of one source."""
    if others:
        return split_beside(path, others)
    return "train" if split == NOT_TEST and own_splits(path) else split


def letters_of(specs: Sequence[Data]) -> str:
    """Return what --data or --val names, with its shares and without its folders."""
    return " + ".join(map(letters_name, specs))


def letters_name(spec: Data) -> str:
    """Return the name of the file or folder that one --data names, with its share."""
    if isinstance(spec, tuple):
        return ARRAYS
    path = data_path(spec)
    return Path(os.path.realpath(path)).name + str(spec)[len(path) :]


def data_path(spec: str | Path) -> str:
    """Return what one `--data` names, without its share."""
    return match["path"] if (match := SHARE.match(str(spec))) else str(spec)


def without_share(spec: Data) -> Data:
    """Return what one --data or --val names, without its share."""
    return spec if isinstance(spec, tuple) else data_path(spec)


def open_validation(specs: Sequence[Data], training: Sequence[Data] | None = None) -> Source:
    """Open the letters that choose the best epoch; shares are ignored here.

    Without `training`, specs are the training's data, and its validation split is taken, where it has one. With it, specs name
    other data, of which all is taken if it has no splits of its own.
    """
    paths = [without_share(spec) for spec in specs]
    found = []
    for path in paths:
        splits = own_splits(path)
        is_other = training is not None and not any(is_same(path, without_share(spec)) for spec in training)
        # A folder with splits may have no val among them.
        if "val" in (splits or SPLITS):
            source = read_source(path, "all" if is_other and not splits else "val")
            found += [source] if len(source.labels) else []
    if not found:
        raise LettercastError(f"{letters_of(paths).replace(' + ', ', ')}: no letters to validate on; name some with --val")
    classes = tuple(dict.fromkeys(name for source in found for name in source.classes))
    return found[0] if len(found) == 1 else MixedSource(found, [1 / len(found)] * len(found), "val", classes)


def open_source(spec: Data, split: str, shape: Shape | None = None) -> Source:
    """Open labelled letters or images.

    Args:
        spec: `pen`, `emnist`, `sklearn-digits`, the path of an `.npz`, an A-Z `.csv`, a folder of class folders or of idx
            files, or arrays `(images, labels)` or `(images, labels, class names)`: images (N, H, W) grey or (N, H, W, 3) RGB
            uint8.
        split: train, val, test or all.
        shape: (H, W, C) of a model that takes images as they are; None for a model that takes letters.

    Raises:
        LettercastError: the data does not exist, cannot be read, or has no letters in this split.
    """
    source = read_source(spec, split, shape)
    if len(source.labels) == 0:
        things = "images" if shape else "letters"
        others = f", only in {', '.join(own_splits(spec))}" if own_splits(spec) else f"; none of its {source.total} fall into it"
        raise LettercastError(
            f"{ARRAYS if isinstance(spec, tuple) else spec}: no {things} in split '{split}'{others}; give other data, "
            "or evaluate with another --split"
        )
    return source


def read_source(spec: Data, split: str, shape: Shape | None = None) -> Source:
    """Read what one `--data` names; the split may be empty.

    Args:
        spec: `pen`, `emnist`, `sklearn-digits`, a `.npz` of strokes or images, an A-Z `.csv`, or a folder of class folders or of
            idx files.
        split: train, val, test or all.
        shape: (H, W, C) of a model that gets images as they are; None for a model of letters.

    Raises:
        LettercastError: it does not exist or cannot be read.
    """
    if split not in (*SPLIT_NAMES, NOT_TEST):
        raise LettercastError(f"unknown split '{split}': choose one of {', '.join(SPLIT_NAMES)}")
    if isinstance(spec, tuple):
        return arrays_source(ARRAYS, given_arrays(ARRAYS, spec), split, shape)
    path = Path(spec)
    if shape and (spec in NAMED or path.is_file()) and path.suffix.lower() != ".npz":
        size = " x ".join(map(str, shape))
        raise LettercastError(
            f"{spec}: holds letters, but the model takes images of {size}; give a folder of class folders or an .npz"
        )
    if spec in NAMED:
        return {"pen": open_pen, "emnist": open_emnist, DIGITS: open_digits}[str(spec)](split)
    if find_set(path):
        inks = open_idx_folder(path, split)
        return image_source(inks.name, split, inks.inks, inks.labels, inks.classes, shape=shape) if shape else inks
    if path.is_dir():
        return open_folder(path, split, shape)
    if path.suffix.lower() == ".npz" and (path.is_file() or not path.exists()):
        return open_npz(path, split, shape)
    if path.suffix.lower() == ".csv" and path.is_file():
        return open_az_csv(path, split)
    what = "not a readable data source" if path.exists() else "no such data source or file"
    raise LettercastError(f"{spec}: {what}; --data takes {TAKEN}")


def default_split(spec: Data, seen: str = "") -> str:
    """Return the split to report figures on: the one that data holds out itself, or all of it if training never saw it.

    Without splits of its own, data that training or calibration saw is reported on the images that lettercast held out then.
    `seen` names these sources as a model's facts do, such as `strokes.npz@0.9 + mine@0.1`.
    """
    is_seen = not isinstance(spec, tuple) and letters_name(spec) in map(data_path, seen.split(" + "))
    return held_out_split(spec) if own_splits(spec) or is_seen else "all"


def held_out_split(spec: Data) -> str:
    """Return the split that neither training nor calibration uses: test, or val if data has splits but no test."""
    splits = own_splits(spec)
    return "val" if "val" in splits and "test" not in splits else "test"


def own_splits(spec: Data) -> list[str]:
    """Return the splits that data has; none if lettercast splits it by the names of its files, or by its rows."""
    if isinstance(spec, tuple):
        return []
    if spec in NAMED:
        return list(SPLITS)
    path = Path(spec)
    if path.suffix.lower() == ".npz" and path.is_file():
        return npz_splits(path)
    return idx_splits(path) or split_folders(path)


def is_same(first: Data, second: Data) -> bool:
    """Tell whether two names or tuples of arrays mean the same data."""
    if isinstance(first, tuple) or isinstance(second, tuple):
        return isinstance(first, tuple) and isinstance(second, tuple) and first[0] is second[0]
    if first in NAMED or second in NAMED:
        return str(first) == str(second)
    # Path.resolve raises an error for a link to itself.
    return os.path.realpath(first) == os.path.realpath(second)


def split_beside(spec: Data, others: Sequence[Data]) -> str:
    """Return the split to train or calibrate on beside data that is held out: all, unless `spec` has splits or is that data."""
    return "train" if own_splits(spec) or any(is_same(spec, other) for other in others) else "all"


def say_held_out(source: Source, things: str) -> None:
    """Say that figures are those of the images that lettercast held out itself, if they are; things are images or letters."""
    if source.total and source.split != "all":
        part = f"measured on the {len(source.labels)} of its {source.total} {things} that training or calibration left out"
        say_once(f"{source.name}: {part}; --split all measures on all")


def seen_data(facts: Facts) -> str:
    """Return the sources, joined by ` + `, whose training split a model saw in training or calibration, and not the rest."""
    made = facts.made
    seen = [] if made.get("val") else [str(made.get("data", ""))]
    # Written as name, split, count and seed.
    calibration = str(made.get("calibration", "")).rsplit(", ", 3)
    seen += calibration[:1] if calibration[1:2] == ["train"] else []
    return " + ".join(name for name in seen if name)
