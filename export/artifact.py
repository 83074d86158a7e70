"""Exporting: build each format, compare it with the original, add the facts, and write it with its golden cases.

Run as a program (`python -m lettercast.export.artifact`) it makes the golden cases of the models that come with lettercast.
"""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError, __version__
from ..runtime.arguments import KERAS, amount, checked, find_model, finite
from ..runtime.console import progress as show_progress
from ..runtime.console import quiet
from ..runtime.files import make_folder, replacing, write_bytes
from ..runtime.model.engine import Engine, first_line, open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.model.golden import Golden, golden_path
from ..runtime.pixels import Pixels
from ..train.custom import objects_of, use_custom
from ..train.data.drawing import shown
from ..train.data.open import Data
from ..train.data.source import Source
from ..train.open_keras import in_place_of
from ..train.predict import as_classifier, safe_name
from . import onnx_int8
from .devices import DEVICES, Recommendation, by_table, find_devices, formats_for
from .diagnose import Cause, diagnose
from .formats import Format, find_formats
from .gate import MISSED, PROVEN, UNPROVEN, ImageSet, Parity, Tolerance, compare
from .original import CALIBRATION_SEED, Original, open_letters, open_original
from .pages import PageCheck, PageParity, open_pages
from .preprocessing import find_preprocessing
from .rounding import widen

if TYPE_CHECKING:
    import keras

# The version of the JSON object of `lettercast export --json`.
SCHEMA = 1
DEFAULT_MODEL = Path(__file__).with_name("models") / "letters-base.keras"
MAX_CASES = 32
# Close to this probability other arithmetic moves the probabilities most and still leaves the answer.
TELLING_PROBABILITY = 0.75


@dataclass(frozen=True)
class Artifact:
    """One exported model. If it passed the gate, misses is empty and the file is written; otherwise cause says why not.

    reads_letters is true if the reader can use the file, because it takes letters. pages is what whole pages say, None if none
    were read with it. is_alike_everywhere is false if other processors would give other answers. misses names each limit that
    is exceeded, and a drop that is unproven if a proof was required. cause names a format to take instead only if it passed in
    this run, or was not built in it.
    """

    format: Format
    path: Path
    size_bytes: int
    parity: Parity
    tolerance: Tolerance
    misses: tuple[str, ...]
    cause: str = ""
    reads_letters: bool = True
    pages: PageParity | None = None
    is_alike_everywhere: bool = True

    @property
    def verdict(self) -> str:
        """`proven`, `unproven` or `missed`: what the check set says about the tolerance, see Parity.

        Pages can only miss, and so can a file that other processors compute otherwise.
        """
        is_refused = bool(self.pages and self.pages.misses) or not self.is_alike_everywhere
        return MISSED if is_refused else self.parity.verdict(self.tolerance)

    @property
    def needed(self) -> int | None:
        """How many check images would prove an unproven drop; None if it is not unproven, or if no number would."""
        return self.parity.needed(self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Return the artifact as in `lettercast export --json`."""
        known = {name: float(f"{value:.6g}") for name, value in asdict(self.parity).items()}

        def with_change(figure: str, change: str) -> dict[str, float]:
            ends = {f"change_{end}": known[f"{change}_change_{end}"] for end in ("low", "high")}
            return {"original": known[f"original_{figure}"], "exported": known[figure], **ends}

        return {
            "format": self.format.name,
            "file": None if self.misses else str(self.path),
            "size_bytes": self.size_bytes,
            "verdict": self.verdict,
            "needed": self.needed,
            "accuracy": {"original": known["original_accuracy"], "exported": known["accuracy"]},
            "drop": {"points": known["drop"], "low": known["drop_low"], "high": known["drop_high"]},
            "lost": self.parity.lost,
            "won": self.parity.won,
            "agreement": {"percent": known["agreement"], "low": known["agreement_low"], "high": known["agreement_high"]},
            "difference": known["difference"],
            "calibration_error": with_change("calibration_error", "calibration"),
            "rejected": with_change("rejected", "rejected"),
            "tolerance": asdict(self.tolerance),
            "pages": self.pages.to_dict() if self.pages else None,
            "misses": list(self.misses),
            "cause": self.cause,
        }


@dataclass(frozen=True)
class Exports:
    """The result for each format: the artifacts that were built, and a line for each that cannot hold the network.

    model, source_sha256 and network_sha256 name the original: the hash of its file, and of its layers and weights. takes is
    `letters` or `images`. check and calibration are the images that were used. devices are the names that were asked for.
    """

    artifacts: tuple[Artifact, ...]
    faults: tuple[str, ...]
    model: str = ""
    source_sha256: str = ""
    network_sha256: str = ""
    takes: str = "letters"
    check: ImageSet | None = None
    calibration: ImageSet | None = None
    devices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every format could be built and passed the gate."""
        return not self.faults and not any(artifact.misses for artifact in self.artifacts)

    @property
    def recommended(self) -> list[Recommendation]:
        """The file to take for each device that was asked for, by default for each that one of the files suits."""
        usable = {artifact.format.name: artifact.path.name for artifact in self.artifacts if not artifact.misses}
        proven = [artifact.format.name for artifact in self.artifacts if artifact.verdict == PROVEN]
        found = [by_table(device, usable, proven) for device in find_devices(self.devices or tuple(DEVICES))]
        return [one for one in found if one.name or self.devices]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `lettercast export --json`; docs/export.schema.json describes its fields."""
        calibration = {**asdict(self.calibration), "seed": CALIBRATION_SEED} if self.calibration else None
        return {
            "schema": SCHEMA,
            "lettercast": __version__,
            "model": self.model,
            "source_sha256": self.source_sha256,
            "network_sha256": self.network_sha256,
            "takes": self.takes,
            "passed": self.passed,
            "check": asdict(self.check) if self.check else None,
            "calibration": calibration,
            "formats": [artifact.to_dict() for artifact in self.artifacts],
            "recommended": [asdict(one) for one in self.recommended],
            "faults": list(self.faults),
        }

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.artifacts)


def export(
    model: "str | Path | keras.Model" = "letters-base",
    *,
    formats: str | Sequence[str] | None = None,
    devices: str | Sequence[str] | None = None,
    calibrate: Data | None = None,
    check: Data | None = None,
    labels: Sequence[str] | None = None,
    pixels: str | None = None,
    custom: str | Path | None = None,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    require_proof: bool = False,
    check_pages: str | Path | None = None,
    max_cer_rise: float | None = None,
    out: str | Path = "dist",
    overwrite: bool = False,
    progress: bool = True,
) -> Exports:
    """Convert a Keras model to TFLite and ONNX, and compare each format with the original before it is written.

    Args:
        model: `letters-base`, `letters-nano`, the path of a `.keras` or `.h5` file, or a Keras model that classifies
            images of one size, grey or RGB.
        formats: names from `lettercast.export.formats.FORMATS`; by default those that suit the devices, or all.
        devices: names from `lettercast.export.devices.DEVICES` to recommend a file for; by default all.
        calibrate: training images that set the scales of quantized formats, as `evaluate` takes its data; by default the
            built-in pen for a model of letters, otherwise the training split of `check`.
        check: held-out images that the original and the exported files are compared on; by default the test split of the
            built-in pen, or of `calibrate`.
        labels: names of the outputs in their order; by default the model's own, or the classes of `check`.
        pixels: the preprocessing that the model was trained with, as `lettercast.export.preprocessing` names it, such as
            `0..1`, `caffe` or `-1..1 bgr`; by default `0..255`, `0..1` or `-1..1`, with which it classifies the calibration
            images best.
        custom: the Python file or module that defines layers and functions of a model's own, which is imported; it need not
            be given for a Keras model, or for what you registered with Keras yourself.
        max_drop: accuracy that a format may cost, in percentage points; by default the format's own tolerance.
        min_agreement: answers that must stay the same, in percent; by default the format's own tolerance, which counts only
            while the accuracy drop is unproven.
        require_proof: whether to refuse a format whose accuracy drop is within the tolerance but unproven, because the check
            images are too few.
        check_pages: a CSV of photographed pages as `evaluate_pages` takes it; the reader reads them with the original and with
            each exported file that passed, and the character error rates are compared. Only for a model of letters.
        max_cer_rise: how many points the character error rate may rise on these pages; by default any number.
        out: the folder of the exported files.
        overwrite: whether to replace files of the same name.
        progress: whether to show what is being done.

    Returns:
        Exports: one artifact per format, with its parity figures and its verdict. A format that misses its tolerances has
        `misses`, and no file is written for it.

    Raises:
        LettercastError: the model, the images or the folder cannot be used.

    Example:
        export(my_keras_model, check=(x_test, y_test), calibrate=(x_train, y_train), formats="tflite-int8")
    """
    asked = [devices] if isinstance(devices, str) else list(devices or [])
    rows = find_formats(([formats] if isinstance(formats, str) else formats) or formats_for(asked))
    if pixels is not None:
        # Before the model is loaded.
        find_preprocessing(pixels)
    use_custom(custom)
    with keras_file(model) as path:
        # Opening may download, and shows a bar of its own.
        calibration, held_out = open_letters(path, calibrate, check)
        with show_progress("loading", progress) as report:
            return export_model(
                path,
                rows,
                calibration,
                held_out,
                Path(out),
                max_drop=checked("max_drop", finite, max_drop),
                min_agreement=checked("min_agreement", amount, min_agreement),
                require_proof=require_proof,
                check_pages=None if check_pages is None else Path(check_pages),
                max_cer_rise=checked("max_cer_rise", amount, max_cer_rise),
                labels=labels,
                pixels=pixels,
                overwrite=overwrite,
                devices=asked,
                report=report,
            )


@contextmanager
def keras_file(model: "str | Path | keras.Model") -> Iterator[Path]:
    """Give the path of a Keras model; for one in memory, of a temporary file of its weights that stands for it."""
    if isinstance(model, str | Path):
        yield find_model(model, KERAS)
        return
    import keras

    name = safe_name(str(getattr(model, "name", "model")))
    network = as_classifier(Path(name), model)
    try:
        # Its hash needs it.
        keras.saving.serialize_keras_object(network)
    except Exception as error:  # from any layer
        raise LettercastError(
            f"{name}: Keras cannot describe one of its layers ({first_line(error)}); give it a get_config()"
        ) from error
    with tempfile.TemporaryDirectory() as folder, keras.saving.custom_object_scope(objects_of(model)):
        path = Path(folder) / f"{name}.keras"
        with path.open("wb") as file:
            np.savez(file, *network.get_weights())
        try:
            with in_place_of(path, network):
                yield path
        except LettercastError as error:
            # You gave a model and no file.
            raise LettercastError(str(error).replace(str(path), name)) from error


def export_model(
    path: Path,
    formats: Sequence[Format],
    calibrate: Source,
    check: Source,
    out: Path,
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    require_proof: bool = False,
    check_pages: Path | None = None,
    max_cer_rise: float | None = None,
    labels: Sequence[str] | None = None,
    pixels: str | None = None,
    overwrite: bool = False,
    devices: Sequence[str] = (),
    report: Callable[[str], None] = lambda step: None,
) -> Exports:
    """Export a Keras model to several formats, and write those that pass the gate.

    Args:
        path: the `.keras` model; its name and labels go into every file.
        calibrate: training images that set the scales of quantized formats.
        check: held-out images on which each export is compared with the original.
        max_drop, min_agreement: points and percent, instead of the formats' own tolerances; a min_agreement that you give
            must be reached even if the accuracy drop is proven.
        require_proof: whether a format with an unproven accuracy drop is refused.
        check_pages, max_cer_rise: photographed pages, and how many points the character error rate may rise on them.
        labels, pixels: what a model without facts does not say about itself, see `open_original`.
        devices: names of devices to recommend a file for, by default all.

    Returns:
        Artifacts in the order given. A format that misses its tolerances or cannot hold the network writes no file, and an
        existing file stays.

    Raises:
        LettercastError: the model, the images or the folder cannot be used.
    """
    original = open_original(path, calibrate, check, report, labels=labels, pixels=pixels)
    targets = [out / row.file_name(original.facts.name) for row in formats]
    taken = [str(target) for target in targets if target.exists()]
    if taken and not overwrite:
        raise LettercastError(f"{taken[0]}: exists already; add --overwrite, or choose another --out")
    pages = open_pages(check_pages, original, max_cer_rise, report)
    make_folder(out)
    artifacts: list[tuple[Artifact, Cause | None]] = []
    faults = []
    for row, target in zip(formats, targets, strict=True):
        limits = _given(max_drop=max_drop, min_agreement=min_agreement)
        tolerance = replace(row.tolerance, **limits, agreement_is_required=min_agreement is not None)
        try:
            report(f"building {row.name}, checking it on {len(original.truth)} {original.facts.unit}")
            artifacts.append(_export(row, target, original, tolerance, check, pages=pages, require_proof=require_proof))
        except ImpossibleError as error:
            faults.append(f"{path}: {row.name} cannot hold this network ({error}); leave it out with --formats")
    passed = [artifact.format.name for artifact, _ in artifacts if not artifact.misses]
    # A cause may recommend other formats, of which some are known to pass only now.
    tried = [row.name for row in formats]
    return Exports(
        tuple(replace(artifact, cause=cause.advise(passed, tried) if cause else "") for artifact, cause in artifacts),
        tuple(faults),
        model=original.facts.name,
        source_sha256=original.facts.source_sha256,
        network_sha256=original.facts.network_sha256,
        takes=original.facts.unit,
        check=ImageSet(check.name, check.split, len(original.truth)),
        calibration=ImageSet(calibrate.name, calibrate.split, len(original.calibration)),
        devices=tuple(devices),
    )


class ImpossibleError(Exception):
    """A converter or its engine refuses a network that others may accept."""


def _export(
    row: Format,
    target: Path,
    original: Original,
    tolerance: Tolerance,
    check: Source,
    *,
    pages: PageCheck | None,
    require_proof: bool,
) -> tuple[Artifact, Cause | None]:
    """Build one format, compare it with the original, and write it if it passes the gate; raises ImpossibleError.

    Returns the artifact, and why it misses the gate if it does.
    """
    stated = replace(original.facts, format=row.name, input_dtype=row.input_dtype)
    network, facts = row.prepare(original.network, stated)
    model = _build(row, network, original.calibration)
    found = row.inspect(model)
    facts = replace(facts, lowest_runtime=found.lowest_runtime)
    images = shown(facts, original.images)
    answers = _run(row.embed(model, facts), row, images)
    if "float" in row.name:
        tolerance = widen(tolerance, original.network, original.images, original.probabilities, answers, is_half="16" in row.name)
    parity = compare(original.truth, original.probabilities, answers, tolerance.tie, facts.reject_below)
    misses = tuple(parity.misses(tolerance))
    is_integer = row.suffix == "onnx" and "float" not in row.name
    elsewhere = tuple(onnx_int8.misses(model, found, images, answers)) if is_integer else ()
    misses += elsewhere
    cause = diagnose(original, answers, found, row.name) if misses else None
    if require_proof and parity.verdict(tolerance) == UNPROVEN:
        misses = (*elsewhere, f"the accuracy drop is unproven: {parity.shortfall(tolerance)}")
    gate = {"data": check.name, "split": check.split, **parity.to_facts(tolerance)}
    if is_integer:
        gate["saturates"] = bool(found.saturating)
    read = None
    if pages and not misses and facts.takes == LETTERS:
        read = pages.check(row.embed(model, facts), row.suffix)
        misses, gate["pages"] = read.misses, read.to_dict()
    finished = row.embed(model, replace(facts, gate=gate))
    if not misses:
        write_with_golden(target, finished, images, answers)
    reads_letters = facts.takes == LETTERS
    artifact = Artifact(
        row,
        target,
        len(finished),
        parity,
        tolerance,
        misses,
        reads_letters=reads_letters,
        pages=read,
        is_alike_everywhere=not elsewhere,
    )
    return artifact, cause


def _build(row: Format, network: "keras.Model", calibration: Pixels) -> bytes:
    try:
        with quiet():
            return row.build(network, calibration)
    except Exception as error:  # converters raise any type of error
        # TensorFlow's converter starts with places in its own code and ends with the reason.
        message = str(error).partition("\n")[0]
        raise ImpossibleError(message.rpartition(": ")[2] if "error: loc(" in message else first_line(error)) from error


def _run(model: bytes, row: Format, images: Pixels) -> NDArray[np.float32]:
    """Classify the images with the engine that the device runs, in parallel with one engine per thread."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder) / f"candidate.{row.suffix}"
        path.write_bytes(model)
        shares = np.array_split(images, min(os.cpu_count() or 1, len(images)))
        try:
            engines = [open_engine(path) for _ in shares]
            return np.concatenate(list(pool.map(lambda engine, share: engine(share), engines, shares)))
        except LettercastError as error:
            raise ImpossibleError(str(error).removeprefix(f"{path}: ").partition("; ")[0]) from error


def _given(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def write_with_golden(path: Path, model: bytes, images: Pixels, answers: NDArray[np.float32]) -> None:
    """Write an exported model and its golden cases, both or neither; raises LettercastError if they cannot be written.

    The cases are chosen from images (n, H, W, C) uint8 by the model's answers (n, classes), and answered by the written file.
    They name their model by its hash, in case the process is killed between the two files.
    """
    with replacing(path) as model_file, replacing(golden_path(path)) as cases_file:
        model_file.write_bytes(model)
        chosen = choose_cases(answers)
        cases_file.write_bytes(pack(make_golden(open_engine(model_file), model, images[chosen])))


def make_golden(engine: Engine, model: bytes, images: Pixels) -> Golden:
    """Return the golden cases of an engine for images (n, H, W, C) uint8; model is the content of its file."""
    machine = f"{platform.system()} {platform.machine()}"
    return Golden(images, engine(images), engine.name, machine, hashlib.sha256(model).hexdigest())


def choose_cases(answers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Choose at most 32 images by a model's answers (n, classes): equally many of each class, the most sensitive first."""
    best, sure = answers.argmax(1), answers.max(1)
    named = np.unique(best)
    named = named[np.linspace(0, len(named) - 1, min(len(named), MAX_CASES)).round().astype(int)]
    telling = np.argsort(np.abs(sure - TELLING_PROBABILITY), kind="stable")
    return np.concatenate([telling[best[telling] == label][: MAX_CASES // len(named)] for label in named])


def pack(golden: Golden) -> bytes:
    """Return golden cases as the bytes of an .npz without pickles; the same cases make the same bytes."""
    about = {"engine": golden.engine, "machine": golden.machine, "model_sha256": golden.model_sha256}
    file = BytesIO()
    np.savez_compressed(file, pictures=golden.images, probabilities=golden.probabilities, about=np.array(json.dumps(about)))
    return file.getvalue()


def main() -> None:
    """Write the golden cases of the models that come with lettercast, from the pen's test letters."""
    from ..runtime.reader import DEFAULT_MODEL
    from ..train.data.open import open_source
    from ..train.data.source import draw_all

    images = draw_all(open_source("pen", "test"))
    for path in sorted(DEFAULT_MODEL.parent.glob("*.tflite")):
        engine = open_engine(path)
        chosen = choose_cases(engine(images))
        packed = pack(make_golden(engine, path.read_bytes(), images[chosen]))
        write_bytes(golden_path(path), packed)
        print(f"{golden_path(path)}: {len(chosen)} cases, {len(packed)} bytes")


if __name__ == "__main__":
    main()
