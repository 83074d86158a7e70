"""What was read, over the image."""

import numpy as np
import pytest

from lettercast.runtime.display import DOUBTFUL, SURE, annotate, has_display
from lettercast.runtime.text import Letter, Line, Page, Word


def page(confidence: float, box=(30, 40, 20, 30)) -> Page:
    return Page((120, 100), (Line((Word((Letter("A", confidence, box),)),)),), 1.0, 1.0)


@pytest.mark.parametrize(("confidence", "colour"), [(0.99, SURE), (0.5, DOUBTFUL)])
def test_a_box_stands_around_the_letter_in_the_colour_of_its_confidence(confidence, colour):
    picture = annotate(np.full((100, 120, 3), 255, np.uint8), page(confidence))
    assert tuple(picture[55, 30]) == colour
    assert tuple(picture[70, 40]) == colour
    assert tuple(picture[55, 40]) == (255, 255, 255)


@pytest.mark.parametrize("shape", [(100, 120), (100, 120, 1), (100, 120, 3), (100, 120, 4)])
def test_the_image_itself_stays_as_it_was(shape):
    image = np.full(shape, 255, np.uint8)
    picture = annotate(image, page(0.9))
    assert picture.shape == (100, 120, 3)
    assert (image == 255).all()


@pytest.mark.parametrize("box", [(0, 0, 119, 99), (118, 98, 2, 2), (0, 0, 1, 1)])
def test_boxes_at_the_edges_are_drawn(box):
    picture = annotate(np.full((100, 120, 3), 255, np.uint8), page(0.9, box))
    assert (picture != 255).any()


def test_an_empty_page_is_shown_unchanged():
    image = np.random.default_rng(1).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    np.testing.assert_array_equal(annotate(image, Page((60, 50), (), 0.0, 0.0)), image)


def test_without_a_display_no_window_is_tried(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()
