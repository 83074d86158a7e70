"""Fit the shipped model to your own handwriting with about ten images of each letter.

    python examples/train_on_ten_images_per_class.py my_letters/
    python examples/train_on_ten_images_per_class.py my_letters/ --check other_letters/ --out runs/mine

FOLDER has one folder for each letter: my_letters/A/1.png, my_letters/A/2.png, my_letters/B/1.png and so on. Each image shows
one letter, dark on light or light on dark, of any size. About a tenth of the images is held out by file name and compares
the model before and after; --check takes all images of another folder instead, which says more.

It needs lettercast[train]. Next: python examples/export_my_model.py, or `lettercast export runs/ten-images/model.keras`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lettercast import LettercastError
from lettercast.train import Evaluation, evaluate

START = "letters-base"
EPOCHS = 5
MAX_SHOWN = 10


def describe(name: str, result: Evaluation) -> None:
    """Print the accuracy, and the letters that are still misread."""
    count = len(result.truth)
    print(f"{name}: {int(result.right.sum())} of {count} held-out letters right, {100 * result.accuracy:.1f} %")
    # `mistakes` are indices of images, the most confident mistake first.
    mistakes = [f"{result.labels[result.truth[i]]} as {result.labels[result.predicted[i]]}" for i in result.mistakes()]
    if mistakes:
        more = ", ..." if len(mistakes) > MAX_SHOWN else ""
        print(f"  misread: {', '.join(mistakes[:MAX_SHOWN])}{more}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fit the shipped model to a folder with about ten images of each letter.")
    parser.add_argument("folder", help="a folder with one folder of images for each letter")
    parser.add_argument("--check", metavar="FOLDER", help="images to compare on (default: the held-out tenth of the folder)")
    parser.add_argument(
        "--start", default=START, help="the model to start from: %(default)s (default), letters-nano or a .keras file"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="batches of 128 letters per epoch (default: 50 for a small folder)"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/ten-images"), metavar="FOLDER", help="default: %(default)s")
    options = parser.parse_args(arguments)
    # TensorFlow reports errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    held_out, split = (options.check, "all") if options.check else (options.folder, "test")
    try:
        before = evaluate(options.start, held_out, split)
        # Imported here, as TensorFlow takes seconds to start: a wrong folder is reported at once.
        from lettercast.train import train

        # Each epoch draws the same few images again, turned, slanted, thinner or thicker, and built-in letters beside them, so
        # that none is forgotten: that is why ten are enough.
        run = train(options.folder, init=options.start, epochs=options.epochs, steps=options.steps, out=options.out)
        after = evaluate(run.model, held_out, split)
    except (LettercastError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        return 130
    describe(f"before ({before.model})", before)
    describe("after", after)
    print(f"One image more or less is {100 / len(after.truth):.1f} points, so small differences say nothing.")
    if run.comparison:
        # The better of the two models is in the file.
        print(run.comparison.verdict())
    print(f"Your model: {run.model}. Learning curves, mistakes and a card are beside it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
