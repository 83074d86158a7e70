"""A browser gives the model the pixels that a device gives it, to the bit."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.runtime.classifier import prepare
from lettercast.runtime.model.facts import LETTERS, PICTURES, Facts
from lettercast.train.data.pen import open_pen

SCRIPT = Path(__file__).with_name("pixels_of.mjs")
PLAIN = Facts("m", "onnx-float32", ("A", "B"), (28, 28, 1), "float32", takes=LETTERS)
KINDS = (PLAIN, replace(PLAIN, takes=PICTURES, input_shape=(32, 40, 3)), replace(PLAIN, takes=PICTURES, input_shape=(48, 24, 1)))


def photographs() -> list[np.ndarray]:
    """Letters of the built-in pen on paper, chalk on a board, thick and thin, small and large, in even and in falling light."""
    rng = np.random.default_rng(5)
    letters = open_pen("test")
    images = []
    for place in rng.choice(len(letters.labels), 60, replace=False):
        side = int(rng.choice([20, 33, 64, 100, 150, 240, 301, 520]))
        ink = cv2.resize(letters.image(int(place), None), (side, side), interpolation=cv2.INTER_CUBIC)
        ink = cv2.copyMakeBorder(ink, *(int(n) for n in rng.integers(0, side // 3 + 1, 4)), cv2.BORDER_CONSTANT).astype(
            np.float32
        )
        rows, columns = ink.shape
        light = 1 - rng.uniform(0, 0.6) * np.linspace(0, 1, columns) * np.linspace(0.4, 1, rows)[:, None]
        colour = rng.uniform(0.5, 1, 3)
        image = (235 * light * (1 - rng.uniform(0.3, 0.9) * ink / 255))[..., None] * colour + rng.normal(0, 3, (rows, columns, 1))
        image = np.clip(image, 0, 255).astype(np.uint8)
        images.append(255 - image if rng.random() < 0.2 else image)
    # Blank ones, two of which are thinner than a pixel at the size at which ink is kept.
    blank = [np.full((*shape, 3), level, np.uint8) for shape, level in (((50, 70), 200), ((40, 40), 0), ((1, 1), 9))]
    return [*images, *blank, *(np.full((*shape, 3), 220, np.uint8) for shape in ((2000, 3), (3, 2000)))]


def test_app_prepares_images_as_a_device_does(app, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here: apt install nodejs")
    images = photographs()
    (tmp_path / "images.bin").write_bytes(b"".join(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).tobytes() for image in images))
    kinds = [{"takes": facts.takes, "input_shape": facts.input_shape} for facts in KINDS]
    (tmp_path / "sizes.json").write_text(json.dumps({"sizes": [image.shape[:2] for image in images], "facts": kinds}))
    subprocess.run([node, str(SCRIPT), str(app), str(tmp_path)], check=True)
    made = np.frombuffer((tmp_path / "pixels.bin").read_bytes(), np.uint8)
    wanted = [np.ravel(prepare(image, facts)) for image in images for facts in KINDS]
    parts = np.split(made, np.cumsum([len(one) for one in wanted])[:-1])
    different = [i for i, (part, one) in enumerate(zip(parts, wanted, strict=True)) if not np.array_equal(part, one)]
    assert different == []
    assert sum(one.any() for one in wanted[:: len(KINDS)]) >= 55
