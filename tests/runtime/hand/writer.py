"""Which letters of a writer are learned, and how many of others read right."""

import numpy as np

from lettercast.runtime.model.engine import Engine


def every(count: int, mirrored: tuple[np.ndarray, list[str]], start: int = 0) -> tuple[np.ndarray, list[str]]:
    """Letters start to start + count of each class."""
    images, labels = mirrored
    places = [i for i in range(len(labels)) if start <= i % 9 < start + count]
    return images[places], [labels[i] for i in places]


def accuracy(engine: Engine, letters: tuple[np.ndarray, list[str]]) -> float:
    images, labels = letters
    names = engine.facts.labels
    return float(np.mean([names[i] == label for i, label in zip(engine(images).argmax(1), labels, strict=True)]))
