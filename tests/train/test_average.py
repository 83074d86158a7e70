"""Averages of the weights of two models."""

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.model.facts import keras_facts
from lettercast.train.average import average, main
from lettercast.train.network import build_network, with_classes
from lettercast.train.predict import load_keras, save_keras


def test_average_lies_between_both_models():
    keras.utils.set_random_seed(1)
    first, second = build_network("nano", 3), build_network("nano", 3)
    ours, theirs = first.get_weights(), second.get_weights()
    mean = average(first, second, 0.25).get_weights()
    for weight, our, their in zip(mean, ours, theirs, strict=True):
        np.testing.assert_allclose(weight, 0.75 * our + 0.25 * their, atol=1e-6)


@pytest.mark.parametrize("share", [0, 1])
def test_ends_are_the_models_themselves(share):
    models = [build_network("nano", 3), build_network("nano", 3)]
    kept = models[share].get_weights()
    for weight, expected in zip(average(*models, share).get_weights(), kept, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_the_command_writes_a_model_that_says_how_it_was_made(run_folder, model_file, tmp_path, capsys):
    out = tmp_path / "letters-mean.keras"
    assert main([str(model_file), str(model_file), "--share", "0.5", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    facts = keras_facts(out)
    assert (facts.name, facts.labels) == ("letters-mean", keras_facts(model_file).labels)
    words = f"{model_file.name} {model_file.name} --share 0.5 --out letters-mean.keras"
    assert facts.made["command"] == f"python -m lettercast.train.average {words}"
    assert facts.made["before"] == keras_facts(model_file).made["command"]
    images = np.zeros((1, 28, 28, 1), np.uint8)
    np.testing.assert_allclose(load_keras(out)(images), load_keras(model_file)(images), atol=1e-6)


def test_validation_letters_calibrate_the_mean_anew(model_file, strokes_file, tmp_path):
    plain, calibrated = tmp_path / "plain.keras", tmp_path / "calibrated.keras"
    words = [str(model_file), str(model_file), "--share", "0.5"]
    assert main([*words, "--out", str(plain)]) == main([*words, "--val", str(strokes_file), "--out", str(calibrated)]) == 0
    before, after = keras_facts(plain), keras_facts(calibrated)
    assert before.reject_below != after.reject_below
    assert " --val strokes.npz " in after.made["command"]


def test_models_that_do_not_belong_together_are_refused():
    with pytest.raises(LettercastError, match="has other layers than letters_nano; give a model that was trained from it"):
        average(build_network("nano", 3), build_network("base", 3), 0.5)
    with pytest.raises(LettercastError, match="--share 2: must be a share from 0 to 1"):
        average(build_network("nano", 3), build_network("nano", 3), 2)


def test_models_of_other_classes_are_refused_in_one_line(model_file, tmp_path, capsys):
    other, out = tmp_path / "other.keras", tmp_path / "mean.keras"
    facts = keras_facts(model_file)
    save_keras(with_classes(load_keras(model_file), facts.labels, ("x", "y")), other)
    assert main([str(model_file), str(other), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "has other classes than" in error
    assert error.count("\n") == 1
    assert not out.exists()
