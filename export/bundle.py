"""Bundles: one model, and the reader or the classifier that uses it, as a single file that Python runs."""

import shlex
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from .. import LettercastError
from ..runtime.files import make_folder, packaged, replacing
from ..runtime.hand.apply import with_hand
from ..runtime.hand.file import load_hand
from ..runtime.hand.folder import find_hand
from ..runtime.hand.space import ENDING as WRITERS
from ..runtime.model.engine import Engine, open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.model.golden import golden_of, golden_path
from ..runtime.model.installed import NUMPY, OPENCV
from ..runtime.reader import Reader
from ..runtime.text.language import SHIPPED, find_language

PACKAGE = "lettercast"
# From the package itself; from the runtime a bundle takes all modules.
MODULES = ("__init__", "__main__")
COMMANDS = tuple(f"commands/{name}" for name in ("__init__", "bundled", "cli", "doctor", "parser", "terminal"))
# The command that uses the model, and what it needs besides modules.
READ, CLASSIFY = "read", "classify"
RUNTIME_FILES = {READ: ("web/page.html", "models/letters-case.npz"), CLASSIFY: ()}
# It starts the reader of an environment; in a bundle it starts the bundle.
UNIT, UNIT_STARTS = "lettercast.service", "/home/pi/letters/bin/lettercast read"
DEFAULT_NAMES = {READ: "reader.pyz", CLASSIFY: "classifier.pyz"}
SHEBANG = b"#!/usr/bin/env python3\n"
# The earliest time that zip can store; a fixed time makes the same bytes for the same input.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
FILE_MODE, PROGRAM_MODE, UNIX = 0o100644, 0o755, 3
# Any Python can parse this, even Python 2, and stops before it imports anything that an old one cannot parse.
START = """\
import sys

if sys.version_info < (3, 11):
    found = "%d.%d" % sys.version_info[:2]
    sys.stderr.write("this needs Python 3.11 or later, and this is Python " + found + ": take a newer one, such as python3.11; "
                     "Raspberry Pi OS has it since bookworm\\n")
    sys.exit(2)

from lettercast.__main__ import run

run("bundled")
"""
# The shipped model that OpenCV runs: a device needs no package that apt does not have.
NO_PIP_MODEL = "letters-nano-float32.onnx"
APT_INSTALL = f"sudo apt install {OPENCV.debian} {NUMPY.debian}"
ENGINE_FROM_APT = "OpenCV also runs the model, so nothing comes from pip, on 32-bit systems as well."
ENGINE_FROM_PIP = "The engine of the model comes from pip: the next command says how to install it on your system."
README = """\
# {name}

This file {does} with {model}, on Python 3.11 or later. On Raspberry Pi OS or Debian, bookworm or later, install:

    {install}

{engine}

    python3 {name} doctor      # what is installed, and whether the model gives the right results here
    python3 {name} {source}
    python3 {name} --help
"""
README_UNIT = """
lettercast.service, beside this text, starts it when the device boots:

    unzip -p {name} lettercast.service | sudo tee /etc/systemd/system/lettercast.service
    sudo systemctl edit --full lettercast        # your user, folder and token
    sudo systemctl enable --now lettercast
"""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written: its path, its size, and the command in it, `read` or `classify`."""

    path: Path
    size_bytes: int
    command: str


def write_bundle(
    model: Path,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    languages: Sequence[str | Path] = (),
    no_pip: bool = False,
    hand: str | Path | None = None,
) -> Bundle:
    """Write a model with its golden cases, and what uses it, as one file, the same bytes for the same input.

    Args:
        model: a `.tflite` or `.onnx` file. A model that takes letters gets the reader, any other model the classifier.
        out: the file to write; by default `reader.pyz`, or `classifier.pyz` for a model that does not take letters.
        overwrite: whether to replace `out` if it exists.
        languages: names of languages that come with lettercast, or paths of fitted ones named letters-xx.npz. The reader in the
            bundle takes no others.
        no_pip: whether OpenCV must run the model, so that a device needs no package that apt does not have.
        hand: the name or the file of a hand that is put in; the bundle reads with it unless its --hand names another one.

    Raises:
        LettercastError: the model, the hand or a language cannot be used, or `out` exists or cannot be written.
    """
    engine = open_to_bundle(model, no_pip)
    command = READ if engine.facts.takes == LETTERS else CLASSIFY
    if hand is not None:
        with_hand(engine, hand)
    if command == READ:
        # It says why it cannot use a model.
        for language in languages or (None,):
            Reader(engine, language=language)
    elif languages:
        raise LettercastError(f"{model}: classifies whole images, in which no letters follow each other; leave --language out")
    out = out or Path(DEFAULT_NAMES[command])
    if out.exists() and (not overwrite or out.samefile(model)):
        hint = "choose another --out" if overwrite else "add --overwrite, or choose another --out"
        raise LettercastError(f"{out}: exists already; {hint}")
    about = README.format(
        name=DEFAULT_NAMES[command],
        does="reads handwritten letters" if command == READ else "classifies images",
        model=model.name,
        install=APT_INSTALL,
        engine=ENGINE_FROM_APT if no_pip else ENGINE_FROM_PIP,
        source="[SOURCE ...]" if command == READ else "IMAGE ...",
    )
    written = {"__main__.py": START.encode(), "README.md": about.encode()}
    if command == READ:
        written["README.md"] += README_UNIT.format(name=DEFAULT_NAMES[command]).encode()
        written[UNIT] = unit(no_pip).encode()
    program = SHEBANG + archive(
        {**written, **dict(contents(model, command)), **dict(language_files(languages)), **dict(hand_files(hand))}
    )
    make_folder(out.parent)
    with replacing(out) as temporary:
        temporary.write_bytes(program)
        temporary.chmod(PROGRAM_MODE)
    return Bundle(out, len(program), command)


def unit(no_pip: bool) -> str:
    """Return a unit for systemd that starts a bundle when the device boots."""
    python = "/usr/bin/python3" if no_pip else "/home/pi/letters/bin/python"
    return packaged(f"health/{UNIT}").read_text(encoding="utf-8").replace(UNIT_STARTS, f"{python} /home/pi/{DEFAULT_NAMES[READ]}")


def no_pip_model() -> Path:
    """Return the model that comes with lettercast for devices with nothing but packages of apt."""
    return packaged("models") / NO_PIP_MODEL


def open_to_bundle(model: Path, no_pip: bool) -> Engine:
    """Open a model that is to be bundled; raises LettercastError if it is a Keras model, or OpenCV does not run it but must."""
    if model.suffix.lower() == ".keras":
        raise LettercastError(f"{model}: devices cannot run Keras models; run lettercast export {shlex.quote(str(model))} first")
    if no_pip and model.suffix.lower() != ".onnx":
        raise LettercastError(
            f"{model}: without pip, only onnx-float32 files run; make one with lettercast export --formats onnx-float32, "
            "or leave the model out for letters-nano"
        )
    return open_engine(model, package=OPENCV if no_pip else None)


def contents(model: Path, command: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of each file of a bundle; raises LettercastError if the golden cases belong to another model."""
    runtime = packaged("")
    root = runtime.parent
    yield "LICENSE", (root / "LICENSE").read_bytes()
    for name in (*MODULES, *COMMANDS, f"commands/{command}"):
        yield f"{PACKAGE}/{name}.py", (root / f"{name}.py").read_bytes()
    for path in (*runtime.rglob("*.py"), *(runtime / name for name in RUNTIME_FILES[command])):
        yield f"{PACKAGE}/runtime/{path.relative_to(runtime).as_posix()}", path.read_bytes()
    content, cases = model.read_bytes(), golden_path(model)
    yield f"{PACKAGE}/runtime/models/{model.name}", content
    if golden_of(model, content):
        yield f"{PACKAGE}/runtime/models/{cases.name}", cases.read_bytes()


def hand_files(hand: str | Path | None) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of a hand, and of the statistics of writers that it needs."""
    if hand is None:
        return
    path = find_hand(hand)
    writers = packaged(f"models/{load_hand(path).model}{WRITERS}")
    yield f"{PACKAGE}/runtime/models/{path.name}", path.read_bytes()
    if writers.is_file():
        yield f"{PACKAGE}/runtime/models/{writers.name}", writers.read_bytes()


def language_files(languages: Sequence[str | Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of the file of each language; raises LettercastError if its name is none of a language."""
    for language in languages:
        path = find_language(language)
        if not SHIPPED.fullmatch(path.name):
            raise LettercastError(f"{path}: name the file letters-xx.npz, with two small letters for the language")
        yield f"{PACKAGE}/runtime/models/{path.name}", path.read_bytes()


def archive(files: dict[str, bytes]) -> bytes:
    """Return a zip of files by their names, sorted, with one time and one mode, so that its bytes depend on them alone."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, FILE_MODE << 16, UNIX
            target.writestr(entry, files[name], compresslevel=9)
    return packed.getvalue()
