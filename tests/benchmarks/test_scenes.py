"""Conditions and their scenes."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.scenes import ALL_AT_ONCE, CONDITIONS, MIXABLE, PLAIN, STRENGTHS, Scene, scene_of


def test_the_plain_page_is_the_scene_as_it_comes():
    assert scene_of(PLAIN, "", np.random.default_rng(0)) == Scene()


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_strength_is_another_scene_than_the_plain_page(name):
    scenes = [scene_of(name, strength, np.random.default_rng(0)) for strength in STRENGTHS]
    assert all(scene != Scene() for scene in scenes)
    assert scenes[0] != scenes[1] != scenes[2]


def test_several_at_once_differ_from_page_to_page():
    scenes = [scene_of(ALL_AT_ONCE, "moderate", np.random.default_rng(seed)) for seed in range(4)]
    assert len({repr(scene) for scene in scenes}) == 4
    assert set(MIXABLE) < set(CONDITIONS)
