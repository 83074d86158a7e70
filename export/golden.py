"""Golden cases of exported files: images with the answers that the file gave to them when it was made.

Run as a program (`python -m lettercast.export.golden`) it makes the golden cases of the models that come with lettercast.
"""

import hashlib
import json
import platform
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime.files import replacing, write_bytes
from ..runtime.model.engine import Engine, open_engine
from ..runtime.model.golden import Golden, golden_path
from ..runtime.model.installed import ENGINES
from ..runtime.pixels import Pixels

MAX_CASES = 32
# Close to this probability other arithmetic moves the probabilities most and still leaves the answer.
TELLING_PROBABILITY = 0.75


def write_with_golden(path: Path, model: bytes, images: Pixels, answers: NDArray[np.float32]) -> None:
    """Write an exported model and its golden cases, both or neither; raises LettercastError if they cannot be written.

    The cases are chosen from images (n, H, W, C) uint8 by the model's answers (n, classes), and answered by the written file.
    They name their model by its hash, in case the process is killed between the two files.
    """
    with replacing(path) as model_file, replacing(golden_path(path)) as cases_file:
        model_file.write_bytes(model)
        chosen = choose_cases(answers)
        cases_file.write_bytes(pack(make_golden(open_engine(model_file), model, images[chosen])))


def make_golden(engine: Engine, model: bytes, images: Pixels) -> Golden:
    """Return the golden cases of an engine for images (n, H, W, C) uint8; model is the content of its file."""
    machine = f"{platform.system()} {platform.machine()}"
    return Golden(images, engine(images), engine.name, machine, hashlib.sha256(model).hexdigest())


def choose_cases(answers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Choose at most 32 images by a model's answers (n, classes): equally many of each class, the most sensitive first."""
    best, sure = answers.argmax(1), answers.max(1)
    named = np.unique(best)
    named = named[np.linspace(0, len(named) - 1, min(len(named), MAX_CASES)).round().astype(int)]
    telling = np.argsort(np.abs(sure - TELLING_PROBABILITY), kind="stable")
    return np.concatenate([telling[best[telling] == label][: MAX_CASES // len(named)] for label in named])


def pack(golden: Golden) -> bytes:
    """Return golden cases as the bytes of an .npz without pickles; the same cases make the same bytes."""
    about = {"engine": golden.engine, "machine": golden.machine, "model_sha256": golden.model_sha256}
    file = BytesIO()
    np.savez_compressed(file, pictures=golden.images, probabilities=golden.probabilities, about=np.array(json.dumps(about)))
    return file.getvalue()


def main() -> None:
    """Write the golden cases of the models that come with lettercast, from the pen's test letters."""
    from ..runtime.reader import DEFAULT_MODEL
    from ..train.data.open import open_source
    from ..train.data.source import draw_all

    images = draw_all(open_source("pen", "test"))
    for path in sorted(path for path in DEFAULT_MODEL.parent.iterdir() if path.suffix in ENGINES):
        engine = open_engine(path)
        chosen = choose_cases(engine(images))
        packed = pack(make_golden(engine, path.read_bytes(), images[chosen]))
        write_bytes(golden_path(path), packed)
        print(f"{golden_path(path)}: {len(chosen)} cases, {len(packed)} bytes")


if __name__ == "__main__":
    main()
