"""Measure models and write their model card.

Maintainer's command, with one run of base, one or several of nano, data sets of letters, whole pages, and the JSON of
`python -m lettercast.benchmarks.leave_out`:

    python -m lettercast.benchmarks.model_card docs/model-card.md \\
        --models base/model.keras nano-1/model.keras nano-2/model.keras nano-3/model.keras \\
        --data unipen_letters.npz phone_crops nist_az_sample.npz geo_letters.npz \\
        --pages cards/labels.csv pages/labels.csv --left-out left_out.json
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from .. import UNUSABLE, LettercastError
from ..export.exporter import export_model
from ..export.formats import find_formats
from ..runtime.files import write_bytes
from ..runtime.glyph import glyph
from ..runtime.model.engine import Engine, open_engine
from ..runtime.model.facts import Facts
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from ..runtime.text.codes import look_alikes
from ..runtime.text.context import LABELS, load_case
from ..train.data.clutter import KINDS, Clutter
from ..train.data.digits import enlarged
from ..train.data.open import default_split, held_out_split, open_source
from ..train.data.source import Source, draw_all, relabel
from ..train.evaluation import Evaluation, evaluate, rejected_share
from ..train.network import count_multiplications
from ..train.pages import read_pages
from ..train.predict import load_keras, open_keras
from .parity.contender import runs_of
from .parity.measure import measure

# Drawn non-letters of each kind; training uses other seeds.
DRAWN, SEED = 1000, 20_000_003
# The other digits look like O, I, Z, S and g in some handwriting: no model can reject them all and accept the letters.
UNLIKE_LETTERS = (3, 4, 6, 7, 8)
# What each data set is, and its terms of use, by the name of its file or folder.
LETTERS = {
    "unipen_letters.npz": (
        "UNIPEN train_r01_v07, sections 1b and 1c: pen strokes of isolated letters, split by writer",
        "CC BY 4.0, UNIPEN, doi 10.5281/zenodo.1195803",
    ),
    "phone_crops": ("Handwritten_Letter_Indentification: phone photographs of pen letters", "MIT, T. I. Asif"),
    "nist_az_sample.npz": ("A-Z sample of NIST Special Database 19: scanned capitals", "public domain"),
    "font_strokes.npz": (
        "213 open handwriting and school-hand fonts, thinned to pen strokes; each is one writer",
        "SIL OFL 1.1 or Apache 2.0, @fontsource packages of Google Fonts",
    ),
    "geo_letters.npz": ("tiny scans, 8 to 16 pixels high, of about four French school hands", "MIT, geoffreybauduin/ocr"),
    "digit_strokes.npz": (
        "digits of 160 open handwriting and school-hand fonts, thinned to pen strokes",
        "SIL OFL 1.1 or Apache 2.0, @fontsource packages of Google Fonts",
    ),
    "sklearn-digits": (
        "Optical Recognition of Handwritten Digits: scanned digits of 43 people",
        "CC BY 4.0, Alpaydin and Kaynak, UCI",
    ),
    "mnist": (
        "MNIST: scanned digits of 500 people, from NIST's Special Databases 1 and 3 (LeCun, Cortes and Burges)",
        "CC BY-SA 3.0; NIST's scans are in the public domain",
    ),
    "pen": ("the built-in pen, fitted on UNIPEN's training writers", "CC BY 4.0, as UNIPEN"),
    "emnist": ("EMNIST Letters", "public domain, after Cohen et al. 2017"),
}
SHIPPING = """\
These models are shipped, as `export/models/*.keras` and `runtime/models/*-int8.tflite`; of several seeds, the first one below is,
which is the best on the validation letters. [Training](training.md#how-the-shipped-models-were-made) has the commands that come
before those below, which made the models that they start and learn from.

On pages the reader also uses `runtime/models/letters-case.npz`, a network of 21,434 weights that distinguishes capitals from
small letters, for each letter that an image may be; all letters of a line together settle the cases that a single letter leaves
open. It was fitted by `python -m lettercast.train.fit_case unipen_letters.npz` on UNIPEN's training writers (CC BY 4.0). "with
known case" below is the accuracy of model and case network together on letters of known case.

`runtime/models/letters-*.writers.npz` are for [hands](own-hand.md#what-is-learned): how the features of one writer's letters
scatter, of UNIPEN's training writers (CC BY 4.0), and features and probabilities of the built-in letters that check hands. They
were made by `python -m lettercast.train.fit_hand unipen_letters.npz letters-base`, and so on."""
ELSEWHERE = """\
EMNIST is not part of the training. `lettercast evaluate letters-base --data emnist` downloads it and measures the shipped model
on its test letters."""
# Multiply-accumulates in a cycle at most, of int8 and float32; None without an instruction that adds up products of 8 bits
# as fast as they come. Arm's figures: 8, 8 and 16 floating-point operations a cycle of the A53, A72 and A76; two SDOT a cycle of
# 16 products each on the A76; SMLAD of two products on the M7.
CORES = {
    "Cortex-A53 (Raspberry Pi Zero 2 W)": (None, 4),
    "Cortex-A72 (Raspberry Pi 4)": (None, 4),
    "Cortex-A76 (Raspberry Pi 5)": (32, 8),
    "Cortex-M7": (2, 1),
}
LEAST = """\
No processor of these was measured. One letter takes at least its multiply-accumulates over the most that a core makes in a
cycle; engines reach a third to two thirds of that. Without a dot product, int8 is about as fast as float32."""
LIMITS = """\
## Limits

- The models read single letters, not joined-up words.
- A bare vertical stroke can be a capital I or a small l, and no model of single letters can tell which. On pages the reader
  decides by the case of the line and the height of the neighbours. G and small q, U and V, n and u can look alike.
- A digit that looks like a letter (0, 1, 2, 5, 9) is read as that letter by a model that knows no digits.
- letters-digits cannot tell an O from a 0, an I from a 1 or a Z from a 2 in a single character; on pages, the other characters
  of its group decide.
- The phone photographs and the NIST sample are not split by writer, so some of their writers were also in the training data.
"""
Figure = Callable[[Evaluation], float | None]


@dataclass(frozen=True)
class Measured:
    """One model and its figures; original and int8 hold the evaluations of the Keras model and its export by data set.

    A data set of which the model does not know all classes has no evaluation, and non-letters that it knows have no share.
    multiplications are the multiply-accumulates of one letter. rejected is the share of rejected non-letters by kind, 0..1.
    cer is the character error rate in percent by set of pages. p50_ms and float_p50_ms are the median times of one letter on
    one thread, int8 and float32.
    """

    facts: Facts
    parameters: int
    multiplications: int
    int8_bytes: int
    original: tuple[Evaluation | None, ...]
    int8: tuple[Evaluation | None, ...]
    rejected: dict[str, float | None]
    cer: dict[str, float]
    p50_ms: float
    float_p50_ms: float


def measure_models(paths: Sequence[Path], specs: Sequence[str], pages: Sequence[Path]) -> list[Measured]:
    """Measure Keras models and their int8 exports on the held-out letters of each data set, and on the pages of CSVs."""
    with tempfile.TemporaryDirectory() as folder:
        exported = [_export(path, specs[0], Path(folder) / str(i)) for i, path in enumerate(paths)]
        engines = [open_engine(int8) for int8, _ in exported]
        images = draw_all(open_source(specs[0], held_out_split(specs[0])))[:1000]
        timed = [*engines, *(open_engine(float32) for _, float32 in exported)]
        latencies = measure([runs_of(engine, images)[0] for engine in timed])
        measured = []
        for i, (path, (file, _), engine) in enumerate(zip(paths, exported, engines, strict=True)):
            network, original = load_keras(path), open_keras(path)
            trained_on = str(original.facts.made.get("data", ""))
            sources = [open_source(spec, default_split(spec, trained_on)) for spec in specs]
            measured.append(
                Measured(
                    original.facts,
                    network.count_params(),
                    count_multiplications(network),
                    file.stat().st_size,
                    tuple(evaluate_known(original, source) for source in sources),
                    tuple(evaluate_known(engine, source) for source in sources),
                    rejection(engine, engine.facts.reject_below, digits=knows_digits(engine.facts)),
                    {pages_name(csv): pages_error(engine, csv) for csv in pages},
                    latencies[i].p50_ms,
                    latencies[len(paths) + i].p50_ms,
                )
            )
    return measured


def knows_digits(facts: Facts) -> bool:
    """Return whether there are digits among a model's classes."""
    return any(label.isdecimal() for label in facts.labels)


def evaluate_known(engine: Engine, source: Source) -> Evaluation | None:
    """Evaluate a model on a source, None if the model does not know all its classes."""
    return None if (relabel(source, engine.facts.labels) < 0).any() else evaluate(engine, source)


def pages_name(pages: Path) -> str:
    """Return the name of a set of pages: its folder, and the file if that is not labels.csv."""
    return pages.parent.name if pages.name == "labels.csv" else f"{pages.parent.name}/{pages.name}"


def pages_error(engine: Engine, pages: Path) -> float:
    """Return the character error rate in percent on the pages of a CSV."""
    return 100 * read_pages(Reader(engine), pages).cer


def _export(path: Path, spec: str, out: Path) -> tuple[Path, Path]:
    """Export to int8, calibrated on training letters, and float32; the card shows their figures even if they miss the gate."""
    letters, check = open_source(spec, "train"), open_source(spec, held_out_split(spec))
    formats = find_formats(["tflite-int8", "tflite-float32"])
    made = export_model(path, formats, letters, check, out, max_drop=100.0, min_agreement=0.0).artifacts
    paths = {artifact.format.name: artifact.path for artifact in made}
    return paths["tflite-int8"], paths["tflite-float32"]


@cache
def non_letters() -> dict[str, Pixels]:
    """Return images (N, 28, 28, 1) uint8 of non-letters by kind; training has none of them. They are drawn only once."""
    drawn = {f"{kind}s, drawn": Clutter((kind,)).draw(DRAWN, SEED) for kind in KINDS}
    digits = load_digits()
    images = np.stack([digit_image(image) for image in digits.images])
    chosen = np.isin(digits.target, UNLIKE_LETTERS)
    names = ", ".join(map(str, UNLIKE_LETTERS))
    return {**drawn, f"real digits {names}": images[chosen], "real digits, all ten": images}


def digit_image(image: np.ndarray) -> Pixels:
    """Turn a scanned digit (8, 8) of 0..16 into a network input (28, 28, 1) uint8."""
    return glyph(enlarged(image))[..., None]


def rejection(engine: Engine | Callable[[Pixels], np.ndarray], threshold: float, *, digits: bool) -> dict[str, float | None]:
    """Return the share 0..1 of rejected non-letters by kind: those with all probabilities below the threshold.

    digits tells whether the model knows digits: then digits and signs, among which there are some, have no share.
    """
    known = ("signs", "digits") if digits else ()
    return {
        kind: None if any(word in kind for word in known) else rejected_share(engine(images), threshold)
        for kind, images in non_letters().items()
    }


def percent(share: float | None) -> float | None:
    """Return a share 0..1 in percent, None if it is unknown."""
    return None if share is None else 100 * share


def accuracy_with_case(letters: Evaluation) -> float | None:
    """Return the accuracy in percent of model and case network together, None if the case of the letters is unknown."""
    if letters.upper is None or letters.labels != LABELS:
        return None
    capital = load_case().capital(letters.images)
    weighted = letters.probabilities * np.where(letters.upper[:, None], capital, 1 - capital)
    return 100 * float((weighted.argmax(1) == letters.truth).mean())


def accuracy_of_look_alikes(letters: Evaluation) -> float | None:
    """Return the accuracy in percent if a digit and a letter that look alike are one label, None without digits."""
    pairs = look_alikes(letters.labels)
    if not pairs:
        return None
    right = letters.right.copy()
    for pair in pairs:
        right |= np.isin(letters.truth, pair) & np.isin(letters.predicted, pair)
    return 100 * float(right.mean())


FIGURES: dict[str, Figure] = {
    "accuracy": lambda e: 100 * e.accuracy,
    "I and L merged": lambda e: 100 * e.merged_accuracy("I", "L"),
    "digits and letters that look alike merged": accuracy_of_look_alikes,
    # Digits count as capitals, and have no small letters beside them.
    "capitals": lambda e: None if e.small is None else percent(e.capitals),
    "small letters": lambda e: percent(e.small),
    "with known case": accuracy_with_case,
    "two likeliest": lambda e: 100 * e.top2,
    "errors that are I/L": lambda e: 100 * e.pair_share("I", "L"),
    "errors that are G/Q": lambda e: 100 * e.pair_share("G", "Q"),
    "median of the writers": lambda e: percent(w.median) if (w := e.writer_summary()) else None,
    "worst tenth of the writers": lambda e: percent(w.worst_tenth) if (w := e.writer_summary()) else None,
    "expected calibration error": lambda e: 100 * e.ece,
    "kept by the rejection threshold": lambda e: 100 * e.kept,
}


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Return the mean of a figure over seeds, with its standard deviation if there are several; a dash if it is unknown."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.mean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


def card(groups: dict[str, list[Measured]], left_out: dict[str, Any] | None = None) -> str:
    """Return the card as Markdown; groups holds the runs of each model by its name, left_out the JSON of `leave_out`."""
    names = [*groups]
    parts = ["# Letter models", "", "Made by `python -m lettercast.benchmarks.model_card`; do not edit by hand.", ""]
    parts += [
        "Each model reads one isolated handwritten letter, capital or small, as one of A to Z, or rejects it as a non-letter.",
        "",
    ]
    parts += [SHIPPING, ""]
    parts += _table(["", *names], [[label, *cells] for label, cells in _sizes(groups).items()])
    parts += ["", "## Data", "", *_data_table(groups), ""]
    for name, runs in groups.items():
        parts += [f"## How {name} was made", "", *_commands(runs), ""]
    parts += [
        "## Measured",
        "",
        "In percent, on letters that were not used for training, model selection or calibration. int8 is the TFLite file.",
        "",
    ]
    parts += ["With several seeds: mean ± standard deviation." if any(len(r) > 1 for r in groups.values()) else "", ""]
    for at in range(len(next(iter(groups.values()))[0].original)):
        known = [first for runs in groups.values() if (first := runs[0].original[at])]
        for first in known[:1]:
            parts += [f"### {first.data}, {first.split}: {len(first.truth):,} letters", "", *_figures(groups, at), ""]
    parts += [ELSEWHERE, "", *(_left_out(left_out) if left_out else [])]
    parts += ["### Non-letters rejected, in percent, int8", "", *_rejected(groups), ""]
    parts += ["## Least time by operations", "", LEAST, "", *_least(groups), "", LIMITS]
    return "\n".join(parts)


def _sizes(groups: dict[str, list[Measured]]) -> dict[str, list[str]]:
    firsts = [runs[0] for runs in groups.values()]
    return {
        "parameters": [f"{run.parameters:,}" for run in firsts],
        "multiply-accumulates per letter": [f"{run.multiplications / 1e6:.2f} M" for run in firsts],
        "int8 TFLite file": [f"{max(run.int8_bytes for run in runs) / 1000:.1f} kB" for runs in groups.values()],
        "one letter, int8, one thread, median / µs": [spread([1000 * run.p50_ms for run in runs], 0) for runs in groups.values()],
        "one letter, float32, one thread, median / µs": [
            spread([1000 * run.float_p50_ms for run in runs], 0) for runs in groups.values()
        ],
        **{
            f"pages of {name}, int8, character error rate / %": [spread([r.cer[name] for r in runs]) for runs in groups.values()]
            for name in firsts[0].cer
        },
        "temperature": [spread([run.facts.temperature for run in runs]) for runs in groups.values()],
        "rejection threshold": [spread([run.facts.reject_below for run in runs]) for runs in groups.values()],
    }


def _data_table(groups: dict[str, list[Measured]]) -> list[str]:
    """Return what the models were trained on, with the share of each source in the drawings of each model."""
    shares: dict[str, dict[str, str]] = {}
    for model, runs in groups.items():
        for spec in str(runs[0].facts.made.get("data", "")).split(" + "):
            name, _, share = spec.partition("@")
            shares.setdefault(name, {})[model] = f"{100 * float(share):.0f} %" if share else "all"
    rows = []
    for name, by_model in shares.items():
        what, terms = LETTERS.get(name, ("", ""))
        rows.append([name, what, *(by_model.get(model, "-") for model in groups), terms])
    return _table(["trained on", "what", *(f"share in {model}" for model in groups), "terms"], rows)


def _commands(runs: Sequence[Measured]) -> list[str]:
    commands = [str(run.facts.made.get("command", "")) for run in runs]
    versions = ", ".join(f"{name} {number}" for name, number in runs[0].facts.versions.items())
    return ["```", *commands, "```", "", f"With {versions}. int8: {_calibration(runs[0])}."]


def _calibration(run: Measured) -> str:
    return f"calibrated on drawn training letters of {next(one.data for one in run.original if one)}"


def _figures(groups: dict[str, list[Measured]], at: int) -> list[str]:
    heads = [head for name in groups for head in (name, f"{name}, int8")]
    rows = []
    for label, figure in FIGURES.items():
        cells = []
        for runs in groups.values():
            for ones in ([run.original[at] for run in runs], [run.int8[at] for run in runs]):
                cells.append(spread([figure(one) if one else None for one in ones]))
        if set(cells) != {"-"}:
            rows.append([label, *cells])
    return _table(["", *heads], rows)


def _rejected(groups: dict[str, list[Measured]]) -> list[str]:
    kinds = next(iter(groups.values()))[0].rejected
    rows = [[kind, *(spread([percent(run.rejected[kind]) for run in runs], 1) for runs in groups.values())] for kind in kinds]
    return _table(["", *groups], rows)


def read_left_out(path: Path) -> dict[str, Any]:
    """Read what `leave_out --json` wrote; raises LettercastError if that is no JSON."""
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LettercastError(f"{path}: {error}; give what `leave_out --json` wrote") from error
    return report


def _left_out(report: dict[str, Any]) -> list[str]:
    """Return the section on letters of an origin that training never saw."""
    made = f"{report['epochs']} epochs of {report['steps']} batches, seed {report['seed']}, {' '.join(report['data'])}"
    rows = [[name, f"{line['letters']:,}", f"{100 * line['accuracy']:.1f}"] for name, line in report["left_out"].items()]
    return [
        "### Letters of an origin that training never saw",
        "",
        f"A letters-{report['size']} trained without each source reads its letters (`benchmarks/leave_out.py`): {made}.",
        "",
        *_table(["left out", "letters", "accuracy / %"], [*rows, ["mean", "", f"{100 * report['mean']:.1f}"]]),
        "",
    ]


def _least(groups: dict[str, list[Measured]]) -> list[str]:
    """Return the least cycles of one letter on each core, in thousands: the operations over the most of them in a cycle."""
    heads, rows = [], []
    for name in groups:
        heads += [f"{name}, {arithmetic}" for arithmetic in ("int8", "float32")]
    for core, most in CORES.items():
        cells = []
        for runs in groups.values():
            cells += ["-" if at is None else f"{runs[0].multiplications / at / 1000:,.0f}" for at in most]
        rows.append([core, *cells])
    return _table(["thousands of cycles", *heads], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the models, write their card and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.model_card", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("out", type=Path, help="the Markdown file to write")
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="M", help=".keras files, one per seed")
    parser.add_argument("--data", nargs="+", required=True, metavar="D", help="letters to measure on; the first calibrates int8")
    parser.add_argument(
        "--pages", type=Path, nargs="+", default=[], metavar="CSV", help="pages to read, with the header file,text"
    )
    parser.add_argument("--left-out", type=Path, metavar="JSON", help="what `leave_out --json` wrote")
    options = parser.parse_args(arguments)
    groups: dict[str, list[Measured]] = {}
    try:
        left_out = read_left_out(options.left_out) if options.left_out else None
        for run in measure_models(options.models, options.data, options.pages):
            groups.setdefault(run.facts.name, []).append(run)
        write_bytes(options.out, card(groups, left_out).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
