"""Files for apps: the graph finds, cuts out and scales the letter itself, and the file carries the standard metadata."""

import json
import string
import zipfile
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from lettercast import LettercastError
from lettercast.export.convert import tflite
from lettercast.export.convert.mobile import METADATA_KEY, embed_mobile, take_rgb, to_glyph, to_gray
from lettercast.export.formats import FORMATS
from lettercast.runtime.classifier import Classifier
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import FACTS_KEY, PHOTOS, PICTURES, Facts, tflite_facts
from lettercast.runtime.page.ink import letter_ink
from lettercast.runtime.reader import Reader
from lettercast.train.data.drawing import PHOTO_PX
from lettercast.train.evaluation import evaluate

CAPITALS = "ABCEFGHKMNRSTWXYZ"


@pytest.fixture(scope="module")
def read(mobile_base):
    """Return a function that names the letters in square RGB images of any size."""
    engine = open_engine(mobile_base)

    def answer(images) -> str:
        scaled = [cv2.resize(image, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_LINEAR) for image in images]
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


def test_every_operation_is_built_into_the_interpreter(mobile_base):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mobile_base.read_bytes(), 0))
    own = {value for name, value in vars(schema.BuiltinOperator).items() if name not in ("CUSTOM", "DELEGATE")}
    assert {code.builtinCode for code in model.operatorCodes} <= own


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
def test_letters_are_named_in_any_size_place_pen_and_polarity(read, photograph, how):
    dark = [photograph(letter, **how) for letter in CAPITALS]
    for images in (dark, [255 - image for image in dark]):
        assert sum(a == b for a, b in zip(read(images), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_a_shadow_and_grain_do_not_hide_the_letter(read, photograph):
    rng = np.random.default_rng(1)
    shade = np.linspace(1, 0.4, 200)[:, None, None]
    images = [
        np.clip(photograph(letter) * shade + rng.normal(0, 8, (200, 200, 3)), 0, 255).astype(np.uint8) for letter in CAPITALS
    ]
    assert sum(a == b for a, b in zip(read(images), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_specks_beside_the_letter_do_not_change_its_label(read, photograph):
    images = [photograph(letter, share=0.4) for letter in CAPITALS]
    for image in images:
        image[8:11, 8:11] = image[190:193, 180:183] = 40
    assert sum(a == b for a, b in zip(read(images), CAPITALS, strict=True)) >= len(CAPITALS) - 1


@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_blank_image_gives_probabilities(read, grey):
    (letter,) = read([np.full((50, 50, 3), grey, np.uint8)])
    assert letter in string.ascii_uppercase


def test_coloured_ink_on_coloured_paper_is_grey_by_its_brightness(read, photograph):
    paper, ink = [200, 220, 255], [150, 30, 30]
    images = [np.where(photograph(letter)[..., :1] < 130, ink, paper).astype(np.uint8) for letter in CAPITALS]
    assert sum(a == b for a, b in zip(read(images), CAPITALS, strict=True)) >= len(CAPITALS) - 1


def test_the_facts_say_which_images_the_file_takes(mobile_base):
    facts = tflite_facts(mobile_base, mobile_base.read_bytes())
    assert (facts.takes, facts.input_shape, len(facts.labels)) == (PHOTOS, (PHOTO_PX, PHOTO_PX, 3), 26)


def test_the_reader_of_pages_names_the_format_to_take(mobile_base):
    with pytest.raises(LettercastError, match="takes one letter at a time; use `lettercast classify`, or the tflite-int8 export"):
        Reader(mobile_base)


def test_it_is_evaluated_on_photographs(lettercast, exported, strokes_file):
    code, out, _ = lettercast("evaluate", exported["tflite-mobile"], "--data", strokes_file, "--split", "val", "--json")
    same = lettercast("evaluate", exported["tflite-int8"], "--data", strokes_file, "--split", "val", "--json")
    assert (code, same[0]) == (0, 0)
    assert json.loads(out)["accuracy"] == pytest.approx(json.loads(same[1])["accuracy"], abs=0.03)


def test_a_folder_of_photographs_is_evaluated_as_an_app_sees_them(mobile_base, photograph, tmp_path):
    for letter in "KR":
        (tmp_path / letter).mkdir()
        cv2.imwrite(str(tmp_path / letter / "square.png"), photograph(letter))
        cv2.imwrite(str(tmp_path / letter / "wide.png"), cv2.resize(photograph(letter), (240, 150)))
    found = evaluate(mobile_base, tmp_path, progress=False)
    classifier = Classifier(mobile_base)
    files = [tmp_path / letter / f"{name}.png" for letter in "KR" for name in ("square", "wide")]
    for path, row in zip(files, found.probabilities, strict=True):
        assert classifier.classify(path).confidence == row.max()
    assert found.accuracy == 1


def own_model(channels: int) -> tuple[keras.Model, Facts]:
    """A model of 12 x 20 images that gives their brightness by channel, and its facts."""
    inputs = keras.Input((12, 20, channels))
    means = keras.layers.Rescaling(1 / 255)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Concatenate()([means, 1 - means])))
    labels = tuple(map(str, range(2 * channels)))
    return model, Facts("own", "keras", labels, (12, 20, channels), "float32", takes=PICTURES)


def answers(model: keras.Model, facts: Facts, image: np.ndarray, tmp_path) -> np.ndarray:
    row = FORMATS["tflite-mobile"]
    path = tmp_path / "own.tflite"
    network, facts = take_rgb(model, replace(facts, format=row.name, input_dtype=row.input_dtype))
    path.write_bytes(row.embed(tflite.dynamic(network, image[:0]), facts))
    return open_engine(path)(image)


@pytest.fixture
def colours() -> np.ndarray:
    return np.full((1, 12, 20, 3), (250, 100, 20), np.uint8)


def test_another_model_of_colours_gets_the_image_unchanged(colours, tmp_path):
    model, facts = own_model(3)
    np.testing.assert_allclose(answers(model, facts, colours, tmp_path), model.predict(colours, verbose=0), atol=1e-4)


def test_another_model_of_one_channel_gets_the_grey_image(colours, tmp_path):
    model, facts = own_model(1)
    grey = np.full((1, 12, 20, 1), 0.299 * 250 + 0.587 * 100 + 0.114 * 20, np.float32)
    np.testing.assert_allclose(answers(model, facts, colours, tmp_path), model.predict(grey, verbose=0), atol=1e-4)


def test_a_model_of_other_channels_is_refused():
    model, facts = own_model(2)
    with pytest.raises(LettercastError, match="images of 2 channels, but apps give RGB"):
        take_rgb(model, facts)


def test_the_labels_are_appended_uncompressed_one_per_line(mobile_base):
    with zipfile.ZipFile(mobile_base) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode().splitlines() == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_the_file_holds_the_standard_metadata_and_the_facts(mobile_base):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mobile_base.read_bytes(), 0))
    contents = {entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata}
    assert contents[METADATA_KEY][4:8] == b"M001"
    assert {METADATA_KEY, FACTS_KEY} <= set(contents)


def test_the_same_model_and_facts_make_the_same_bytes(exported):
    model = exported["tflite-float32"].read_bytes()
    facts = tflite_facts(exported["tflite-float32"], model)
    assert embed_mobile(model, facts) == embed_mobile(model, facts)


def graph_glyph(image: np.ndarray) -> np.ndarray:
    """The glyph (28, 28) that the graph makes of an RGB image."""
    return np.asarray(to_glyph(image[None].astype(np.float32)))[0, ..., 0]


def bar(left: int, top: int, width: int, height: int, ink: int = 30, paper: int = 220) -> np.ndarray:
    """A filled box on paper."""
    image = np.full((PHOTO_PX, PHOTO_PX, 3), paper, np.uint8)
    image[top : top + height, left : left + width] = ink
    return image


@pytest.mark.parametrize("letter", "ABCEGKMRSTWXZ")
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_graph_makes_the_same_glyph_as_the_runtime(photograph, letter, share):
    image = photograph(letter, PHOTO_PX, share=share, pen_share=0.06)
    found, expected = graph_glyph(image), glyph(letter_ink(image[..., ::-1])).astype(float)
    assert found.max() == pytest.approx(255, abs=1)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("width", "height"), [(12, 60), (60, 12), (24, 24), (30, 45), (7, 21)])
def test_a_box_is_centred_with_a_border_of_two_and_its_aspect_kept(width, height):
    found = graph_glyph(bar(20, 50, width, height)) > 128
    scale = 24 / max(width, height)
    assert (found.any(0).sum(), found.any(1).sum()) == (max(1, round(width * scale)), max(1, round(height * scale)))
    for axis in (0, 1):
        filled = np.flatnonzero(found.any(axis))
        assert abs(filled[0] - (27 - filled[-1])) <= 1
        assert filled[0] >= 2


def test_light_on_dark_makes_the_same_glyph_as_dark_on_light(photograph):
    image = photograph("R", PHOTO_PX)
    assert np.corrcoef(graph_glyph(image).ravel(), graph_glyph(255 - image).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("grey", [0, 3, 128, 255])
def test_blank_paper_makes_an_empty_glyph(grey):
    assert not graph_glyph(np.full((PHOTO_PX, PHOTO_PX, 3), grey, np.uint8)).any()


def test_noise_without_a_letter_makes_a_finite_glyph():
    noise = np.random.default_rng(1).integers(0, 256, (PHOTO_PX, PHOTO_PX, 3)).astype(np.uint8)
    assert np.isfinite(graph_glyph(noise)).all()


def test_a_speck_is_not_part_of_the_letter(photograph):
    clean = photograph("K", PHOTO_PX, share=0.5)
    dirty = clean.copy()
    dirty[4:6, 4:6] = dirty[120:122, 60:62] = 30
    np.testing.assert_allclose(graph_glyph(dirty), graph_glyph(clean), atol=2)


def test_the_dot_of_an_i_is_part_of_the_letter():
    image = bar(60, 50, 9, 60)
    image[20:30, 60:69] = 30
    found = graph_glyph(image) > 128
    assert found[2:5].any()
    assert not found[7:9].any()


def test_grey_is_the_grey_of_opencv():
    rgb = np.random.default_rng(2).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    found = np.asarray(to_gray(rgb[None].astype(np.float32)))[0, ..., 0]
    np.testing.assert_allclose(found, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), atol=0.6)
