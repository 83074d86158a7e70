from dataclasses import replace

import numpy as np
import pytest

from lettercast.benchmarks.synthetic_page import Scene, light, synthetic_page, write
from lettercast.runtime.page import find_lines
from lettercast.train.pen import load_pen

LINES = ["ABC", "DE"]


def page(scene, seed=0):
    return synthetic_page(LINES, scene, np.random.default_rng(seed), load_pen())


def test_the_same_seed_takes_the_same_photograph():
    assert (page(Scene()) == page(Scene())).all()
    assert (page(Scene()) != page(Scene(), seed=1)).any()


def test_a_shadow_takes_light_and_never_adds_any():
    bright = light(100, 100, Scene(shadow=0.0), np.random.default_rng(0))
    dark = light(100, 100, Scene(shadow=0.5), np.random.default_rng(0))
    assert (dark <= bright).all()
    assert (dark < 0.6 * bright).any()


def test_characters_that_are_no_letters_leave_a_gap():
    rng = np.random.default_rng(0)
    assert not write(["- 7"], Scene(), rng, load_pen()).any()


@pytest.mark.parametrize("change", [{}, {"shadow": 0.6}, {"tilt": -6.0}, {"ink": 0.3}, {"noise": 15.0}, {"ruled": False}])
def test_the_reader_finds_every_letter_in_its_line(change):
    lines = find_lines(page(replace(Scene(), **change), seed=2))
    assert [len(line) for line in lines] == [3, 2]
