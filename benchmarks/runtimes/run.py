"""Try exported files in many runtimes: which ones open them, and do they give the same answers as lettercast's own engine?

Maintainer's command; without MODELS it exports the shipped models and a small model of RGB images. It installs each runtime into
an environment of its own, which takes some minutes and 3 GB the first time:

    python -m lettercast.benchmarks.runtimes.run [MODELS ...] [--only NAME ...] [--folder DIR] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ... import DONE, UNUSABLE, LettercastError
from ...export.formats import FORMATS
from ...runtime.arguments import model_or_folder
from ...runtime.files import make_folder, write_bytes
from ...runtime.model.engine import open_engine
from ..columns import Cell, fill
from ..parity.benchmark import find_models
from .environments import ONNX, RUNTIMES, TFLITE, Runtime, default_folder, open_environment
from .models import export_all, images_for

HERE = Path(__file__).parent
RUN_LIMIT_S = 1800
TABLE_COLUMNS = 140


@dataclass(frozen=True)
class Subject:
    """A file to try: its path, the names of its model and format, images (.npy) and our own answers (N, classes) for them."""

    path: Path
    model: str
    format: str
    images: Path
    answers: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One file in one runtime: n images, how many of them got the same label, and the largest difference of a probability.

    error is the first line of what the runtime said if it did not open or run the file; then the figures are 0.
    """

    runtime: str
    model: str
    format: str
    n: int = 0
    same: int = 0
    difference: float = 0.0
    error: str = ""

    @property
    def result(self) -> str:
        """`equal` to the bit, `same` labels, `other` labels, or `refused`."""
        if self.error:
            return "refused"
        return "other" if self.same < self.n else "same" if self.difference else "equal"


def try_runtimes(
    paths: Sequence[Path],
    folder: Path,
    runtimes: Sequence[Runtime] = RUNTIMES,
    report: Callable[[str], None] = lambda message: None,
) -> tuple[Trial, ...]:
    """Run exported files in every runtime that reads such files, and compare with the engine that lettercast uses.

    Args:
        paths: exported files with their golden cases beside them.
        folder: keeps the runtimes' environments between runs.
        runtimes: what to try.
        report: a function that shows progress.

    Raises:
        LettercastError: a file cannot be used.
    """
    trials = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        subjects = [open_subject(path, scratch / f"{at}.npy") for at, path in enumerate(paths)]
        for runtime in runtimes:
            fitting = [subject for subject in subjects if subject.path.suffix in runtime.reads]
            try:
                program = open_environment(runtime, folder, report)
            except LettercastError as error:
                trials += [Trial(runtime.name, one.model, one.format, error=str(error)) for one in fitting]
                continue
            report(f"trying {len(fitting)} files in {runtime.name}")
            trials += run_probe(runtime, (*program, *probe(runtime, folder)), fitting, scratch)
    return tuple(trials)


def open_subject(path: Path, images: Path) -> Subject:
    """Classify images with a file in lettercast's own engine, and write the images to an .npy."""
    engine = open_engine(path)
    shown = images_for(path, engine.facts)
    np.save(images, shown)
    return Subject(path.resolve(), engine.facts.name, engine.facts.format, images, engine(shown))


def probe(runtime: Runtime, folder: Path) -> tuple[str, ...]:
    """Return the words that run a runtime's probe, behind Python or node."""
    if runtime.is_npm:
        return str(HERE / "litertjs.mjs"), str(folder / runtime.folder)
    return str(HERE / "probe.py"), runtime.opener


def run_probe(runtime: Runtime, line: Sequence[str], subjects: Sequence[Subject], folder: Path) -> list[Trial]:
    """Run files in a runtime's own process; if it crashes over one, go on with the next in another process."""
    errors: list[str] = []
    results, jobs = folder / "results.txt", folder / "jobs.json"
    answers = [folder / f"answers-{at}.npy" for at in range(len(subjects))]
    while len(errors) < len(subjects):
        rest = list(zip(subjects, answers, strict=True))[len(errors) :]
        results.write_text("")
        jobs.write_text(json.dumps([{"model": str(a.path), "images": str(a.images), "answers": str(b)} for a, b in rest]))
        try:
            done = subprocess.run(
                [*line, str(jobs), str(results)], capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
            )
            how = f"the process ended with code {done.returncode}"
        except subprocess.TimeoutExpired:
            how = f"not done within {RUN_LIMIT_S} s"
        said = [json.loads(text)["error"] for text in results.read_text().splitlines()]
        errors += said if len(said) == len(rest) else [*said, how]
    return [compare(runtime, *one) for one in zip(subjects, answers, errors, strict=True)]


def compare(runtime: Runtime, subject: Subject, answers: Path, error: str) -> Trial:
    """Compare the answers of a runtime with our own."""
    ours = subject.answers
    if not error:
        theirs = np.load(answers)
        if theirs.shape != ours.shape:
            error = f"gives {theirs.shape[-1]} values for an image, and not {ours.shape[-1]}"
        elif not np.isfinite(theirs).all():
            error = "gives NaN"
        else:
            same = int((theirs.argmax(1) == ours.argmax(1)).sum())
            return Trial(runtime.name, subject.model, subject.format, len(ours), same, float(np.abs(theirs - ours).max()))
    return Trial(runtime.name, subject.model, subject.format, error=error)


def runtime_tables(trials: Sequence[Trial]) -> list[Table]:
    """Return a table for TFLite files and one for ONNX files: a line per runtime and a column per format; then the errors."""
    tables = []
    models = ", ".join(dict.fromkeys(trial.model for trial in trials))
    for suffix in (TFLITE, ONNX):
        formats = [name for name, row in FORMATS.items() if f".{row.suffix}" == suffix]
        names = list(dict.fromkeys(trial.runtime for trial in trials if trial.format in formats))
        columns: dict[str, Cell[str]] = {"engine": lambda name: name}
        for format in formats:
            columns[format] = lambda name, format=format: summary(
                [trial for trial in trials if (trial.runtime, trial.format) == (name, format)]
            )
        if names:
            tables.append(fill(Table(title=f"{suffix} files of {models}"), columns, names, columns))
    refused = [trial for trial in trials if trial.error]
    if refused:
        texts: dict[str, Cell[Trial]] = {
            "engine": lambda one: one.runtime,
            "model": lambda one: f"{one.model} {one.format}",
            "result": lambda one: one.error,
        }
        tables.append(fill(Table(title="files that a runtime does not open or run"), texts, refused, texts))
    return tables


def summary(trials: Sequence[Trial]) -> Text:
    """Return the result of one format in one runtime over all models: the same labels, and the largest difference."""
    if not trials:
        return Text("-")
    ran = [trial for trial in trials if not trial.error]
    refused = f"refused {len(trials) - len(ran)} of {len(trials)}" if len(ran) < len(trials) else ""
    if not ran:
        return Text("refused", "red")
    same, n, difference = sum(one.same for one in ran), sum(one.n for one in ran), max(one.difference for one in ran)
    words = f"{same}/{n} equal" if same == n and not difference else f"{same}/{n} {difference:.0e}"
    return Text(f"{words} {refused}".strip(), "" if same == n and not refused else "red")


def to_dict(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return all results as a JSON object."""
    return {"trials": [{**asdict(trial), "result": trial.result} for trial in trials]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.runtimes.run", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "models", type=model_or_folder, nargs="*", metavar="MODELS", help="exported files or folders (default: export them first)"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="runtimes whose name begins so (default: all)")
    parser.add_argument(
        "--folder", type=Path, default=default_folder(), metavar="DIR", help="keeps the runtimes (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    options = parser.parse_args(arguments)
    begins = tuple(name.lower() for name in options.only) or ("",)
    runtimes = [runtime for runtime in RUNTIMES if runtime.name.lower().startswith(begins)]
    try:
        if not runtimes:
            named = ", ".join(dict.fromkeys(runtime.title for runtime in RUNTIMES))
            raise LettercastError(f"--only {' '.join(options.only)}: no such runtime; choose from {named}")
        with Console(stderr=True).status("opening") as status, tempfile.TemporaryDirectory() as folder:
            make_folder(options.folder)
            paths = find_models(options.models) if options.models else export_all(Path(folder), status.update)
            trials = try_runtimes(paths, options.folder.resolve(), runtimes, status.update)
        if options.json:
            write_bytes(options.json, json.dumps(to_dict(trials), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    console = Console(width=TABLE_COLUMNS)
    for table in runtime_tables(trials):
        console.print(table)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
