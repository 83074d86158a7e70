"""Letters followed from frame to frame: what was read stands still, and what did not change is not read again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .groups import around
from .match import Looks, Match, look_at, match, thumbnail
from .page import Spot
from .pixels import Pixels
from .reader import Reader
from .split import Reading
from .text import Box, Page

# A letter that is not seen stays for so many frames, and longer where its ink is there still, but parted or joined otherwise.
HELD_FRAMES, DISPUTED_FRAMES = 2, 4
# A new letter is shown once it was seen in so many frames.
CONFIRM_FRAMES = 2
# Correlation with the picture that was read last from which a letter is taken for unchanged.
UNCHANGED = 0.95
# Two pictures that correlate more than this are the same pixels.
IDENTICAL = 1 - 1e-6
# So many nearly equal pictures of a letter are read before its reading is taken for settled.
ENOUGH_VIEWS = 4
# The newest frame's share of what is shown: a letter that changes has changed in three frames.
NEWEST_SHARE = 0.25
# The newest frame's share of a box, once the motion of the picture is taken away.
BOX_SHARE = 0.5
# A cut: the picture does not correlate with the one before, and fewer than this share of letters go on.
SAME_SCENE, KEPT_SHARE = 0.5, 0.5
# A cut, too, though the paper looks the same: of at least so many letters fewer than this share go on, in as full a page.
FEWEST_TO_CUT, KEPT_ON_SAME_PAPER, AS_FULL = 4, 0.25, 0.5


@dataclass
class Track:
    """One letter over time (or what the model parts into several).

    Attributes:
        spot: where it is now, its box steadied.
        look: (196,) what it looked like when last seen, `judged` when last read.
        reading: its latest reading, with probabilities averaged over `views` pictures.
        shown: (n, classes) probabilities averaged over frames.
    """

    spot: Spot
    look: NDArray[np.float32]
    judged: NDArray[np.float32]
    reading: Reading
    shown: NDArray[np.float32]
    views: int = 1
    seen: int = 1
    missed: int = 0
    # Frames in which the model parted it otherwise than before.
    parted: int = 0
    # Whether the last frame showed it: of two ways to see the same ink the one that is shown stays.
    is_shown: bool = False

    @property
    def is_confirmed(self) -> bool:
        return self.seen >= CONFIRM_FRAMES

    def is_changed(self, look: NDArray[np.float32]) -> bool:
        """Tell whether a picture of the letter must be read: it differs, or a second opinion is still worth having."""
        alike = float(self.judged @ look)
        return alike < UNCHANGED or (alike < IDENTICAL and self.views < ENOUGH_VIEWS)

    def judge(self, look: NDArray[np.float32], reading: Reading) -> None:
        """Take in what the model says of the letter's newest picture."""
        if len(reading.spots) != len(self.reading.spots):
            self.parted += 1
            if self.parted <= DISPUTED_FRAMES:
                return
            self.shown, self.views = reading.probabilities, 0
        elif self.judged @ look < UNCHANGED:
            self.views = 0
        self.parted, self.judged, self.views = 0, look, self.views + 1
        rows = reading.probabilities
        if self.views > 1:
            rows = self.reading.probabilities + (rows - self.reading.probabilities) / self.views
        self.reading = replace(reading, probabilities=rows)

    def follow(self, spot: Spot, look: NDArray[np.float32], motion: tuple[float, float]) -> None:
        """Move on to where the letter is now, and let this frame vote: an unchanged letter votes as it did before."""
        # One by one, as NumPy takes longer over four numbers.
        expected = (old + moved for old, moved in zip(self.spot.box, (*motion, 0, 0), strict=True))
        x, y, w, h = (round(there + BOX_SHARE * (here - there)) for here, there in zip(spot.box, expected, strict=True))
        self.spot, self.look, self.missed = spot.at((x, y, w, h)), look, 0
        self.seen += 1
        newest = max(1 / self.seen, NEWEST_SHARE)
        shown = self.shown + (self.reading.probabilities - self.shown) * newest
        self.shown = shown.astype(np.float32)

    def miss(self, motion: tuple[float, float]) -> None:
        """Go with the picture's motion, unseen."""
        x, y, w, h = self.spot.box
        self.spot = self.spot.at((round(x + motion[0]), round(y + motion[1]), w, h))
        self.missed += 1

    def to_reading(self) -> Reading:
        """Return the reading as it is shown: steady, at the letter's place in this frame."""
        spots = self.reading.spots
        whole = around([spot.box for spot in spots])
        moved = tuple(spot.at(carry(spot.box, whole, self.spot.box)) for spot in spots)
        return Reading(moved, self.reading.pictures, self.shown)


class Tracker:
    """Reads the frames of one moving picture, in their order."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.forget()

    def forget(self) -> None:
        """Start anew: the next frame has nothing to do with those before."""
        self._tracks: list[Track] = []
        self._thumbnail: NDArray[np.float32] | None = None

    def read(self, image: Pixels) -> Page:
        """Read the next frame; takes images as Reader.read does."""
        start = time.perf_counter()
        spots = self.reader.find(image)
        found = time.perf_counter()
        lines = self.reader.compose(self._follow(image, spots))
        done = time.perf_counter()
        return Page((image.shape[1], image.shape[0]), lines, 1000 * (found - start), 1000 * (done - found))

    def _follow(self, image: Pixels, spots: Sequence[Spot]) -> list[Reading]:
        looks, seen = look_at(spots), thumbnail(image)
        before = Looks(
            np.array([track.spot.box for track in self._tracks], np.float64).reshape(-1, 4),
            np.array([track.look for track in self._tracks], np.float32).reshape(-1, looks.looks.shape[1]),
        )
        matched = match(before, looks)
        cut = self._thumbnail is None or is_cut(matched, len(before.boxes), len(spots), float(self._thumbnail @ seen))
        if cut:
            self._tracks, matched = [], Match((0.0, 0.0), ())
        self._thumbnail = seen
        now = self._match_tracks(spots, looks, matched, cut)
        held = [track for track in self._tracks if track.missed and track.is_shown]
        for track in now:
            track.is_shown = track.is_confirmed and not any(covers(old.spot.box, track.spot.box) for old in held)
        return [track.to_reading() for track in (*now, *held) if track.is_shown]

    def _match_tracks(self, spots: Sequence[Spot], looks: Looks, matched: Match, at_once: bool) -> list[Track]:
        """Return the track of each spot, and keep those that are not seen for a while; reads only what is new or changed."""
        known = {after: self._tracks[before] for before, after in matched.pairs}
        ask = [j for j in range(len(spots)) if j not in known or known[j].is_changed(looks.looks[j])]
        answers = dict(zip(ask, self.reader.recognize([spots[j] for j in ask]), strict=True)) if ask else {}
        now = []
        for j, (spot, look) in enumerate(zip(spots, looks.looks, strict=True)):
            track = known.get(j)
            if track is None:
                rows = answers[j].probabilities
                track = Track(spot, look, look, answers[j], rows, seen=CONFIRM_FRAMES if at_once else 1)
            else:
                if j in answers:
                    track.judge(look, answers[j])
                track.follow(spot, look, matched.motion)
            now.append(track)
        going = {id(track) for track in known.values()}
        lost = [track for track in self._tracks if id(track) not in going and track.is_confirmed]
        for track in lost:
            track.miss(matched.motion)
            disputed = any(covers(spot.box, track.spot.box) for spot in spots)
            track.is_shown = track.is_shown and track.missed <= (DISPUTED_FRAMES if disputed else HELD_FRAMES)
        self._tracks = now + [track for track in lost if track.missed <= DISPUTED_FRAMES]
        return now


def is_cut(matched: Match, before: int, after: int, alike: float) -> bool:
    """Tell whether another scene begins, by what became of the letters `before`, and how alike the pictures are.

    A blank frame is none: the letters of a hiccup come back.
    """
    if not after:
        return False
    kept = len(matched.pairs) / max(1, min(before, after))
    if alike < SAME_SCENE:
        return kept < KEPT_SHARE
    return before >= FEWEST_TO_CUT and after >= AS_FULL * before and kept < KEPT_ON_SAME_PAPER


def covers(a: Box, b: Box) -> bool:
    """Tell whether the middle of one box lies in the other."""
    return any(p[0] <= q[0] + q[2] / 2 <= p[0] + p[2] and p[1] <= q[1] + q[3] / 2 <= p[1] + p[3] for p, q in ((a, b), (b, a)))


def carry(box: Box, source: Box, target: Box) -> Box:
    """Move and stretch a box as `source` must be to become `target`."""
    along, down = target[2] / max(1, source[2]), target[3] / max(1, source[3])
    x, y = target[0] + (box[0] - source[0]) * along, target[1] + (box[1] - source[1]) * down
    return round(x), round(y), max(1, round(box[2] * along)), max(1, round(box[3] * down))
