"""Any Keras classifier opens: files of Keras 3 and 2, other forms of inputs and outputs, and layers of a user's own."""

import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.train.custom import use_custom
from lettercast.train.open_keras import load_keras, read_network
from lettercast.train.predict import open_any, open_keras, open_model
from lettercast.train.wrap import as_classifier

KERAS_2 = Path(__file__).with_name("keras2")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_objects_of_other_tests():
    known = keras.saving.get_custom_objects()
    before = dict(known)
    yield
    known.clear()
    known.update(before)


def small(*middle, image=(8, 8, 1), classes=3, last="softmax", name="small"):
    """A network of random weights, with biases that are not 0."""
    biased = keras.initializers.RandomNormal(seed=1)
    head = layers.Dense(classes, activation=last, bias_initializer=biased)
    return keras.Sequential([keras.Input(image), *middle, layers.Flatten(), head], name=name)


def pixels(*shape):
    return RNG.uniform(0, 1, shape).astype(np.float32)


# Files


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.HDF5", "renamed.keras"])
def test_a_model_of_keras_3_opens_under_every_ending(tmp_path, name):
    network = small(layers.Conv2D(4, 3, activation="relu"))
    saved = tmp_path / ("m.keras" if name == "m.keras" else "saved.h5")
    network.save(saved)
    path = saved.rename(tmp_path / name)
    images = pixels(5, 8, 8, 1)
    np.testing.assert_allclose(load_keras(path).predict(images, verbose=0), network.predict(images, verbose=0), atol=1e-6)
    assert open_model(path).facts.labels == ("0", "1", "2")


@pytest.mark.parametrize("name", ["teachable.h5", "teachable.keras", "transfer.h5", "rows.h5"])
def test_a_model_of_keras_2_answers_as_keras_2_did(name):
    # `make.py` beside the files says how Keras 2 made them and their answers.
    network = read_network(KERAS_2 / name)
    images = np.random.default_rng(1).uniform(0, 255 if name == "transfer.h5" else 1, (4, *network.input_shape[1:]))
    expected = np.load(KERAS_2 / "answers.npz")[name]
    # A layer of half precision rounds otherwise on other processors.
    np.testing.assert_allclose(network.predict(images, verbose=0), expected, atol=2e-3 if name == "rows.h5" else 1e-5, rtol=1e-5)
    assert np.ptp(expected, axis=0).min() > 1e-4


def test_an_operation_that_is_no_arithmetic_is_refused_by_its_name(tmp_path):
    import h5py

    path = tmp_path / "other.h5"
    path.write_bytes((KERAS_2 / "transfer.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"nn.bias_add"', '"io.read_file"')
    with pytest.raises(LettercastError, match=r"it uses tf.io.read_file outside of a layer, .*; Keras 2.15.0 saved it"):
        load_keras(path)


@pytest.mark.parametrize("name", ["code.keras", "code.h5"])
def test_code_inside_a_file_is_never_run(tmp_path, name):
    ran = tmp_path / "ran"
    mark = str(ran)
    network = small(layers.Lambda(lambda x: x + Path(mark).write_text(""), output_shape=(8, 8, 1)))
    network(pixels(1, 8, 8, 1))
    ran.unlink()
    network.save(tmp_path / name)
    ran.unlink(missing_ok=True)
    with pytest.raises(LettercastError, match="has a Lambda layer, which is code inside the file and is never run"):
        open_keras(tmp_path / name)
    assert not ran.exists()


def test_what_is_no_keras_model_is_refused_with_what_to_do(tmp_path):
    small().save_weights(tmp_path / "m.weights.h5")
    small().save(tmp_path / "whole.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[:-300])
    middle = len(whole) // 2
    (tmp_path / "hurt.keras").write_bytes(
        whole[:middle] + bytes(255 - byte for byte in whole[middle:][:64]) + whole[middle + 64 :]
    )
    (tmp_path / "hurt.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for name in ("m.tflite", "m.onnx", "m.pt", "m.pkl", "m.json", "text.keras"):
        (tmp_path / name).write_bytes(b"some bytes")
    with zipfile.ZipFile(tmp_path / "torch.keras", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    for name, extra in (("old", ["keras_metadata.pb"]), ("new", [])):
        (tmp_path / name).mkdir()
        for part in ("saved_model.pb", *extra):
            (tmp_path / name / part).write_bytes(b"")
    messages = {
        "m.weights.h5": r"holds weights and no layers; .* model.load_weights\('m.weights.h5'\) and model.save\('m.keras'\)",
        "cut.keras": r"cut.keras: not a .keras model, or a truncated one",
        "hurt.keras": r"hurt.keras: a damaged .keras model",
        "hurt.h5": r"hurt.h5: a damaged HDF5 file",
        "m.tflite": r"m.tflite: an exported model, which is not exported again",
        "m.onnx": r"m.onnx: an exported model",
        "m.pt": r"m.pt: a PyTorch model, and lettercast exports Keras models",
        "torch.keras": r"torch.keras: not a .keras model but a PyTorch model",
        "m.pkl": r"m.pkl: a pickle, which runs code when it is opened",
        "m.json": r"m.json: a description without weights; .*model_from_json",
        "text.keras": r"text.keras: not a .keras model",
        "old": r"a SavedModel of Keras 2.*; pip install tf_keras, then python -c \"import tf_keras; .*\.save\('old.h5'\)\"",
        "new": r"a SavedModel holds the graph of a network and not its Keras layers; .* model.save\('new.keras'\)",
        "gone.keras": r"gone.keras: no such file",
    }
    for name, message in messages.items():
        with pytest.raises(LettercastError, match=message):
            load_keras(tmp_path / name)


def test_a_file_of_a_newer_keras_says_what_to_install(tmp_path):
    small().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive, zipfile.ZipFile(tmp_path / "new.keras", "w") as newer:
        config = archive.read("config.json").replace(b'"Flatten"', b'"Unheard"')
        newer.writestr("config.json", config)
        newer.writestr("metadata.json", json.dumps({"keras_version": "99.1.0"}))
        newer.writestr("model.weights.h5", archive.read("model.weights.h5"))
    with pytest.raises(LettercastError, match=r"Keras 99.1.0 saved it and this is Keras .*: pip install -U keras"):
        load_keras(tmp_path / "new.keras")


# Inputs and outputs


def fixed_batch():
    inputs = keras.Input((8, 8, 1), batch_size=32)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Conv2D(2, 3)(inputs))))


def convolutional_head():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Softmax()(layers.Conv2D(3, 8)(inputs)))


def named_ends():
    inputs = keras.Input((8, 8, 1), name="image")
    return keras.Model({"image": inputs}, {"probabilities": layers.Dense(3, activation="softmax")(layers.Flatten()(inputs))})


@pytest.mark.parametrize(
    ("build", "image"),
    [
        (lambda: small(image=(8, 6)), (8, 6, 1)),
        (lambda: small(layers.LSTM(4), image=(8, 6)), (8, 6, 1)),
        (lambda: small(image=(64,)), (8, 8, 1)),
        (lambda: small(image=(192,)), (8, 8, 3)),
        (lambda: small(image=(1, 8, 6)), (8, 6, 1)),
        (lambda: small(image=(3, 8, 6)), (8, 6, 3)),
        (fixed_batch, (8, 8, 1)),
        (convolutional_head, (8, 8, 1)),
        (named_ends, (8, 8, 1)),
    ],
    ids=["no channels", "rows", "flat", "flat RGB", "grey first", "RGB first", "batch of 32", "1 x 1 head", "dict"],
)
def test_other_forms_of_images_become_images_with_channels(build, image):
    network = build()
    images = pixels(32, *image)
    form = network.inputs[0].shape[1:]
    taken = images.transpose(0, 3, 1, 2) if len(form) == 3 and form[0] in (1, 3) else images.reshape(32, *form)
    expected = network({"image": taken} if build is named_ends else taken)
    expected = np.asarray(expected["probabilities"] if build is named_ends else expected).reshape(32, 3)
    wrapped = as_classifier(Path("m.keras"), network)
    assert (wrapped.input_shape, wrapped.output_shape) == ((None, *image), (None, 3))
    # Another number of images than a batch of the network.
    np.testing.assert_allclose(wrapped.predict(images[:5], verbose=0), expected[:5], atol=1e-6)
    assert as_classifier(Path("m.keras"), wrapped) is wrapped


def sigmoid_operation():
    network = small(classes=1, last=None)
    return keras.Model(network.inputs[0], keras.ops.sigmoid(network.outputs[0]))


@pytest.mark.parametrize(
    ("build", "is_probability"),
    [
        (lambda: small(classes=1, last="sigmoid"), True),
        (lambda: small(classes=1, last="hard_sigmoid"), True),
        (sigmoid_operation, True),
        (lambda: keras.Sequential([small(classes=1, last="sigmoid"), layers.Dropout(0.5)]), True),
        (lambda: small(classes=1, last=lambda x: keras.ops.clip(x, 0, 1)), True),
        (lambda: small(classes=1, last=None), False),
        (lambda: small(classes=1, last="tanh"), False),
    ],
    ids=["sigmoid", "hard sigmoid", "operation", "nested", "function", "logit", "tanh"],
)
def test_one_output_becomes_two_classes_of_which_the_second_is_the_output(build, is_probability, capsys):
    network = build()
    images = pixels(6, 8, 8, 1)
    output = np.asarray(network(images))[:, 0]
    probability = output if is_probability else 1 / (1 + np.exp(-output))
    engine = open_any(network)
    assert engine.facts.labels == ("0", "1")
    rows = as_classifier(Path("m.keras"), network).predict(images, verbose=0)
    np.testing.assert_allclose(rows, np.stack([1 - probability, probability], 1), atol=1e-6)


def test_you_are_told_what_is_added_to_a_model(capsys):
    as_classifier(Path("cats.keras"), small(image=(8, 6), classes=1, last=None))
    as_classifier(Path("tags.keras"), small(last="sigmoid"))
    said = capsys.readouterr().err
    assert "cats: the model takes (8, 6); images (8, 6, 1) are given to it as (8, 6)" in said
    assert "cats: the model has one output without a sigmoid, which gets one to give p; its two classes have" in said
    assert "tags: each of the 3 outputs is a sigmoid by itself, so the probabilities do not sum to 1" in said


def refused_networks():
    image, free, deep = keras.Input((8, 8, 1)), keras.Input((None, None, 3)), keras.Input((8, 8, 4))
    few = layers.Dense(3)(layers.Flatten()(image))
    planes = keras.Input((3, 8, 8))
    first = layers.Conv2D(2, 3, data_format="channels_first")(planes)
    return {
        "has 1 inputs and 2 outputs": keras.Model(image, [few, layers.Flatten()(image)]),
        "has 2 inputs and 1 outputs": keras.Model(
            [image, deep], layers.Dense(3)(layers.Flatten()(layers.Concatenate()([image, deep])))
        ),
        "takes (10,), not grey or RGB images": small(image=(10,)),
        "takes 80 numbers, which are no square image": small(image=(80,)),
        "takes images of 4 channels (8, 8, 4), not grey or RGB images": keras.Model(
            deep, layers.Dense(3)(layers.Flatten()(deep))
        ),
        "takes (4, 8, 8, 3), not grey or RGB images": small(image=(4, 8, 8, 3)),
        "takes images of any size (None, None, 3); keras.Sequential([keras.Input((96, 96, 3)), model])": keras.Model(
            free, layers.Dense(3)(layers.GlobalAveragePooling2D()(free))
        ),
        "takes (3, 8, 8), channels first": keras.Model(planes, layers.Dense(3)(layers.Flatten()(first))),
        "returns (8, 8, 3), not one probability for each class": keras.Model(image, layers.Conv2D(3, 1)(image)),
        "has one output with a softmax, which gives 1 for every image": small(classes=1),
    }


@pytest.mark.parametrize("reason", refused_networks())
def test_networks_that_do_not_classify_one_image_are_refused_with_the_reason(tmp_path, reason):
    network = refused_networks()[reason]
    network.save(tmp_path / "m.keras")
    with pytest.raises(LettercastError, match=re.escape(reason)):
        open_keras(tmp_path / "m.keras")
    with pytest.raises(LettercastError, match=re.escape(reason)):
        open_any(network)


def test_the_advice_for_images_of_any_size_opens_the_model(tmp_path):
    free = keras.Input((None, None, 3))
    model = keras.Model(free, layers.Dense(3)(layers.GlobalAveragePooling2D()(free)))
    keras.Sequential([keras.Input((96, 96, 3)), model]).save(tmp_path / "m-96.keras")
    assert open_keras(tmp_path / "m-96.keras").facts.input_shape == (96, 96, 3)


# Layers of a user's own

OWN = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class Gate(keras.layers.Layer):
    def call(self, x):
        return 2 * x

class Plain(keras.layers.Layer):
    def call(self, x):
        return 3 * x

def wave(x):
    return x * keras.ops.sigmoid(1.5 * x)
"""


@pytest.fixture
def own_code(tmp_path):
    """A Python file of layers, and a function that makes a network of one of them as the file does, without registering it."""
    path = tmp_path / "own_layers.py"
    path.write_text(OWN)
    names: dict = {}
    exec(OWN, names)
    keras.saving.get_custom_objects().clear()
    return path, names


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("kind", ["Gate", "Plain", "wave"])
def test_a_model_with_layers_of_its_own_opens_with_the_file_that_defines_them(tmp_path, own_code, kind, ending):
    path, names = own_code
    middle = layers.Activation(names["wave"]) if kind == "wave" else names[kind]()
    network = small(middle)
    network.save(tmp_path / f"own.{ending}")
    with pytest.raises(
        LettercastError, match=rf"own.{ending}: needs (mine>)?{kind}, which is not a part of Keras; .*--custom FILE.py"
    ):
        load_keras(tmp_path / f"own.{ending}")
    use_custom(path)
    images = pixels(4, 8, 8, 1)
    opened = load_keras(tmp_path / f"own.{ending}")
    np.testing.assert_allclose(opened.predict(images, verbose=0), network.predict(images, verbose=0), atol=1e-6)


def test_a_module_is_imported_by_its_dotted_name_from_the_current_folder(tmp_path, own_code, monkeypatch):
    (tmp_path / "parts").mkdir()
    own_code[0].rename(tmp_path / "parts" / "own.py")
    monkeypatch.chdir(tmp_path)
    use_custom("parts.own")
    assert keras.saving.get_registered_object("mine>Gate").__module__ == "parts.own"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\nraise OSError('no camera')", "line 2: OSError: no camera; mend it"),
        ("def f(:\n", "line 1: SyntaxError: invalid syntax"),
        ("import nowhere_at_all", "line 1: No module named 'nowhere_at_all'; install it"),
        ("x = 1\n\nopen('gone.txt')", "line 3: .*No such file or directory: 'gone.txt'"),
        ("import sys; sys.exit(3)", "line 1: SystemExit: 3"),
    ],
)
def test_a_file_of_layers_that_cannot_be_imported_is_refused_with_its_line(tmp_path, code, message):
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(LettercastError, match=rf"--custom .*own.py: {message}"):
        use_custom(tmp_path / "own.py")


@pytest.mark.parametrize(
    ("name", "message"), [("gone.py", "no such file; name the Python file"), ("gone_away", "no such module; name a Python file")]
)
def test_a_file_of_layers_that_is_missing_is_named(name, message):
    with pytest.raises(LettercastError, match=rf"--custom {name}: {message}"):
        use_custom(name)


def test_what_a_file_of_layers_prints_does_not_reach_stdout(tmp_path, capsys):
    (tmp_path / "own.py").write_text("print('hello')")
    use_custom(tmp_path / "own.py")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")
