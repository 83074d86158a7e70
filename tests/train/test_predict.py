"""One interface for every kind of model."""

import resource
import signal
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.runtime.model.facts import Facts, keras_facts
from lettercast.train.data.source import LETTERS, draw_some
from lettercast.train.network import build_network
from lettercast.train.predict import model_facts, open_any, open_keras, open_model, open_teacher, save_keras

FACTS = Facts("letters-x", "keras", ("G", "I", "L"), (28, 28, 1), "float32", made={"seed": 5}, versions={"keras": "3.8"})


@pytest.fixture
def own_model(tmp_path):
    """Return a function that saves a user's own model, without facts, and returns its path."""

    def save(classes: int, inputs: int = 1) -> Path:
        pixels = [keras.Input((28, 28, 1)) for _ in range(inputs)]
        flat = layers.Flatten()(layers.Add()(pixels) if inputs > 1 else pixels[0])
        model = keras.Model(pixels, layers.Dense(classes, activation="softmax")(flat))
        model.save(tmp_path / "own.keras")
        return tmp_path / "own.keras"

    return save


def test_engine_returns_the_probabilities_of_keras(model_file, check_source):
    pictures = draw_some(check_source, range(40), None)
    expected = keras.saving.load_model(model_file).predict(pictures, verbose=0)
    np.testing.assert_allclose(open_keras(model_file)(pictures), expected, atol=1e-6)


def test_suffixes_decide_the_engine(model_file, exported):
    assert open_model(model_file).name.startswith("keras ")
    assert open_model(exported["tflite-int8"]).name.startswith("ai-edge-litert ")
    assert open_model(exported["onnx-int8"]).name.startswith("onnxruntime ")


@pytest.mark.parametrize(("classes", "labels"), [(26, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), (3, ("0", "1", "2"))])
def test_model_without_facts_has_letters_or_numbers(own_model, classes, labels):
    facts = open_keras(own_model(classes)).facts
    assert (facts.labels, facts.input_shape, facts.name) == (labels, (28, 28, 1), "own")


def test_model_of_two_inputs_is_refused(own_model):
    with pytest.raises(LettercastError, match="needs one input of images"):
        open_keras(own_model(26, inputs=2))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_keras_file_is_refused(model_file, tmp_path, share):
    whole = model_file.read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match=r"cut.keras"):
        open_model(path)


@pytest.mark.parametrize("name", ["gone.keras", "gone.tflite", "gone.onnx", "gone.h5", "gone"])
def test_file_that_is_not_a_model_is_named(tmp_path, name):
    with pytest.raises(LettercastError, match=name):
        open_model(tmp_path / name)


def test_teacher_answers_as_its_model_does(model_file, check_source):
    pictures = draw_some(check_source, range(128), None)
    answer = open_teacher([model_file], check_source.classes)
    np.testing.assert_allclose(answer(pictures, check_source.labels[:128]), open_keras(model_file)(pictures), atol=1e-5)


def test_teacher_answers_several_threads_at_once(model_file, check_source):
    pictures = draw_some(check_source, range(512), None)
    answer, parts, labels = open_teacher([model_file], check_source.classes), np.split(pictures, 4), np.zeros((4, 128), int)
    with ThreadPoolExecutor(4) as threads:
        answers = np.concatenate(list(threads.map(answer, parts, labels)))
    np.testing.assert_allclose(answers, open_keras(model_file)(pictures), atol=1e-5)


def test_teacher_of_other_classes_is_refused(model_file):
    with pytest.raises(LettercastError, match=r"model.keras: knows A B .*, but the letters are 0 1"):
        open_teacher([model_file], ("0", "1"))


def test_teacher_that_lacks_classes_teaches_those_that_it_knows(model_file, check_source):
    pictures, labels = draw_some(check_source, range(30), None), check_source.labels[:30]
    answer = open_teacher([model_file], ("0", "1", *check_source.classes))
    np.testing.assert_allclose(answer(pictures, labels + 2)[:, 2:], open_keras(model_file)(pictures), atol=1e-5)


def test_label_is_the_answer_where_no_teacher_knows_it(model_file, check_source):
    answer = open_teacher([model_file], ("0", "1", *check_source.classes))
    answers = answer(draw_some(check_source, range(4), None), np.array([0, 1, 1, 0]))
    np.testing.assert_array_equal(answers, np.eye(28, dtype=np.float32)[[0, 1, 1, 0]])


def test_teacher_that_lacks_the_label_is_silent_beside_one_that_knows_it(model_file, own_model, check_source):
    pictures, classes = draw_some(check_source, range(10), None), ("0", "1", *check_source.classes)
    labels = np.zeros(10, int)
    digits = own_model(2)
    np.testing.assert_allclose(
        open_teacher([model_file, digits], classes)(pictures, labels)[:, :2], open_keras(digits)(pictures), atol=1e-5
    )


def test_several_teachers_answer_with_a_mean_that_trusts_those_most_that_know_the_label(model_file, own_model, check_source):
    pictures, labels = draw_some(check_source, range(30), None), check_source.labels[:30]
    both = [model_file, own_model(26)]
    one, other = (open_keras(path)(pictures) for path in both)
    trust, doubt = (rows[range(30), labels] + 1e-6 for rows in (one, other))
    mean = (trust[:, None] * one + doubt[:, None] * other) / (trust + doubt)[:, None]
    answers = open_teacher(both, check_source.classes)(pictures, labels)
    np.testing.assert_allclose(answers, mean, atol=1e-5)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)


def test_labels_come_from_the_facts_or_are_assumed(model_file, own_model):
    assert model_facts(model_file).labels == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert model_facts(own_model(2)).labels == ("0", "1")


def test_model_is_saved_with_its_facts_and_keras_still_loads_it(tmp_path):
    network = build_network("nano", 3)
    save_keras(network, tmp_path / "m.keras", FACTS)
    assert keras_facts(tmp_path / "m.keras") == FACTS
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], network.get_weights()[0])
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_saving_again_replaces_the_facts(tmp_path):
    network = build_network("nano", 3)
    for name in ("one", "two"):
        save_keras(network, tmp_path / "m.keras", replace(FACTS, name=name))
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist().count("lettercast.json") == 1
    assert keras_facts(tmp_path / "m.keras").name == "two"


def test_model_that_cannot_be_saved_leaves_the_old_one_and_no_partial_file(tmp_path):
    network = build_network("nano", 3)
    save_keras(network, tmp_path / "m.keras", FACTS)
    before = (tmp_path / "m.keras").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(LettercastError, match=r"m.keras: File too large; make room, or choose another folder"):
            save_keras(network, tmp_path / "m.keras", FACTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]
    assert (tmp_path / "m.keras").read_bytes() == before


def test_teacher_of_other_images_is_refused(tmp_path):
    pixels = keras.Input((32, 32, 1))
    keras.Model(pixels, layers.Dense(26, activation="softmax")(layers.Flatten()(pixels))).save(tmp_path / "big.keras")
    with pytest.raises(LettercastError, match=r"big.keras: takes \(32, 32, 1\) images, but letters are \(28, 28, 1\)"):
        open_teacher([tmp_path / "big.keras"], LETTERS)


@pytest.mark.parametrize(("at", "value"), [(6, 1), (8, 99)], ids=["encrypted", "an unknown compression"])
def test_archive_with_a_false_header_is_refused(model_file, tmp_path, at, value):
    raw = bytearray(model_file.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + at + 2] = value
    (tmp_path / "false.keras").write_bytes(raw)
    with pytest.raises(LettercastError, match=r"false.keras"):
        open_keras(tmp_path / "false.keras")


def test_a_model_that_gives_logits_is_evaluated_by_its_probabilities():
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    images = np.random.default_rng(0).integers(0, 4, (5, 4, 4, 1), dtype=np.uint8)
    logits = network.predict(images, verbose=0)
    rows = open_any(network)(images)
    assert rows.sum(1) == pytest.approx(1)
    assert np.log(rows) - logits == pytest.approx(np.tile((np.log(rows) - logits)[:, :1], 3), abs=1e-3)
