"""Which tuned constants of the reader matter: errors when each one is made smaller and larger.

Maintainer's command:

    python -m lettercast.benchmarks.pages.sensitivity [--cards CSV] [--data STROKES] [--pages N] [--frames N] [--json FILE]

Every field of every frozen dataclass whose module-level name ends in TUNING, in the modules that find and read letters, is
divided and multiplied by a factor, one at a time. The same images are read each time: photographed pages with a labels.csv,
generated photographs of every condition, letters cut out of these, and frames without letters.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from rapidfuzz.distance import Levenshtein
from rich.table import Table

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model, natural, positive
from ...runtime.files import write_bytes
from ...runtime.glyph import glyph
from ...runtime.model.engine import open_engine
from ...runtime.page.find import Candidate, find_candidates
from ...runtime.page.ink import letter_ink
from ...runtime.page.join import join_strokes
from ...runtime.page.split import Reading
from ...runtime.page.stacked import split_stacked
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...runtime.sources.images import read_image
from ...runtime.text import UNKNOWN, Line
from ...train.pages import plain, read_labels
from .blank import blank_frames
from .conditions import cells_of, take_page
from .scenes import OF_LETTERS, WEBCAM_PX, Photo, Scene, photograph
from .writing import open_hands

# Modules and packages of the runtime whose constants are measured.
PLACES = ("page", "text", "reader")
FACTOR = 1.5
PAGES, FRAMES = 1, 20
# Of every page this many letters are also read by themselves, cut out with this margin as a share of their longer side.
LETTERS_PER_PAGE, CROP_MARGIN = 3, 0.15
# Pages with distances between letters and words from these ranges, in heights of capitals, for each page of a condition.
SPACED_PAGES, SPACING, WORD_GAP = 20, (0.1, 0.45), (0.8, 1.5)
# What is counted: edits of the letters on cards and on pages; the additional edits of the text with its spaces and line breaks;
# edits of the letters with a list of words; single letters read wrongly; letters reported on frames without letters.
MEASURES = ("cards", "pages", "spaces", "words", "letters", "frames")
# Every fourth word of the pages is missing in the list of words, as names are in real lists.
UNLISTED = 4
TABLE_COLUMNS = 130
Value: TypeAlias = "int | float | tuple[int | float, ...]"


@dataclass(frozen=True)
class Sample:
    """One image with what it shows: kind `card`, `page`, `letter` or `frame`, and the true text, lines separated by `|`."""

    kind: str
    image: Pixels
    text: str


@dataclass(frozen=True)
class Constant:
    """One tuned constant: its module below lettercast.runtime, the name of the instance, its field, and its value."""

    module: str
    instance: str
    field: str
    value: Value

    @property
    def name(self) -> str:
        """The constant in short, as `find.SHEET_TUNING.min_share`."""
        return f"{self.module.rpartition('.')[2]}.{self.instance}.{self.field}"


@dataclass(frozen=True)
class Change:
    """What another value of a constant does: the change of each of MEASURES, and whether any sample's errors or output differ.

    failed is the error that the value raises, or empty.
    """

    value: Value
    changes: dict[str, int]
    errors_differ: bool
    output_differs: bool
    failed: str = ""

    @property
    def edits(self) -> int:
        """The change of the edits of all pages."""
        return self.changes.get("cards", 0) + self.changes.get("pages", 0)

    def __str__(self) -> str:
        if self.failed:
            return f"fails: {self.failed}"
        moved = [f"{measure} {change:+d}" for measure, change in self.changes.items() if change]
        if moved:
            return ", ".join(moved)
        return "other errors" if self.errors_differ else "same errors" if self.output_differs else "-"


@dataclass(frozen=True)
class Effect:
    """A constant, and what a smaller and a larger value do."""

    constant: Constant
    smaller: Change
    larger: Change

    @property
    def matters(self) -> bool:
        """Whether any error of any sample depends on the constant."""
        return any(change.errors_differ or bool(change.failed) for change in (self.smaller, self.larger))

    @property
    def size(self) -> tuple[int, int]:
        """How much the constant matters, to sort by: the largest change of the edits, then the sum of all changes."""
        sides = (self.smaller, self.larger)
        return max(abs(side.edits) for side in sides), sum(abs(change) for side in sides for change in side.changes.values())


@dataclass(frozen=True)
class Sensitivity:
    """All constants for one model and one set of samples; letters is the number of true letters on cards and pages."""

    model: str
    data: str
    split: str
    seed: int
    factor: float
    samples: dict[str, int]
    letters: int
    errors: dict[str, int]
    effects: tuple[Effect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        names = ("model", "data", "split", "seed", "factor", "samples", "letters", "errors")
        return {**{name: getattr(self, name) for name in names}, "constants": [_effect_to_dict(one) for one in self.effects]}


def _effect_to_dict(effect: Effect) -> dict[str, Any]:
    sides = {name: vars(getattr(effect, name)) for name in ("smaller", "larger")}
    return {"name": effect.constant.name, **vars(effect.constant), "matters": effect.matters, **sides}


def find_constants() -> list[Constant]:
    """Find every field of every tuned instance in the modules that find and read letters."""
    found: list[Constant] = []
    for module in _modules():
        for name, value in vars(module).items():
            if name.endswith("TUNING") and is_dataclass(value) and type(value).__module__ == module.__name__:
                found += [Constant(module.__name__, name, one.name, getattr(value, one.name)) for one in fields(value)]
    return found


def _modules() -> Iterator[Any]:
    for place in PLACES:
        module = importlib.import_module(f"...runtime.{place}", __package__)
        yield module
        for below in pkgutil.iter_modules(getattr(module, "__path__", [])):
            yield importlib.import_module(f"{module.__name__}.{below.name}")


def scale(constant: Constant, factor: float) -> Value:
    """Return a constant's value times a factor, of the same type and different from the value unless this is 0.

    A share that would reach 1, or a percentile that would reach 100, moves towards that limit instead: the factor divides its
    distance to the limit.
    """
    limit = 100.0 if "percentile" in constant.field else 1.0
    if isinstance(constant.value, tuple):
        return tuple(_scale(value, factor, limit) for value in constant.value)
    return _scale(constant.value, factor, limit)


def _scale(value: int | float, factor: float, limit: float) -> int | float:
    scaled = value * factor
    if value < limit <= scaled:
        scaled = limit - (limit - value) / factor
    if isinstance(value, float):
        return scaled
    whole = round(scaled)
    return whole if whole != value or not value else value + (1 if factor > 1 else -1)


@contextmanager
def changed(constant: Constant, value: Value) -> Iterator[None]:
    """Give a constant another value, in every module that uses it."""
    before = getattr(importlib.import_module(constant.module), constant.instance)
    with installed(constant.instance, before, replace(before, **{constant.field: value})):
        yield


@contextmanager
def installed(name: str, before: Any, after: Any) -> Iterator[None]:
    """Put one tuned instance in the place of another, in every module that uses it by this name."""
    users = [module for module in _modules() if getattr(module, name, None) is before]
    for module in users:
        setattr(module, name, after)
    try:
        yield
    finally:
        for module in users:
            setattr(module, name, before)


@contextmanager
def recorded(log: set[tuple[str, str]]) -> Iterator[None]:
    """Add the instance and the field of every constant that is read to a log."""
    with ExitStack() as stack:
        for module in _modules():
            for name, value in list(vars(module).items()):
                if name.endswith("TUNING") and is_dataclass(value) and type(value).__module__ == module.__name__:
                    stack.enter_context(installed(name, value, _recorder(name, value, log)))
        yield


def _recorder(instance: str, tuning: Any, log: set[tuple[str, str]]) -> Any:
    names = [one.name for one in fields(tuning)]

    def read(self: Any, name: str) -> Any:
        if name in names:
            log.add((instance, name))
        return object.__getattribute__(self, name)

    kind = type(type(tuning).__name__, (type(tuning),), {"__getattribute__": read})
    return kind(**{name: getattr(tuning, name) for name in names})


def gather_samples(
    data: str = "pen",
    split: str = "val",
    *,
    cards: Path | None = None,
    pages: int = PAGES,
    spaced: int = SPACED_PAGES,
    frames: int = FRAMES,
    seed: int = 0,
    conditions: Sequence[str] = OF_LETTERS,
    progress: Callable[[str], None] = lambda cell: None,
) -> list[Sample]:
    """Read and draw all images, once.

    Args:
        data: pen or an .npz of strokes, which write the pages.
        split: whose strokes to use.
        cards: a CSV with the header `file,text`, or None.
        pages: pages of every condition and strength.
        spaced: pages with any distances between letters and words, for each of `pages`.
        frames: frames without letters.
        seed: another seed draws other pages and frames.
        conditions: names of benchmarks.pages.scenes.
        progress: is told what is drawn.

    Raises:
        LettercastError: if the CSV, an image or the strokes cannot be used.
    """
    rows = read_labels(cards) if cards else []
    samples = [Sample("card", read_image(cards.parent / file), text) for file, text in rows] if cards else []
    hands = open_hands(data, split)
    for condition, strength in cells_of(conditions):
        progress(f"drawing {condition} {strength}")
        for number in range(pages):
            photo = take_page(hands, condition, strength, number, seed=seed)
            samples += [to_sample(photo), *cut_letters(photo, len(samples))]
    progress("drawing pages with any spacing")
    for number in range(spaced * pages):
        writer, camera = np.random.default_rng([seed, number]).spawn(2)
        scene = Scene().change(spacing=camera.uniform(*SPACING), word_gap=camera.uniform(*WORD_GAP), case="title")
        samples.append(to_sample(photograph(hands[number % len(hands)], scene, WEBCAM_PX, writer=writer, camera=camera)))
    return samples + [Sample("frame", image, "") for _, image in blank_frames(frames, seed)]


def to_sample(photo: Photo) -> Sample:
    """Return the sample of a generated page."""
    return Sample("page", photo.image, photo.text.replace("\n", "|"))


def cut_letters(photo: Photo, first: int) -> list[Sample]:
    """Cut some letters out of a photograph, from letter `first` on, with the margin of a careful crop.

    The pages of all conditions have the same letters, so another `first` for each gives other letters.
    """
    found: list[Sample] = []
    for number in range(first, first + min(LETTERS_PER_PAGE, len(photo.letters))):
        one = photo.letters[number % len(photo.letters)]
        x, y, w, h = one.box
        margin = CROP_MARGIN * max(w, h)
        left, top = max(0, round(x - margin)), max(0, round(y - margin))
        crop = photo.image[top : round(y + h + margin), left : round(x + w + margin)]
        if min(crop.shape[:2]) > 0:
            found.append(Sample("letter", crop, one.letter))
    return found


def listed_words(samples: Sequence[Sample]) -> list[str]:
    """Return the words that stand on the pages, without every fourth."""
    words = sorted(
        {word.upper() for one in samples if one.kind in ("card", "page") for word in one.text.replace("|", " ").split()}
    )
    return [word for number, word in enumerate(words) if number % UNLISTED]


@dataclass(frozen=True)
class Baseline:
    """How a sample is read with all constants as they are: its errors by measure, all output, and the results of each stage.

    found are the candidates on the page, joined the same after joining and splitting, and readings what the network makes of
    these. uses are the constants (instance, field) that each stage reads. A stage that does not read a constant, and gets the
    same input, gives the same result with another value of it, so it is not repeated: this takes a fraction of the time.
    """

    errors: dict[str, int]
    output: bytes
    found: Sequence[Candidate] = ()
    joined: Sequence[Candidate] = ()
    readings: Sequence[Reading] = ()
    uses: tuple[frozenset[tuple[str, str]], ...] = field(default=(frozenset(),) * 4)


def read_baseline(reader: Reader, sample: Sample) -> Baseline:
    """Read one sample and record which constants each stage reads."""
    log: set[tuple[str, str]] = set()
    uses: list[frozenset[tuple[str, str]]] = []

    def end_stage() -> None:
        uses.append(frozenset(log))
        log.clear()

    with recorded(log):
        if sample.kind == "letter":
            errors, output = read_letter(reader, sample)
            return Baseline(errors, output, uses=(frozenset(log),))
        found = find_candidates(sample.image)
        end_stage()
        joined = split_stacked(reader.engine, join_strokes(reader.engine, found))
        end_stage()
        readings = reader.recognize(joined)
        end_stage()
        errors, output = count_errors(sample, reader.compose(readings))
        end_stage()
    return Baseline(errors, output, found, joined, readings, tuple(uses))


def read_again(reader: Reader, sample: Sample, constant: Constant, before: Baseline) -> tuple[dict[str, int], bytes]:
    """Return the errors by measure and the output of a sample, repeating only the stages that may give another result."""
    uses = [(constant.instance, constant.field) in stage for stage in before.uses]
    if not any(uses):
        return before.errors, before.output
    if sample.kind == "letter":
        return read_letter(reader, sample)
    finding, joining, recognizing, composing = uses
    found = find_candidates(sample.image) if finding else before.found
    joining = joining or not are_equal(found, before.found)
    joined = split_stacked(reader.engine, join_strokes(reader.engine, found)) if joining else before.joined
    recognizing = recognizing or not are_equal(joined, before.joined)
    if not recognizing and not composing:
        return before.errors, before.output
    return count_errors(sample, reader.compose(reader.recognize(joined) if recognizing else before.readings))


def are_equal(some: Sequence[Candidate], others: Sequence[Candidate]) -> bool:
    """Return whether candidates are the same in number, order, place and ink."""
    if some is others:
        return True
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(
        (a.box, a.corner, a.strength) == (b.box, b.corner, b.strength) and np.array_equal(a.ink, b.ink) for a, b in pairs
    )


def read_letter(reader: Reader, sample: Sample) -> tuple[dict[str, int], bytes]:
    """Read an image of one letter, as a crop is read."""
    row = reader.engine(glyph(letter_ink(sample.image))[None, ..., None])[0]
    wrong = reader.engine.facts.labels[int(row.argmax())].upper() != sample.text.upper()
    return {"letters": int(wrong)}, row.tobytes()


def count_errors(sample: Sample, lines: Sequence[Line]) -> tuple[dict[str, int], bytes]:
    """Return the errors by measure of the lines that were read, and these lines in full."""
    output = json.dumps([line.to_dict() for line in lines]).encode()
    if sample.kind == "frame":
        return {"frames": sum(one.letter != UNKNOWN for line in lines for one in line.letters)}, output
    truth = plain(sample.text)
    text, listed = ("|".join(texts) for texts in ([line.text for line in lines], [line.listed_text for line in lines]))
    edits = Levenshtein.distance(truth, plain(text))
    spaces = Levenshtein.distance(sample.text.upper(), text.upper()) - edits
    return {f"{sample.kind}s": edits, "spaces": spaces, "words": Levenshtein.distance(truth, plain(listed))}, output


def totals(errors: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the sum of each measure over the samples."""
    return {measure: sum(one.get(measure, 0) for one in errors) for measure in MEASURES}


def measure_change(
    reader: Reader, samples: Sequence[Sample], constant: Constant, factor: float, before: Sequence[Baseline]
) -> Change:
    """Read every sample with a constant times a factor, and compare with the baselines."""
    value = scale(constant, factor)
    try:
        # Values far from the usual ones may divide by 0 or take the logarithm of a negative number.
        with changed(constant, value), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            after = [read_again(reader, *pair) for pair in zip(samples, [constant] * len(samples), before, strict=True)]
    except (ValueError, IndexError, ZeroDivisionError, FloatingPointError, cv2.error, np.linalg.LinAlgError) as error:
        return Change(value, {}, True, True, f"{type(error).__name__}: {error}".splitlines()[0][:80])
    errors, errors_before = [one for one, _ in after], [one.errors for one in before]
    changes = {measure: total - totals(errors_before)[measure] for measure, total in totals(errors).items()}
    differs = any(output != one.output for (_, output), one in zip(after, before, strict=True))
    return Change(value, changes, errors != errors_before, differs)


# What a worker process holds: its reader, the samples, and their baselines.
_worker: tuple[Reader, Sequence[Sample], Sequence[Baseline]] | None = None


def _start_worker(model: Path, samples: Sequence[Sample], before: Sequence[Baseline]) -> None:
    global _worker  # noqa: PLW0603
    _worker = Reader(open_engine(model), words=listed_words(samples) or None), samples, before


def _measure(task: tuple[Constant, float]) -> Change:
    assert _worker is not None
    reader, samples, before = _worker
    return measure_change(reader, samples, *task, before)


def run_sensitivity(
    model: Path,
    samples: Sequence[Sample],
    data: str = "pen",
    split: str = "val",
    *,
    factor: float = FACTOR,
    seed: int = 0,
    constants: Sequence[Constant] | None = None,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Sensitivity:
    """Measure the effect of each constant on the errors of all samples.

    Args:
        model: a file of a model that reads letters.
        samples: of gather_samples.
        data: is named in the result, as are split and seed.
        split: whose strokes wrote the pages.
        factor: above 1.
        seed: of the samples.
        constants: all of find_constants by default.
        processes: one for every core by default; 1 reads in this process.
        progress: is told what was measured.
    """
    constants = find_constants() if constants is None else constants
    reader = Reader(open_engine(model), words=listed_words(samples) or None)
    before = [read_baseline(reader, sample) for sample in samples]
    tasks = [(constant, times) for constant in constants for times in (1 / factor, factor)]
    count = processes or len(os.sched_getaffinity(0))
    if count == 1:
        _start_worker(model, samples, before)
        done = _collect(map(_measure, tasks), tasks, progress)
    else:
        # The children get the images by fork, without copies. OpenCV's threads do not survive a fork.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        with multiprocessing.get_context("fork").Pool(count, _start_worker, (model, samples, before)) as pool:
            done = _collect(pool.imap(_measure, tasks), tasks, progress)
        cv2.setNumThreads(threads)
    effects = [Effect(constant, *done[2 * i : 2 * i + 2]) for i, constant in enumerate(constants)]
    kinds = [sample.kind for sample in samples]
    return Sensitivity(
        reader.engine.facts.name,
        Path(data).name,
        split,
        seed,
        factor,
        {kind: kinds.count(kind) for kind in ("card", "page", "letter", "frame")},
        sum(len(plain(sample.text)) for sample in samples if sample.kind in ("card", "page")),
        totals([one.errors for one in before]),
        tuple(sorted(effects, key=lambda effect: effect.size, reverse=True)),
    )


def _collect(done: Iterator[Change], tasks: Sequence[tuple[Constant, float]], progress: Callable[[str], None]) -> list[Change]:
    changes: list[Change] = []
    for number, (change, (constant, _)) in enumerate(zip(done, tasks, strict=True), 1):
        progress(f"{number} of {len(tasks)}: {constant.name}")
        changes.append(change)
    return changes


def sensitivity_table(result: Sensitivity) -> Table:
    """Return one line per constant, those that change the most edits first."""
    numbers = ", ".join(f"{count} {kind}s" for kind, count in result.samples.items())
    errors = ", ".join(f"{measure} {count}" for measure, count in result.errors.items())
    idle = sum(not effect.matters for effect in result.effects)
    table = Table(
        title=f"{result.model}: {numbers} by {result.data}, {result.split}, seed {result.seed}; errors: {errors}",
        caption=f"""\
each constant divided and multiplied by {result.factor:g}; {idle} of {len(result.effects)} change no error of any image
cards, pages: edits of {result.letters} letters; spaces: additional edits of the text with spaces and line breaks
words: edits with a list of words; letters: single letters read wrongly; frames: letters on frames without letters
other errors: the sums stay, but not the errors of every image; same errors: only confidences, boxes or alternatives change""",
        caption_justify="left",
    )
    for name in ("constant", "value", "smaller", "larger"):
        table.add_column(name, no_wrap=name == "constant")
    for effect in result.effects:
        value = effect.constant.value
        shown = ", ".join(f"{one:g}" for one in value) if isinstance(value, tuple) else f"{value:g}"
        table.add_row(effect.constant.name, shown, str(effect.smaller), str(effect.larger))
    return table


def factor_above_one(text: str) -> float:
    """Return a number above 1; raises ArgumentTypeError otherwise."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: must be a number above 1")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.sensitivity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cards", type=Path, metavar="CSV", help="photographed pages: a CSV with the columns file and text")
    parser.add_argument("--data", default="pen", metavar="D", help="the handwriting: pen (the default) or an .npz of strokes")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="whose strokes to use (default: val)")
    parser.add_argument(
        "--pages", type=positive, default=PAGES, metavar="N", help="pages of each condition and strength (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=natural, default=FRAMES, metavar="N", help="frames without letters (default: %(default)s)"
    )
    parser.add_argument("--only", action="append", choices=OF_LETTERS, metavar="NAME", help="generate only this condition")
    parser.add_argument(
        "--factor", type=factor_above_one, default=FACTOR, metavar="X", help="divide and multiply by this (default: %(default)s)"
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed draws other pages (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(arguments)
    try:
        with Console(stderr=True).status("opening") as status:
            samples = gather_samples(
                options.data,
                options.split,
                cards=options.cards,
                pages=options.pages,
                frames=options.frames,
                seed=options.seed,
                conditions=options.only or OF_LETTERS,
                progress=status.update,
            )
            result = run_sensitivity(
                options.model,
                samples,
                options.data,
                options.split,
                factor=options.factor,
                seed=options.seed,
                progress=status.update,
            )
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console(width=TABLE_COLUMNS).print(sensitivity_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
