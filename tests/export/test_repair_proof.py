"""Choosing and proving on different images: the halves, and what each look at the proving half costs."""

import numpy as np
import pytest

from lettercast.export.gate import drop_interval, normal_quantile
from lettercast.export.repair.proof import Prover, halves

IMAGES = np.zeros((40, 2, 2, 1), np.uint8)
TRUTH = np.arange(40) % 4
ORIGINAL = np.eye(4, dtype=np.float32)[TRUTH]


def test_halves_share_no_image_and_split_every_class_evenly():
    truth = np.repeat([0, 1, 2, 3], [7, 20, 1, 35])
    search, proof = halves(truth, 3)
    assert sorted([*search, *proof]) == list(range(63))
    assert abs(len(search) - len(proof)) == 1
    for label in range(4):
        assert abs(int((truth[search] == label).sum()) - int((truth[proof] == label).sum())) <= 1


def test_halves_depend_on_the_seed_alone():
    first, again, other = halves(TRUTH, 7)[0], halves(TRUTH, 7)[0], halves(TRUTH, 8)[0]
    assert (first == again).all()
    assert (first != other).any()


def test_halves_do_not_follow_the_order_of_the_images():
    search, _ = halves(np.zeros(1000, np.int64))
    assert 150 < (search < 400).sum() < 250


def test_later_looks_need_more_evidence_and_all_together_err_as_often_as_one():
    prover = Prover(IMAGES, TRUTH, ORIGINAL)
    looks = [prover.look(lambda images: ORIGINAL) for _ in range(8)]
    assert [one.level for one in looks[:2]] == [97.5, 98.75]
    assert sum((100 - one.level) / 2 for one in looks) == pytest.approx(2.5 * (1 - 0.5**8))
    assert sorted(one.drop_high for one in looks) == [one.drop_high for one in looks]
    assert looks[0].drop_high > 100 * drop_interval(0, 0, 40)[1]
    assert prover.looks == 8


def test_quantiles_of_the_normal_distribution():
    # Tables of the normal distribution.
    assert normal_quantile(95) == pytest.approx(1.959964, abs=1e-6)
    assert normal_quantile(97.5) == pytest.approx(2.241403, abs=1e-6)
    assert normal_quantile(99) == pytest.approx(2.575829, abs=1e-6)


def test_files_at_the_limit_are_rarely_proven_however_often_one_looks():
    rng = np.random.default_rng(5)
    n, allowed, proven = 400, 3.0, 0
    truth = np.zeros(n, np.int64)
    original = np.tile(np.float32([1, 0]), (n, 1))
    for _ in range(60):
        prover = Prover(np.zeros((n, 1, 1, 1), np.uint8), truth, original)
        # Each file truly loses 3 points, on other images.
        answers = [np.eye(2, dtype=np.float32)[(rng.random(n) < allowed / 100).astype(int)] for _ in range(4)]
        proven += any(prover.look(lambda images, one=one: one).drop_high <= allowed for one in answers)
    assert proven <= 5
