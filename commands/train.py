"""The verb `train`: a model from letters."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from .. import DONE
from ..runtime.arguments import finite, keras_model, natural, positive
from .parser import add_verb
from .terminal import import_keras

EXAMPLES = """\
examples:
  lettercast train --data my_letters/ --init letters-base     minutes: the shipped model fitted to your letters
  lettercast train --data strokes.npz@0.9 my_letters/@0.1     from scratch, nine letters of ten from the first
  lettercast train --data my_letters/ --resume                go on after a break, to the same end
"""


def add(verbs: Any) -> None:
    """Add the verb `train`."""
    verb = add_verb(
        verbs,
        "train",
        help="train a model",
        description="Train a letter model; every epoch is saved, --resume goes on.",
        examples=EXAMPLES,
    )
    verb.add_argument(
        "--data",
        nargs="+",
        default=["pen"],
        metavar="D",
        help="pen (built in), emnist (downloaded once), an .npz of strokes or images, an A-Z .csv, a folder of class folders "
        "or of EMNIST files; D@0.3 gives D a share of what is drawn",
    )
    verb.add_argument(
        "--val", nargs="+", metavar="D", help="letters that choose the best epoch (default: the val split of --data)"
    )
    verb.add_argument("--size", metavar="S", help="base, nano or large (default: base)")
    verb.add_argument("--epochs", type=positive, metavar="N", default=20, help="default: %(default)s")
    verb.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="batches of 128 letters an epoch (default: as many as the data has, at least 50)",
    )
    verb.add_argument("--seed", type=natural, metavar="N", default=1, help="default: %(default)s")
    verb.add_argument("--out", type=Path, default=Path("runs/letters"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--resume", action="store_true", help="go on with the run in --out")
    verb.add_argument(
        "--init",
        type=keras_model,
        metavar="M",
        help="go on from letters-base, letters-nano or a .keras file: a few epochs fit it to letters of your own",
    )
    verb.add_argument(
        "--teacher",
        type=keras_model,
        nargs="+",
        metavar="M",
        help="learn the mean answer of these models beside the labels",
    )
    verb.add_argument("--rate", type=finite, metavar="R", help="peak of the learning rate (default: 0.002, with --init 0.0005)")
    verb.add_argument("--clutter", type=finite, metavar="S", help="share of non-letters among what is drawn (default: 0.05)")
    verb.add_argument("--cycle", type=natural, metavar="N", default=0, help="draw the letters of N epochs, then the same again")
    verb.add_argument("--draw-seed", type=natural, metavar="N", help="seed of what is drawn (default: --seed)")
    verb.add_argument("--cache", type=Path, metavar="DIR", help="keep drawings there for --cycle, --resume and other runs")


def run(options: argparse.Namespace) -> int:
    """Train a model and say what was written."""
    import_keras()
    from ..train.data.open import data_path
    from ..train.fit import MIN_TO_CALIBRATE
    from ..train.run import train

    trained = train(**{name: value for name, value in vars(options).items() if name != "verb"})
    for path in (trained.model, *trained.files):
        print(path)
    result = trained.validation
    print(f"validation: {100 * result.accuracy:.2f} % of {len(result.truth)} letters ({result.data})")
    if not trained.facts.reject_below:
        print(f"no rejection threshold: it takes {MIN_TO_CALIBRATE} validation letters, so every answer counts as a letter")
    letters = shlex.quote(data_path(options.data[0]))
    held_out = "" if options.data == ["pen"] else f" --calibrate {letters} --check {letters}"
    print(f"next: lettercast export {shlex.quote(str(trained.model))} --out {shlex.quote(str(options.out / 'dist'))}{held_out}")
    return DONE
