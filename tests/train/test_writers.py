"""How well each hand is read."""

import numpy as np

from lettercast.train.evaluation import FEWEST_LETTERS, group_by_writer


def test_writers_are_counted_and_the_worst_comes_first():
    writers = group_by_writer(np.array([4, 9, 4, 9, 9]), np.array([True, False, False, False, True]))
    assert writers.number.tolist() == [9, 4]
    assert writers.count.tolist() == [3, 2]
    np.testing.assert_allclose(writers.accuracy, [1 / 3, 1 / 2])


def test_hands_of_few_letters_do_not_count():
    writers = group_by_writer(np.repeat([1, 2], [FEWEST_LETTERS, FEWEST_LETTERS - 1]), np.ones(2 * FEWEST_LETTERS - 1, bool))
    assert writers.counted.tolist() == [True, False]
    assert writers.summary().count == 1
    assert group_by_writer(np.array([1]), np.array([True])).summary() is None


def test_the_worst_tenth_is_at_least_one():
    right = np.concatenate([np.arange(20) < count for count in (20, 5, 10)])
    assert group_by_writer(np.repeat([1, 2, 3], 20), right).summary().worst_tenth == 0.25
