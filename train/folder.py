"""Folders of pictures, one folder a class."""

from collections import Counter
from pathlib import Path

import numpy as np

from .. import LettercastError
from ..runtime.picture import IMAGE_SUFFIXES, read_image
from .source import Source, image_source
from .splits import SPLITS, hashed_split, in_split


def split_folders(path: Path) -> list[str]:
    """Return the names among train, val and test that the folder has inside."""
    return [name for name in SPLITS if (path / name).is_dir()]


def open_folder(path: Path, split: str, shape: tuple[int, int, int] | None = None) -> Source:
    """Open a folder of class folders, or of `train`, `val` and `test` folders of them.

    Class names are the folders' names; letters count as capitals. A folder without splits of its own is
    split by the file names, the same way every time. With a shape (H, W, C) they are pictures, not letters.

    Raises:
        LettercastError: there are no pictures, a class folder is empty, or a class has none left to train on.
    """
    splits = split_folders(path)
    if splits and split not in (*splits, "all"):
        raise LettercastError(f"{path}: has no split '{split}'; it has {', '.join(splits)}")
    roots = [path / name for name in (splits if split == "all" else [split])] if splits else [path]
    files = class_pictures(roots)
    if not files:
        raise LettercastError(f"{path}: no pictures in class folders; expected e.g. {path / 'A' / 'one.png'}")
    names = class_names(files)
    classes = tuple(sorted(set(names)))
    if not splits:
        keep = in_split(hashed_split(str(f.relative_to(path)) for f in files), split)
        counts = Counter(names)
        files = [file for file, kept in zip(files, keep, strict=True) if kept]
        names = [name for name, kept in zip(names, keep, strict=True) if kept]
        if split == "train":
            untaught = sorted(set(classes) - set(names))
            if untaught:
                few = f"class '{untaught[0]}' has {counts[untaught[0]]} picture(s), and a tenth each is held out by file name"
                raise LettercastError(f"{path}: {few}; add some, ten are a beginning, or remove its folder")
    labels = np.array([classes.index(name) for name in names], np.int64)
    return image_source(path.name, split, map(read_image, files), labels, classes, shape=shape)


def class_pictures(roots: list[Path]) -> list[Path]:
    """Return the pictures in the class folders below some folders; raises LettercastError where a class folder has none."""
    files: list[Path] = []
    for root in roots:
        for folder in sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")):
            inside = sorted(f for f in folder.iterdir() if is_picture(f))
            if not inside:
                raise LettercastError(f"{folder}: a class folder without a picture; add some, or remove the folder")
            files += inside
    return files


def is_picture(file: Path) -> bool:
    """Tell whether a file is a picture by its name; hidden ones are not, as macOS leaves `._one.png` beside `one.png`."""
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()


def class_names(files: list[Path]) -> list[str]:
    """Return the class of each picture: its folder's name, in capitals where every class is a single letter."""
    names = [file.parent.name for file in files]
    if all(len(name) == 1 and name.isascii() and name.isalpha() for name in names):
        names = [name.upper() for name in names]
    return names
