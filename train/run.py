"""One training run, from data to a calibrated model with its facts, history, figures and a card that says how it was made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from .. import LettercastError, __version__
from ..runtime.arguments import KERAS, checked, find_model, natural, positive
from ..runtime.files import write_bytes
from ..runtime.model.facts import MODEL_NAME, Facts
from .data.open import Data, letters_name, letters_of, open_source, open_sources, open_validation
from .data.source import Source
from .evaluation import Evaluation, classify_source
from .figures import curves_figure, save_figure, save_figures
from .fit import LAST_FILE, MODEL_FILE, calibrate, fit
from .plan import TUNING_RATE, Epoch, Plan, fingerprint
from .predict import load_keras, model_facts, open_keras, open_teacher, save_keras


@dataclass(frozen=True)
class TrainingRun:
    """What a training run made.

    model is the path of `model.keras`, facts what the file says of itself, history one entry per epoch, validation the
    evaluation of the model on the validation letters, and files the figures (PNG) and the card (Markdown).
    """

    model: Path
    facts: Facts
    history: tuple[Epoch, ...]
    validation: Evaluation
    files: tuple[Path, ...]


def train(
    data: Data | Sequence[Data] = "pen",
    *,
    val: Data | Sequence[Data] | None = None,
    size: str | None = None,
    epochs: int = 20,
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
        epochs: how many epochs to train.
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
        name: of the model, which exported files begin with; by default that of `init`, or `letters-` and the size.
        progress: whether to print the epochs.

    Raises:
        LettercastError: the data, a model or the folder cannot be used.
        KeyboardInterrupt: Ctrl-C; its message says whether finished epochs are kept.

    Example:
        train("my_letters/", init="letters-base", epochs=5, out="runs/mine")
    """
    if init and size:
        raise LettercastError("--size: the network is that of --init; leave --size out")
    if name is not None and not MODEL_NAME.fullmatch(name):
        raise LettercastError(f"--name '{name}': no name of a model; use letters, digits, '.', '_' and '-'")
    out = Path(out)
    inputs = open_inputs(data, val, init, teacher, non_letters)
    plan = Plan.of(
        inputs.source,
        size=inputs.facts.name.removeprefix("letters-") if inputs.facts else size or "base",
        epochs=checked("epochs", positive, epochs),
        seed=checked("seed", natural, seed),
        steps=checked("steps", positive, steps),
        data=letters_of(inputs.data),
        val=letters_of(inputs.val or inputs.data),
        val_letters=inputs.validation.digest,
        rate=TUNING_RATE if rate is None and inputs.start else rate,
        clutter=clutter,
        strength=strength,
        draw_seed=checked("draw_seed", natural, draw_seed),
        cycle=checked("cycle", natural, cycle),
        init=fingerprint([inputs.start] if inputs.start else []),
        teacher=fingerprint(inputs.teachers),
        non_letters=inputs.non_letters.digest if inputs.non_letters else None,
    )
    try:
        network, history = fit(
            inputs.source,
            inputs.validation,
            out,
            plan,
            resume=resume,
            init=(load_keras(inputs.start), inputs.facts.labels) if inputs.start and inputs.facts else None,
            teacher=open_teacher(inputs.teachers, inputs.source.classes) if inputs.teachers else None,
            cache=Path(cache) if cache else None,
            non_letters=inputs.non_letters,
            report=print if progress else lambda text: None,
            verbose=progress,
        )
    except KeyboardInterrupt as stop:
        is_kept = (out / LAST_FILE).exists()
        raise KeyboardInterrupt("finished epochs are kept: continue with --resume" if is_kept else "in the first epoch") from stop
    return finish(network, history, inputs, plan, out, name=name)


@dataclass(frozen=True)
class Inputs:
    """What a run starts from.

    data and val are the letters as they were named, val empty if it is a split of data; source and validation are these
    opened. start is the model to start from and facts its facts; teachers are models to learn from; non_letters are
    images of what is no letter, None without any.
    """

    data: list[Data]
    val: list[Data]
    source: Source
    validation: Source
    start: Path | None
    facts: Facts | None
    teachers: list[Path]
    non_letters: Source | None = None


def open_inputs(data: Any, val: Any, init: str | Path | None, teacher: Any, non_letters: Any = None) -> Inputs:
    """Open the letters and find the models of a run, as `train` takes them; raises LettercastError."""
    start = find_model(init, KERAS) if init else None
    teachers = [find_model(one, KERAS) for one in as_list(teacher)] if teacher else []
    sources, held_out = as_list(data), as_list(val) if val is not None else []
    source = open_sources(sources, "train", held_out)
    validation = open_validation(held_out, sources) if held_out else open_validation(sources)
    others = open_source(non_letters, "train") if non_letters is not None else None
    return Inputs(sources, held_out, source, validation, start, model_facts(start) if start else None, teachers, others)


def finish(
    network: keras.Model, history: list[Epoch], inputs: Inputs, plan: Plan, out: Path, *, name: str | None = None
) -> TrainingRun:
    """Calibrate a trained network, give it its name, and write the model, its figures and its card."""
    path = out / MODEL_FILE
    command = train_command(plan, inputs.data, inputs.val, inputs.start, inputs.teachers)
    usual = inputs.facts.name if inputs.facts else f"letters-{plan.size}"
    command += f" --non-letters {inputs.non_letters.name}" if inputs.non_letters else ""
    command += f" --name {name}" if name and name != usual else ""
    facts = make_facts(network, inputs.source.classes, plan, command, name or usual)
    if inputs.val:
        facts = replace(facts, made={**facts.made, "val": letters_of(inputs.val)})
    if inputs.facts and inputs.facts.labels == facts.labels:
        # Too few letters to measure them again leave them as they were.
        facts = replace(facts, temperature=inputs.facts.temperature, reject_below=inputs.facts.reject_below)
    save_keras(network, path, calibrate(network, facts, inputs.validation))
    model = open_keras(path)
    result = classify_source(model, inputs.validation)
    return TrainingRun(path, model.facts, tuple(history), result, tuple(write_card(model.facts, history, result, out)))


def as_list(given: Any) -> list[Any]:
    """Return one thing or several as a list; arrays are a tuple, and one thing."""
    is_list = isinstance(given, list) or (isinstance(given, tuple) and all(isinstance(one, str | Path) for one in given))
    return list(given) if is_list else [given]


def make_facts(network: keras.Model, labels: tuple[str, ...], plan: Plan, command: str, name: str) -> Facts:
    """Return the facts of a freshly trained model of this name."""
    made = {
        "command": command,
        "data": plan.data,
        "seed": plan.seed,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "parameters": int(network.count_params()),
    }
    versions = {"lettercast": __version__, "keras": keras.__version__, "backend": keras.backend.backend()}
    shape = tuple(int(side) for side in network.inputs[0].shape[1:])
    return Facts(name, "keras", labels, (shape[0], shape[1], shape[2]), "float32", made=made, versions=versions)


def train_command(plan: Plan, data: Sequence[Data], val: Sequence[Data], init: Path | None, teachers: Sequence[Path]) -> str:
    """Return the command that makes the same model again, with data by name and every default spelled out."""
    words = ["lettercast train", "--data", *map(letters_name, data)]
    if val:
        words += ["--val", *map(letters_name, val)]
    words += [f"--init {init.name}" if init else f"--size {plan.size}"]
    words += [f"--epochs {plan.epochs} --steps {plan.steps} --seed {plan.seed}"]
    words += [
        f"--rate {plan.rate:g} --clutter {plan.clutter:g} --strength {plan.strength:g}",
        f"--draw-seed {plan.draw_seed} --cycle {plan.cycle}",
    ]
    if teachers:
        words.append("--teacher " + " ".join(path.name for path in teachers))
    return " ".join(words)


def write_card(facts: Facts, history: list[Epoch], validation: Evaluation, out: Path) -> list[Path]:
    """Write the figures and the card; returns their paths."""
    figures = [save_figure(curves_figure(history), out / "curves.png"), *save_figures(validation, out)]
    card = out / "card.md"
    write_bytes(card, card_text(facts, validation).encode())
    return [*figures, card]


def card_text(facts: Facts, validation: Evaluation) -> str:
    """Return the card as Markdown."""
    made = facts.made
    f1 = {label: scores["f1-score"] for label, scores in validation.per_class().items()}
    weakest = ", ".join(f"{label} {f1[label]:.3f}" for label in sorted(f1, key=lambda label: f1[label])[:5])
    lines = [
        f"# {facts.name}",
        "",
        f"- parameters: {made['parameters']:,}",
        f"- data: {made['data']}",
        f"- command: `{made['command']}`",
        f"- seed {made['seed']}, {made['epochs']} epochs of {made['steps']} batches",
        f"- made with {', '.join(f'{name} {number}' for name, number in facts.versions.items())}",
        f"- labels: {' '.join(facts.labels)}",
        "",
        "| measured on | letters | accuracy | top-2 |",
        "|---|---|---|---|",
        f"| {validation.data}, {validation.split} (drawn plainly) | {len(validation.truth):,} "
        f"| {100 * validation.accuracy:.2f} % | {100 * validation.top2:.2f} % |",
        "",
        *(f"- {note}" for note in validation.notes()),
        f"- temperature {facts.temperature:.2f}",
        f"- weakest by F1: {weakest}",
        "",
    ]
    return "\n".join(lines)
