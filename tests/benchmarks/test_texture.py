"""Fields and textures."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.paper import TEXTURES, clouds, streaks


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_is_bright_enough_to_be_seen_and_decided_by_chance_alone(name):
    drawn = [TEXTURES[name]((120, 160), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0].shape == (120, 160)
    assert 0.4 < drawn[0].mean() < 1.6
    assert drawn[0].std() > 0.01
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_clouds_change_as_slowly_as_they_are_asked_to():
    def step(cell):
        return np.abs(np.diff(clouds((200, 200), cell, np.random.default_rng(0)), axis=1)).mean()

    assert step(40) < step(4) / 5


def test_streaks_are_longer_than_high():
    field = streaks((200, 200), 10, np.random.default_rng(0))
    assert np.abs(np.diff(field, axis=1)).mean() < np.abs(np.diff(field, axis=0)).mean() / 3
