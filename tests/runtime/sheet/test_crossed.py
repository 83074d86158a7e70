"""Letters that were crossed out are told from others, with a model and without."""

import numpy as np
import pytest

from lettercast.benchmarks.crossed import draw_crossings
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.sheet.crossed import ALONE, WITH_MODEL, find_crossed, probabilities_of
from lettercast.runtime.sheet.cut import EMPTY, LETTER, Cut
from lettercast.runtime.sheet.layout import sheet_pages


@pytest.fixture(scope="module")
def crossings():
    return draw_crossings("pen", "val", open_engine(device_model("letters-base")), sheets=4)


@pytest.mark.parametrize(("model", "least"), [(WITH_MODEL, 0.85), (ALONE, 0.6)])
def test_scribbles_are_found_and_letters_stay(crossings, model, least):
    count = len(model.weights)
    found = crossings.features[:, :count] @ np.array(model.weights) + model.intercept > model.min_score
    scribbled = crossings.is_crossed & ~crossings.is_single
    assert scribbled.sum() > 30
    assert found[scribbled].mean() >= least
    assert found[~crossings.is_crossed].mean() < 0.03


def test_a_page_without_letters_has_none_crossed_out():
    cuts = [Cut(box, EMPTY, np.zeros((0, 0), np.uint8), (0.0, 0.0)) for box in sheet_pages()[0].boxes]
    engine = open_engine(device_model("letters-base"))
    assert not any(find_crossed(cuts, engine))
    assert probabilities_of([], engine) is None


def test_a_model_that_lacks_a_label_is_not_asked():
    box = sheet_pages(["7", "8"])[0].boxes[0]
    cut = Cut(box, LETTER, np.full((20, 8), 200, np.uint8), (0.0, 0.0))
    assert probabilities_of([cut], open_engine(device_model("letters-base"))) is None
    assert probabilities_of([cut], open_engine(device_model("letters-digits"))) is not None
