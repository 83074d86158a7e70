"""Figures as PNG."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast.train.evaluate import Evaluation
from lettercast.train.figures import (
    confusion_figure,
    curves_figure,
    mistakes_figure,
    reliability_figure,
    save_figure,
    save_figures,
    writers_figure,
)
from lettercast.train.history import Epoch

LABELS = ("G", "I", "L")
PICTURES = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1)).astype(np.uint8)


def evaluation() -> Evaluation:
    """Class G always right, I half of the time, and of L there is none."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    return Evaluation("m", "engine", "pen", "test", LABELS, np.array([0, 0, 1, 1]), probabilities, PICTURES)


def test_the_matrix_is_in_percent_of_the_true_class():
    axes = confusion_figure(evaluation()).axes[0]
    shown = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
    np.testing.assert_allclose(shown, [[100, 0, 0], [0, 50, 50], [0, 0, 0]])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(LABELS)
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["100", "50", "50"]


def test_the_title_names_model_data_and_accuracy():
    title = confusion_figure(evaluation()).axes[0].get_title()
    assert title == "m on pen, test: 75.00 % of 4"


def test_curves_show_every_epoch_of_both_sets():
    history = [Epoch(1, 2.0, 0.2, 1.5, 0.4), Epoch(2, 1.0, 0.6, 0.9, 0.7)]
    loss, accuracy = curves_figure(history).axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[2.0, 1.0], [1.5, 0.9]]
    np.testing.assert_allclose([line.get_ydata() for line in accuracy.lines], [[20, 60], [40, 70]])


def test_a_figure_is_a_picture_in_a_new_folder(tmp_path):
    path = save_figure(confusion_figure(evaluation()), tmp_path / "new" / "f.png")
    assert cv2.imread(str(path)).std() > 5


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_gallery_shows_the_surest_mistakes_first():
    mixed = np.array([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05]], np.float32)
    wrong = replace(evaluation(), truth=np.array([0, 1, 0]), probabilities=mixed, pictures=PICTURES[:3])
    figure = mistakes_figure(wrong)
    assert texts(figure) == ["I → L, 80 %", "G → I, 70 %"]
    # Dark on light: the picture of the first mistake, inverted.
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), 255 - PICTURES[1, ..., 0])
    assert "2 mistakes in 3 letters" in figure.axes[0].get_title()


def test_a_gallery_without_mistakes_says_so():
    right = replace(evaluation(), truth=np.array([0, 0, 1, 2]))
    assert texts(mistakes_figure(right)) == ["no mistakes"]


def test_reliability_is_drawn_bin_by_bin():
    confidence = np.array([0.95] * 10 + [0.55] * 4, np.float32)
    truth = np.array([0] * 9 + [1] + [0] * 2 + [1] * 2)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    both = Evaluation(
        "m", "e", "d", "test", ("I", "L"), truth, probabilities, np.zeros((14, 2, 2, 1), np.uint8), reject_below=0.6
    )
    shares, counts = reliability_figure(both).axes
    drawn = next(line for line in shares.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    np.testing.assert_allclose(np.transpose([drawn.get_xdata(), drawn.get_ydata()]), [[55, 50], [95, 90]], atol=1e-4)
    assert [text.get_text() for text in counts.texts] == ["4", "10"]
    assert shares.lines[-1].get_label() == "rejected below 60.0 %: 28.6 % of the letters"


def test_every_writer_has_a_dot_and_the_median_a_name():
    writers = np.repeat([5, 6, 7], 20)
    right = np.concatenate([np.arange(20) < count for count in (10, 15, 20)])
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (60, 1))
    hands = Evaluation(
        "m", "e", "d", "test", ("I", "L"), np.where(right, 0, 1), probabilities, np.zeros((60, 2, 2, 1), np.uint8), writers
    )
    figure = writers_figure(hands)
    dots = np.concatenate([dots.get_offsets() for dots in figure.axes[0].collections if len(dots.get_offsets())])
    np.testing.assert_allclose(sorted(dots[:, 1]), [50, 75, 100])
    assert "median\n75.0 %" in texts(figure)


def test_writers_are_drawn_only_where_they_are_known(tmp_path):
    names = [path.name for path in save_figures(evaluation(), tmp_path)]
    assert names == ["confusion.png", "mistakes.png", "reliability.png"]
    known = replace(evaluation(), writers=np.array([1, 1, 2, 2]))
    assert [path.name for path in save_figures(known, tmp_path)][-1] == "writers.png"
    for name in names:
        assert cv2.imread(str(tmp_path / name)).std() > 5
    with pytest.raises(ValueError, match="pen: the writers of these letters are not known"):
        writers_figure(evaluation())
