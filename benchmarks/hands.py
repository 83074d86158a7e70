"""Measure what a hand gains: letters of one writer are learned, and that writer's other letters are read.

python -m lettercast.benchmarks.hands unipen_letters.npz --split val
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .. import LettercastError
from ..runtime.arguments import DEFAULT_NAME, find_model
from ..runtime.hand.apply import with_hand
from ..runtime.hand.learn import learn_hand
from ..runtime.model.engine import Engine, open_engine
from ..train.data.open import open_source
from ..train.data.source import Source, draw_some

# Letters of each class that are learned.
LEARNED = (1, 3, 10)
# Writers with fewer letters, and draws that leave fewer to read, say little.
MIN_LETTERS, MIN_READ = 100, 30
DRAWS = 2


@dataclass(frozen=True)
class Drawn:
    """One draw of letters of a writer: errors 0..1 on the others, with the model alone, with the hand, and with what was kept."""

    writer: int
    learned: int
    plain: float
    with_hand: float
    kept: float
    is_kept: bool


@dataclass(frozen=True)
class Gain:
    """Errors in percent, means over writers: with the model alone, with every hand, and with those that are kept.

    worst_plain and worst_kept are those of the worst tenth, worse the share of writers that read worse with a kept hand, most
    the largest loss of one in points, and share_kept the share of hands that are kept.
    """

    learned: int
    writers: int
    plain: float
    with_hand: float
    kept: float
    worst_plain: float
    worst_kept: float
    worse: float
    most: float
    share_kept: float


def draw_letters(source: Source, writer: int, learned: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return letters of one writer to learn, so many of each class, and the others; None if there are few."""
    assert source.writers is not None
    own = np.random.default_rng([seed, writer]).permutation(np.flatnonzero(source.writers == writer))
    rank = np.zeros(len(own), int)
    for label in np.unique(source.labels[own]):
        is_label = source.labels[own] == label
        rank[is_label] = np.arange(is_label.sum())
    first, others = own[rank < learned], own[rank >= learned]
    return (first, others) if len(own) >= MIN_LETTERS and len(others) >= MIN_READ else None


def measure(engine: Engine, source: Source, learned: int, draws: int = DRAWS) -> Iterator[Drawn]:
    """Yield what each writer gains, for several draws of letters; raises LettercastError if the source names no writers."""
    if source.writers is None:
        raise LettercastError(f"{source.name}: names no writers; give a strokes file that does")
    names = engine.facts.labels
    for writer in np.unique(source.writers):
        for seed in range(draws):
            drawn = draw_letters(source, int(writer), learned, seed)
            if drawn is None:
                continue
            first, others = drawn
            truth = np.array([names.index(source.classes[i]) for i in source.labels[others]])
            labels = [source.classes[i] for i in source.labels[first]]
            hand = learn_hand(draw_some(source, first, None), labels, engine)
            images = draw_some(source, others, None)
            plain, own = (float((one(images).argmax(1) != truth).mean()) for one in (engine, with_hand(engine, hand)))
            is_kept = hand.figures.is_better
            yield Drawn(int(writer), learned, plain, own, own if is_kept else plain, is_kept)


def summarize(drawn: Sequence[Drawn]) -> Gain:
    """Return the means over writers, each of which counts once."""
    writers = sorted({one.writer for one in drawn})
    rows = np.array(
        [
            np.mean([(one.plain, one.with_hand, one.kept, one.is_kept) for one in drawn if one.writer == writer], axis=0)
            for writer in writers
        ]
    )
    worst = rows[np.argsort(-rows[:, 0])][: max(1, len(rows) // 10)]
    loss = rows[:, 2] - rows[:, 0]
    plain, own, kept, share = rows.mean(0)
    return Gain(
        drawn[0].learned,
        len(writers),
        100 * plain,
        100 * own,
        100 * kept,
        100 * worst[:, 0].mean(),
        100 * worst[:, 2].mean(),
        float((loss > 0).mean()),
        100 * float(loss.max()),
        share,
    )


def gains_table(name: str, gains: Sequence[Gain]) -> Table:
    """Return the gains as a table; figures are errors in percent."""
    table = Table(title=f"{name}: errors in percent on a writer's other letters")
    columns = ("letters of a class", "writers", "alone", "with a hand", "if it is kept", "worst tenth", "kept", "worse", "most")
    for title in columns:
        table.add_column(title, justify="right")
    for one in gains:
        table.add_row(
            str(one.learned),
            str(one.writers),
            f"{one.plain:.2f}",
            f"{one.with_hand:.2f} (-{100 * (1 - one.with_hand / one.plain):.0f} %)",
            f"{one.kept:.2f} (-{100 * (1 - one.kept / one.plain):.0f} %)",
            f"{one.worst_plain:.1f} -> {one.worst_kept:.1f}",
            f"{100 * one.share_kept:.0f} %",
            f"{100 * one.worse:.0f} %",
            f"{one.most:+.1f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", help="a strokes .npz that is split by writer")
    parser.add_argument("--model", default=DEFAULT_NAME, help="letters-base (the default), or another model")
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--json", action="store_true", help="print one JSON object per row")
    options = parser.parse_args(arguments)
    try:
        engine = open_engine(find_model(options.model))
        source = open_source(options.strokes, options.split)
        gains = [summarize(list(measure(engine, source, learned))) for learned in LEARNED]
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    if options.json:
        for one in gains:
            print(json.dumps(asdict(one)))
    else:
        Console().print(gains_table(options.model, gains))
    return 0


if __name__ == "__main__":
    sys.exit(main())
