"""The hand of one writer: what is learned on a device from letters of that writer, with NumPy alone.

from lettercast.runtime import Reader
page = Reader(hand="mine").read("page.jpg")

`update_hand` learns, judges and saves; `learn_hand` only learns; `with_hand` lets any engine read with a hand.
"""

from typing import TYPE_CHECKING

from ... import lazily

if TYPE_CHECKING:
    from .apply import with_hand
    from .file import Figures, Hand, load_hand, save_hand
    from .folder import find_hand, hands_folder, undo_hand
    from .learn import learn_hand
    from .update import Update, update_hand

HOMES = {
    "Figures": "file",
    "Hand": "file",
    "Update": "update",
    "find_hand": "folder",
    "hands_folder": "folder",
    "learn_hand": "learn",
    "load_hand": "file",
    "save_hand": "file",
    "undo_hand": "folder",
    "update_hand": "update",
    "with_hand": "apply",
}
__all__ = [
    "Hand",
    "learn_hand",
    "update_hand",
    "with_hand",
    "load_hand",
    "save_hand",
    "find_hand",
    "hands_folder",
    "undo_hand",
    "Figures",
    "Update",
]
__getattr__ = lazily(__name__, HOMES)
