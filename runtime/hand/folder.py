"""Where hands lie: in a folder of the user, or wherever a path says."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from ... import LettercastError
from .. import files
from ..model.facts import MODEL_NAME
from .file import ENDING, IN_USE, Hand, load_hand, save_hand


def hands_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of hands that have a name."""
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "lettercast" / "hands"


def list_hands() -> list[Path]:
    """Return the files of the hands that have a name, by name."""
    return sorted(path for path in hands_folder().glob(f"*{ENDING}") if not path.name.startswith("."))


def hand_path(hand: str | Path) -> Path:
    """Return the file of a hand, which need not exist, given its name or its path.

    Raises LettercastError if it can be neither.
    """
    # A hand inside a zip file is neither a str nor a Path but reads like one.
    if not isinstance(hand, str):
        return hand
    if hand.endswith(ENDING) or os.sep in hand or (os.altsep and os.altsep in hand):
        return Path(hand)
    if not MODEL_NAME.fullmatch(hand):
        raise LettercastError(
            f"hand '{hand}': a name consists of letters, digits, '.', '_' and '-'; or give a path that ends in {ENDING}"
        )
    return hands_folder() / f"{hand}{ENDING}"


def find_hand(hand: str | Path) -> Path:
    """Return the file of a hand like hand_path; raises LettercastError if there is none, and names those that there are."""
    path = hand_path(hand)
    if not path.is_file():
        names = ", ".join(one.stem for one in list_hands())
        choices = f"there are {names}" if names else "there are none yet"
        raise LettercastError(f"hand '{hand}': no such hand, {choices}; make it with `lettercast hand`")
    return path


def locked(path: Path) -> AbstractContextManager[None]:
    """Make the folder of a hand, and wait until no other process changes hands there; the lock ends with the process."""
    return files.locked(path.parent)


def undo_hand(hand: str | Path) -> Hand | None:
    """Take back what a hand learned last; returns it as it was before, None if that was nothing and the file is gone.

    Raises LettercastError if there is no such hand, or it cannot be written.
    """
    path = find_hand(hand)
    with locked(path):
        now = load_hand(path)
        if now.version == 1:
            remove_hand(path)
            return None
        stays = now.since < now.version
        until = now.until.copy()
        until[until == now.version] = IN_USE
        before = replace(
            now,
            images=now.images[stays],
            truth=now.truth[stays],
            since=now.since[stays],
            until=until[stays],
            history=now.history[:-1],
        )
        save_hand(before, path)
        return before


def remove_hand(path: Path) -> None:
    """Delete a hand; raises LettercastError if that fails."""
    try:
        path.unlink()
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be deleted'}; delete it by hand") from error
