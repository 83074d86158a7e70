"""Models for apps: all that comes before the network is in the graph."""

import json
import string
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from lettercast import LettercastError
from lettercast.export import tflite
from lettercast.export.formats import FORMATS
from lettercast.export.mobile import take_rgb
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import PHOTOS, PICTURES, Facts, tflite_facts
from lettercast.runtime.reader import Reader
from lettercast.train.data.drawing import PHOTO_PX

CAPITALS = "ABCEFGHKMNRSTWXYZ"


@pytest.fixture(scope="module")
def read(mobile_base):
    """A function that names the letters of square RGB pictures of any size."""
    engine = open_engine(mobile_base)

    def answer(pictures) -> str:
        scaled = [cv2.resize(picture, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_LINEAR) for picture in pictures]
        rows = engine(np.stack(scaled))
        assert rows.sum(1) == pytest.approx(1, abs=1e-3)
        return "".join(engine.facts.labels[i] for i in rows.argmax(1))

    return answer


def test_the_graph_takes_rgb_bytes_and_gives_probabilities(mobile_base):
    interpreter = Interpreter(str(mobile_base))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (tuple(source["shape"]), source["dtype"]) == ((1, PHOTO_PX, PHOTO_PX, 3), np.uint8)
    assert (tuple(target["shape"]), target["dtype"]) == ((1, 26), np.float32)


def test_every_operation_is_one_of_the_interpreters_own(mobile_base):
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mobile_base.read_bytes(), 0))
    own = {value for name, value in vars(schema.BuiltinOperator).items() if name not in ("CUSTOM", "DELEGATE")}
    assert {code.builtinCode for code in model.operatorCodes} <= own


@pytest.mark.parametrize("is_light", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"side": 40},
        {"side": 900, "share": 0.4, "pen_share": 0.07},
        {"share": 0.25, "at": (0.05, 0.9)},
        {"share": 0.85, "pen_share": 0.06},
        {"pen_share": 0.18, "share": 0.7},
        {"paper": 120, "ink": 80},
    ],
)
def test_letters_are_named_in_any_size_place_pen_and_polarity(read, photograph, how, is_light):
    pictures = [photograph(letter, **how) for letter in CAPITALS]
    if is_light:
        pictures = [255 - picture for picture in pictures]
    assert sum(a == b for a, b in zip(read(pictures), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_a_shadow_and_grain_do_not_hide_the_letter(read, photograph):
    rng = np.random.default_rng(1)
    shade = np.linspace(1, 0.4, 200)[:, None, None]
    pictures = [
        np.clip(photograph(letter) * shade + rng.normal(0, 8, (200, 200, 3)), 0, 255).astype(np.uint8) for letter in CAPITALS
    ]
    assert sum(a == b for a, b in zip(read(pictures), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_specks_beside_the_letter_do_not_move_its_box(read, photograph):
    pictures = [photograph(letter, share=0.4) for letter in CAPITALS]
    for picture in pictures:
        picture[8:11, 8:11] = picture[190:193, 180:183] = 40
    assert sum(a == b for a, b in zip(read(pictures), CAPITALS, strict=True)) >= len(CAPITALS) - 1


@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_blank_picture_gives_numbers(read, grey):
    (letter,) = read([np.full((50, 50, 3), grey, np.uint8)])
    assert letter in string.ascii_uppercase


def test_coloured_ink_on_coloured_paper_is_grey_by_its_brightness(read, photograph):
    paper, ink = [200, 220, 255], [150, 30, 30]
    pictures = [np.where(photograph(letter)[..., :1] < 130, ink, paper).astype(np.uint8) for letter in CAPITALS]
    assert sum(a == b for a, b in zip(read(pictures), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_facts_say_what_the_file_takes(mobile_base):
    facts = tflite_facts(mobile_base, mobile_base.read_bytes())
    assert (facts.takes, facts.input_shape, len(facts.labels)) == (PHOTOS, (PHOTO_PX, PHOTO_PX, 3), 26)


def test_the_reader_of_pages_names_the_format_to_take(mobile_base):
    with pytest.raises(
        LettercastError, match="made for apps, which show it one letter at a time; to read pages take its tflite-int8"
    ):
        Reader(mobile_base)


def test_it_is_evaluated_on_photographs(lettercast, exported, strokes_file):
    code, out, _ = lettercast("evaluate", exported["tflite-mobile"], "--data", strokes_file, "--json")
    same = lettercast("evaluate", exported["tflite-int8"], "--data", strokes_file, "--json")
    assert (code, same[0]) == (0, 0)
    assert json.loads(out)["accuracy"] == pytest.approx(json.loads(same[1])["accuracy"], abs=0.03)


def own_model(channels: int) -> tuple[keras.Model, Facts]:
    """A model of 12 x 20 pictures that tells how bright they are, by channel, and its facts."""
    inputs = keras.Input((12, 20, channels))
    means = keras.layers.Rescaling(1 / 255)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Concatenate()([means, 1 - means])))
    labels = tuple(map(str, range(2 * channels)))
    return model, Facts("own", "keras", labels, (12, 20, channels), "float32", takes=PICTURES)


def answers(model: keras.Model, facts: Facts, picture: np.ndarray, tmp_path) -> np.ndarray:
    row = FORMATS["tflite-mobile"]
    path = tmp_path / "own.tflite"
    network, facts = take_rgb(model, replace(facts, format=row.name, input_dtype=row.input_dtype))
    path.write_bytes(row.embed(tflite.dynamic(network, picture[:0]), facts))
    return open_engine(path)(picture)


@pytest.fixture
def colours() -> np.ndarray:
    return np.full((1, 12, 20, 3), (250, 100, 20), np.uint8)


def test_any_other_model_of_colours_gets_the_picture_as_it_is(colours, tmp_path):
    model, facts = own_model(3)
    np.testing.assert_allclose(answers(model, facts, colours, tmp_path), model.predict(colours, verbose=0), atol=1e-4)


def test_any_other_model_of_one_channel_gets_the_grey(colours, tmp_path):
    model, facts = own_model(1)
    grey = np.full((1, 12, 20, 1), 0.299 * 250 + 0.587 * 100 + 0.114 * 20, np.float32)
    np.testing.assert_allclose(answers(model, facts, colours, tmp_path), model.predict(grey, verbose=0), atol=1e-4)


def test_a_model_of_other_channels_is_refused():
    model, facts = own_model(2)
    with pytest.raises(LettercastError, match="pictures of 2 channels; apps give RGB"):
        take_rgb(model, facts)
