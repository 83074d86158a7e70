"""Average the weights of a model and of the same model after more training, which keeps much of what each of them knows.

Maintainer's command; `--share` is the part of the second model:

    python -m lettercast.train.average letters-base.keras runs/more/model.keras --share 0.6 --val strokes.npz --out mean.keras
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import UNUSABLE, LettercastError
from ..runtime.arguments import finite

if TYPE_CHECKING:
    import keras


def average(first: "keras.Model", second: "keras.Model", share: float) -> "keras.Model":
    """Return the first network with the mean of both networks' weights, the second counting `share`, 0..1.

    The second must have been trained from the first, or their weights have nothing to do with each other (Wortsman et al.
    2022, WiSE-FT). Raises LettercastError if share or the shapes of the weights do not fit.
    """
    if not 0 <= share <= 1:
        raise LettercastError(f"--share {share:g}: must be a share from 0 to 1")
    pairs = list(zip(first.get_weights(), second.get_weights(), strict=False))
    if len(first.weights) != len(second.weights) or any(one.shape != other.shape for one, other in pairs):
        raise LettercastError(f"{second.name}: has other layers than {first.name}; give a model that was trained from it")
    first.set_weights([(1 - share) * one + share * other for one, other in pairs])
    return first


def main(arguments: Sequence[str] | None = None) -> int:
    """Average two models, write the result, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="a .keras model")
    parser.add_argument("second", type=Path, help="the same model after more training")
    parser.add_argument("--share", type=finite, default=0.5, metavar="S", help="part of the second model (default: 0.5)")
    parser.add_argument("--val", metavar="D", help="validation letters that set temperature and rejection threshold anew")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .keras file to write")
    options = parser.parse_args(arguments)
    try:
        from .data.open import letters_name, open_validation
        from .fit import calibrate
        from .predict import load_keras, model_facts, save_keras

        facts, other = model_facts(options.first), model_facts(options.second)
        if facts.labels != other.labels:
            raise LettercastError(f"{options.second}: has other classes than {options.first}; average models of the same")
        network = average(load_keras(options.first), load_keras(options.second), options.share)
        words = f"{options.first.name} {options.second.name} --share {options.share:g}"
        words += f" --val {letters_name(options.val)}" if options.val else ""
        made = {**other.made, "command": f"python -m lettercast.train.average {words} --out {options.out.name}"}
        made["before"] = other.made.get("command", "")
        facts = replace(facts, name=options.out.stem, made=made)
        save_keras(network, options.out, calibrate(network, facts, open_validation([options.val])) if options.val else facts)
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
