"""An app for a browser: a model, what a browser needs to run it, and a page with camera, photo and drawing."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ... import LettercastError, __version__
from ...runtime.files import make_folder, packaged, partial_name, replacing
from ...runtime.model.engine import SCALES_OF_BATCH, open_engine
from ...runtime.model.facts import PHOTOS, Facts
from ...runtime.model.golden import golden_of
from ...runtime.pixels import Pixels
from ...runtime.text.codes import look_alikes
from ..bundle import archive
from .packages import package_files
from .tuning import case_network, tuning_script

ZIP = ".zip"
# Of the models that come with lettercast, the file that a browser runs, below the package's folder.
SHIPPED = {
    "letters-base-int8.tflite": "export/models/letters-base-int8.onnx",
    "letters-nano-int8.tflite": "runtime/models/letters-nano-float32.onnx",
}
MODEL, CASES, WORKER = "model.onnx", "golden.bin", "sw.js"
TUNING, CASE = "tuning.js", "case.bin"
ICON_SIDES = (192, 512)
# Golden cases are asked again at every start, which takes a few milliseconds each.
MAX_CASE_BYTES = 512 * 1024
# The icon of icon.svg: a white A on green, BGR, in a square of this side.
ICON_PX, GREEN, LINE_PX = 32, (90, 133, 0), 2.5
STROKES = (((9.5, 23.5), (16.0, 9.0), (22.5, 23.5)), ((12.0, 19.5), (20.0, 19.5)))
# The line of the worker that names the app's files, as app_files writes it.
NAMED_FILES = re.compile(r"^const FILES = (\[.*\]);$", re.MULTILINE)
# Fine enough for the edges of the icon's lines.
SHIFT = 6


@dataclass(frozen=True)
class WebBundle:
    """An app that was written: its folder or zip, the bytes of all files, and how many golden cases it asks again."""

    path: Path
    size_bytes: int
    cases: int


def shipped_model(model: Path) -> Path:
    """Return the .onnx file of a model that comes with lettercast as .tflite; any other path as it is."""
    root = packaged("").parent
    is_shipped = model.name in SHIPPED and model.parent == packaged("models")
    return root / SHIPPED[model.name] if is_shipped else model


def write_web_bundle(model: Path, out: Path | None = None, *, overwrite: bool = False, cache: Path | None = None) -> WebBundle:
    """Write a model as an app for a browser, the same bytes for the same input.

    Args:
        model: an `.onnx` file that takes letters, or grey or RGB images.
        out: a folder, or a file ending in `.zip`; by default a folder named after the model, such as letters-base-web.
        overwrite: whether to replace the app in `out` if it exists; other files in a folder stay.
        cache: where npm's packages are kept; by default in the user's cache.

    Raises:
        LettercastError: a browser cannot run the model, npm cannot fetch a package, or `out` exists or cannot be written.
    """
    if model.suffix.lower() != ".onnx":
        shipped = model.parent == packaged("models")
        original = model.name.removesuffix("-int8.tflite") if shipped else "ORIGINAL"
        raise LettercastError(
            f"{model}: an app for a browser takes an .onnx file; make one of its original with lettercast export {original} "
            "--formats onnx-int8"
        )
    facts = open_engine(model).facts
    if facts.takes == PHOTOS:
        raise LettercastError(f"{model}: takes whole photos, which is for MediaPipe; export it as onnx-int8 instead")
    out = out or Path(f"{facts.name}-web")
    # Behind links and dots, because a folder is written beside its place.
    place = Path(os.path.realpath(out))
    is_zip = out.suffix.lower() == ZIP
    if place.exists() and not (overwrite and (place.is_file() if is_zip else is_app(place))):
        hint = "is no app of lettercast; choose another --out" if overwrite else "add --overwrite, or choose another --out"
        raise LettercastError(f"{out}: exists already; {hint}")
    files, cases = app_files(model, facts, cache)
    if is_zip:
        make_folder(place.parent)
        with replacing(place) as temporary:
            temporary.write_bytes(archive(files))
    else:
        write_folder(place, files)
    return WebBundle(out, sum(map(len, files.values())), cases)


def app_files(model: Path, facts: Facts, cache: Path | None = None) -> tuple[dict[str, bytes], int]:
    """Return the files of an app by their places in its folder, and the number of golden cases."""
    app = packaged("").parent / "export" / "web" / "app"
    files = {path.relative_to(app).as_posix(): path.read_bytes() for path in sorted(app.rglob("*")) if path.is_file()}
    files |= {TUNING: tuning_script(), CASE: case_network()}
    files |= {f"packages/{place}": content for place, content in package_files(cache).items()}
    files |= {f"icon-{side}.png": icon(side) for side in ICON_SIDES}
    files["LICENSE"] = (packaged("").parent / "LICENSE").read_bytes()
    files[MODEL] = model.read_bytes()
    cases = golden_cases(model, files[MODEL])
    if cases:
        files[CASES] = b"".join(part.tobytes() for part in cases)
    count = len(cases[0]) if cases else 0
    files["model.json"] = json.dumps(facts_of(facts, count, files[MODEL]), indent=1).encode()
    # The app's files are kept by the browser under this name until one of them changes.
    version = hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()[:16]
    kept = ["./", *sorted(set(files) - {WORKER, "LICENSE", "packages/opencv/LICENSE"})]
    head = f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(kept)};\n"
    files[WORKER] = head.encode() + files[WORKER]
    return files, count


def facts_of(facts: Facts, cases: int, model: bytes) -> dict[str, object]:
    """Return what the app must know of a model file."""
    return {
        "name": facts.name,
        "lettercast": __version__,
        "labels": facts.labels,
        "input_shape": facts.input_shape,
        "input_dtype": facts.input_dtype,
        "takes": facts.takes,
        "reject_below": facts.reject_below,
        "look_alikes": look_alikes(facts.labels),
        "is_alone": SCALES_OF_BATCH in model,
        "cases": cases,
    }


def golden_cases(model: Path, content: bytes) -> tuple[Pixels, Pixels] | None:
    """Return images and probabilities of a model's golden cases, as many as the app asks; None if it has none.

    Raises LettercastError if they belong to another model.
    """
    if (golden := golden_of(model, content)) is None:
        return None
    some = golden.first(MAX_CASE_BYTES)
    return np.ascontiguousarray(some.images), np.ascontiguousarray(some.probabilities, "<f4")


def icon(side: int) -> bytes:
    """Return the app's icon as a PNG with this many pixels a side."""
    scale = side / ICON_PX
    image = np.full((side, side, 3), GREEN, np.uint8)
    for stroke in STROKES:
        points = np.rint(np.array(stroke) * scale * 2**SHIFT).astype(np.int32)
        cv2.polylines(image, [points], False, (255, 255, 255), round(LINE_PX * scale), cv2.LINE_AA, SHIFT)
    return cv2.imencode(".png", image)[1].tobytes()


def is_app(folder: Path) -> bool:
    """Tell whether a folder is an app that this program wrote."""
    return (folder / "model.json").is_file() and (folder / WORKER).is_file()


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write an app beside its place and then move it there, so that no file is half written; raises LettercastError.

    Files in the folder that are not the app's stay, such as those of a host or of Git.
    """
    make_folder(folder.parent)
    temporary = partial_name(folder)
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            replace_files(folder, temporary, files)
        else:
            temporary.replace(folder)
    except OSError as error:
        raise LettercastError(f"{folder}: {error.strerror or error}; make room, or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_files(folder: Path, fresh: Path, names: Iterable[str]) -> None:
    """Move an app from the folder `fresh` over an older one, and remove the files that only the older one has."""
    old = named_files(folder)
    # The worker comes last: browsers fetch the new files when it changes.
    for name in sorted(names, key=lambda name: (name == WORKER, name)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(folder / name)
    for name in old.difference(names):
        with suppress(OSError):
            (folder / name).unlink()
            # Its folder goes, too, if nothing else is in it.
            (folder / name).parent.rmdir()


def named_files(folder: Path) -> set[str]:
    """Return the places of files that an app's worker names, but none outside its folder; empty if it is damaged."""
    found = NAMED_FILES.search((folder / WORKER).read_text("utf-8", "replace"))
    try:
        names = json.loads(found[1]) if found else []
    except (ValueError, RecursionError):
        return set()
    paths = [PurePosixPath(name) for name in names if isinstance(name, str)]
    return {path.as_posix() for path in paths if not path.is_absolute() and ".." not in path.parts}
