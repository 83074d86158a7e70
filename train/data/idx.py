"""Folders of idx files, in which MNIST and the sets of EMNIST are published."""

import gzip
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.glyph import GLYPH_PX
from .source import LETTERS, ImageSource

# The first four bytes: two zeros, 8 for unsigned bytes, and the number of axes.
BYTES_MAGIC = 0x00000800
# Deflate compresses no better than this, so that a file cannot hold more.
MAX_DEFLATE_RATIO = 1032
PIECE_BYTES = 1 << 20


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes with this number of axes; a file ending in `.gz` is decompressed.

    The memory used depends on what the file holds, not on what its header promises.

    Raises:
        LettercastError: the file is missing, damaged, of another kind, or does not have the length in its header.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = read_shape(file, axes)
            # One byte more than promised detects a longer file and a damaged end.
            data = read_at_most(file, min(math.prod(shape), max_bytes(path)) + 1)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; download it again") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LettercastError(f"{path}: not a readable idx file ({error}); download it again") from error
    if len(data) != math.prod(shape):
        less = "less" if len(data) < math.prod(shape) else "more"
        raise LettercastError(
            f"{path}: holds {less} than the {math.prod(shape)} bytes that its header promises; download it again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_shape(file: io.BufferedIOBase, axes: int) -> tuple[int, ...]:
    """Read the header: the magic number, then the length of each axis, all 32 bits big-endian."""
    header = np.frombuffer(file.read(4 * (1 + axes)), np.uint8)
    if len(header) < 4 * (1 + axes):
        raise ValueError("too short for its header")
    magic, *shape = (int(number) for number in header.view(">u4"))
    if magic != BYTES_MAGIC + axes:
        raise ValueError(f"starts with {magic:08x}, not {BYTES_MAGIC + axes:08x}")
    return tuple(shape)


def read_at_most(file: io.BufferedIOBase, most: int) -> bytearray:
    """Read to the end, but at most `most` bytes."""
    data = bytearray()
    while piece := file.read(min(PIECE_BYTES, most - len(data))):
        data += piece
    return data


def max_bytes(path: Path) -> int:
    """Return the most bytes that a file of this size can hold."""
    return path.stat().st_size * (MAX_DEFLATE_RATIO if path.suffix == ".gz" else 1)


DIGITS = "0123456789"
CAPITALS = "".join(LETTERS)
# Images at the end of the training set that EMNIST's authors hold out of letters: as many as there are in test.
VALIDATION = 20_800
# At most one image in this many is held out of a smaller set: the ratio of the full one.
VALIDATION_PART = 6
KINDS = ("images-idx3", "labels-idx1")


@dataclass(frozen=True)
class IdxSet:
    """How one set's files are called and what they hold.

    characters are those that the labels mean, the first for the label `first`; both cases of a letter are one class. EMNIST
    stores its images column by column, MNIST row by row.
    """

    name: str
    prefix: str
    characters: str
    first: int = 0
    is_transposed: bool = True
    test: str = "test"

    @property
    def parts(self) -> dict[str, str]:
        """Which part each split is in."""
        return {"train": "train", "val": "train", "test": self.test}

    @property
    def classes(self) -> tuple[str, ...]:
        """Digits and letters, each once."""
        return tuple(dict.fromkeys(self.characters.upper()))


# Source: Cohen et al. 2017, "EMNIST: extending MNIST to handwritten letters"; LeCun, Cortes and Burges, "The MNIST database".
# A folder with several of them is the first one.
SETS = (
    IdxSet("emnist-letters", "emnist-letters-", CAPITALS, first=1),
    IdxSet("emnist-balanced", "emnist-balanced-", DIGITS + CAPITALS + "abdefghnqrt"),
    IdxSet("emnist-bymerge", "emnist-bymerge-", DIGITS + CAPITALS + "abdefghnqrt"),
    IdxSet("emnist-byclass", "emnist-byclass-", DIGITS + CAPITALS + CAPITALS.lower()),
    IdxSet("emnist-digits", "emnist-digits-", DIGITS),
    IdxSet("emnist-mnist", "emnist-mnist-", DIGITS),
    IdxSet("mnist", "", DIGITS, is_transposed=False, test="t10k"),
)


def find_set(path: Path) -> tuple[Path, IdxSet] | None:
    """Return the folder and the set that a path names: a folder that holds one, or such a folder and a set's name; else nothing.

    `gzip` means the first set there, `gzip/emnist-byclass` that one.
    """
    if path.is_dir():
        return next(((path, one) for one in SETS if splits_there(path, one)), None)
    named = next((one for one in SETS if one.name == path.name), None)
    return (path.parent, named) if named and not path.exists() and splits_there(path.parent, named) else None


def idx_splits(path: Path) -> list[str]:
    """Return the splits for which a folder of idx files, or one set of it, has files; none if the path is no such folder."""
    found = find_set(path)
    return splits_there(*found) if found else []


def splits_there(folder: Path, idx_set: IdxSet) -> list[str]:
    """Return the splits of a set for which a folder has files."""
    return [split for split, part in idx_set.parts.items() if any(idx_file(folder, idx_set, part, k).is_file() for k in KINDS)]


def idx_file(folder: Path, idx_set: IdxSet, part: str, kind: str) -> Path:
    """Return the file of the images or labels of one part: the first name that exists, else the one of the archive.

    Files may be unpacked, and copies of MNIST have a dot in place of one hyphen, as in train-images.idx3-ubyte.
    """
    stems = f"{part}-{kind}", f"{part}-{kind.replace('-', '.')}", f"{part}.{kind}"
    names = [f"{idx_set.prefix}{stem}-ubyte{packed}" for stem in stems for packed in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[1])


def open_idx_folder(path: Path, split: str, validation: int = VALIDATION) -> ImageSource:
    """Open a folder of idx files, plain or as `.gz`, or one set of it.

    Args:
        path: as `find_set` takes it.
        split: train, val, test, or all that the folder has.
        validation: images at the end of train that form val, at most a sixth of it.

    Raises:
        LettercastError: files of the split are missing or cannot be read.
    """
    found = find_set(path)
    if not found:
        raise LettercastError(f"{path}: holds none of the sets {', '.join(one.name for one in SETS)}; give a folder of idx files")
    folder, idx_set = found
    splits = splits_there(folder, idx_set)
    if split not in (*splits, "all"):
        raise LettercastError(f"{path}: has no split '{split}'; it has {', '.join(splits)}")
    parts = dict.fromkeys(idx_set.parts[name] for name in splits) if split == "all" else [idx_set.parts[split]]
    loaded = [load_part(folder, idx_set, part) for part in parts]
    images = np.concatenate([images for images, _ in loaded])
    labels = np.concatenate([labels for _, labels in loaded])
    first_held_out = len(labels) - min(validation, len(labels) // VALIDATION_PART)
    keep = {"train": slice(first_held_out), "val": slice(first_held_out, None)}.get(split, slice(None))
    # Already ink: white on black, without the paper around it.
    return ImageSource(idx_set.name, split, list(images[keep]), labels[keep], idx_set.classes)


def load_part(folder: Path, idx_set: IdxSet, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load one part of a set: upright white ink (N, 28, 28) uint8 and labels (N,), places in its classes."""
    images_file, labels_file = (idx_file(folder, idx_set, part, kind) for kind in KINDS)
    labels = read_idx(labels_file, 1)
    images = read_idx(images_file, 3)
    if images.shape != (len(labels), GLYPH_PX, GLYPH_PX):
        raise LettercastError(
            f"{images_file}: holds {images.shape}, not the {len(labels)} images of 28x28 that {labels_file.name} labels"
        )
    low, high = idx_set.first, idx_set.first + len(idx_set.characters) - 1
    if len(labels) and not (labels.min() >= low and labels.max() <= high):
        first, last = idx_set.characters[0], idx_set.characters[-1]
        raise LettercastError(
            f"{labels_file}: labels go from {labels.min()} to {labels.max()}, not from {low} ({first}) to {high} ({last})"
        )
    places = np.array([idx_set.classes.index(character) for character in idx_set.characters.upper()], np.int64)
    upright = images.transpose(0, 2, 1) if idx_set.is_transposed else images
    return np.ascontiguousarray(upright), places[labels.astype(np.int64) - low]
