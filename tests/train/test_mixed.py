"""Several sources as one."""

import numpy as np
import pytest

from lettercast.train.data.source import ImageSource, MixedSource


def images(classes: tuple[str, ...], labels: list[int]) -> ImageSource:
    """A source of bars, each as wide as its number in the source."""
    inks = [np.pad(np.full((20, i + 1), 255, np.uint8), 4) for i in range(len(labels))]
    return ImageSource("bars", "train", inks, np.array(labels, np.int64), classes)


def test_each_letter_comes_from_the_source_it_belongs_to():
    first, second = images(("A", "B"), [0, 1]), images(("C",), [0, 0, 0])
    mixed = MixedSource((first, second), (0.25, 0.75), "train", ("A", "B", "C"))
    assert mixed.labels.tolist() == [0, 1, 2, 2, 2]
    assert mixed.name == "bars + bars"
    for index, (source, own) in enumerate([(first, 0), (first, 1), (second, 0), (second, 1), (second, 2)]):
        np.testing.assert_array_equal(mixed.picture(index, None), source.picture(own, None))
    with pytest.raises(IndexError):
        mixed.picture(5, None)


def test_shares_decide_how_often_each_source_is_drawn():
    mixed = MixedSource((images(("A",), [0] * 10), images(("B",), [0])), (0.3, 0.7), "train", ("A", "B"))
    np.testing.assert_allclose(mixed.weights, [0.03] * 10 + [0.7])
