"""The card of the models that ship, every figure in it measured by this code.

Maintainer's command, with one run of base and several of nano, the letters to measure on and whole pages:

    python -m lettercast.benchmarks.model_card docs/model-card.md \\
        --models base/model.keras nano-1/model.keras nano-2/model.keras nano-3/model.keras \\
        --data unipen_letters.npz phone_crops nist_az_sample.npz --pages cards/labels.csv
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from ..export.artifact import export_model
from ..export.formats import find_formats
from ..runtime.files import write_bytes
from ..runtime.glyph import glyph
from ..runtime.model.engine import Engine, open_engine
from ..runtime.model.facts import Facts
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from ..runtime.text.context import LABELS, load_case
from ..train.data.clutter import KINDS, Clutter
from ..train.data.open import default_split, held_out_split, open_source
from ..train.data.source import draw_all
from ..train.evaluation import Evaluation, evaluate, rejected_share
from ..train.network import count_multiplications
from ..train.predict import load_keras, open_keras
from .pages.scoring import read_pages
from .parity.contender import runs_of
from .parity.measure import measure

DRAWN, SEED = 1000, 20_000_003
# The digits come as 8x8 pictures of 0..16.
DIGIT_PX, DIGIT_SCALE = 64, 255 / 16
# 0, 1, 2, 5 and 9 are O, I, Z, S and g in some hand: no model can reject them all and keep the letters.
UNLIKE_LETTERS = (3, 4, 6, 7, 8)


def non_letters() -> dict[str, Pixels]:
    """Return pictures (N, 28, 28, 1) uint8 of non-letters by kind; none of them was seen in training."""
    drawn = {f"{kind}s, drawn": Clutter((kind,)).draw(DRAWN, SEED) for kind in KINDS}
    digits = load_digits()
    pictures = np.stack([digit_picture(image) for image in digits.images])
    chosen = np.isin(digits.target, UNLIKE_LETTERS)
    said = ", ".join(map(str, UNLIKE_LETTERS))
    return {**drawn, f"real digits {said}": pictures[chosen], "real digits, all ten": pictures}


def digit_picture(image: np.ndarray) -> Pixels:
    """Bring a scanned digit (8, 8) of 0..16 before the network as (28, 28, 1) uint8."""
    ink = np.clip(image * DIGIT_SCALE, 0, 255).astype(np.uint8)
    return glyph(cv2.resize(ink, (DIGIT_PX, DIGIT_PX), interpolation=cv2.INTER_CUBIC))[..., None]


def rejection(engine: Engine | Callable[[Pixels], np.ndarray], threshold: float) -> dict[str, float]:
    """Return by kind the share 0..1 of non-letters whose likeliest letter stays below the threshold."""
    return {kind: rejected_share(engine(pictures), threshold) for kind, pictures in non_letters().items()}


# What the letters are, and on which terms, by the name of their file or folder.
LETTERS = {
    "unipen_letters.npz": (
        "UNIPEN train_r01_v07, sections 1b and 1c: pen strokes of isolated letters, split by writer",
        "CC BY 4.0, UNIPEN, doi 10.5281/zenodo.1195803",
    ),
    "phone_crops": ("Handwritten_Letter_Indentification: phone photographs of pen letters", "MIT, T. I. Asif"),
    "nist_az_sample.npz": ("A-Z sample of NIST Special Database 19: scanned capitals", "public domain"),
    "pen": ("the built-in pen, fitted on UNIPEN's training writers", "CC BY 4.0, as UNIPEN"),
    "emnist": ("EMNIST Letters", "public domain, after Cohen et al. 2017"),
}
SHIPPING = """\
letters-base and letters-nano ship, as `export/models/*.keras` and `runtime/models/*-int8.tflite`. Of several seeds the
first below ships, the best on the validation letters. letters-large, where it is shown, is the teacher that they learned from.

On pages the reader also asks `runtime/models/letters-case.npz`, a network of 21,434 weights that tells, for each letter that a
picture may be, capital from small; from all letters of a line it settles what one leaves open. It was fitted by
`python -m lettercast.train.fit_case unipen_letters.npz` on UNIPEN's training writers (CC BY 4.0). "Where the case is known" below
is the accuracy of model and case network together on letters of known case."""
LIMITS = """\
## Limits

- One letter at a time: joined-up words are not read.
- A bare vertical stroke is a capital I and a small l alike, and no model of single letters can tell; on pages the reader settles
  it by the case of the line and the neighbours' height. G and small q, U and V, n and u are alike in some hands.
- A digit that looks like a letter (0, 1, 2, 5, 9) is read as that letter.
- The phone photographs and the NIST sample are not split by writer, so their figures are of known hands in part.
"""


@dataclass(frozen=True)
class Measured:
    """One model and its figures: evaluations of the Keras model and of its int8 export by data set, in the same order.

    multiplications are multiply-accumulates of one letter; rejected is the share of non-letters by kind, 0..1; cer
    the character error rate of pages in percent; p50_ms the median time of one letter, int8 on one thread.
    """

    facts: Facts
    parameters: int
    multiplications: int
    int8_bytes: int
    original: tuple[Evaluation, ...]
    int8: tuple[Evaluation, ...]
    rejected: dict[str, float]
    cer: float | None
    p50_ms: float


def measure_models(paths: Sequence[Path], specs: Sequence[str], pages: Path | None) -> list[Measured]:
    """Measure Keras models and their int8 exports on the held-out letters of each data set, and on pages."""
    with tempfile.TemporaryDirectory() as folder:
        exported = [_export(path, specs[0], Path(folder) / str(i)) for i, path in enumerate(paths)]
        engines = [open_engine(path) for path in exported]
        pictures = draw_all(open_source(specs[0], held_out_split(specs[0])))[:1000]
        latencies = measure([runs_of(engine, pictures)[0] for engine in engines])
        measured = []
        for path, file, engine, latency in zip(paths, exported, engines, latencies, strict=True):
            network, original = load_keras(path), open_keras(path)
            trained_on = str(original.facts.made.get("data", ""))
            sources = [open_source(spec, default_split(spec, trained_on)) for spec in specs]
            measured.append(
                Measured(
                    original.facts,
                    network.count_params(),
                    count_multiplications(network),
                    file.stat().st_size,
                    tuple(evaluate(original, source) for source in sources),
                    tuple(evaluate(engine, source) for source in sources),
                    rejection(engine, engine.facts.reject_below),
                    100 * read_pages(Reader(engine), pages).cer if pages else None,
                    latency.p50_ms,
                )
            )
    return measured


def _export(path: Path, spec: str, out: Path) -> Path:
    """Export to int8, calibrated on training letters; whatever the gate says, the card shows what was measured."""
    letters, check = open_source(spec, "train"), open_source(spec, held_out_split(spec))
    int8 = find_formats(["tflite-int8"])
    return export_model(path, int8, letters, check, out, max_drop=100.0, min_agreement=0.0).artifacts[0].path


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Return the mean of a figure over seeds, with its standard deviation where there are several; a dash where unknown."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.mean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


Figure = Callable[[Evaluation], float | None]


def percent(share: float | None) -> float | None:
    """Return a share 0..1 in percent."""
    return None if share is None else 100 * share


def where_case_is_known(letters: Evaluation) -> float | None:
    """Return the accuracy in percent of model and case network together on letters of known case; None where it is not known."""
    if letters.upper is None or letters.labels != LABELS:
        return None
    capital = load_case().capital(letters.pictures)
    weighted = letters.probabilities * np.where(letters.upper[:, None], capital, 1 - capital)
    return 100 * float((weighted.argmax(1) == letters.truth).mean())


FIGURES: dict[str, Figure] = {
    "accuracy": lambda e: 100 * e.accuracy,
    "I and L merged": lambda e: 100 * e.merged_accuracy("I", "L"),
    "capitals": lambda e: percent(e.capitals),
    "small letters": lambda e: percent(e.small),
    "where the case is known": where_case_is_known,
    "two likeliest": lambda e: 100 * e.top2,
    "errors that are I/L": lambda e: 100 * e.pair_share("I", "L"),
    "errors that are G/Q": lambda e: 100 * e.pair_share("G", "Q"),
    "median of the writers": lambda e: percent(w.median) if (w := e.writer_summary()) else None,
    "worst tenth of the writers": lambda e: percent(w.worst_tenth) if (w := e.writer_summary()) else None,
    "expected calibration error": lambda e: 100 * e.ece,
    "kept by the rejection threshold": lambda e: 100 * e.kept,
}


def card(groups: dict[str, list[Measured]]) -> str:
    """Return the card as Markdown; groups are the runs of each model by its name."""
    names = [*groups]
    parts = ["# Letter models", "", "Made by `python -m lettercast.benchmarks.model_card`; do not edit by hand.", ""]
    parts += ["Each reads one isolated handwritten letter, capital or small, as one of A to Z, or as no letter.", ""]
    parts += [SHIPPING, ""]
    parts += _table(["", *names], [[label, *cells] for label, cells in _sizes(groups).items()])
    parts += ["", "## Data", "", *_data_table(next(iter(groups.values()))[0]), ""]
    for name, runs in groups.items():
        parts += [f"## How {name} was made", "", *_commands(runs), ""]
    parts += [
        "## Measured",
        "",
        "In percent, on letters that no training, choice or calibration saw. int8 is the TFLite file.",
        "",
    ]
    parts += ["With several seeds: mean ± standard deviation." if any(len(r) > 1 for r in groups.values()) else "", ""]
    for at, first in enumerate(next(iter(groups.values()))[0].original):
        parts += [f"### {first.data}, {first.split}: {len(first.truth):,} letters", "", *_figures(groups, at), ""]
    parts += ["### Non-letters rejected, in percent, int8", "", *_rejected(groups), "", LIMITS]
    return "\n".join(parts)


def _sizes(groups: dict[str, list[Measured]]) -> dict[str, list[str]]:
    firsts = [runs[0] for runs in groups.values()]
    return {
        "parameters": [f"{run.parameters:,}" for run in firsts],
        "multiply-accumulates a letter": [f"{run.multiplications / 1e6:.2f} M" for run in firsts],
        "int8 TFLite file": [f"{max(run.int8_bytes for run in runs) / 1000:.1f} kB" for runs in groups.values()],
        "one letter, int8, one thread, median / µs": [spread([1000 * run.p50_ms for run in runs], 0) for runs in groups.values()],
        "photographed cards, int8, character error rate / %": [spread([run.cer for run in runs]) for runs in groups.values()],
        "temperature": [spread([run.facts.temperature for run in runs]) for runs in groups.values()],
        "rejection threshold": [spread([run.facts.reject_below for run in runs]) for runs in groups.values()],
    }


def _data_table(run: Measured) -> list[str]:
    rows = []
    for spec in str(run.facts.made.get("data", "")).split(" + "):
        name, _, share = spec.partition("@")
        what, terms = LETTERS.get(name, ("", ""))
        rows.append([name, what, f"{100 * float(share):.0f} %" if share else "all", terms])
    return _table(["trained on", "what", "share of what is drawn", "terms"], rows)


def _commands(runs: Sequence[Measured]) -> list[str]:
    commands = [str(run.facts.made.get("command", "")) for run in runs]
    versions = ", ".join(f"{name} {number}" for name, number in runs[0].facts.versions.items())
    return ["```", *commands, "```", "", f"With {versions}. int8: {_calibration(runs[0])}."]


def _calibration(run: Measured) -> str:
    return f"calibrated on drawn training letters of {run.original[0].data}"


def _figures(groups: dict[str, list[Measured]], at: int) -> list[str]:
    heads = [head for name in groups for head in (name, f"{name}, int8")]
    rows = []
    for label, figure in FIGURES.items():
        cells = []
        for runs in groups.values():
            cells += [spread([figure(run.original[at]) for run in runs]), spread([figure(run.int8[at]) for run in runs])]
        if set(cells) != {"-"}:
            rows.append([label, *cells])
    return _table(["", *heads], rows)


def _rejected(groups: dict[str, list[Measured]]) -> list[str]:
    kinds = next(iter(groups.values()))[0].rejected
    rows = [[kind, *(spread([100 * run.rejected[kind] for run in runs], 1) for runs in groups.values())] for kind in kinds]
    return _table(["", *groups], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the card; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure models and write their card.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--pages", type=Path)
    options = parser.parse_args(arguments)
    groups: dict[str, list[Measured]] = {}
    for run in measure_models(options.models, options.data, options.pages):
        groups.setdefault(run.facts.name, []).append(run)
    write_bytes(options.out, card(groups).encode())
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
