"""An emulated Raspberry Pi: does every artifact answer on ARM as where it was exported, and are pages read alike?

Maintainer's command; emulation says nothing of speed:

    sudo python -m lettercast.benchmarks.emulated_pi [DIR|MODEL ...] [--pictures PICTURE|DIR ...] [--root DIR] [--json FILE]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from rich.table import Table
from rich.text import Text

from .. import DONE, MISSED, UNUSABLE, LettercastError
from ..export.bundle import write_bundle
from ..runtime.arguments import device_model, model_or_folder
from ..runtime.files import make_folder, write_bytes
from ..runtime.model.facts import LETTERS
from ..runtime.model.golden import golden_path
from ..runtime.model.installed import LITERT, NUMPY, ONNX_RUNTIME
from ..runtime.sources.images import IMAGE_SUFFIXES
from .columns import Cell, fill
from .parity.benchmark import find_models

SUITE, ARCHITECTURE, MACHINE = "bookworm", "arm64", "aarch64"
# Of that suite: its Python, and the glibc from which on wheels are for it.
PYTHON, PYTHON_VERSION, GLIBC, OLDEST_GLIBC = "/usr/bin/python3", "3.11", 36, 17
# There is no screen.
WHEELS = (NUMPY.name, "opencv-python-headless", LITERT.name, ONNX_RUNTIME.name)
EMULATOR, WHEEL_FOLDER, READY = "qemu-aarch64-static", "opt/letters", "lettercast-ready"
BOOTSTRAP = "debootstrap"
HOW_TO_INSTALL = "apt install debootstrap qemu-user-static"
SETUP_LIMIT_S, RUN_LIMIT_S = 1800, 1800


@dataclass(frozen=True)
class Guest:
    """The system in a folder, ready to run."""

    root: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run its Python with these words."""
        line = ["chroot", self.root, f"/usr/bin/{EMULATOR}", "-E", f"PYTHONPATH=/{WHEEL_FOLDER}", PYTHON, *words]
        return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder that both systems see, as this one names it; `inside` says how the guest does. It goes in the end."""
        with tempfile.TemporaryDirectory(dir=self.root / "tmp") as name:
            yield Path(name)

    def inside(self, path: Path) -> str:
        """Return how the guest names a file."""
        return f"/{path.relative_to(self.root)}"


def default_root() -> Path:
    """Return where the system is kept from one run to the next."""
    return user_cache_path("lettercast") / f"{SUITE}-{ARCHITECTURE}"


def open_guest(root: Path, *, mirror: str = "", report: Callable[[str], None] = lambda said: None) -> Guest:
    """Open the system in a folder, and make it first where it is not there; a half-made one is made anew.

    Args:
        root: its folder, which is empty, not there, or was made by this.
        mirror: where Debian's packages are taken from; else where debootstrap takes them.

    Raises:
        LettercastError: this user or system cannot, a tool is missing, or packages cannot be had.
    """
    check_host()
    root = root.resolve()
    if not (root / READY).is_file():
        clear(root)
        report(f"unpacking Debian {SUITE} for {ARCHITECTURE}")
        unpack_debian(root, mirror)
        report(f"unpacking {', '.join(WHEELS)} for {MACHINE}")
        unpack_wheels(root / WHEEL_FOLDER)
        shutil.copy2(str(shutil.which(EMULATOR)), root / "usr/bin" / EMULATOR)
        write_bytes(root / READY, f"{' '.join(WHEELS)}\n".encode())
    return Guest(root)


def check_host() -> None:
    """Raise LettercastError where no such system can be made or run here."""
    if sys.platform != "linux":
        raise LettercastError(f"an emulated Pi needs Linux, this is {sys.platform}; run it in a Debian container")
    if os.geteuid() != 0:
        raise LettercastError("an emulated Pi needs root, for chroot; start it with sudo, or in a container")
    absent = [tool for tool in (BOOTSTRAP, EMULATOR, "dpkg-deb", "chroot") if not shutil.which(tool)]
    if absent:
        raise LettercastError(f"{', '.join(absent)} not installed here: {HOW_TO_INSTALL}")


def clear(root: Path) -> None:
    """Remove a half-made system; raises LettercastError where the folder holds anything else."""
    make_folder(root.parent)
    if root.exists():
        if any(root.iterdir()) and not (root / BOOTSTRAP).exists():
            raise LettercastError(f"{root}: holds something else than an emulated Pi; name an empty folder with --root")
        shutil.rmtree(root)


def unpack_debian(root: Path, mirror: str) -> None:
    """Unpack the base system and Python; what is there is told half-made by debootstrap's own folder."""
    line = [BOOTSTRAP, "--foreign", f"--arch={ARCHITECTURE}", "--variant=minbase", "--include=python3", SUITE, root]
    must(f"Debian {SUITE}", *line, *([mirror] if mirror else []))
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        must(package.name, "dpkg-deb", "--extract", package, root)
        package.unlink()


def unpack_wheels(folder: Path) -> None:
    """Unpack the newest wheels for the guest's Python, with what they need."""
    platforms = [f"--platform=manylinux_2_{minor}_{MACHINE}" for minor in range(OLDEST_GLIBC, GLIBC + 1)]
    kind = ["--only-binary=:all:", f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", folder]
    must("wheels", *pip, *platforms, *kind, *WHEELS)


def must(what: str, *line: object) -> None:
    """Run a command; raises LettercastError with its last line where it fails."""
    try:
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=SETUP_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{what}: {line[0]} did not end within {SETUP_LIMIT_S} s; try again") from error
    if done.returncode:
        said = (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["it said nothing"])[-1]
        raise LettercastError(f"{what}: {Path(str(line[0])).name} failed ({said.strip()}); is there a network? try again")


# Reads the pages; without any, the shipped model does.
READS = "-int8.tflite"
BUNDLE = "reader.pyz"
OPTIONS = ("--no-window", "--json")


@dataclass(frozen=True)
class Answer:
    """How one artifact answered its golden cases on ARM, by `doctor`; fault or note says why it did not."""

    model: str
    format: str
    takes: str
    engine: str
    verdict: str
    n: int
    difference: float
    strays: int
    fault: str


@dataclass(frozen=True)
class Reading:
    """One picture read on both: letters here and there, how many places differ, and the largest difference of a confidence."""

    picture: str
    here: str
    there: str
    letters: int
    differ: int
    moved_boxes: int
    confidence: float


@dataclass(frozen=True)
class EmulatedPi:
    """What answered and what was read; packages are those of the guest by their versions."""

    platform: str
    python: str
    packages: dict[str, str]
    answers: tuple[Answer, ...]
    model: str
    readings: tuple[Reading, ...]

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, a line each."""
        said = [f"{one.model}: {one.fault or one.verdict}" for one in self.answers if one.verdict not in ("equal", "close")]
        return said + [f"{one.picture}: {one.differ} of {one.letters} letters differ" for one in self.readings if one.differ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        return {**asdict(self), "faults": self.faults}


def try_emulated_pi(
    guest: Guest, models: Sequence[Path], pictures: Sequence[Path], *, report: Callable[[str], None] = lambda said: None
) -> EmulatedPi:
    """Ask every model its golden cases in the guest, and read the pictures there and here with the same bundle.

    Raises LettercastError where the reader itself does not start.
    """
    with guest.folder() as folder:
        bundle = folder / BUNDLE
        reads = next((path for path in models if path.name.endswith(READS)), None) or device_model("letters-base")
        write_bundle(reads, bundle)
        copies = [copy_model(path, folder) for path in models]
        report(f"asking {len(models)} models in the guest")
        (told,) = ask(guest.run(guest.inside(bundle), "doctor", *map(guest.inside, copies), "--json"))
        answers = tuple(answer_of(path.name, one) for path, one in zip(models, told["models"], strict=True))
        report(f"reading {len(pictures)} pictures there and here")
        readings = read_both(guest, bundle, folder, pictures) if pictures else ()
    packages = {name: one["version"] for name, one in told["packages"].items() if one["version"]}
    return EmulatedPi(told["platform"], told["python"], packages, answers, reads.name, readings)


def read_both(guest: Guest, bundle: Path, folder: Path, pictures: Sequence[Path]) -> tuple[Reading, ...]:
    """Read pictures with a bundle in the guest and here, and compare; raises LettercastError where one cannot be read."""
    # Names of pictures may be anything, and two the same; both systems are given these.
    copies = [folder / f"{i}{picture.suffix.lower()}" for i, picture in enumerate(pictures)]
    for picture, copy in zip(pictures, copies, strict=True):
        shutil.copyfile(picture, copy)
    there = ask(guest.run(guest.inside(bundle), *map(guest.inside, copies), *OPTIONS))
    line = [sys.executable, bundle, *copies, *OPTIONS]
    here = ask(subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False))
    return tuple(compare_readings(picture.name, *both) for picture, *both in zip(pictures, here, there, strict=True))


def copy_model(path: Path, folder: Path) -> Path:
    """Copy a model with its golden cases, each to a folder of its own, as names may meet; returns where it is."""
    own = Path(tempfile.mkdtemp(dir=folder))
    for file in (path, golden_path(path)):
        if file.exists():
            shutil.copyfile(file, own / file.name)
    return own / path.name


def ask(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the JSON that a process printed, a line each; raises LettercastError with its last line where it failed."""
    try:
        if done.returncode in (DONE, MISSED):
            return [json.loads(line) for line in done.stdout.splitlines()]
    except json.JSONDecodeError as error:
        raise LettercastError(f"{BUNDLE}: printed what is no JSON ({error})") from error
    said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise LettercastError(f"{BUNDLE}: did not answer ({said})")


def answer_of(name: str, told: dict[str, Any]) -> Answer:
    """Return what `doctor --json` told of one model."""
    facts, test = told["facts"] or {}, told["self_test"]
    verdict = test["verdict"] if test else "not tried"
    figures = (test["n"], test["difference"], len(test["strays"])) if test else (0, 0.0, 0)
    fault = told["fault"] or ("" if test else told["note"])
    return Answer(name, facts.get("format", ""), facts.get("takes", LETTERS), told["engine"] or "", verdict, *figures, fault)


def compare_readings(picture: str, here: dict[str, Any], there: dict[str, Any]) -> Reading:
    """Compare what `read --json` printed of one picture, letter by letter in reading order."""
    own, other = ([letter for line in page["lines"] for letter in line["letters"]] for page in (here, there))
    pairs = list(zip_longest(own, other))
    both = [(a, b) for a, b in pairs if a and b]
    return Reading(
        picture=picture,
        here=here["text"],
        there=there["text"],
        letters=len(own),
        differ=sum(not (a and b) or a["letter"] != b["letter"] for a, b in pairs),
        moved_boxes=sum(a["box"] != b["box"] for a, b in both),
        confidence=max((abs(a["confidence"] - b["confidence"]) for a, b in both), default=0.0),
    )


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Return pictures, and those in folders; raises LettercastError where a path has none."""
    found = []
    for path in paths:
        inside = sorted(f for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside or not path.exists():
            raise LettercastError(f"{path}: no picture there; give one of {', '.join(IMAGE_SUFFIXES)} or a folder of them")
        found += inside
    return found


def emulated_tables(result: EmulatedPi) -> list[Table]:
    """Return how artifacts answered on an emulated Pi, and the pages that were not read there as here."""
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    answered = Table(title=f"golden cases, {result.platform}", caption=packages, caption_justify="left")
    answers: dict[str, Cell[Answer]] = {
        "model": lambda one: one.model,
        "cases": lambda one: str(one.n),
        "answer": lambda one: Text(one.verdict, "" if one.verdict in ("equal", "close") else "red"),
        "other labels": lambda one: str(one.strays),
        "difference": lambda one: f"{one.difference:.1e}",
    }
    tables = [fill(answered, answers, result.answers, answers)]
    if result.readings:
        total = sum(one.letters for one in result.readings)
        alike = total - sum(one.differ for one in result.readings)
        pages = f"{len(result.readings)} pages read by {result.model} there and here"
        read = Table(title=f"{pages}: {alike} of {total} letters alike; pages that differ")
        readings: dict[str, Cell[Reading]] = {
            "picture": lambda one: one.picture,
            "letters": lambda one: str(one.letters),
            "other letters": lambda one: Text(str(one.differ), "red" if one.differ else ""),
            "other boxes": lambda one: str(one.moved_boxes),
            "difference": lambda one: f"{one.confidence:.1e}",
        }
        tables.append(fill(read, readings, [one for one in result.readings if one.differ or one.moved_boxes], readings))
    return tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how it went; returns the exit code, 1 where an artifact or a letter is not as it should be."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.emulated_pi", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("models", type=model_or_folder, nargs="*", metavar="DIR|MODEL", help="default: letters-base")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], metavar="PICTURE|DIR", help="pages to read on both")
    parser.add_argument("--root", type=Path, default=default_root(), metavar="DIR", help="of its system (default: %(default)s)")
    parser.add_argument("--mirror", default="", metavar="URL", help="of Debian's packages (default: debootstrap's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    options = parser.parse_args(arguments)
    try:
        models, pictures = find_models(options.models or [device_model("letters-base")]), find_pictures(options.pictures)
        with Console(stderr=True).status("opening") as said:
            guest = open_guest(options.root, mirror=options.mirror, report=said.update)
            result = try_emulated_pi(guest, models, pictures, report=said.update)
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    for table in emulated_tables(result):
        Console().print(table)
    for said in result.faults:
        print(f"lettercast: {said}", file=sys.stderr)
    return MISSED if result.faults else DONE


if __name__ == "__main__":
    sys.exit(main())
