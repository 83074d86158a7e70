"""Letters of a writer that the model does not know: one who writes in a mirror."""

from pathlib import Path

import numpy as np
import pytest

from lettercast.runtime import open_engine
from lettercast.runtime.files import packaged
from lettercast.runtime.model.engine import Engine
from lettercast.train.data.open import open_source
from lettercast.train.data.source import draw_some


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine(packaged("models/letters-nano-int8.tflite"))


@pytest.fixture(scope="session")
def mirrored() -> tuple[np.ndarray, list[str]]:
    """Nine letters of each class, mirrored, class by class, and their labels."""
    source = open_source("pen", "train")
    chosen = np.concatenate([np.flatnonzero(source.labels == i)[:9] for i in range(len(source.classes))])
    images = draw_some(source, chosen, None)[:, :, ::-1]
    return np.ascontiguousarray(images), [source.classes[i] for i in source.labels[chosen]]


@pytest.fixture(autouse=True)
def hands(tmp_path, monkeypatch) -> Path:
    """An empty folder of hands."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "lettercast" / "hands"
