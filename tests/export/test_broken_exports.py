"""Exports that are broken on purpose: the gate refuses each, says why, and leaves no file."""

import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from lettercast.export.convert import onnx, tflite
from lettercast.export.diagnose import Cause, best_order, depthwise_spread
from lettercast.export.exporter import export_model
from lettercast.export.formats import FORMATS
from lettercast.export.original import open_letters
from lettercast.runtime.model.engine import open_engine
from lettercast.train.data.open import open_source

SLACK = {"max_drop": 5.0, "min_agreement": 90.0}
EARLIER = "letters-nano-swapped.tflite"


def wrong_scale(network, calibration):
    """Calibrate on images scaled to 0..1."""
    return tflite.int8(network, np.rint(calibration / 255).astype(np.uint8))


def swapped_labels(network, calibration):
    """Swap the probabilities of A and B, of C and D, and so on."""
    pairs = np.arange(26).reshape(13, 2)[:, ::-1].ravel()
    swap = keras.layers.Dense(26, use_bias=False)
    swapped = keras.Sequential([keras.Input((28, 28, 1)), *network.layers, swap])
    swap.set_weights([np.eye(26)[:, pairs]])
    return tflite.float32(swapped, calibration)


def without_scaling(network, calibration):
    """Leave out the layer that brings pixels to 0..1."""
    return tflite.float32(keras.Sequential([keras.Input((28, 28, 1)), *network.layers[1:]]), calibration)


# By a name of its own each: the format that it breaks, how, and the cause that is expected.
BREAKS = {
    "wrong-scale": (
        "tflite-int8",
        wrong_scale,
        "its input ends at pixel 1 of 255: it was calibrated on images of another scale",
    ),
    "swapped": ("tflite-float32", swapped_labels, "the labels are swapped: it answers B for A, A for B, D for C, ..."),
    "unscaled": (
        "tflite-float32",
        without_scaling,
        "it takes pixels by 255 too large: the scaling in front of the network was omitted",
    ),
}


@pytest.fixture(scope="module")
def broken(model_file, strokes_file, tmp_path_factory) -> tuple[dict, Path]:
    """The artifacts of all breaks, by their names, and the folder; one of them had a file there before."""
    out = tmp_path_factory.mktemp("broken")
    (out / EARLIER).write_bytes(b"earlier")
    formats = [replace(FORMATS[row], name=f"tflite-{name}", build=build) for name, (row, build, _) in BREAKS.items()]
    calibrate, check = (open_source(str(strokes_file), split) for split in ("train", "val"))
    exports = export_model(model_file, formats, calibrate, check, out, overwrite=True, **SLACK)
    return dict(zip(BREAKS, exports, strict=True)), out


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_export_misses_the_gate_with_its_cause(broken, name):
    artifact = broken[0][name]
    assert any(miss.startswith("agreement") for miss in artifact.misses)
    assert artifact.parity.agreement < 80
    assert artifact.cause.startswith(BREAKS[name][2])


def test_a_broken_export_leaves_no_file_and_keeps_the_earlier_one(broken):
    _, out = broken
    assert [path.name for path in out.iterdir()] == [EARLIER]
    assert (out / EARLIER).read_bytes() == b"earlier"


def test_a_missed_gate_is_exit_1_and_names_format_and_figure(lettercast, digits, tmp_path):
    words = ("export", digits / "digits.keras", "--check", digits / "digits.npz", "--formats", "tflite-float32")
    code, _, err = lettercast(*words, "--min-agreement", 100.1, "--out", tmp_path / "dist")
    assert code == 1
    assert "tflite-float32 missed the gate: agreement 100.00 %, at least 100.1 % needed" in err
    assert list(tmp_path.rglob("*.tflite")) == []


@pytest.fixture(scope="module")
def ten_digits(digits, tmp_path_factory) -> tuple[str, ...]:
    """The words of an export that is checked on one image of each class, too few to prove anything about a quantized format."""
    with np.load(digits / "digits.npz") as file:
        data = dict(file)
    held_out = np.flatnonzero(data["split"] == 2)
    firsts = held_out[np.unique(data["label"][held_out], return_index=True)[1]]
    kept = np.concatenate([np.flatnonzero(data["split"] != 2), firsts])
    path = tmp_path_factory.mktemp("ten") / "ten.npz"
    np.savez(path, **{name: values if name == "classes" else values[kept] for name, values in data.items()})
    return ("export", str(digits / "digits.keras"), "--check", str(path), "--formats", "tflite-dynamic,tflite-float32")


SHORTFALL = (
    "the accuracy drop is unproven: 10 images can rule out a drop of more than 27.8 points; about 1,280 images would prove 0.3"
)


def test_an_unproven_drop_is_written_and_says_how_many_images_would_prove_it(lettercast, ten_digits, tmp_path):
    code, out, err = lettercast(*ten_digits, "--out", tmp_path / "dist")
    assert code == 0
    assert [line for line in err.splitlines() if "unproven" in line] == [f"lettercast: tflite-dynamic: {SHORTFALL}"]
    assert "unproven" in out and "1,280" in out
    gates = {name: open_engine(tmp_path / "dist" / f"digits-{name}.tflite").facts.gate for name in ("dynamic", "float32")}
    assert (gates["dynamic"]["verdict"], gates["dynamic"]["needed"]) == ("unproven", 1277)
    # Equal probabilities prove a float32 file, however few images there are.
    assert (gates["float32"]["verdict"], gates["float32"]["needed"]) == ("proven", None)


def test_an_unproven_drop_is_exit_1_without_a_file_if_proof_is_required(lettercast, ten_digits, tmp_path):
    code, out, err = lettercast(*ten_digits, "--require-proof", "--out", tmp_path / "dist")
    assert code == 1
    assert [line for line in err.splitlines() if "tflite-dynamic" in line] == [
        f"lettercast: tflite-dynamic missed the gate: {SHORTFALL}; no file written"
    ]
    assert "unproven" in out
    assert [path.name for path in (tmp_path / "dist").glob("*.tflite")] == ["digits-float32.tflite"]


@pytest.fixture(scope="module")
def depthwise(solve, tmp_path_factory) -> Path:
    """A folder with a model like MobileNet, whose depthwise filters have very different ranges, and its images as .npz.

    The layer behind the filters makes up for their ranges.
    """
    folder = tmp_path_factory.mktemp("depthwise")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 500)
    images = rng.integers(0, 90, (500, 16, 16, 1)).astype(np.uint8)
    for image, kind in zip(images, label, strict=True):
        x, y = rng.integers(2, 8, 2)
        bar = [np.s_[y : y + 7, x : x + 2], np.s_[y : y + 2, x : x + 7], np.s_[y : y + 6, x : x + 6], np.s_[y : y + 2, x : x + 2]]
        image[bar[kind]] = 250
    split = np.repeat([0, 2], [300, 200])
    np.savez(folder / "bars.npz", image=images, label=label, split=split, classes=np.array(["up", "flat", "block", "dot"]))
    keras.utils.set_random_seed(1)
    layers = keras.layers
    first, second = layers.DepthwiseConv2D(3, padding="same", activation="relu"), layers.Conv2D(24, 1, activation="relu")
    stem = [keras.Input((16, 16, 1)), layers.Rescaling(1 / 255), layers.Conv2D(16, 3, padding="same", activation="relu")]
    body = keras.Sequential([*stem, first, second, layers.MaxPooling2D(4), layers.Flatten()])
    model = solve(body, images[:300], label[:300], "softmax", strength=100)
    factors = np.geomspace(0.01, 10, 16)
    kernel, bias = first.get_weights()
    first.set_weights([kernel * factors[:, None], bias * factors])
    kernel, bias = second.get_weights()
    second.set_weights([kernel / factors[:, None], bias])
    model.save(folder / "bars.keras")
    return folder


def one_scale(network, calibration):
    """Quantize as ONNX Runtime does by itself: with one scale for all filters of a convolution."""
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "dynamic.onnx"
        source.write_bytes(onnx.float32(network, calibration))
        quantize_dynamic(source, target, reduce_range=True)
        return target.read_bytes()


def test_one_scale_for_all_filters_ruins_a_depthwise_model_and_the_gate_says_so(depthwise, tmp_path):
    row = replace(FORMATS["onnx-dynamic"], build=one_scale)
    calibrate, check = open_letters(depthwise / "bars.keras", None, str(depthwise / "bars.npz"))
    (artifact,) = export_model(depthwise / "bars.keras", [row], calibrate, check, tmp_path / "dist")
    assert artifact.misses
    assert artifact.cause.startswith("depthwise filters of very different ranges share one scale")
    assert list(tmp_path.glob("dist/*.onnx")) == []


def test_the_ranges_of_depthwise_filters_are_compared(depthwise):
    assert depthwise_spread(keras.models.load_model(depthwise / "bars.keras")) > 50
    assert depthwise_spread(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])) == 1


def test_the_order_of_classes_is_recovered():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(5, 0.2), 200).astype(np.float32)
    order = np.array([2, 0, 1, 4, 3])
    np.testing.assert_array_equal(best_order(rows, rows[:, order]), order)
    # Outputs that tell nothing about the order leave it as it is.
    np.testing.assert_array_equal(best_order(rows, np.tile(rows[:1], (200, 1))), np.arange(5))


@pytest.mark.parametrize(
    ("passed", "tried", "advice"),
    [
        (["tflite-float32"], ["tflite-int8", "tflite-float16", "tflite-float32"], "take tflite-float32, which passed"),
        ([], ["tflite-int8", "tflite-float16"], "try tflite-int16x8"),
        (
            [],
            ["tflite-int16x8", "tflite-float16", "tflite-float32"],
            "of tflite-int16x8, tflite-float16, tflite-float32 none passed",
        ),
    ],
)
def test_a_cause_recommends_only_what_passed_or_was_not_tried(passed, tried, advice):
    cause = Cause("quantization costs too much", ("tflite-int16x8", "tflite-float16", "tflite-float32"))
    assert cause.advise(passed, tried) == f"quantization costs too much; {advice}"


def test_a_cause_without_other_formats_gives_no_advice():
    assert Cause("too much", (), ("--repair",)).advise([], []) == "too much; --repair may help"
    assert Cause("too much", (), ("other images", "--repair")).advise([], [], ["--repair"]) == "too much; other images may help"
    assert Cause("the labels are swapped").advise([], ["tflite-int8"]) == "the labels are swapped"
