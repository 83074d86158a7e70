"""Figures as PNG."""

import cv2
import numpy as np

from lettercast.train.evaluate import Evaluation
from lettercast.train.figures import confusion_figure, curves_figure, save_figure
from lettercast.train.history import Epoch

LABELS = ("G", "I", "L")


def evaluation() -> Evaluation:
    """Class G always right, I half of the time, and of L there is none."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    return Evaluation("m", "engine", "pen", "test", LABELS, np.array([0, 0, 1, 1]), probabilities)


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
