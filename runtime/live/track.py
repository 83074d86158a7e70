"""Letters followed from frame to frame: what was read stands still, and what did not change is not read again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import GLYPH_PX, halved
from ..page.find import Candidate
from ..page.split import Reading
from ..page.strokes import around
from ..pixels import Pixels, median
from ..reader import Reader
from ..text import Box, Page

# Letters are compared at half the network's size, where hand shake hardly changes them.
LOOK_PX = GLYPH_PX // 2
# Correlation of two looks from which they may be one letter.
ALIKE = 0.75
# Sizes of one letter in two frames differ by this factor at most.
SIZE_RATIO = 1.5
# After the picture's motion is taken away, a letter is found within this share of its size.
REACH_SHARE = 0.6
# Moves that differ by less than this share of a letter are one move.
MOVE_SHARE = 0.3
# So many pairs tell the motion; more would only take longer.
MOST_PAIRS = 300
# Between moves that explain the letters equally well, the shorter one is right: the price of a letter's size of motion.
MOTION_PRICE = 0.01
# A picture is compared with the one before at this width and height in pixels.
THUMBNAIL = (32, 24)


@dataclass(frozen=True)
class Appearances:
    """Letters as they are compared: boxes (n, 4) float64 of x, y, width, height, and looks (n, 196) float32 of unit length."""

    boxes: NDArray[np.float64]
    looks: NDArray[np.float32]

    @property
    def middles(self) -> NDArray[np.float64]:
        """(n, 2) x and y of the boxes' middles."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(n,) longer sides of the boxes."""
        return self.boxes[:, 2:].max(1)


@dataclass(frozen=True)
class Match:
    """How the picture moved (x, y) in pixels, and pairs of indices (before, after) of the letters that are in both frames."""

    motion: tuple[float, float]
    pairs: tuple[tuple[int, int], ...]


def look_at(candidates: Sequence[Candidate]) -> Appearances:
    """Return the looks of candidates, whatever their place, size and strength of ink."""
    if not candidates:
        return Appearances(np.zeros((0, 4)), np.zeros((0, LOOK_PX * LOOK_PX), np.float32))
    looks = unit(halved(np.stack([candidate.glyph_image for candidate in candidates])))
    return Appearances(np.array([candidate.box for candidate in candidates], np.float64), looks)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows without their mean and of length 1, so that a product of two is their correlation; flat ones stay zero."""
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6)


def thumbnail(image: Pixels) -> NDArray[np.float32]:
    """Return (768,) float32 of unit length: what the whole picture looks like, whatever the exposure."""
    # A few pixels of each block tell enough; 4K costs no more than a small picture.
    thin = cv2.resize(image, (4 * THUMBNAIL[0], 4 * THUMBNAIL[1]), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(thin, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return unit(small.reshape(THUMBNAIL[0] * THUMBNAIL[1], -1)[:, :3].mean(1, dtype=np.float32))


def match(before: Appearances, after: Appearances) -> Match:
    """Find the letters of one frame in the next one: alike, of like size, and moved as the whole picture moved."""
    alike = before.looks @ after.looks.T
    ratio = before.sizes[:, None] / np.maximum(after.sizes, 1)
    first, second = np.nonzero((alike >= ALIKE) & (ratio < SIZE_RATIO) & (ratio > 1 / SIZE_RATIO))
    if not len(first):
        return Match((0.0, 0.0), ())
    moves = after.middles[second] - before.middles[first]
    sizes = np.maximum(before.sizes[first], after.sizes[second])
    motion = common_move(moves, sizes, alike[first, second])
    apart = np.hypot(*(moves - motion).T)
    pairs, taken_before, taken_after = [], set(), set()
    for k in np.argsort(apart, kind="stable"):
        i, j = int(first[k]), int(second[k])
        if apart[k] <= REACH_SHARE * sizes[k] and i not in taken_before and j not in taken_after:
            pairs.append((i, j))
            taken_before.add(i)
            taken_after.add(j)
    return Match((float(motion[0]), float(motion[1])), tuple(pairs))


def common_move(moves: NDArray[np.float64], sizes: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the move (2,) in pixels that most pairs of letters agree on.

    Args:
        moves: (n, 2) of pairs, right and wrong ones, n at least 1.
        sizes: (n,) of their letters in pixels.
        weights: (n,) how alike their letters are.
    """
    best = np.argsort(-weights, kind="stable")[:MOST_PAIRS]
    moves, sizes, weights = moves[best], sizes[best], weights[best]
    size = median(sizes)
    close = np.hypot(*(moves[:, None] - moves[None]).T) <= MOVE_SHARE * size
    votes = close @ weights - MOTION_PRICE * np.hypot(*moves.T) / size
    return np.array([median(along) for along in moves[close[np.argmax(votes)]].T])


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
        candidate: where it is now, its box steadied.
        look: (196,) what it looked like when last seen, `judged` when last read.
        reading: its latest reading, with probabilities averaged over `views` pictures.
        shown: (n, classes) probabilities averaged over frames.
    """

    candidate: Candidate
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
        if len(reading.candidates) != len(self.reading.candidates):
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

    def follow(self, candidate: Candidate, look: NDArray[np.float32], motion: tuple[float, float]) -> None:
        """Move on to where the letter is now, and let this frame vote: an unchanged letter votes as it did before."""
        # One by one, as NumPy takes longer over four numbers.
        expected = (old + moved for old, moved in zip(self.candidate.box, (*motion, 0, 0), strict=True))
        x, y, w, h = (round(there + BOX_SHARE * (here - there)) for here, there in zip(candidate.box, expected, strict=True))
        self.candidate, self.look, self.missed = candidate.at((x, y, w, h)), look, 0
        self.seen += 1
        newest = max(1 / self.seen, NEWEST_SHARE)
        shown = self.shown + (self.reading.probabilities - self.shown) * newest
        self.shown = shown.astype(np.float32)

    def miss(self, motion: tuple[float, float]) -> None:
        """Go with the picture's motion, unseen."""
        x, y, w, h = self.candidate.box
        self.candidate = self.candidate.at((round(x + motion[0]), round(y + motion[1]), w, h))
        self.missed += 1

    def to_reading(self) -> Reading:
        """Return the reading as it is shown: steady, at the letter's place in this frame."""
        candidates = self.reading.candidates
        whole = around([candidate.box for candidate in candidates])
        moved = tuple(candidate.at(carry(candidate.box, whole, self.candidate.box)) for candidate in candidates)
        return Reading(moved, self.reading.images, self.shown)


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
        candidates = self.reader.find(image)
        found = time.perf_counter()
        lines = self.reader.compose(self._follow(image, candidates))
        done = time.perf_counter()
        return Page((image.shape[1], image.shape[0]), lines, 1000 * (found - start), 1000 * (done - found))

    def _follow(self, image: Pixels, candidates: Sequence[Candidate]) -> list[Reading]:
        looks, seen = look_at(candidates), thumbnail(image)
        before = Appearances(
            np.array([track.candidate.box for track in self._tracks], np.float64).reshape(-1, 4),
            np.array([track.look for track in self._tracks], np.float32).reshape(-1, looks.looks.shape[1]),
        )
        matched = match(before, looks)
        cut = self._thumbnail is None or is_cut(matched, len(before.boxes), len(candidates), float(self._thumbnail @ seen))
        if cut:
            self._tracks, matched = [], Match((0.0, 0.0), ())
        self._thumbnail = seen
        now = self._match_tracks(candidates, looks, matched, cut)
        held = [track for track in self._tracks if track.missed and track.is_shown]
        for track in now:
            track.is_shown = track.is_confirmed and not any(covers(old.candidate.box, track.candidate.box) for old in held)
        return [track.to_reading() for track in (*now, *held) if track.is_shown]

    def _match_tracks(self, candidates: Sequence[Candidate], looks: Appearances, matched: Match, at_once: bool) -> list[Track]:
        """Return the track of each candidate, and keep those that are not seen for a while; reads only what is new or changed."""
        known = {after: self._tracks[before] for before, after in matched.pairs}
        ask = [j for j in range(len(candidates)) if j not in known or known[j].is_changed(looks.looks[j])]
        answers = dict(zip(ask, self.reader.recognize([candidates[j] for j in ask]), strict=True)) if ask else {}
        now = []
        for j, (candidate, look) in enumerate(zip(candidates, looks.looks, strict=True)):
            track = known.get(j)
            if track is None:
                rows = answers[j].probabilities
                track = Track(candidate, look, look, answers[j], rows, seen=CONFIRM_FRAMES if at_once else 1)
            else:
                if j in answers:
                    track.judge(look, answers[j])
                track.follow(candidate, look, matched.motion)
            now.append(track)
        going = {id(track) for track in known.values()}
        lost = [track for track in self._tracks if id(track) not in going and track.is_confirmed]
        for track in lost:
            track.miss(matched.motion)
            disputed = any(covers(candidate.box, track.candidate.box) for candidate in candidates)
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
