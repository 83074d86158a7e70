"""The statistics that hands need, and the letters that check them."""

import numpy as np
import pytest

from lettercast.runtime.arguments import find_model
from lettercast.runtime.hand.apply import open_tap
from lettercast.runtime.hand.space import ENDING
from lettercast.runtime.model.engine import open_engine
from lettercast.train.data.source import draw_all, relabel
from lettercast.train.fit_hand import main
from lettercast.train.rehearse import check_letters


@pytest.mark.parametrize("name", ["letters-base", "letters-nano", "letters-digits"])
def test_hands_are_checked_on_the_built_in_letters_as_the_shipped_network_sees_them(name):
    path = find_model(name)
    engine = open_engine(path)
    file = np.load(path.with_name(name + ENDING))
    letters = check_letters("0" in engine.facts.labels)
    np.testing.assert_array_equal(file["check_truth"], relabel(letters, engine.facts.labels))
    probabilities, features = open_tap(engine)(draw_all(letters))
    # Processors may differ in the last place of an int8 network.
    assert np.abs(probabilities - file["check_probabilities"] / 255).mean() < 0.002
    matrix = file["matrix"] * file["scale"]
    places = file["check_places"] * file["check_scale"]
    assert np.abs((features - file["mean"]) @ matrix - places).mean() < 0.1 * np.abs(places).mean()


def test_letters_of_unknown_writers_have_no_such_statistics(tmp_path, capsys):
    assert main(["pen", "letters-nano", "--out", str(tmp_path / "a.npz")]) == 2
    assert "names no writers; give a strokes file that does" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
