"""One training run, from data to a calibrated model with its facts, history, figures and a card that says how it was made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from .. import LettercastError
from ..runtime.arguments import KERAS, checked, find_model, natural, positive
from ..runtime.model.facts import MODEL_NAME, Facts
from .card import make_facts, train_command, write_card
from .compare import Comparison
from .data.open import Data, letters_of, open_source
from .data.source import Source
from .evaluation import Evaluation, classify_source
from .fit import FITTED_FILE, MODEL_FILE, EndedEarly, best_network, calibrate, carry_confidence, fit
from .network import with_classes
from .plan import MIN_STEPS, TUNING_RATE, Epoch, Plan, fingerprint
from .predict import keras_engine, load_keras, model_facts, open_keras, open_teacher, safe_name, save_keras
from .rehearse import Letters, open_letters, open_tuning, say_letters

# Epochs of a run from scratch or with many letters, and of one that fits a trained model to few letters.
EPOCHS, FEW_EPOCHS = 20, 4
# With at least this many letters of your own, such a run has twice the batches, and so on.
MANY_OWN = 200


@dataclass(frozen=True)
class TrainingRun:
    """What a training run made.

    model is the path of `model.keras`, facts what the file says of itself, history one entry per epoch, validation the
    evaluation of the model on the validation letters, or on held-out ones if too few validate, and files the figures (PNG) and
    the card (Markdown). comparison has the figures before and after with `init`; with `is_better` False, model is the one that
    the run started from. interrupted tells whether Ctrl-C ended the run before its last epoch.
    """

    model: Path
    facts: Facts
    history: tuple[Epoch, ...]
    validation: Evaluation
    files: tuple[Path, ...]
    comparison: Comparison | None = None
    interrupted: bool = False


def train(
    data: Data | Sequence[Data] = "pen",
    *,
    val: Data | Sequence[Data] | None = None,
    size: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 1,
    out: str | Path = "runs/letters",
    resume: bool = False,
    init: str | Path | None = None,
    teacher: str | Path | Sequence[str | Path] | None = None,
    rate: float | None = None,
    clutter: float | None = None,
    strength: float | None = None,
    cycle: int = 0,
    draw_seed: int | None = None,
    cache: str | Path | None = None,
    non_letters: Data | None = None,
    rehearse: float | None = None,
    name: str | None = None,
    progress: bool = True,
) -> TrainingRun:
    """Train a letter model, calibrate it, and write the model, its history, figures and a card.

    Args:
        data: what `--data` takes (`pen`, `emnist`, `sklearn-digits`, the path of an `.npz`, `.csv` or folder of class folders,
            each with a share such as `strokes.npz@0.9` if there are several), a list of these, or arrays `(images, labels)` or
            `(images, labels, class names)`: images (N, H, W) grey or (N, H, W, 3) RGB uint8, labels (N,) numbers or names.
        val: letters that choose the best epoch; by default the validation split of `data`.
        size: `base` (the default), `nano` or `large`.
        epochs: how many epochs to train; by default 20, or 4 with `init` and few letters.
        steps: batches of 128 letters per epoch; by default as many as the data has letters for, at least 50.
        seed: decides the first weights and the order of letters, 0 to 4294967295.
        out: the folder of the run.
        resume: continue the run in `out` after its last finished epoch.
        init: start from this model: `letters-base`, `letters-nano` or the path of a `.keras` file.
        teacher: one or several models whose probabilities are learned beside the labels; of several, those most that give a
            letter's label the highest.
        rate: peak of the learning rate; by default 0.002, or 0.0005 with `init`.
        clutter: share of non-letters among the drawings, 0..1; by default 0.05.
        strength: of the drawings' distortion, 0..1; by default 1.
        cycle: draw the letters of this many epochs, then repeat the same drawings; 0 draws every epoch anew.
        draw_seed: decides what is drawn; by default `seed`.
        cache: a folder that keeps drawings for `cycle`, `resume` and other runs.
        non_letters: images of what is no letter (what `data` takes, one of it), half of the drawn non-letters; by default all of
            them are made up.
        rehearse: share of built-in letters among the training images, which keep a model of letters from forgetting, 0..1; by
            default 0.75 with `init` and few letters, else 0.
        name: of the model, which exported files begin with; by default that of the folder `out` with `init`, else `letters-` and
            the size.
        progress: whether to print the epochs.

    Raises:
        LettercastError: the data, a model or the folder cannot be used.
        KeyboardInterrupt: Ctrl-C in the first epoch, or twice; its message says whether finished epochs are kept. Once in a later
            epoch, it ends the run early, and the result says so.

    Example:
        train("my_letters/", init="letters-base", out="runs/mine")
    """
    if init and size:
        raise LettercastError("--size: the network is that of --init; leave --size out")
    if name is not None and not MODEL_NAME.fullmatch(name):
        raise LettercastError(f"--name '{name}': no name of a model; use letters, digits, '.', '_' and '-'")
    out = Path(out)
    report = print if progress else lambda text: None
    inputs = open_inputs(data, val, init, teacher, non_letters=non_letters, rehearse=rehearse)
    letters = inputs.letters
    is_short = inputs.facts is not None and letters.are_few_for(inputs.facts)
    plan = Plan.of(
        letters.train,
        size=inputs.facts.name.removeprefix("letters-") if inputs.facts else size or "base",
        epochs=checked("epochs", positive, epochs) or (FEW_EPOCHS if is_short else EPOCHS),
        seed=checked("seed", natural, seed),
        steps=checked("steps", positive, steps) or steps_for(letters),
        data=letters_of(inputs.data),
        val=letters_of(inputs.val or inputs.data),
        val_letters=letters.val.digest,
        rate=TUNING_RATE if rate is None and inputs.start else rate,
        clutter=clutter,
        strength=strength,
        draw_seed=checked("draw_seed", natural, draw_seed),
        cycle=checked("cycle", natural, cycle),
        init=fingerprint([inputs.start] if inputs.start else []),
        teacher=fingerprint(inputs.teachers),
        non_letters=inputs.non_letters.digest if inputs.non_letters else None,
        rehearse=letters.rehearsed,
    )
    for line in say_letters(letters, inputs.data, inputs.facts) if inputs.facts else ():
        report(line)
    interrupted = False
    try:
        network, history = fit(
            letters.train,
            letters.val,
            out,
            plan,
            resume=resume,
            init=(load_keras(inputs.start), inputs.facts.labels) if inputs.start and inputs.facts else None,
            teacher=open_teacher(inputs.teachers, letters.train.classes) if inputs.teachers else None,
            cache=Path(cache) if cache else None,
            non_letters=inputs.non_letters,
            chooses=letters.chooses,
            report=report,
            verbose=progress,
        )
    except EndedEarly as stop:
        network, history, interrupted = best_network(out), stop.history, True
        report(f"ended after epoch {len(history)} of {plan.epochs}; press Ctrl-C again to go without figures and model.keras")
    try:
        return finish(network, history, inputs, plan, out, name=name, interrupted=interrupted)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("finished epochs are kept: continue with --resume") from stop


def steps_for(letters: Letters) -> int | None:
    """Return the batches of an epoch that follow from the number of your own letters alone; None if there are no others."""
    return MIN_STEPS * (1 + letters.own // MANY_OWN) if letters.rehearsed else None


@dataclass(frozen=True)
class Inputs:
    """What a run starts from.

    data and val are the letters as they were named, val empty if it is a split of data; letters are these opened. start is
    the model to start from and facts its facts; teachers are models to learn from, itself if it rehearses; non_letters are
    images of what is no letter, None without any.
    """

    data: list[Data]
    val: list[Data]
    letters: Letters
    start: Path | None
    facts: Facts | None
    teachers: list[Path]
    non_letters: Source | None = None


def open_inputs(
    data: Any, val: Any, init: str | Path | None, teacher: Any, *, non_letters: Any = None, rehearse: float | None = None
) -> Inputs:
    """Open the letters and find the models of a run, as `train` takes them; raises LettercastError."""
    start = find_model(init, KERAS) if init else None
    teachers = [find_model(one, KERAS) for one in as_list(teacher)] if teacher else []
    if rehearse and (teachers or not start):
        raise LettercastError(f"--rehearse {rehearse:g}: needs --init and no --teacher; leave it out")
    sources, held_out = as_list(data), as_list(val) if val is not None else []
    facts = model_facts(start) if start else None
    share = 0.0 if teachers else rehearse
    letters = open_tuning(sources, held_out, facts, share) if facts else open_letters(sources, held_out)
    others = open_source(non_letters, "train") if non_letters is not None else None
    return Inputs(sources, held_out, letters, start, facts, [start] if start and letters.rehearsed else teachers, others)


def finish(
    network: keras.Model,
    history: list[Epoch],
    inputs: Inputs,
    plan: Plan,
    out: Path,
    *,
    name: str | None = None,
    interrupted: bool = False,
) -> TrainingRun:
    """Calibrate a trained network, name it, compare it with its start, and write the better model, its figures and its card."""
    path, letters = out / MODEL_FILE, inputs.letters
    usual = folder_name(out, inputs.facts) if inputs.facts else f"letters-{plan.size}"
    command = train_command(plan, inputs.data, inputs.val, inputs.start, [] if plan.rehearse else inputs.teachers)
    command += f" --non-letters {inputs.non_letters.name}" if inputs.non_letters else ""
    command += f" --name {name}" if name and (inputs.facts or name != usual) else ""
    facts = make_facts(network, letters.train.classes, plan, command, name or usual)
    made = {"val": letters_of(inputs.val)} if inputs.val else {}
    made |= {"ended": f"after epoch {len(history)} of {plan.epochs}"} if interrupted else {}
    facts = replace(facts, made={**facts.made, **made})
    comparison = None
    if inputs.start and inputs.facts and inputs.facts.labels == facts.labels:
        start = with_classes(load_keras(inputs.start), facts.labels, facts.labels)
        # Too few letters to measure them again leave them as they were.
        facts = replace(facts, temperature=inputs.facts.temperature, reject_below=inputs.facts.reject_below)
        if letters.chooses:
            facts = calibrate(network, facts, letters.val)
        elif letters.check and not letters.rehearsed:
            carry_confidence(network, start, letters.check, facts.labels)
        comparison = compare(start, network, inputs.facts, facts, letters)
        if not comparison.is_better:
            save_keras(network, out / FITTED_FILE, facts)
            kept = {**facts.made, "kept": inputs.facts.name, "before": str(inputs.facts.made.get("command", ""))}
            network, facts = start, replace(inputs.facts, name=facts.name, made=kept)
            if letters.chooses and not facts.reject_below:
                # The last epoch of another run, which was never calibrated.
                facts = calibrate(network, facts, letters.val)
    elif letters.chooses:
        facts = calibrate(network, facts, letters.val)
    save_keras(network, path, facts)
    model = open_keras(path)
    result = classify_source(model, letters.val)
    files = write_card(model.facts, history, result, out, comparison)
    return TrainingRun(path, model.facts, tuple(history), result, tuple(files), comparison, interrupted)


def compare(start: keras.Model, fitted: keras.Model, before: Facts, after: Facts, letters: Letters) -> Comparison:
    """Measure a model before and after it was fitted, on held-out letters and on built-in ones."""
    pairs = [
        tuple(classify_source(keras_engine(network, facts), source) for network, facts in ((start, before), (fitted, after)))
        if source
        else (None, None)
        for source in (letters.held, letters.check)
    ]
    (held_before, held_after), (check_before, check_after) = pairs
    may_drop = not letters.rehearsed
    return Comparison(before.name, held_before, held_after, check_before, check_after, may_drop=may_drop)


def folder_name(out: Path, facts: Facts) -> str:
    """Return the name of a model that was fitted in a folder: the folder's, because it is no longer the shipped model."""
    name = safe_name(out.resolve().name)
    return name if MODEL_NAME.fullmatch(name) else facts.name


def as_list(given: Any) -> list[Any]:
    """Return one thing or several as a list; arrays are a tuple, and one thing."""
    is_list = isinstance(given, list) or (isinstance(given, tuple) and all(isinstance(one, str | Path) for one in given))
    return list(given) if is_list else [given]
