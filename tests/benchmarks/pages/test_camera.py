"""Light and camera."""

from dataclasses import replace

import numpy as np
import pytest

from lettercast.benchmarks.pages.camera import Exposure, disc, expose, light, streak, with_noise

SHAPE = (240, 320)
CLEAN = Exposure(falloff=0, noise=0, defocus=0, jpeg=100)


def lit(exposure, seed=0):
    return light(SHAPE, exposure, np.random.default_rng(seed))


def photo(exposure, sheet=None, seed=0):
    sheet = np.full((*SHAPE, 3), 0.8, np.float32) if sheet is None else sheet
    return expose(sheet, exposure, np.random.default_rng(seed)).astype(float)


def test_a_shadow_only_darkens():
    bright, dark = lit(Exposure()), lit(Exposure(shadow=0.5))
    assert (dark <= bright + 1e-6).all()
    assert (dark < 0.6 * bright).any() and (dark > 0.95 * bright).any()


def test_a_soft_shadow_has_a_wider_edge_than_a_hard_one():
    def steepest(soft):
        return np.abs(np.diff(lit(replace(CLEAN, shadow=0.5, soft=soft)), axis=1)).max()

    assert steepest(4.0) > 4 * steepest(100.0)


def test_folds_make_steps_of_light():
    assert np.abs(np.diff(lit(replace(CLEAN, folds=2, fold=0.3)))).max() > 0.01
    assert np.ptp(lit(CLEAN)) == 0


def test_less_light_is_darker_and_much_light_is_white():
    assert photo(replace(CLEAN, level=0.3)).mean() < 0.4 * photo(CLEAN).mean()
    assert photo(replace(CLEAN, level=5.0)).min() == 255


@pytest.mark.parametrize("kernel", [disc(1.0), disc(3.7), streak(2.0, 0.3), streak(11.0, 2.0)])
def test_a_blur_kernel_keeps_the_light(kernel):
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel >= 0).all()


@pytest.mark.parametrize("change", [{"defocus": 24.0}, {"motion": 48.0}])
def test_blur_reduces_contrast(change):
    sheet = np.full((*SHAPE, 3), 0.8, np.float32)
    sheet[:, 160:162] = 0.1
    sheet[120:122] = 0.1
    assert photo(replace(CLEAN, **change), sheet).min() > photo(CLEAN, sheet).min() + 15


def test_noise_has_its_strength():
    noisy = with_noise(np.full((*SHAPE, 3), 200, np.float32), 10.0, np.random.default_rng(0))
    assert 6 < noisy.std() < 14


def test_the_same_seed_takes_the_same_photograph():
    assert (photo(Exposure()) == photo(Exposure())).all()
    assert (photo(Exposure()) != photo(Exposure(), seed=1)).any()
