"""Images in class folders: which files are images, which folders are splits, and what the classes are called."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import LettercastError
from ...runtime.arguments import plain_name
from ...runtime.console import say_once
from ...runtime.glyph import GLYPH_PX
from ...runtime.page.ink import letter_only
from ...runtime.sources.images import IMAGE_SUFFIXES, UNSUPPORTED, count_endings, is_image, read_header, read_image
from .emnist import MIN_SAMPLE, sample_places, stored_way
from .source import LETTERS, SPLITS, ImageSource, Source, hashed_split, image_source, in_split

# What people call the folders of splits, in any case.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# Whether OpenCV reads these depends on how it was built; a file of each ending is tried.
PERHAPS_READ = (".gif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm")
# Files that systems leave beside images.
LEFT_BESIDE = ("thumbs.db", "desktop.ini")
CONVERT = "convert them to JPEG or PNG"


def split_folders(path: Path) -> list[str]:
    """Return which of the splits train, val and test a folder contains; `validation` is val."""
    return [split for split in SPLITS if split_folder(path, split)]


def split_folder(path: Path, split: str) -> Path | None:
    """Return the folder of a split; None if there is none. A folder that holds images itself is a class, whatever its name."""
    if not path.is_dir():
        return None
    found = [folder for folder in sorted(path.iterdir()) if folder.name.lower() in SPLIT_FOLDERS[split] and folder.is_dir()]
    return next((folder for folder in found if not any(f.suffix.lower() in IMAGE_SUFFIXES for f in folder.iterdir())), None)


def open_folder(path: Path, split: str, shape: tuple[int, int, int] | None = None) -> Source:
    """Open a folder of class folders, or of `train`, `val` and `test` folders of them.

    Class names are the folders' names; single letters become capitals. If the folder has no splits, the file names decide
    the split, the same way every time. With a shape (H, W, C) a model gets the images as they are, else they are letters.

    Raises:
        LettercastError: there are no images, a class folder is empty, or a class has no image left to train on.
    """
    splits = split_folders(path)
    if splits and split not in (*splits, "all"):
        first = split_folder(path, splits[0])
        raise LettercastError(
            f"{path}: has no split '{split}'; it has {', '.join(splits)}; to use all of one, give its folder: {first}"
        )
    names = splits if split == "all" else [split]
    roots = [folder for name in names if (folder := split_folder(path, name))] if splits else [path]
    found = [(file, name) for root in roots for file, name in class_images(root)]
    if not found:
        raise LettercastError(f"{path}: no images in class folders; expected e.g. {path / 'A' / 'one.png'}")
    files, folders = [file for file, _ in found], [name for _, name in found]
    named = class_names(path, folders, are_letters=shape is None)
    classes = tuple(sorted(set(named)))
    is_sideways = shape is None and set(classes) <= set(LETTERS) and lie_sideways(path, files, named)
    total = 0 if splits else len(files)
    if not splits:
        keys = (plain_name(f.relative_to(path).as_posix()) for f in files)
        keep = in_split(hashed_split(keys, np.array(named)), split)
        counts = Counter(named)
        files = [file for file, kept in zip(files, keep, strict=True) if kept]
        named = [name for name, kept in zip(named, keep, strict=True) if kept]
        if split == "train":
            missing = sorted(set(classes) - set(named))
            if missing:
                few = f"class '{missing[0]}' has {counts[missing[0]]} image(s), all held out for val or test by their names"
                raise LettercastError(f"{path}: {few}; add some, at least ten, or remove its folder")
    labels = np.array([classes.index(name) for name in named], np.int64)
    source = image_source(path.name, split, map(read_image, files), labels, classes, shape=shape, total=total)
    if is_sideways and isinstance(source, ImageSource):
        return replace(source, inks=[np.ascontiguousarray(ink.T) for ink in source.inks])
    return source


def class_images(root: Path) -> list[tuple[Path, str]]:
    """Return the images in the class folders of a folder, at any depth, each with its class; a line on stderr counts the others.

    Raises LettercastError if a class folder has none, or if the class folders seem to lie elsewhere.
    """
    images: list[tuple[Path, str]] = []
    passed = [f for f in visible(root) if f.is_file() and is_image(f)]
    folders = [folder for folder in visible(root) if folder.is_dir()]
    readable: dict[str, bool] = {}
    for folder in folders:
        files = [f for f in sorted(folder.rglob("*")) if f.is_file() and not is_hidden(f, folder)]
        inside = [f for f in files if is_taken(f, readable)]
        check_class_folder(root, folder, files, inside, alone=len(folders) == 1)
        images += [(file, plain_name(folder.name)) for file in inside]
        passed += sorted(set(files) - set(inside))
    if passed and images:
        say_once(f"{root}: passed over {count_endings(passed)}{why_passed(passed)}")
    return images


def check_class_folder(root: Path, folder: Path, files: Sequence[Path], images: Sequence[Path], *, alone: bool) -> None:
    """Raise LettercastError if a class folder has no image, or holds folders that are splits or classes."""
    if not images:
        others = f": only {count_endings(files)}" if files else ""
        mend = f"{CONVERT}{how_to_convert(files)}" if any(map(is_image, files)) else "add some"
        raise LettercastError(f"{folder}: a class folder without an image{others}; {mend}, or remove it")
    inner = sorted({f.relative_to(folder).parts[0] for f in images if f.parent != folder})
    if inner and all(any(name.lower() in names for names in SPLIT_FOLDERS.values()) for name in inner):
        wanted = root / inner[0] / folder.name
        raise LettercastError(
            f"{folder}: has the splits {', '.join(inner)} within a class; put the classes into the splits: {wanted}"
        )
    if alone and len(inner) > 1 and not any(f.parent == folder for f in images):
        raise LettercastError(
            f"{root}: has one folder, {folder.name}, and that has {len(inner)}; if those are the classes, give {folder}"
        )


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, without hidden files and what systems leave there."""
    return [f for f in sorted(folder.iterdir()) if not is_hidden(f, folder)]


def is_hidden(file: Path, root: Path) -> bool:
    """Tell whether a file below `root` is hidden: macOS leaves `._one.png` beside `one.png`, Windows Thumbs.db."""
    parts = file.relative_to(root).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or file.name.lower() in LEFT_BESIDE


def is_taken(file: Path, readable: dict[str, bool]) -> bool:
    """Tell whether a file is an image that can be read, by its ending or, without one, by its first bytes.

    The first file of an ending that not every OpenCV reads is tried; `readable` remembers the answers.
    """
    ending = file.suffix.lower()
    if ending in IMAGE_SUFFIXES:
        return True
    if not ending:
        return is_image(file)
    if ending in PERHAPS_READ and ending not in readable:
        try:
            read_image(file)
            readable[ending] = True
        except LettercastError:
            readable[ending] = False
    return readable.get(ending, False)


def why_passed(files: Iterable[Path]) -> str:
    """Return what to do with files that were passed over, if images are among them."""
    images = [f for f in files if f.suffix and f.suffix.lower() not in IMAGE_SUFFIXES and is_image(f)]
    if images:
        return f"; this OpenCV cannot read {images[0].suffix.lower()}: {CONVERT}{how_to_convert(images)}"
    outside = any(f.suffix.lower() in IMAGE_SUFFIXES for f in files)
    return "; put images into class folders" if outside else ""


def how_to_convert(files: Iterable[Path]) -> str:
    """Return a command that converts images of a phone, if there are some."""
    endings = {f.suffix.lower() for f in files}
    return f" ({UNSUPPORTED['HEIC']})" if endings & {".heic", ".heif", ".hif"} else ""


def class_names(path: Path, folders: Sequence[str], *, are_letters: bool = True) -> list[str]:
    """Return the class of each image: its folder's name, in capitals if every class is a single letter.

    Folders A and a are one class of letters, which a line on stderr says, and two classes of images for a model that takes
    images as they are.
    """
    names = set(folders)
    is_single = all(len(name) == 1 and name.isascii() and name.isalpha() for name in names)
    both = sorted(name for name in names if name.islower() and name.upper() in names) if is_single else []
    if both and are_letters:
        say_once(
            f"{path}: folders such as {both[0].upper()} and {both[0]} are one class, because letters are read without their case"
        )
    return [name.upper() for name in folders] if is_single and (are_letters or not both) else list(folders)


def lie_sideways(path: Path, files: Sequence[Path], names: Sequence[str]) -> bool:
    """Tell whether letters lie on their side, as in images made of EMNIST; only images of 28 x 28 pixels are looked at."""
    if len(files) < MIN_SAMPLE:
        return False
    with files[0].open("rb") as file:
        try:
            header = read_header(file)
        except (EOFError, ValueError):
            return False
    if header is None or (header.width, header.height) != (GLYPH_PX, GLYPH_PX):
        return False
    some = sample_places(len(files))
    inks = [letter_only(read_image(files[place])) for place in some]
    return stored_way(str(path), inks, np.array([LETTERS.index(names[place]) for place in some]))[0]
