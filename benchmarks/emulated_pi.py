"""Check exported models and pages on an emulated Raspberry Pi: are the results on ARM the same as on this machine?

Maintainer's command; emulated speed says nothing about real boards:

    sudo python -m lettercast.benchmarks.emulated_pi [DIR|MODEL ...] [--pictures IMAGE|DIR ...] [--root DIR] [--json FILE]
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
# The suite's Python, and the range of glibc versions whose wheels it can install.
PYTHON, PYTHON_VERSION, MAX_GLIBC, MIN_GLIBC = "/usr/bin/python3", "3.11", 36, 17
# OpenCV without windows, because there is no screen.
WHEELS = (NUMPY.name, "opencv-python-headless", LITERT.name, ONNX_RUNTIME.name)
EMULATOR, WHEEL_FOLDER, READY = "qemu-aarch64-static", "opt/letters", "lettercast-ready"
BOOTSTRAP = "debootstrap"
HOW_TO_INSTALL = "apt install debootstrap qemu-user-static"
SETUP_LIMIT_S, RUN_LIMIT_S = 1800, 1800
# The first model with this ending reads the pages; without one, the shipped model does.
READING_SUFFIX = "-int8.tflite"
BUNDLE = "reader.pyz"
OPTIONS = ("--no-window", "--json")


@dataclass(frozen=True)
class ArmRootfs:
    """A root file system of Debian for ARM in a folder, ready to run under emulation."""

    root: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run the root file system's Python with these arguments."""
        line = ["chroot", self.root, f"/usr/bin/{EMULATOR}", "-E", f"PYTHONPATH=/{WHEEL_FOLDER}", PYTHON, *words]
        return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a temporary folder that both systems can use; `inside` gives its path on ARM."""
        with tempfile.TemporaryDirectory(dir=self.root / "tmp") as name:
            yield Path(name)

    def inside(self, path: Path) -> str:
        """Return the path of a file as ARM programs see it."""
        return f"/{path.relative_to(self.root)}"


@dataclass(frozen=True)
class GoldenResult:
    """The result of `doctor` on ARM for one model and its golden cases; fault says what is wrong."""

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
class PageComparison:
    """One image read here and on ARM (there): the texts, letters that differ, moved boxes, and the largest confidence change."""

    picture: str
    here: str
    there: str
    letters: int
    differ: int
    moved_boxes: int
    confidence: float


@dataclass(frozen=True)
class EmulatedPi:
    """All results of golden cases and pages; packages are the versions on ARM."""

    platform: str
    python: str
    packages: dict[str, str]
    answers: tuple[GoldenResult, ...]
    model: str
    readings: tuple[PageComparison, ...]

    @property
    def faults(self) -> list[str]:
        """Everything that differs or failed, one line each."""
        golden = [f"{one.model}: {one.fault or one.verdict}" for one in self.answers if one.verdict not in ("equal", "close")]
        return golden + [f"{one.picture}: {one.differ} of {one.letters} letters differ" for one in self.readings if one.differ]

    def to_dict(self) -> dict[str, Any]:
        """Return all results as a JSON object."""
        return {**asdict(self), "faults": self.faults}


def try_emulated_pi(
    rootfs: ArmRootfs, models: Sequence[Path], images: Sequence[Path], *, report: Callable[[str], None] = lambda message: None
) -> EmulatedPi:
    """Run the golden cases of every model on ARM, and read images there and here with the same bundle.

    Raises LettercastError if the reader does not start.
    """
    with rootfs.folder() as folder:
        bundle = folder / BUNDLE
        reading_model = next((path for path in models if path.name.endswith(READING_SUFFIX)), None) or device_model(
            "letters-base"
        )
        write_bundle(reading_model, bundle)
        copies = [copy_model(path, folder) for path in models]
        report(f"checking {len(models)} models on ARM")
        (doctor,) = json_lines(rootfs.run(rootfs.inside(bundle), "doctor", *map(rootfs.inside, copies), "--json"))
        answers = tuple(golden_result(path.name, one) for path, one in zip(models, doctor["models"], strict=True))
        report(f"reading {len(images)} images here and on ARM")
        readings = read_both(rootfs, bundle, folder, images) if images else ()
    packages = {name: one["version"] for name, one in doctor["packages"].items() if one["version"]}
    return EmulatedPi(doctor["platform"], doctor["python"], packages, answers, reading_model.name, readings)


def read_both(rootfs: ArmRootfs, bundle: Path, folder: Path, images: Sequence[Path]) -> tuple[PageComparison, ...]:
    """Read images with a bundle here and on ARM, and compare; raises LettercastError if an image cannot be read."""
    # File names may be unusual or the same, so both systems get copies with plain names.
    copies = [folder / f"{i}{image.suffix.lower()}" for i, image in enumerate(images)]
    for image, copy in zip(images, copies, strict=True):
        shutil.copyfile(image, copy)
    there = json_lines(rootfs.run(rootfs.inside(bundle), *map(rootfs.inside, copies), *OPTIONS))
    line = [sys.executable, bundle, *copies, *OPTIONS]
    here = json_lines(subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False))
    return tuple(compare_readings(image.name, *both) for image, *both in zip(images, here, there, strict=True))


def copy_model(path: Path, folder: Path) -> Path:
    """Copy a model and its golden cases into a new folder, because names may be the same; return the copy's path."""
    own = Path(tempfile.mkdtemp(dir=folder))
    for file in (path, golden_path(path)):
        if file.exists():
            shutil.copyfile(file, own / file.name)
    return own / path.name


def json_lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the JSON lines that a process printed; raises LettercastError with its last line if it failed."""
    try:
        if done.returncode in (DONE, MISSED):
            return [json.loads(line) for line in done.stdout.splitlines()]
    except json.JSONDecodeError as error:
        raise LettercastError(f"{BUNDLE}: did not print JSON ({error})") from error
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise LettercastError(f"{BUNDLE}: failed ({reason})")


def golden_result(name: str, entry: dict[str, Any]) -> GoldenResult:
    """Return the result of one model in the output of `doctor --json`."""
    facts, test = entry["facts"] or {}, entry["self_test"]
    verdict = test["verdict"] if test else "not tried"
    figures = (test["n"], test["difference"], len(test["strays"])) if test else (0, 0.0, 0)
    fault = entry["fault"] or ("" if test else entry["note"])
    return GoldenResult(
        name, facts.get("format", ""), facts.get("takes", LETTERS), entry["engine"] or "", verdict, *figures, fault
    )


def compare_readings(picture: str, here: dict[str, Any], there: dict[str, Any]) -> PageComparison:
    """Compare two outputs of `read --json` for one image, letter by letter in reading order."""
    own, other = ([letter for line in page["lines"] for letter in line["letters"]] for page in (here, there))
    pairs = list(zip_longest(own, other))
    both = [(a, b) for a, b in pairs if a and b]
    return PageComparison(
        picture=picture,
        here=here["text"],
        there=there["text"],
        letters=len(own),
        differ=sum(not (a and b) or a["letter"] != b["letter"] for a, b in pairs),
        moved_boxes=sum(a["box"] != b["box"] for a, b in both),
        confidence=max((abs(a["confidence"] - b["confidence"]) for a, b in both), default=0.0),
    )


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return images and the images in folders; raises LettercastError if a path has none."""
    found = []
    for path in paths:
        inside = sorted(f for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside or not path.exists():
            raise LettercastError(f"{path}: no image there; name one of {', '.join(IMAGE_SUFFIXES)}, or a folder of them")
        found += inside
    return found


def default_root() -> Path:
    """Return the folder that keeps the root file system between runs."""
    return user_cache_path("lettercast") / f"{SUITE}-{ARCHITECTURE}"


def open_arm_rootfs(root: Path, *, mirror: str = "", report: Callable[[str], None] = lambda message: None) -> ArmRootfs:
    """Open the root file system in a folder; make it first if it is missing or incomplete.

    Args:
        root: its folder: missing, empty, or made by this function.
        mirror: the URL of Debian's packages; by default that of debootstrap.
        report: a function that shows progress.

    Raises:
        LettercastError: this user or system cannot run it, a tool is missing, or packages cannot be downloaded.
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
    return ArmRootfs(root)


def check_host() -> None:
    """Raise LettercastError if an emulated Pi cannot run here."""
    if sys.platform != "linux":
        raise LettercastError(f"an emulated Pi needs Linux, but this is {sys.platform}; run it in a Debian container")
    if os.geteuid() != 0:
        raise LettercastError("an emulated Pi needs root, for chroot; start it with sudo, or in a container")
    absent = [tool for tool in (BOOTSTRAP, EMULATOR, "dpkg-deb", "chroot") if not shutil.which(tool)]
    if absent:
        raise LettercastError(f"{', '.join(absent)} not installed here: {HOW_TO_INSTALL}")


def clear(root: Path) -> None:
    """Remove an incomplete root file system; raises LettercastError if the folder holds anything else."""
    make_folder(root.parent)
    if root.exists():
        if any(root.iterdir()) and not (root / BOOTSTRAP).exists():
            raise LettercastError(f"{root}: holds other files than an emulated Pi; name an empty folder with --root")
        shutil.rmtree(root)


def unpack_debian(root: Path, mirror: str) -> None:
    """Unpack the base system and Python; debootstrap's own folder marks an incomplete root file system."""
    line = [BOOTSTRAP, "--foreign", f"--arch={ARCHITECTURE}", "--variant=minbase", "--include=python3", SUITE, root]
    run_or_raise(f"Debian {SUITE}", *line, *([mirror] if mirror else []))
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        run_or_raise(package.name, "dpkg-deb", "--extract", package, root)
        package.unlink()


def unpack_wheels(folder: Path) -> None:
    """Unpack the newest wheels for the Python on ARM, with their dependencies."""
    platforms = [f"--platform=manylinux_2_{minor}_{MACHINE}" for minor in range(MIN_GLIBC, MAX_GLIBC + 1)]
    kind = ["--only-binary=:all:", f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", folder]
    run_or_raise("wheels", *pip, *platforms, *kind, *WHEELS)


def run_or_raise(what: str, *line: object) -> None:
    """Run a command; raises LettercastError with its last line if it fails."""
    try:
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=SETUP_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{what}: {line[0]} did not finish within {SETUP_LIMIT_S} s; try again") from error
    if done.returncode:
        reason = (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["no output"])[-1]
        raise LettercastError(f"{what}: {Path(str(line[0])).name} failed ({reason.strip()}); check the network and try again")


def emulated_tables(result: EmulatedPi) -> list[Table]:
    """Return a table of golden cases, and one of the pages with differences."""
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    golden = Table(title=f"golden cases on {result.platform}", caption=packages, caption_justify="left")
    answers: dict[str, Cell[GoldenResult]] = {
        "model": lambda one: one.model,
        "cases": lambda one: str(one.n),
        "result": lambda one: Text(one.verdict, "" if one.verdict in ("equal", "close") else "red"),
        "other labels": lambda one: str(one.strays),
        "difference": lambda one: f"{one.difference:.1e}",
    }
    tables = [fill(golden, answers, result.answers, answers)]
    if result.readings:
        total = sum(one.letters for one in result.readings)
        same = total - sum(one.differ for one in result.readings)
        pages = f"{len(result.readings)} pages read by {result.model} here and on ARM"
        read = Table(title=f"{pages}: {same} of {total} letters are the same; pages with differences")
        readings: dict[str, Cell[PageComparison]] = {
            "image": lambda one: one.picture,
            "letters": lambda one: str(one.letters),
            "other letters": lambda one: Text(str(one.differ), "red" if one.differ else ""),
            "other boxes": lambda one: str(one.moved_boxes),
            "difference": lambda one: f"{one.confidence:.1e}",
        }
        tables.append(fill(read, readings, [one for one in result.readings if one.differ or one.moved_boxes], readings))
    return tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit code: 1 if a model or a letter differs."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.emulated_pi", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "models", type=model_or_folder, nargs="*", metavar="DIR|MODEL", help="models to check (default: letters-base)"
    )
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], metavar="IMAGE|DIR", help="pages to read here and on ARM")
    parser.add_argument(
        "--root",
        type=Path,
        default=default_root(),
        metavar="DIR",
        help="the folder of the ARM root file system (default: %(default)s)",
    )
    parser.add_argument("--mirror", default="", metavar="URL", help="a mirror of Debian's packages (default: debootstrap's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    options = parser.parse_args(arguments)
    try:
        models, images = find_models(options.models or [device_model("letters-base")]), find_images(options.pictures)
        with Console(stderr=True).status("opening") as status:
            rootfs = open_arm_rootfs(options.root, mirror=options.mirror, report=status.update)
            result = try_emulated_pi(rootfs, models, images, report=status.update)
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    for table in emulated_tables(result):
        Console().print(table)
    for fault in result.faults:
        print(f"lettercast: {fault}", file=sys.stderr)
    return MISSED if result.faults else DONE


if __name__ == "__main__":
    sys.exit(main())
