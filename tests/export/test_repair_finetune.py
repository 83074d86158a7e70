"""Fine-tuning makes a network that rounds agree with its original, the same to the bit each time, and keeps the best epoch."""

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.export.convert.network import for_inference
from lettercast.export.repair.finetune import finetune, open_images
from lettercast.export.repair.fold import folded
from lettercast.export.repair.simulate import INT8, Levels, Simulated, rounded_weights, steps_between
from lettercast.train.predict import assumed_facts, classify

# Weights of -1, 0 and 1.
TERNARY = Levels(1)


@pytest.fixture(scope="module")
def images(digits) -> np.ndarray:
    return np.load(digits / "digits.npz")["image"][:600, ..., None]


@pytest.fixture(scope="module")
def network(digits) -> keras.Model:
    """A classifier of digits from pixels 0..255 to probabilities, with a batch normalization."""
    source = keras.Input((8, 8, 1), name="pixels")
    body = keras.saving.load_model(digits / "digits.keras", compile=False)
    value = layers.BatchNormalization(name="norm", epsilon=1e-9)(layers.Conv2D(1, 1, name="first")(source))
    made = keras.Model(source, layers.Softmax()(body(value)), name="digits")
    made.get_layer("first").set_weights([np.full((1, 1, 1, 1), 2 / 255), np.ones(1)])
    made.get_layer("norm").set_weights([np.ones(1), np.zeros(1), np.ones(1), np.full(1, 4.0)])
    return made


def agreement(network: keras.Model, plain: keras.Model, images: np.ndarray, levels: Levels) -> float:
    """Return how often the original and a network that rounds agree, in percent."""
    rounded = Simulated(plain, levels)
    rounded.calibrate(images)
    return 100 * float((classify(network, images).argmax(1) == classify(rounded, images).argmax(1)).mean())


@pytest.fixture(scope="module")
def tuned(network, images):
    lines = []
    result = finetune(network, images, images[:100], levels=TERNARY, epochs=4, rate=0.3, report=lines.append)
    return result, lines


def test_training_raises_the_agreement_of_a_coarse_network(network, images, tuned, digits):
    result, _ = tuned
    unseen = np.load(digits / "digits.npz")["image"][1300:, ..., None]
    before, after = (agreement(network, plain, unseen, TERNARY) for plain in (folded(network), result.network))
    assert before < 90
    assert after > before + 5
    assert result.best.agreement > result.history[0].agreement


def test_the_result_is_a_plain_network_with_the_same_names(network, tuned):
    result, _ = tuned
    names = [layer.name for layer in network._flatten_layers(include_self=False)]
    assert [layer.name for layer in result.network._flatten_layers(include_self=False)] == [
        name for name in names if name != "norm"
    ]
    assert for_inference(result.network) is result.network


def test_the_original_stays_as_it_is(network, images):
    before = network.get_weights()
    finetune(network, images[:100], images[:50], epochs=1)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_runs_give_the_same_weights_to_the_bit(network, images, tuned):
    result, _ = tuned
    again = finetune(network, images, images[:100], levels=TERNARY, epochs=4, rate=0.3)
    assert again.history == result.history
    for one, other in zip(again.network.get_weights(), result.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_that_cannot_be_copied_do_not_change_in_the_original(images):
    class Scaled(layers.Layer):
        """A layer whose configuration lacks what its constructor needs."""

        def __init__(self, factor: float):
            super().__init__()
            self.kernel = self.add_weight(shape=(), initializer=keras.initializers.Constant(factor))

        def call(self, inputs):
            return inputs * self.kernel

    source = keras.Input((8, 8, 1))
    value = layers.Conv2D(4, 3, strides=3)(Scaled(1 / 255)(source))
    network = keras.Model(source, layers.Dense(3, activation="softmax")(layers.Flatten()(value)))
    before = network.get_weights()
    result = finetune(network, images, images[:50], levels=TERNARY, epochs=2, rate=0.3)
    assert result.best.number > 0
    assert any((one != other).any() for one, other in zip(before, result.network.get_weights(), strict=True))
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_weights(network, images):
    some = [finetune(network, images, images[:50], epochs=1, rate=0.3, levels=TERNARY, seed=seed) for seed in (1, 2)]
    assert any((one != other).any() for one, other in zip(*(one.network.get_weights() for one in some), strict=True))


def test_progress_names_epochs_and_agreement(tuned):
    _, lines = tuned
    assert "epoch 1 of 4" in lines[1]
    assert "min left" in lines[2]
    assert lines[-1].startswith("epoch ")


def test_training_that_only_harms_keeps_the_original(network, images):
    result = finetune(network, images[:200], images[:50], epochs=1, rate=300.0)
    assert result.best.number == 0
    for one, other in zip(result.network.get_weights(), folded(network).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ctrl_c_keeps_the_best_epoch_so_far(network, images):
    def interrupt(line: str) -> None:
        if "epoch 3" in line:
            # What Ctrl-C sends; it arrives once the training of this epoch listens.
            raise KeyboardInterrupt

    result = finetune(network, images, images[:100], levels=TERNARY, epochs=9, rate=0.3, report=interrupt)
    assert result.was_interrupted
    assert [epoch.number for epoch in result.history] == [0, 1, 2]
    assert result.best == min(result.history, key=lambda epoch: epoch.divergence)
    assert agreement(network, result.network, images, TERNARY) > agreement(network, folded(network), images, TERNARY)


def test_ctrl_c_within_an_epoch_ends_it(network, images):
    class Interrupting(np.ndarray):
        """Images that send Ctrl-C when a batch of them is taken."""

        def astype(self, *args, **settings):
            if len(self) == 50 and not sent:
                sent.append(True)
                os.kill(os.getpid(), signal.SIGINT)
            return np.asarray(self).astype(*args, **settings)

    sent: list[bool] = []
    result = finetune(network, images.view(Interrupting), images[:50], levels=TERNARY, epochs=9)
    assert sent
    assert result.was_interrupted
    assert [epoch.number for epoch in result.history] == [0]


def test_a_loss_without_a_number_is_one_line(network, images):
    with pytest.raises(LettercastError, match=r"is infinite or NaN in epoch 1; .* a lower rate than 1e\+30"):
        finetune(network, images[:200], images[:50], epochs=2, rate=1e30)


def test_too_few_images_are_refused(network, images):
    with pytest.raises(LettercastError, match="has 40 images, and training needs at least 100"):
        finetune(network, images[:40], images[:40])


@pytest.fixture(scope="module")
def original(network, digits, tmp_path_factory) -> SimpleNamespace:
    facts = replace(assumed_facts(digits / "digits.keras", network), labels=tuple("0123456789"), takes="pictures")
    data = np.load(digits / "digits.npz")
    return SimpleNamespace(facts=facts, images=data["image"][data["split"] == 2][..., None])


def test_data_is_opened_as_it_is_for_training(original, digits):
    images, source = open_images(digits / "digits.npz", original, n=300)
    assert images.shape == (300, 8, 8, 1)
    assert images.dtype == np.uint8
    assert source.split == "train"
    again, _ = open_images(digits / "digits.npz", original, n=300)
    np.testing.assert_array_equal(images, again)


def test_all_images_are_taken_if_there_are_fewer(original, digits):
    assert len(open_images(digits / "digits.npz", original, n=10**6)[0]) == 1200


def test_images_of_other_classes_are_refused(original, images):
    with pytest.raises(LettercastError, match=r"--finetune arrays: has 2 classes, 'apple', 'pear', and the model 10 outputs"):
        open_images((images[:2], np.array(["apple", "pear"])), original)


def test_images_of_the_check_set_are_refused(original, digits):
    data = np.load(digits / "digits.npz")
    with pytest.raises(LettercastError, match=r"images are in --finetune arrays, too"):
        open_images((data["image"], data["label"], list("0123456789")), original)


def test_weights_are_rounded_per_channel_with_the_gradient_of_the_weights():
    weights = np.array([[0.5, 10.0], [-1.0, -2.6]], np.float32)
    rounded = keras.ops.convert_to_numpy(rounded_weights(keras.ops.convert_to_tensor(weights), (0,), 2))
    np.testing.assert_allclose(rounded, [[0.5, 10.0], [-1.0, -5.0]], atol=1e-6)


def test_zero_is_a_step_of_every_range():
    for low, high in ((-0.37, 2.1), (1.0, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        first, scale = steps_between(low, high)
        assert abs(first / scale - round(first / scale)) < 1e-9
        assert first <= max(0, low) + scale
        assert first + 255 * scale >= high - scale


def test_simulated_answers_are_those_of_the_tflite_file(network, images):
    import ai_edge_litert.interpreter as litert

    from lettercast.export.repair.recipe import Recipe
    from lettercast.export.repair.tflite_layers import open_tflite

    rounded = Simulated(folded(network), Levels(INT8))
    rounded.calibrate(images[:200])
    file = open_tflite(network, images[:200]).build(Recipe("tflite-int8", ""))
    runner = litert.Interpreter(model_content=file)
    runner.allocate_tensors()
    (source,), (target,) = runner.get_input_details(), runner.get_output_details()
    answers = []
    for image in images[:100]:
        runner.set_tensor(source["index"], image[None])
        runner.invoke()
        answers.append(runner.get_tensor(target["index"])[0] / 256)
    assert np.abs(np.array(answers) - classify(rounded, images[:100])).max() < 0.02
