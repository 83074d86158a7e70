"""Fitting the network that distinguishes capitals from small letters."""

import numpy as np
import pytest

from lettercast.runtime.text.context import load_case
from lettercast.train.fit_case import case_weights, main


@pytest.fixture
def cases_file(pen, tmp_path):
    """Capital D and small d by the pen, forty each for training."""
    rng = np.random.default_rng(1)
    upper = np.arange(80) % 2 == 0
    letters = [pen.sample(3, rng, bool(u)) for u in upper]
    strokes = [stroke for letter in letters for stroke in letter]
    path = tmp_path / "cases.npz"
    np.savez(
        path,
        points=np.concatenate(strokes).astype(np.int16),
        points_per_stroke=np.array([len(stroke) for stroke in strokes]),
        strokes_per_sample=np.array([len(letter) for letter in letters]),
        label=np.full(80, 3),
        upper=upper,
        split=np.zeros(80, np.uint8),
    )
    return path


def test_both_cases_of_a_letter_have_the_same_weight():
    labels, upper = np.array([0, 0, 0, 0, 1, 1]), np.array([True, False, False, False, True, False])
    weights = case_weights(labels, upper)
    assert weights[0] == pytest.approx(weights[1:4].sum())
    assert weights[4:] == pytest.approx([1, 1])


def test_command_writes_a_network_that_distinguishes_cases(cases_file, pen, tmp_path, capsys):
    from lettercast.runtime.glyph import glyph
    from lettercast.train.data.drawing import draw_ink

    assert main([str(cases_file), "--out", str(tmp_path / "case.npz")]) == 0
    rng = np.random.default_rng(9)
    drawn = [np.stack([glyph(draw_ink(pen.sample(3, rng, upper), 70, 6)) for _ in range(20)]) for upper in (True, False)]
    net = load_case(tmp_path / "case.npz")
    capital, small = (net.capital(pictures[..., None])[:, 3] for pictures in drawn)
    assert capital.mean() > small.mean() + 0.2
    assert "kB" in capsys.readouterr().out


def test_letters_of_unknown_case_are_refused_in_one_line(tmp_path, cases_file, capsys):
    arrays = dict(np.load(cases_file))
    arrays["upper"] = np.ones(80, bool)
    np.savez(cases_file, **arrays)
    assert main([str(cases_file), "--out", str(tmp_path / "case.npz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "case.npz").exists()
