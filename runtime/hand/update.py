"""Learning for good: a hand is changed only where it reads better for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.engine import Engine
from ..pixels import Pixels
from .file import Hand, load_hand, save_hand
from .folder import hand_path, locked
from .learn import learn_hand


@dataclass(frozen=True)
class Update:
    """What became of a hand: its file, what was learned, and whether it was kept; if not, the file is as it was, or not there."""

    path: Path
    learned: Hand
    is_kept: bool


def update_hand(hand: str | Path, images: Pixels, labels: Sequence[str], engine: Engine) -> Update:
    """Let a hand learn letters, and save it if it reads better then; a hand that is not there begins with them.

    Two processes may do so at the same time: each waits for the other. A process that is killed leaves the hand as it was.

    Args:
        hand: its name, or the path of its file.
        images, labels, engine: as for learn_hand.

    Raises:
        LettercastError: as learn_hand, or the hand is damaged, of another model, or cannot be written.
    """
    path = hand_path(hand)
    with locked(path):
        before = load_hand(path) if path.is_file() else None
        learned = learn_hand(images, labels, engine, before)
        is_kept = learned.figures.is_better
        if is_kept:
            save_hand(learned, path)
    return Update(path, learned, is_kept)
