"""Exporting: open the original, build each format of it, and write those that pass the gate."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.arguments import KERAS, amount, byte_size, checked, find_model, finite
from ..runtime.console import progress as show_progress
from ..runtime.console import say
from ..runtime.files import make_folder
from ..runtime.model.engine import first_line
from ..runtime.pixels import Pixels
from ..train.custom import objects_of, use_custom
from ..train.data.drawing import shown
from ..train.data.open import Data
from ..train.data.source import Source
from ..train.open_keras import in_place_of
from ..train.predict import as_classifier, safe_name
from . import search
from .artifact import Artifact, Exports
from .budget import formats_within, within
from .devices import find_devices, formats_for
from .diagnose import REPAIR, Cause
from .formats import FORMATS, Format, find_formats
from .gate import PROVEN, ImageSet
from .judge import ImpossibleError, build, candidate_of, judge
from .original import Original, open_letters, open_original
from .pages import PageCheck, open_pages
from .preprocessing import find_preprocessing
from .repair.choice import Budget, Choice
from .repair.explain import Explanation
from .repair.explain import explain as explain_layers
from .repair.proof import HALVING_SEED, halves
from .repair.recipe import Recipe, read_recipe
from .report import page_path, write_page
from .workshop import Workshop, by_recipe, checked_epochs, finetuned, refuse_other_recipe

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = Path(__file__).with_name("models") / "letters-base.keras"


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
    max_size: int | str | None = None,
    explain: bool = False,
    repair: bool = False,
    recipe: str | Path | None = None,
    finetune: Data | None = None,
    epochs: int | None = None,
    seed: int = HALVING_SEED,
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
        max_size: largest size of a file in bytes, or as text such as `400k`. Then one file is written: the fastest that the check
            images prove to be within max_drop, of all formats that the device takes and of recipes with 4-bit weights or with
            layers in float; devices names one at most.
        explain: whether to measure for each quantized format in which layers it loses answers.
        repair: whether to search, in place of a quantized file that misses the gate or is unproven, the smallest one that is
            proven. The search chooses on one half of the check images and proves on the other.
        recipe: an exported file that was repaired, or the JSON of its recipe: the file is made in the same way again.
        finetune: training images on which the weights of quantized files learn to bear their rounding, with the original as
            teacher; a recipe that was fine-tuned needs the same.
        epochs: how often each of these images is seen, by default 3.
        seed: of the halves of the check images and of fine-tuning; the same seed makes the same file.
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
    told = None if recipe is None else read_recipe(Path(recipe))
    if told and not (told.format in FORMATS and is_repairable(FORMATS[told.format])):
        raise LettercastError(f"{recipe}: '{told.format}' takes no recipe; formats that do are {', '.join(repairable())}")
    named = [formats] if isinstance(formats, str) else formats
    refuse_contradictions(told, named, max_size, repair=repair, explain=explain)
    limits = limits_of(max_size, max_drop, asked)
    rows = find_formats([told.format] if told else named or formats_for(asked))
    if limits and not named:
        rows = formats_within(limits.device)
    if finetune is not None and not any(map(is_repairable, rows)):
        # It would take minutes, and change nothing.
        raise LettercastError(f"--finetune: only these formats are made of its weights: {', '.join(repairable())}; name one")
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
                explain=explain,
                repair=repair,
                recipe=told,
                finetune=finetune,
                epochs=checked_epochs(finetune, epochs, told),
                limits=limits,
                seed=seed,
                report=report,
            )


def refuse_contradictions(
    recipe: Recipe | None, formats: Sequence[str] | None, max_size: int | str | None, *, repair: bool, explain: bool
) -> None:
    """Raise LettercastError for options of which one would be ignored without a word."""
    if max_size is not None and (recipe or repair):
        raise LettercastError(f"max_size: it searches a file itself; leave out {'--recipe' if recipe else '--repair'}")
    if max_size is not None and explain:
        raise LettercastError(
            "--explain: it measures the files of formats, not one that --max-size finds; leave one of the two out"
        )
    if recipe and repair:
        raise LettercastError("--repair: the recipe says already how the file is made; leave out --recipe to search another")
    if recipe and formats and recipe.format not in formats:
        raise LettercastError(f"--formats: the recipe makes {recipe.format} and nothing else; leave --formats out")


def limits_of(max_size: int | str | None, max_drop: float | None, devices: Sequence[str]) -> Budget | None:
    """Return the budget that the options set, None without a size; raises LettercastError if they cannot be met together."""
    if max_size is None:
        return None
    size = checked("max_size", byte_size, max_size)
    rows = find_devices(devices)
    if len(rows) > 1:
        raise LettercastError(f"max_size: one file is fastest on one device, not on {len(rows)}; name one device")
    return Budget(size, checked("max_drop", finite, max_drop), rows[0] if rows else None)


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
    explain: bool = False,
    repair: bool = False,
    recipe: Recipe | None = None,
    finetune: Data | None = None,
    epochs: int | None = None,
    limits: Budget | None = None,
    seed: int = HALVING_SEED,
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
        explain: whether to measure where quantized formats lose answers.
        repair: whether to search another file in place of a quantized one that misses the gate or is unproven.
        recipe: how to make the file of its format, which is then the only one of formats.
        finetune, epochs: images on which the weights of quantized files are trained, and how often each is seen.
        limits: a budget, for which one file is searched and written.
        seed: of the halves of the check images that a search chooses by and proves with.

    Returns:
        Artifacts in the order given. A format that misses its tolerances or cannot hold the network writes no file, and an
        existing file stays.

    Raises:
        LettercastError: the model, the images or the folder cannot be used.
    """
    original = open_original(path, calibrate, check, report, labels=labels, pixels=pixels)
    if recipe:
        refuse_other_recipe(recipe, original)
    targets = [out / row.file_name(original.facts.name) for row in formats]
    page = page_path(out, original.facts.name) if explain or repair or limits else None
    taken = [str(target) for target in (*targets, *([page] if page else [])) if target.exists()]
    if taken and not overwrite:
        raise LettercastError(f"{taken[0]}: exists already; add --overwrite, or choose another --out")
    pages = open_pages(check_pages, original, max_cer_rise, report)
    make_folder(out)
    artifacts: list[tuple[Artifact, Cause | None]] = []
    faults = []
    workshop = Workshop(original, finetuned(original, finetune, check, recipe=recipe, epochs=epochs, seed=seed, report=report))
    is_interrupted = False
    choice = None
    if limits:
        searched = partial(
            within_budget, check=check, out=out, min_agreement=min_agreement, pages=pages, seed=seed, report=report
        )
        made, choice = searched(limits, workshop, formats)
        artifacts += made
        is_interrupted = choice.is_interrupted
    for row, target in () if limits else zip(formats, targets, strict=True):
        tolerance = row.tolerance.limited(max_drop, min_agreement)
        try:
            report(f"building {row.name}, checking it on {len(original.truth)} {original.facts.unit}")
            judged = partial(judge, target=target, tolerance=tolerance, check=check, pages=pages, require_proof=require_proof)
            told = recipe or (workshop.base(row, seed) if workshop.finetuned and is_repairable(row) else None)
            candidate = by_recipe(workshop, row, told) if told else build(row, original)
            half = proof_half(original, recipe.seed) if recipe and recipe.looks else original
            made = judged(candidate, original=half, looks=recipe.looks if recipe else 0)
            agreement = made[0].parity.agreement
            if repair and is_repairable(row) and not is_proven(made[0]):
                is_integer_only = any(one.is_integer_only and row.name in one.formats for one in find_devices(devices))
                found = search.repair(
                    candidate, workshop, made[0].tolerance, is_integer_only=is_integer_only, seed=seed, report=report
                )
                made, is_interrupted = repaired(made, found, proof_half(original, seed), judged), found.is_interrupted
            if explain:
                found = explained(row, workshop, seed, report)
                made = (replace(made[0], explanation=found and replace(found, judged=agreement)), made[1])
            artifacts.append(made)
        except ImpossibleError as error:
            faults.append(f"{path}: {row.name} cannot hold this network ({error}); leave it out with --formats")
        if is_interrupted:
            break
    passed = [artifact.format.name for artifact, _ in artifacts if not artifact.misses]
    # A cause may recommend other formats, of which some are known to pass only now.
    tried, used = [row.name for row in formats], [REPAIR] if repair else []
    exports = Exports(
        tuple(replace(artifact, cause=cause.advise(passed, tried, used) if cause else "") for artifact, cause in artifacts),
        tuple(faults),
        model=original.facts.name,
        source_sha256=original.facts.source_sha256,
        network_sha256=original.facts.network_sha256,
        takes=original.facts.unit,
        check=ImageSet(check.name, check.split, len(original.truth)),
        calibration=ImageSet(calibrate.name, calibrate.split, len(original.calibration)),
        devices=tuple(devices),
        is_interrupted=is_interrupted,
        choice=choice,
    )
    if page and artifacts:
        return replace(exports, page=str(write_page(exports, out)))
    return exports


def within_budget(
    limits: Budget,
    workshop: Workshop,
    formats: Sequence[Format],
    *,
    check: Source,
    out: Path,
    min_agreement: float | None,
    pages: PageCheck | None,
    seed: int,
    report: Callable[[str], None],
) -> tuple[list[tuple[Artifact, Cause | None]], Choice]:
    """Search the fastest proven file within a budget, and write it; returns its artifact, none if there is none."""
    original, told = workshop.original, {"data": check.name, "split": check.split}
    choice, found = within(limits, workshop, formats, told, min_agreement=min_agreement, seed=seed, report=report)
    if not found:
        return [], choice
    made = judge(
        found,
        out / found.row.file_name(original.facts.name),
        proof_half(original, seed),
        found.row.tolerance.limited(limits.max_drop, min_agreement),
        check,
        pages=pages,
        require_proof=True,
        looks=choice.looks,
        max_bytes=limits.max_bytes,
    )
    return [made], choice


def is_repairable(row: Format) -> bool:
    """Whether a format has other ways to quantize a network than its own."""
    return row.is_quantized and row.name != "tflite-mobile"


def is_proven(artifact: Artifact) -> bool:
    """Whether a file is written and its accuracy drop is proven."""
    return artifact.verdict == PROVEN and not artifact.misses


def repaired(
    made: tuple[Artifact, Cause | None],
    found: search.Repair,
    half: Original,
    judged: "Callable[..., tuple[Artifact, Cause | None]]",
) -> tuple[Artifact, Cause | None]:
    """Write the file that a search found in place of one that missed the gate or is unproven.

    Args:
        made: the artifact of the format's own file, and why it misses.
        found: what the search found.
        half: the original with the half of its check images that proves.
        judged: compares a candidate with an original, and writes it.

    Returns:
        The artifact that was found and its cause, or those given if there is none, with what was tried.
    """
    artifact, cause = made
    if found.candidate and found.candidate.recipe:
        artifact, cause = judged(found.candidate, original=half, looks=found.candidate.recipe.looks)
    return replace(artifact, tries=found.tries, float_bytes=found.float_bytes), cause


def explained(row: Format, workshop: Workshop, seed: int, report: Callable[[str], None]) -> Explanation | None:
    """Return where a quantized format loses answers in its own way, layer by layer.

    None if it takes no recipes, or if what explains it cannot be built; a line on stderr says so.
    """
    if not is_repairable(row):
        say(f"{row.name} cannot be explained layer by layer; formats that can are {', '.join(repairable())}")
        return None
    base, original = workshop.base(row, seed), workshop.original
    report(f"explaining {row.name}")
    try:
        quantizer = workshop.quantizer(row, base)
        facts = workshop.make(row, base).facts

        def answer(model: bytes, images: Pixels) -> NDArray[np.float32]:
            try:
                return candidate_of(row, facts, model).classify(images)
            except ImpossibleError as error:
                raise ValueError(str(error)) from error

        images = shown(facts, original.images)
        return explain_layers(quantizer, base, images, original.probabilities, answer, report=report)
    except (ImpossibleError, ValueError, RuntimeError) as error:
        # TFLite raises the last one. The format's own file was judged already, and stays.
        say(f"{row.name} cannot be explained layer by layer: {first_line(error)}")
        return None


def repairable() -> list[str]:
    """Return the names of the formats that have other ways to quantize a network than their own."""
    return [row.name for row in FORMATS.values() if is_repairable(row)]


def proof_half(original: Original, seed: int) -> Original:
    """Return an original with the half of its check images that proves what was chosen on the other."""
    return search.part(original, halves(original.truth, seed)[1])
