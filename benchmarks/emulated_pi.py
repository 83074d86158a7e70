"""An emulated Raspberry Pi: does every artifact answer on ARM as where it was exported, and are pages read alike?

Maintainer's command; emulation says nothing of speed:

    sudo python -m lettercast.benchmarks.emulated_pi [DIR|MODEL ...] [--pictures PICTURE|DIR ...] [--root DIR] [--json FILE]
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

from .. import DONE, MISSED, UNUSABLE, LettercastError
from ..export.bundle import write_bundle
from ..runtime.facts import LETTERS
from ..runtime.files import write_bytes
from ..runtime.golden import golden_path
from ..runtime.picture import IMAGE_SUFFIXES
from ..values import device_model, model_or_folder
from .benchmark import find_models
from .guest import Guest, default_root, open_guest

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how it went; returns the exit code, 1 where an artifact or a letter is not as it should be."""
    from rich.console import Console

    from .page_tables import emulated_tables

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
