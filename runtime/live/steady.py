"""Which texts of a video or a camera stood still: what is printed and published."""

from ..pixels import Frame
from ..text import Page

# A text stands still once it was the same for this many frames.
STEADY_FRAMES = 3


class SteadyText:
    """The texts of one source that stood still, each once until another one did. A blank page has the empty text."""

    def __init__(self) -> None:
        self._last: str | None = None
        # The last frame whose text did not stand still yet, and the number of frames that had the same text.
        self._pending: tuple[Frame, Page] | None = None
        self._frames = 0

    def add(self, frame: Frame, page: Page) -> bool:
        """Take the next frame, and tell whether its text stands still from now on and differs from the last one that did."""
        self._frames = self._frames + 1 if self._pending and self._pending[1].text == page.text else 1
        self._pending = (frame, page)
        if page.text == self._last:
            self._pending = None
        elif self._frames == STEADY_FRAMES:
            self._last, self._pending = page.text, None
            return True
        return False

    def end(self) -> tuple[Frame, Page] | None:
        """Return the last frame if its text is new, even if there were too few to stand still."""
        pending, self._pending = self._pending, None
        return pending if pending and pending[1].text else None
