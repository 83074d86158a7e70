"""Figures as PNG."""

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lettercast.train.evaluation import Evaluation
from lettercast.train.figures import (
    confusion_figure,
    curves_figure,
    mistakes_figure,
    reliability_figure,
    save_figure,
    save_figures,
    writers_figure,
)
from lettercast.train.plan import Epoch

LABELS = ("G", "I", "L")
PICTURE_NAMES = ["confusion.png", "mistakes.png", "reliability.png", "writers.png"]
PICTURES = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1)).astype(np.uint8)


def evaluation() -> Evaluation:
    """Class G is always right, I half of the time, and there is no L."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    return Evaluation("m", "engine", "pen", "test", LABELS, np.array([0, 0, 1, 1]), probabilities, PICTURES)


@pytest.mark.parametrize(("times", "numbers"), [(50, ["100", "50", "50"]), (5, ["10", "5", "5"])], ids=["percent", "letters"])
def test_matrix_is_in_percent_of_the_true_class_and_few_letters_are_counted(times, numbers):
    own = evaluation()
    many = {name: np.repeat(getattr(own, name), times, 0) for name in ("truth", "probabilities", "images")}
    axes = confusion_figure(replace(own, **many)).axes[0]
    shown = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
    np.testing.assert_allclose(shown, [[100, 0, 0], [0, 50, 50], [0, 0, 0]])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(LABELS)
    assert [text.get_text() for text in axes.texts if text.get_text()] == numbers
    assert ("numbers are letters" in axes.get_xlabel()) == (times < 50)


def test_title_names_model_data_and_accuracy():
    title = confusion_figure(evaluation()).axes[0].get_title()
    assert title == "m on pen, test: accuracy 75.00 % of 4 letters"


def test_curves_show_every_epoch_of_both_sets():
    history = [Epoch(1, 2.0, 0.2, 1.5, 0.4), Epoch(2, 1.0, 0.6, 0.9, 0.7)]
    figure = curves_figure(history)
    figure.draw_without_rendering()
    loss, accuracy = figure.axes
    assert all(place == round(place) for axes in (loss, accuracy) for place in axes.get_xticks())
    assert [line.get_ydata().tolist() for line in loss.lines] == [[2.0, 1.0], [1.5, 0.9]]
    np.testing.assert_allclose([line.get_ydata() for line in accuracy.lines], [[20, 60], [40, 70]])


def test_figure_is_written_as_png_into_a_new_folder(tmp_path):
    path = save_figure(confusion_figure(evaluation()), tmp_path / "new" / "f.png")
    assert cv2.imread(str(path)).std() > 5


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_gallery_shows_the_most_confident_mistakes_first():
    mixed = np.array([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05]], np.float32)
    wrong = replace(evaluation(), truth=np.array([0, 1, 0]), probabilities=mixed, images=PICTURES[:3])
    figure = mistakes_figure(wrong)
    assert texts(figure) == ["I → L, 80 %", "G → I, 70 %"]
    # Dark on light: the inverted image of the first mistake.
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), 255 - PICTURES[1, ..., 0])
    assert "2 mistakes in 3 letters" in figure.axes[0].get_title()


def test_gallery_without_mistakes_says_so():
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


def test_every_writer_has_a_dot_and_the_median_a_label():
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


def test_writers_are_drawn_only_if_they_are_known(tmp_path):
    names = [path.name for path in save_figures(evaluation(), tmp_path)]
    assert names == ["confusion.png", "mistakes.png", "reliability.png"]
    for name in names:
        assert cv2.imread(str(tmp_path / name)).std() > 5
    with pytest.raises(ValueError, match="pen: the writers of these letters are unknown"):
        writers_figure(evaluation())


def many_letters(**more) -> Evaluation:
    """Six hundred letters of 26 classes by twelve writers, a third of them misread, at every confidence."""
    rng = np.random.default_rng(3)
    truth, confidence = rng.integers(0, 26, 600), rng.uniform(0.2, 1, 600)
    read = np.where(rng.random(600) < 0.33, (truth + 1) % 26, truth)
    probabilities = np.tile((1 - confidence[:, None]) / 25, (1, 26))
    probabilities[np.arange(600), read] = confidence
    given = {"labels": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "data": "letters.npz", "writers": rng.integers(0, 12, 600)} | more
    pictures = rng.integers(0, 256, (600, 28, 28, 1)).astype(np.uint8)
    return Evaluation(
        "letters-base", "e", split="val", truth=truth, probabilities=probabilities.astype(np.float32), images=pictures, **given
    )


LONG_NAMES = {"labels": tuple(f"{chr(97 + i)}lphabetical" for i in range(26)), "data": " + ".join(["a folder of letters"] * 6)}


@pytest.mark.parametrize("draw", [confusion_figure, mistakes_figure, reliability_figure, writers_figure])
@pytest.mark.parametrize("names", [{}, LONG_NAMES], ids=["short", "long"])
def test_no_text_overlaps_another_or_leaves_the_figure(draw, names):
    figure = draw(many_letters(reject_below=0.4, **names))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    placed = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    placed += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in placed if text.get_text()]
    assert len(boxes) > 5
    width, height = canvas.get_width_height()
    assert all(min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
    # Smaller by a pixel on each side: neighbouring letters may touch.
    smaller = [box.padded(-1) for box in boxes]
    assert not any(one.overlaps(other) for one, other in combinations(smaller, 2))


def test_gallery_shows_as_many_mistakes_as_fit():
    figure = mistakes_figure(many_letters())
    confidences = [int(said.split()[-2]) for said in texts(figure)]
    assert len(figure.axes[0].images) == len(confidences) == 96
    assert confidences == sorted(confidences, reverse=True)
    total = len(many_letters().mistakes())
    assert f"the 96 most confident of {total} mistakes in 600 letters" in figure.axes[0].get_title()


def test_long_class_names_are_shortened_below_their_images():
    named = replace(evaluation(), labels=("gamma", "iota", "lambda"))
    assert texts(mistakes_figure(named)) == ["iota →\nlamb…, 100 %"]


def test_dollar_sign_does_not_start_a_formula(tmp_path):
    priced = replace(evaluation(), data=r"$\letters$.csv", labels=("$", r"$\q$", r"$\x$"), writers=np.array([1, 1, 2, 2]))
    assert [path.name for path in save_figures(priced, tmp_path)] == PICTURE_NAMES


def test_few_letters_are_counted_in_plain_numbers():
    one = replace(evaluation(), truth=np.array([0]), probabilities=np.array([[0.9, 0.1, 0]], np.float32), images=PICTURES[:1])
    figure = reliability_figure(one)
    figure.draw_without_rendering()
    ticks = [*figure.axes[1].get_yticklabels(), *figure.axes[1].get_yticklabels(minor=True)]
    assert {text.get_text() for text in ticks} - {""} == {"0", "1", "10"}


def test_single_writer_is_number_one():
    alone = many_letters(writers=np.full(600, 7))
    figure = writers_figure(alone)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert [place for place in axes.get_xticks() if low <= place <= high] == [1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        f"worst tenth, mean {100 * alone.accuracy:.1f} %",
        "600 letters",
    ]


def test_writers_with_few_letters_have_their_own_colour():
    few = replace(many_letters(), writers=np.minimum(np.arange(600), 585))
    said = [text.get_text() for text in writers_figure(few).legends[0].get_texts()]
    assert "fewer than 20 letters, not counted" in said
    assert not any("worst tenth" in one for one in said)
    assert not any("median" in text for text in texts(writers_figure(few)))


def test_threshold_is_drawn_only_if_there_is_one():
    without, with_one = (reliability_figure(many_letters(reject_below=limit)) for limit in (0.0, 0.4))
    labels = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (without, with_one)]
    assert [sum("rejected" in one for one in some) for some in labels] == [0, 1]
