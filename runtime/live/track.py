"""Letters tracked from frame to frame: readings stay steady, and what did not change is neither searched nor classified again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import GLYPH_PX, halved
from ..model.engine import Engine
from ..page.find import Candidate
from ..page.ink import to_gray
from ..page.split import Reading
from ..page.strokes import around
from ..pixels import Pixels, check_image, median
from ..reader import Reader
from ..text import Box, Line, Page
from .changes import STILL, Motion, Sight, motion_between

# Letters are compared at half the size that the network sees; a shaking hand hardly changes them there.
APPEARANCE_PX = GLYPH_PX // 2
# The width and height of the copies in which two whole frames are compared.
THUMBNAIL_PX = (32, 24)


@dataclass(frozen=True)
class MatchTuning:
    """When a letter of one frame and a letter of the next frame are the same.

    No tuning run is recorded; tests/runtime/live/test_match.py holds what the values were chosen for.
    """

    # Two letters may be the same if their appearances correlate at least this much ...
    min_correlation: float = 0.75
    # ... if their sizes differ by less than this factor ...
    max_size_ratio: float = 1.5
    # ... and if they are this near, as a share of their size, once the motion of the whole image is taken away.
    max_distance: float = 0.6
    # Two moves are the same if they differ by less than this share of a letter.
    max_move_difference: float = 0.3
    # This many pairs are enough to find the motion of the image; more only take longer.
    max_pairs: int = 300
    # Of two motions that explain the letters equally well the shorter one is right: a motion by one letter costs this much.
    motion_cost: float = 0.01


@dataclass(frozen=True)
class TrackTuning:
    """How long letters stay, when they are read again, how frames are averaged, and what a cut is.

    No tuning run is recorded; tests/runtime/live/test_track.py holds what the values were chosen for, and
    `python -m lettercast.benchmarks.speed.camera_loop` times the result.
    """

    # A letter that is not found stays for this many frames ...
    held_frames: int = 2
    # ... and for this many if its ink is still there, but split or joined in another way.
    disputed_frames: int = 4
    # A new letter is shown once it was found in this many frames.
    confirm_frames: int = 2
    # A letter is unchanged if its image correlates at least this much with the image that was last classified.
    min_unchanged: float = 0.95
    # Two images that correlate at least this much are the same pixels.
    min_identical: float = 1 - 1e-6
    # After this many classified images of an unchanged letter its reading is settled.
    settled_views: int = 4
    # The weight of the newest frame in the probabilities that are shown: a changed letter shows within three frames.
    newest_weight: float = 0.25
    # The weight of the newest frame in a box, once the motion of the image is taken away.
    box_weight: float = 0.5
    # Two frames show the same scene if their thumbnails correlate at least this much.
    min_same_scene: float = 0.5
    # If they do not, it is a cut if fewer than this share of the letters go on.
    min_kept: float = 0.5
    # The same paper can show another page: of at least this many letters fewer than this share go on, and the page is at
    # least this full of letters, compared with the frame before.
    min_letters: int = 4
    min_kept_on_same_paper: float = 0.25
    min_fullness: float = 0.5
    # After a change frames are searched until the text stays, every letter is confirmed, no dispute is left and every reading is
    # settled, or until the text stayed for this many frames.
    settling_frames: int = 5
    # The probabilities that are shown lag behind those of a settled letter by at most this.
    max_lag: float = 0.1
    # Then the letters stay as they are while nothing changes, but every so many frames are searched all the same: more often than
    # once a second, so that what the comparison of frames overlooks is soon seen.
    search_every: int = 20
    # Letters keep their reading in a moving image if they are at least this high in the small copies that are compared, and
    # move by at most this share of a letter between two searches.
    min_followed_px: float = 10.0
    max_followed_share: float = 0.5


MATCH_TUNING, TRACK_TUNING = MatchTuning(), TrackTuning()


@dataclass(frozen=True)
class Appearances:
    """Letters as they are compared: boxes (n, 4) float64 of x, y, width, height, and vectors (n, 196) float32 of length 1."""

    boxes: NDArray[np.float64]
    vectors: NDArray[np.float32]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2) x and y of the centres of the boxes."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(n,) longer sides of the boxes."""
        return self.boxes[:, 2:].max(1)


@dataclass(frozen=True)
class Match:
    """The motion (x, y) of the image in pixels, and pairs of indices (before, after) of the letters that are in both frames."""

    motion: tuple[float, float]
    pairs: tuple[tuple[int, int], ...]


def appearances_of(candidates: Sequence[Candidate]) -> Appearances:
    """Return the appearances of candidates, which do not depend on place, size and strength of ink."""
    if not candidates:
        return Appearances(np.zeros((0, 4)), np.zeros((0, APPEARANCE_PX * APPEARANCE_PX), np.float32))
    vectors = normalised(halved(np.stack([candidate.glyph_image for candidate in candidates])))
    return Appearances(np.array([candidate.box for candidate in candidates], np.float64), vectors)


def normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows minus their mean, scaled to length 1, so that a dot product is a correlation; constant rows become zero."""
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6)


def thumbnail(image: Pixels) -> NDArray[np.float32]:
    """Return (768,) float32 of length 1 that describes a whole frame and does not depend on the exposure."""
    # A few pixels of each block are enough, so that a 4K image takes no longer than a small one.
    sampled = cv2.resize(image, (4 * THUMBNAIL_PX[0], 4 * THUMBNAIL_PX[1]), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(sampled, THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return normalised(small.reshape(THUMBNAIL_PX[0] * THUMBNAIL_PX[1], -1)[:, :3].mean(1, dtype=np.float32))


def match(before: Appearances, after: Appearances) -> Match:
    """Find the letters of one frame in the next: of similar appearance and size, and moved like the whole image."""
    tuning = MATCH_TUNING
    correlation = before.vectors @ after.vectors.T
    ratio = before.sizes[:, None] / np.maximum(after.sizes, 1)
    is_similar_size = (ratio < tuning.max_size_ratio) & (ratio > 1 / tuning.max_size_ratio)
    first, second = np.nonzero((correlation >= tuning.min_correlation) & is_similar_size)
    if not len(first):
        return Match((0.0, 0.0), ())
    moves = after.centres[second] - before.centres[first]
    sizes = np.maximum(before.sizes[first], after.sizes[second])
    motion = common_motion(moves, sizes, correlation[first, second])
    distances = np.hypot(*(moves - motion).T)
    pairs, taken_before, taken_after = [], set(), set()
    for k in np.argsort(distances, kind="stable"):
        i, j = int(first[k]), int(second[k])
        if distances[k] <= tuning.max_distance * sizes[k] and i not in taken_before and j not in taken_after:
            pairs.append((i, j))
            taken_before.add(i)
            taken_after.add(j)
    return Match((float(motion[0]), float(motion[1])), tuple(pairs))


def common_motion(moves: NDArray[np.float64], sizes: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the move (2,) in pixels that most pairs of letters agree on.

    Args:
        moves: (n, 2) moves of right and wrong pairs, n at least 1.
        sizes: (n,) sizes of their letters in pixels.
        weights: (n,) correlations of their letters.
    """
    best = np.argsort(-weights, kind="stable")[: MATCH_TUNING.max_pairs]
    moves, sizes, weights = moves[best], sizes[best], weights[best]
    size = median(sizes)
    is_close = np.hypot(*(moves[:, None] - moves[None]).T) <= MATCH_TUNING.max_move_difference * size
    votes = is_close @ weights - MATCH_TUNING.motion_cost * np.hypot(*moves.T) / size
    return np.array([median(axis) for axis in moves[is_close[np.argmax(votes)]].T])


@dataclass
class Track:
    """One letter over time, or a candidate that the model splits into several letters.

    Attributes:
        candidate: where the letter is now; its box is smoothed.
        appearance: (196,) float32, in the frame where the letter was last found.
        read_appearance: (196,) float32, in the frame where the letter was last classified.
        reading: the latest reading; its probabilities are averaged over `views` images.
        shown: (n, classes) float32 probabilities averaged over frames.
        found_frames: the number of frames in which the letter was found.
        missed_frames: the number of frames since it was last found.
        resplit_frames: the number of frames in which the model split the candidate into another number of letters.
        is_shown: whether the last frame showed the letter. If the same ink is found in two ways, the one that is shown stays.
    """

    candidate: Candidate
    appearance: NDArray[np.float32]
    read_appearance: NDArray[np.float32]
    reading: Reading
    shown: NDArray[np.float32]
    views: int = 1
    found_frames: int = 1
    missed_frames: int = 0
    resplit_frames: int = 0
    is_shown: bool = False

    @property
    def is_confirmed(self) -> bool:
        return self.found_frames >= TRACK_TUNING.confirm_frames

    @property
    def is_settled(self) -> bool:
        """Whether the letter was found in the last frame, and more frames would change nothing but noise."""
        if not self.is_confirmed or self.missed_frames or self.resplit_frames:
            return False
        is_known = self.views >= TRACK_TUNING.settled_views or self.found_frames > TRACK_TUNING.settling_frames
        lag = np.abs(self.shown - self.reading.probabilities).max()
        return is_known and bool(lag <= TRACK_TUNING.max_lag)

    def needs_reading(self, appearance: NDArray[np.float32]) -> bool:
        """Tell whether to classify the newest image of the letter: it changed, or it may still improve the reading."""
        correlation = float(self.read_appearance @ appearance)
        return correlation < TRACK_TUNING.min_unchanged or (
            correlation < TRACK_TUNING.min_identical and self.views < TRACK_TUNING.settled_views
        )

    def update_reading(self, appearance: NDArray[np.float32], reading: Reading) -> None:
        """Average the reading of the newest image with those of the same letter before it."""
        if len(reading.candidates) != len(self.reading.candidates):
            self.resplit_frames += 1
            if self.resplit_frames <= TRACK_TUNING.disputed_frames:
                return
            self.shown, self.views = reading.probabilities, 0
        elif self.read_appearance @ appearance < TRACK_TUNING.min_unchanged:
            self.views = 0
        self.resplit_frames, self.read_appearance, self.views = 0, appearance, self.views + 1
        rows = reading.probabilities
        if self.views > 1:
            rows = self.reading.probabilities + (rows - self.reading.probabilities) / self.views
        self.reading = replace(reading, probabilities=rows)

    def update(self, candidate: Candidate, appearance: NDArray[np.float32], motion: tuple[float, float]) -> None:
        """Move to where the letter is in this frame, and average its reading into what is shown."""
        # Plain numbers, because NumPy takes longer for four of them.
        expected = (old + moved for old, moved in zip(self.candidate.box, (*motion, 0, 0), strict=True))
        x, y, w, h = (
            round(old + TRACK_TUNING.box_weight * (new - old)) for new, old in zip(candidate.box, expected, strict=True)
        )
        self.candidate, self.appearance, self.missed_frames = candidate.at((x, y, w, h)), appearance, 0
        self.found_frames += 1
        weight = max(1 / self.found_frames, TRACK_TUNING.newest_weight)
        shown = self.shown + (self.reading.probabilities - self.shown) * weight
        self.shown = shown.astype(np.float32)

    def miss(self, motion: tuple[float, float]) -> None:
        """Move with the image in a frame in which the letter was not found."""
        x, y, w, h = self.candidate.box
        self.candidate = self.candidate.at((round(x + motion[0]), round(y + motion[1]), w, h))
        self.missed_frames += 1

    def to_reading(self) -> Reading:
        """Return the reading to show: averaged, at the place of the letter in this frame."""
        candidates, now = self.reading.candidates, self.candidate
        whole = around([candidate.box for candidate in candidates])
        # Whether it stands in a form is known from this frame, because a reading may be older.
        moved = tuple(
            Candidate(map_box(one.box, whole, now.box), one.ink, one.corner, one.strength, now.place, now.is_outside)
            for one in candidates
        )
        return Reading(moved, self.reading.images, self.shown)


class Tracker:
    """Reads the frames of one video or camera, in their order."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.forget()

    def forget(self) -> None:
        """Start again: the next frame has nothing to do with those before."""
        self._tracks: list[Track] = []
        self._thumbnail: NDArray[np.float32] | None = None
        # The last frame that was searched and its page, the motion since then, and the frames that were searched since the last
        # change and kept since the last search.
        self._searched: tuple[Sight, Page] | None = None
        self._motion: Motion = STILL
        self._settling, self._kept = 0, 0
        # Whether the last two searches gave the same text.
        self._is_repeated = False

    def read(self, image: Pixels) -> Page:
        """Read the next frame; takes images like Reader.read.

        While nothing changes but the light and the place of the page, the letters move with it and are not searched again.
        """
        start = time.perf_counter()
        check_image(image)
        gray = to_gray(image)
        sight = Sight(gray)
        motion = self._motion_to(sight)
        expected = self._page_after(motion)
        if self._is_settled and self._kept + 1 < TRACK_TUNING.search_every and expected and is_inside(expected):
            self._kept += 1
            return replace(expected, segment_ms=1000 * (time.perf_counter() - start), classify_ms=0.0)
        for track in self._tracks:
            track.candidate = track.candidate.at(moved_box(track.candidate.box, self._motion))
        compared = time.perf_counter()
        page = self.reader.make_page(gray, partial(self._track, image))
        self._is_repeated = self._searched is not None and self._searched[1].text == page.text
        self._settling = self._settling + 1 if expected and self._is_repeated else 1
        self._searched, self._motion, self._kept = (sight, page), STILL, 0
        return replace(page, segment_ms=page.segment_ms + 1000 * (compared - start))

    @property
    def _is_settled(self) -> bool:
        """Whether more searches of an unchanged page would change nothing but noise."""
        are_settled = self._is_repeated and all(track.is_settled for track in self._tracks)
        return are_settled or self._settling >= TRACK_TUNING.settling_frames

    def _motion_to(self, sight: Sight) -> Motion | None:
        """Return the motion of the page since the last search; None if more has changed."""
        if self._searched is None:
            return None
        before, page = self._searched
        heights = [letter.box[3] for letter in page.letters]
        size = median(heights) if heights else 0.0
        can_follow = size >= TRACK_TUNING.min_followed_px * sight.factor
        motion = motion_between(before, sight, TRACK_TUNING.max_followed_share * size if can_follow else 0.0, self._motion)
        if motion is not None:
            self._motion = motion
        return motion

    def _page_after(self, motion: Motion | None) -> Page | None:
        """Return the page of the last search after a motion; None if there is none."""
        if motion is None or self._searched is None:
            return None
        page = self._searched[1]
        return page if motion is STILL else moved_page(page, motion)

    def _track(self, image: Pixels, candidates: Sequence[Candidate], engine: Engine) -> list[Reading]:
        """Update the tracks with the candidates of the next frame, and return the readings to show."""
        after, frame = appearances_of(candidates), thumbnail(image)
        before = Appearances(
            np.array([track.candidate.box for track in self._tracks], np.float64).reshape(-1, 4),
            np.array([track.appearance for track in self._tracks], np.float32).reshape(-1, after.vectors.shape[1]),
        )
        matched = match(before, after)
        cut = self._thumbnail is None or is_cut(matched, len(before.boxes), len(candidates), float(self._thumbnail @ frame))
        if cut:
            self._tracks, matched = [], Match((0.0, 0.0), ())
        self._thumbnail = frame
        found = self._update_tracks(candidates, engine, after, matched, is_first=cut)
        held = [track for track in self._tracks if track.missed_frames and track.is_shown]
        for track in found:
            track.is_shown = track.is_confirmed and not any(covers(old.candidate.box, track.candidate.box) for old in held)
        return [track.to_reading() for track in (*found, *held) if track.is_shown]

    def _update_tracks(
        self, candidates: Sequence[Candidate], engine: Engine, after: Appearances, matched: Match, *, is_first: bool
    ) -> list[Track]:
        """Return the track of each candidate, and keep the tracks of missed letters for a while.

        Classifies only candidates that are new or changed. In the first frame of a scene they are shown at once.
        """
        known = {j: self._tracks[i] for i, j in matched.pairs}
        asked = [j for j in range(len(candidates)) if j not in known or known[j].needs_reading(after.vectors[j])]
        readings = dict(zip(asked, self.reader.recognize([candidates[j] for j in asked], engine), strict=True)) if asked else {}
        found = []
        for j, (candidate, appearance) in enumerate(zip(candidates, after.vectors, strict=True)):
            track = known.get(j)
            if track is None:
                rows = readings[j].probabilities
                frames = TRACK_TUNING.confirm_frames if is_first else 1
                track = Track(candidate, appearance, appearance, readings[j], rows, found_frames=frames)
            else:
                if j in readings:
                    track.update_reading(appearance, readings[j])
                track.update(candidate, appearance, matched.motion)
            found.append(track)
        continued = {id(track) for track in known.values()}
        lost = [track for track in self._tracks if id(track) not in continued and track.is_confirmed]
        for track in lost:
            track.miss(matched.motion)
            is_disputed = any(covers(candidate.box, track.candidate.box) for candidate in candidates)
            limit = TRACK_TUNING.disputed_frames if is_disputed else TRACK_TUNING.held_frames
            track.is_shown = track.is_shown and track.missed_frames <= limit
        self._tracks = found + [track for track in lost if track.missed_frames <= TRACK_TUNING.disputed_frames]
        return found


def is_cut(matched: Match, before: int, after: int, correlation: float) -> bool:
    """Tell whether a new scene begins.

    A blank frame does not begin one: after a moment without an image the letters come back.

    Args:
        matched: the letters that go on.
        before: the number of letters in the frame before.
        after: the number of letters in this frame.
        correlation: that of the thumbnails of both frames.
    """
    if not after:
        return False
    kept = len(matched.pairs) / max(1, min(before, after))
    if correlation < TRACK_TUNING.min_same_scene:
        return kept < TRACK_TUNING.min_kept
    is_full = before >= TRACK_TUNING.min_letters and after >= TRACK_TUNING.min_fullness * before
    return is_full and kept < TRACK_TUNING.min_kept_on_same_paper


def moved_page(page: Page, motion: Motion) -> Page:
    """Return a page whose letters moved with the paper."""

    def moved(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(
            replace(
                line,
                words=tuple(
                    replace(word, letters=tuple(replace(one, box=moved_box(one.box, motion)) for one in word.letters))
                    for word in line.words
                ),
            )
            for line in lines
        )

    return replace(page, lines=moved(page.lines), outside=moved(page.outside))


def moved_box(box: Box, motion: Motion) -> Box:
    """Return a box that moved with the paper; it stays upright."""
    if motion is STILL:
        return box
    (a, b, right), (c, d, down) = motion.tolist()
    x, y, w, h = box
    zoom = abs(a * d - b * c) ** 0.5
    middle_x, middle_y = x + w / 2, y + h / 2
    wide, high = zoom * w, zoom * h
    left, top = a * middle_x + b * middle_y + right - wide / 2, c * middle_x + d * middle_y + down - high / 2
    return round(left), round(top), max(1, round(wide)), max(1, round(high))


def is_inside(page: Page) -> bool:
    """Tell whether all letters of a page lie within its image."""
    width, height = page.size
    boxes = (letter.box for line in (*page.lines, *page.outside) for letter in line.letters)
    return all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)


def covers(a: Box, b: Box) -> bool:
    """Tell whether the centre of one box lies in the other."""
    return any(p[0] <= q[0] + q[2] / 2 <= p[0] + p[2] and p[1] <= q[1] + q[3] / 2 <= p[1] + p[3] for p, q in ((a, b), (b, a)))


def map_box(box: Box, source: Box, target: Box) -> Box:
    """Move and stretch a box by what turns the box `source` into `target`."""
    x_scale, y_scale = target[2] / max(1, source[2]), target[3] / max(1, source[3])
    x, y = target[0] + (box[0] - source[0]) * x_scale, target[1] + (box[1] - source[1]) * y_scale
    return round(x), round(y), max(1, round(box[2] * x_scale)), max(1, round(box[3] * y_scale))
