"""EMNIST Letters: downloaded once and checked, or from a folder of its idx files."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.glyph import GLYPH_PX
from .download import checksum, download
from .idx import read_idx
from .source import LETTERS, ImageSource

NAME = "emnist"
# The end of the training letters, as the data set's authors hold them out: as many as there are in test.
VALIDATION = 20_800
# Of a smaller set at most this part, which is what 20,800 are of the whole one.
VALIDATION_PART = 6
# Which files each split is in, and what there is of each.
PARTS = {"train": "train", "val": "train", "test": "test"}
KINDS = ("images-idx3", "labels-idx1")


@dataclass(frozen=True)
class Member:
    """A file of the archive: what it must be."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Archive:
    """A zip on the web and those of its files, below `gzip/`, that are taken from it."""

    url: str
    md5: str
    members: dict[str, Member]


EMNIST = Archive(
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "58c8d27c78d21e728a6bc7b3cc06412e",
    {
        "emnist-letters-train-images-idx3-ubyte.gz": Member(
            "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f", 30_804_864
        ),
        "emnist-letters-train-labels-idx1-ubyte.gz": Member(
            "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c", 79_283
        ),
        "emnist-letters-test-images-idx3-ubyte.gz": Member(
            "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d", 5_039_157
        ),
        "emnist-letters-test-labels-idx1-ubyte.gz": Member(
            "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb", 144
        ),
    },
)


def open_emnist(split: str, folder: Path | None = None, archive: Archive = EMNIST) -> ImageSource:
    """Open EMNIST Letters, downloaded at the first use.

    Args:
        split: train, val, test or all.
        folder: where the files are kept; by default in the user's cache.
        archive: where they come from.

    Raises:
        LettercastError: they cannot be downloaded.
    """
    folder = folder or platformdirs.user_cache_path("lettercast") / NAME
    fetch_members(folder, archive)
    return open_emnist_folder(folder, split)


def fetch_members(folder: Path, archive: Archive) -> None:
    """Download the archive and take its members, unless all of them are in the folder and unharmed."""
    if all(is_whole(folder / name, member) for name, member in archive.members.items()):
        return
    path = folder / archive.url.rpartition("/")[2]
    instead = f"download {archive.url} by hand, unpack it and give the folder: --data gzip/"
    download(archive.url, path, archive.md5, instead)
    for name, member in archive.members.items():
        data = read_member(path, name, member)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            path.unlink()
            raise LettercastError(f"{archive.url}: its {name} is not the file expected (SHA-256), all was removed; {instead}")
        write_bytes(folder / name, data)
    path.unlink()


def is_whole(path: Path, member: Member) -> bool:
    """Tell whether a file is there and what it must be."""
    return path.is_file() and path.stat().st_size == member.size and checksum(path, "sha256") == member.sha256


def read_member(archive: Path, name: str, member: Member) -> bytes:
    """Read a member of a zip, and no more of it than it should have; nothing where it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(f"gzip/{name}") as file:
            return file.read(member.size + 1)
    except (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


def emnist_splits(folder: Path) -> list[str]:
    """Return the splits that a folder holds idx files of; none where it is no folder of EMNIST Letters."""
    return [split for split, part in PARTS.items() if any(idx_file(folder, part, kind).is_file() for kind in KINDS)]


def idx_file(folder: Path, part: str, kind: str) -> Path:
    """Return the file of the images or labels of train or test: plain where it is there, else packed."""
    plain = folder / f"emnist-letters-{part}-{kind}-ubyte"
    return plain if plain.is_file() else plain.with_name(f"{plain.name}.gz")


def open_emnist_folder(folder: Path, split: str, validation: int = VALIDATION) -> ImageSource:
    """Open a folder of EMNIST Letters' idx files, plain or as `.gz`.

    Args:
        split: train, val, test, or all that there is.
        validation: letters at the end of train that are val, at most a sixth of it.

    Raises:
        LettercastError: files of the split are missing or cannot be read.
    """
    splits = emnist_splits(folder)
    if split not in (*splits, "all"):
        raise LettercastError(f"{folder}: has no split '{split}'; it has {', '.join(splits)}")
    parts = dict.fromkeys(PARTS[name] for name in splits) if split == "all" else [PARTS[split]]
    loaded = [load_part(folder, part) for part in parts]
    images = np.concatenate([images for images, _ in loaded])
    labels = np.concatenate([labels for _, labels in loaded])
    first_held_out = len(labels) - min(validation, len(labels) // VALIDATION_PART)
    keep = {"train": slice(first_held_out), "val": slice(first_held_out, None)}.get(split, slice(None))
    return ImageSource(NAME, split, list(images[keep]), labels[keep], LETTERS)


def load_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load train or test: ink (N, 28, 28) uint8 and labels (N,) from 0 for A."""
    images_file, labels_file = (idx_file(folder, part, kind) for kind in KINDS)
    labels = read_idx(labels_file, 1)
    images = read_idx(images_file, 3)
    if images.shape != (len(labels), GLYPH_PX, GLYPH_PX):
        raise LettercastError(
            f"{images_file}: holds {images.shape}, not the {len(labels)} pictures of 28x28 that {labels_file.name} labels"
        )
    if len(labels) and not (labels.min() >= 1 and labels.max() <= len(LETTERS)):
        raise LettercastError(f"{labels_file}: labels go from {labels.min()} to {labels.max()}, not from 1 (A) to 26 (Z)")
    # White ink on black already, but columns first: x and y change places.
    return np.ascontiguousarray(images.transpose(0, 2, 1)), labels.astype(np.int64) - 1
