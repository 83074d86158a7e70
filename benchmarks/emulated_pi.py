"""Check exported models and pages on an emulated Raspberry Pi: are the results on ARM the same as on this machine?

Maintainer's command; emulated speed says nothing about real boards:

    sudo python -m lettercast.benchmarks.emulated_pi [DIR|MODEL ...] [--release R] [--arch A] [--pictures IMAGE|DIR ...]

It runs once with the packages of apt alone, and once more with the engines from pip, if there are any for the system.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from .. import DONE, MISSED, UNUSABLE, LettercastError
from ..export.bundle import no_pip_model, write_bundle
from ..runtime.arguments import device_model, model_or_folder
from ..runtime.files import write_bytes
from ..runtime.model.engine import open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.model.golden import golden_path
from ..runtime.model.installed import ONNX_RUNTIME, Package
from ..runtime.sources.images import IMAGE_SUFFIXES
from .arm_rootfs import ARCHITECTURES, RELEASES, ArmRootfs, System, default_root, open_arm_rootfs
from .columns import Cell, fill
from .parity.benchmark import find_models

FOR_OPENCV = "onnx-float32"
# The first model with this ending reads the pages; without one, the shipped model does.
READING_SUFFIX = "-int8.tflite"
BUNDLE = "reader.pyz"
OPTIONS = ("--no-window", "--json")


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
    """All results of golden cases and pages; packages are the versions on ARM.

    source says where the packages are from: apt, or apt and pip.
    """

    source: str
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
    rootfs: ArmRootfs,
    models: Sequence[Path],
    images: Sequence[Path],
    *,
    with_pip: bool,
    report: Callable[[str], None] = lambda message: None,
) -> EmulatedPi:
    """Run the golden cases of the models that have an engine on ARM, and read images there and here with the same bundle.

    with_pip says whether the engines from pip are there; without them, only OpenCV runs models.
    Raises LettercastError if the reader does not start.
    """
    own = runnable(models, rootfs.system.engines if with_pip else ())
    with rootfs.folder() as folder:
        bundle = folder / BUNDLE
        reading_model = model_to_read(own, with_pip)
        write_bundle(reading_model, bundle, no_pip=not with_pip)
        copies = [copy_model(path, folder) for path in own or [reading_model]]
        report(f"checking {len(copies)} models on {rootfs.system.name}")
        done = rootfs.run(rootfs.inside(bundle), "doctor", *map(rootfs.inside, copies), "--json", with_pip=with_pip)
        (doctor,) = json_lines(done)
        answers = tuple(golden_result(path.name, one) for path, one in zip(copies, doctor["models"], strict=True))
        report(f"reading {len(images)} images here and on {rootfs.system.name}")
        readings = read_both(rootfs, bundle, folder, images, with_pip) if images else ()
    packages = {name: one["version"] for name, one in doctor["packages"].items() if one["version"]}
    source = "apt and pip" if with_pip else "apt"
    return EmulatedPi(source, doctor["platform"], doctor["python"], packages, answers, reading_model.name, readings)


def runnable(models: Sequence[Path], engines: Sequence[Package]) -> list[Path]:
    """Return the models that these engines run, or OpenCV, which has the formats that it is for."""
    is_onnx = {path: path.suffix.lower() == ".onnx" for path in models}
    return [
        path
        for path in models
        if (is_onnx[path] and (ONNX_RUNTIME in engines or open_engine(path).facts.format == FOR_OPENCV))
        or (not is_onnx[path] and any(engine != ONNX_RUNTIME for engine in engines))
    ]


def model_to_read(models: Sequence[Path], with_pip: bool) -> Path:
    """Return the model that reads pages: with pip the first int8 TFLite, without it the first one for OpenCV."""
    if with_pip:
        return next((path for path in models if path.name.endswith(READING_SUFFIX)), device_model("letters-base"))
    return next((path for path in models if open_engine(path).facts.takes == LETTERS), no_pip_model())


def read_both(
    rootfs: ArmRootfs, bundle: Path, folder: Path, images: Sequence[Path], with_pip: bool
) -> tuple[PageComparison, ...]:
    """Read images with a bundle here and on ARM, and compare; raises LettercastError if an image cannot be read."""
    # File names may be unusual or the same, so both systems get copies with plain names.
    copies = [folder / f"{i}{image.suffix.lower()}" for i, image in enumerate(images)]
    for image, copy in zip(images, copies, strict=True):
        shutil.copyfile(image, copy)
    there = json_lines(rootfs.run(rootfs.inside(bundle), *map(rootfs.inside, copies), *OPTIONS, with_pip=with_pip))
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


def emulated_tables(result: EmulatedPi) -> list[Table]:
    """Return a table of golden cases, and one of the pages with differences."""
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    golden = Table(
        title=f"golden cases on {result.platform}, packages of {result.source}", caption=packages, caption_justify="left"
    )
    answers: dict[str, Cell[GoldenResult]] = {
        "model": lambda one: one.model,
        "engine": lambda one: one.engine,
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
        "models",
        type=model_or_folder,
        nargs="*",
        metavar="DIR|MODEL",
        help="models to check (default: letters-base, and letters-nano as onnx-float32)",
    )
    parser.add_argument("--release", choices=RELEASES, default="bookworm", help="release of Debian (default: %(default)s)")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="arm64", help="64 or 32 bit (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], metavar="IMAGE|DIR", help="pages to read here and on ARM")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the folder of the ARM root file system (default: one in the user's cache)"
    )
    parser.add_argument("--mirror", default="", metavar="URL", help="a mirror of Debian's packages (default: debootstrap's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    options = parser.parse_args(arguments)
    system = System(options.release, options.arch)
    try:
        images = find_images(options.pictures)
        models = find_models(options.models or [device_model("letters-base"), no_pip_model()])
        with Console(stderr=True).status("opening") as status:
            rootfs = open_arm_rootfs(options.root or default_root(system), system, mirror=options.mirror, report=status.update)
            results = [
                try_emulated_pi(rootfs, models, images, with_pip=with_pip, report=status.update)
                for with_pip in ([False, True] if system.engines else [False])
            ]
        if options.json:
            told = {"system": asdict(system), "runs": [result.to_dict() for result in results]}
            write_bytes(options.json, json.dumps(told, indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    for table in (table for result in results for table in emulated_tables(result)):
        Console().print(table)
    faults = [f"{result.source}: {fault}" for result in results for fault in result.faults]
    for fault in faults:
        print(f"lettercast: {fault}", file=sys.stderr)
    return MISSED if faults else DONE


if __name__ == "__main__":
    sys.exit(main())
