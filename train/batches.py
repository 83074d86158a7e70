"""Batches of letters, drawn anew each epoch or kept to be seen again."""

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..runtime.files import write_bytes
from ..runtime.glyph import GLYPH_PX
from ..runtime.pixels import Pixels
from .drawing import Draw, draw_order
from .plan import BATCH, Plan
from .source import Source

LABEL_SMOOTHING = 0.05
# How much of a letter's target is the teacher's answer; the rest is the label itself.
TEACHER_SHARE = 0.7
MOST_WORKERS = 16

Teacher = Callable[[Pixels], NDArray[np.float32]]


class Batches(keras.utils.PyDataset):
    """One epoch of drawn letters.

    What stands at which place is decided by the plan and the epoch alone, so a resumed run sees the same. A share of
    the places is clutter, whose target is every class alike. With a folder to keep them in, pictures and the teacher's
    answers are made once; where the plan repeats them they come in another order.
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        epoch: int,
        teacher: Teacher | None = None,
        folder: Path | None = None,
        *,
        draw: Draw | None = None,
    ) -> None:
        workers = max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=16)
        self.source, self.plan, self.teacher = source, plan, teacher
        self.draw = draw or partial(draw_order, source)
        count, classes = plan.steps * BATCH, len(source.classes)
        repeated = 0 < plan.cycle <= epoch
        drawn = epoch % plan.cycle if plan.cycle else epoch
        self.entropy = [plan.draw_seed, drawn]
        self.order = np.random.default_rng([plan.seed, epoch]).permutation(count) if repeated else np.arange(count)
        self.letters = np.random.default_rng(self.entropy).choice(len(source.labels), count, p=source.weights)
        # Once an epoch: a mixture of sources works its labels out anew each time that it is asked.
        self.labels = source.labels[self.letters]
        name = f"{plan.drawings}-{drawn}"
        self.drawings = Kept(folder and folder / f"{name}.npz", (count, GLYPH_PX, GLYPH_PX, 1), np.uint8)
        answered = folder / f"{name}-{plan.teacher[:16]}.npz" if folder and teacher else None
        self.answers = Kept(answered, (count, classes), np.float16)

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, index: int) -> tuple[Pixels, NDArray[np.float32]]:
        """Return pictures (128, 28, 28, 1) uint8 and targets (128, classes) float32 that sum to 1."""
        places = self.order[index * BATCH : (index + 1) * BATCH]
        pictures = self.drawings.get(places, lambda: self.draw(self.entropy, [self._standing_at(int(place)) for place in places]))
        count = len(self.source.classes)
        targets = np.eye(count, dtype=np.float32)[self.labels[places]]
        if teacher := self.teacher:
            # Rounded as they are kept, so that a run is the same whether they were kept or not.
            answers = self.answers.get(places, lambda: teacher(pictures).astype(np.float16)).astype(np.float32)
            targets = (1 - TEACHER_SHARE) * targets + TEACHER_SHARE * answers
        else:
            targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING / count
        targets[[self._is_clutter(place) for place in places]] = 1 / count
        return pictures, targets

    def keep(self) -> None:
        """Save what this epoch made, where there is a folder for it; call it when the epoch is over."""
        self.drawings.save()
        self.answers.save()

    def _standing_at(self, place: int) -> tuple[int, int]:
        return place, -1 if self._is_clutter(place) else int(self.letters[place])

    def _is_clutter(self, place: int) -> bool:
        # Every n-th place: letters stand in no order, so nothing is told by it.
        return int((place + 1) * self.plan.clutter) > int(place * self.plan.clutter)


class Kept:
    """An array (count, ...) that is made place by place, or was made before and lies in a file."""

    def __init__(self, path: Path | None, shape: tuple[int, ...], dtype: type) -> None:
        self.path = path
        found = load_kept(path, shape) if path else None
        self.is_saved = found is not None
        # Threads fill it at different places, so it is there from the beginning.
        self.values = found if found is not None or not path else np.zeros(shape, dtype)
        self.made = np.zeros(shape[0], bool)

    def get(self, places: NDArray[np.int64], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the values at some places, made now where they were never made."""
        if self.values is not None and self.is_saved:
            return self.values[places]
        values = make()
        if self.values is not None:
            self.values[places], self.made[places] = values, True
        return values

    def save(self) -> None:
        """Write the array, where it has a file and is whole."""
        if self.path and self.values is not None and not self.is_saved and self.made.all():
            data = io.BytesIO()
            np.savez(data, values=self.values)
            write_bytes(self.path, data.getvalue())


def load_kept(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Load an array of this shape; None where there is no such file, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive["values"]
    except Exception:  # a damaged archive raises what its damage leads to
        return None
    return values if values.shape == shape else None
