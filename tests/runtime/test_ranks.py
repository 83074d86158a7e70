"""Middle values and percentiles against NumPy's own."""

import numpy as np
import pytest

from lettercast.runtime.pixels import median, percentile


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 99])
def test_they_are_numpys(count):
    for seed in range(20):
        values = np.random.default_rng([count, seed]).normal(size=count)
        assert median(values) == np.median(values)
        assert [percentile(values, percent) for percent in (0, 33.3, 70, 80, 100)] == [
            np.percentile(values, percent) for percent in (0, 33.3, 70, 80, 100)
        ]


def test_whole_numbers_have_a_middle_between_them():
    assert median([4, 1]) == 2.5
    assert percentile(np.array([0, 10], np.uint8), 75) == 7.5
