"""The command `train`: it trains a letter model."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from .. import DONE
from ..runtime.arguments import finite, keras_model, natural, positive
from .parser import add_command
from .terminal import import_keras

EXAMPLES = """\
examples:
  lettercast train --data my_letters/ --init letters-base
      fit the shipped model to your letters in a minute or two
  lettercast train --data strokes.npz@0.9 my_letters/@0.1
      train from scratch, with nine of ten letters from the first source
  lettercast train --data my_letters/ --resume
      continue after a break, with the same result as without it
"""


def add(commands: Any) -> None:
    """Add the subcommand `train` to the parser."""
    command = add_command(
        commands,
        "train",
        help="train a model on letters",
        description="Train a letter model. Every epoch is saved, and --resume continues after a break.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "--data",
        nargs="+",
        default=["pen"],
        metavar="D",
        help="labelled letters: pen (synthetic letters of the built-in pen), emnist (the EMNIST data set, "
        "downloaded once), sklearn-digits (scikit-learn's scanned digits), an .npz of strokes or images, an A-Z .csv, a folder "
        "of class folders or of idx files (MNIST, EMNIST); D@0.3 takes 30 %% of the letters from D (default: pen)",
    )
    command.add_argument(
        "--val", nargs="+", metavar="D", help="letters that choose the best epoch (default: the validation split of --data)"
    )
    command.add_argument("--size", metavar="S", help="size of the network: base, nano or large (default: base)")
    command.add_argument(
        "--epochs", type=positive, metavar="N", help="how many epochs to train (default: 20, or 4 with --init and few letters)"
    )
    command.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="batches of 128 letters per epoch (default: enough to use all data once, at least 50)",
    )
    command.add_argument(
        "--seed",
        type=natural,
        metavar="N",
        default=1,
        help="seed of the weights and of the order of letters (default: %(default)s)",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("runs/letters"),
        metavar="DIR",
        help="folder of the run; the model in it is model.keras (default: %(default)s)",
    )
    command.add_argument(
        "--name",
        metavar="NAME",
        help="name of the model, which exported files begin with (default: that of the folder --out with --init, else letters- "
        "and the size)",
    )
    command.add_argument("--resume", action="store_true", help="continue the run in --out")
    command.add_argument(
        "--init",
        type=keras_model,
        metavar="M",
        help="start from letters-base, letters-nano (smaller), letters-digits (digits as well) or a .keras or .h5 file, and keep "
        "the better of the two",
    )
    command.add_argument(
        "--rehearse",
        type=finite,
        metavar="S",
        help="share of built-in letters among the training images, so that --init forgets none, 0 to 1 (default: 0.75 or "
        "more if fewer than about 1,000 letters are given, else 0)",
    )
    command.add_argument(
        "--teacher",
        type=keras_model,
        nargs="+",
        metavar="M",
        help="one or more models; the network learns their probabilities beside the labels, mostly from those that read a letter "
        "right",
    )
    command.add_argument("--rate", type=finite, metavar="R", help="peak learning rate (default: 0.002, or 0.0005 with --init)")
    command.add_argument(
        "--clutter", type=finite, metavar="S", help="share of non-letters among the training images, 0 to 1 (default: 0.05)"
    )
    command.add_argument(
        "--non-letters",
        metavar="DATA",
        help="images of what is no letter, as --data takes them; they are half of those images (default: all are made up)",
    )
    command.add_argument(
        "--strength",
        type=finite,
        metavar="S",
        help="how far training images may lie from plain ones, in shape, pen and size, 0 to 1 (default: 1)",
    )
    command.add_argument(
        "--cycle",
        type=natural,
        metavar="N",
        default=0,
        help="make training images for N epochs, then reuse them; 0 makes new ones in every epoch (default: %(default)s)",
    )
    command.add_argument("--draw-seed", type=natural, metavar="N", help="seed of the training images (default: that of --seed)")
    command.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the training images in this folder, for --cycle, --resume and other runs"
    )


def run(options: argparse.Namespace) -> int:
    """Train a model, and print the files, the validation accuracy and what to do next."""
    import_keras()
    from ..train.data.open import data_path
    from ..train.fit import FITTED_FILE, MIN_TO_CALIBRATE
    from ..train.run import train

    trained = train(**{name: value for name, value in vars(options).items() if name != "command"})
    rejected = [trained.model.with_name(FITTED_FILE)] if trained.comparison and not trained.comparison.is_better else []
    for path in (trained.model, *rejected, *trained.files):
        print(path)
    result = trained.validation
    if trained.comparison:
        print("\n".join(trained.comparison.lines()))
    else:
        print(f"validation: {100 * result.accuracy:.2f} % of {len(result.truth)} letters ({result.data})")
    if not trained.facts.reject_below:
        print(f"no rejection threshold: that takes {MIN_TO_CALIBRATE} validation letters, so nothing is rejected as a non-letter")
    letters = shlex.quote(data_path(options.data[0]))
    check = shlex.quote(data_path((options.val or options.data)[0]))
    held_out = "" if letters == check == "pen" else f" --calibrate {letters} --check {check}"
    print(f"next: lettercast export {shlex.quote(str(trained.model))} --out {shlex.quote(str(options.out / 'dist'))}{held_out}")
    if trained.interrupted:
        ended = f"after epoch {len(trained.history)}; {trained.model} has what it learned until then, and --resume continues"
        raise KeyboardInterrupt(ended)
    return DONE
