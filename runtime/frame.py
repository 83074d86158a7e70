"""What a source gives: one picture after another."""

from dataclasses import dataclass

from .pixels import Pixels


@dataclass(frozen=True)
class Frame:
    """One image of a source: its name, its number in the source from 0, and (H, W, C) uint8 pixels."""

    source: str
    number: int
    image: Pixels
    # Frames of one moving picture follow each other; a still one stands alone.
    is_still: bool = False
    # A camera's frames come when they come; a film's are all there, one after the other.
    is_live: bool = False
