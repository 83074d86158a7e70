"""What a finished run says of itself: the facts in the model's file, the command that makes it again, its figures and card."""

from collections.abc import Sequence
from pathlib import Path

import keras

from .. import __version__
from ..runtime.files import write_bytes
from ..runtime.model.facts import Facts
from .compare import Comparison
from .data.open import Data, letters_name
from .evaluation import Evaluation
from .figures import curves_figure, save_figure, save_figures
from .plan import Epoch, Plan


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
    words += [f"--rehearse {plan.rehearse:g}"] if init else []
    if teachers:
        words.append("--teacher " + " ".join(path.name for path in teachers))
    return " ".join(words)


def write_card(
    facts: Facts, history: list[Epoch], validation: Evaluation, out: Path, comparison: Comparison | None = None
) -> list[Path]:
    """Write the figures and the card; returns their paths."""
    figures = [save_figure(curves_figure(history), out / "curves.png"), *save_figures(validation, out)]
    card = out / "card.md"
    write_bytes(card, card_text(facts, validation, comparison).encode())
    return [*figures, card]


def card_text(facts: Facts, validation: Evaluation, comparison: Comparison | None = None) -> str:
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
        *(f"- {line}" for line in (comparison.lines() if comparison else [])),
        "",
    ]
    return "\n".join(lines)
