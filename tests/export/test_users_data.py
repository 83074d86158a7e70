"""Images and labels of users: which of them calibrate and check an export, and which are refused."""

import cv2
import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.exporter import export

NAMES = ("bar", "disc", "ring")
layers = keras.layers


@pytest.fixture(scope="module")
def shapes(solve, tmp_path_factory):
    """A folder with a model that tells three levels of grey, `data/train` and `data/val` of class folders, and arrays of them."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    label = np.arange(330) % 3
    images = (40 + 80 * label[:, None, None, None] + rng.integers(-9, 10, (330, 8, 8, 1))).astype(np.uint8)
    for place, (image, one) in enumerate(zip(images, label, strict=True)):
        path = folder / "data" / ("train" if place < 210 else "val") / NAMES[one] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    np.savez(folder / "unnamed.npz", image=images, label=label[:, None])
    body = keras.Sequential([keras.Input((8, 8, 1)), layers.GlobalAveragePooling2D(), layers.Rescaling(1 / 50)])
    solve(body, images[:210].astype(np.float32), label[:210], "softmax").save(folder / "m.keras")
    return folder


def run(shapes, tmp_path, **options):
    """Export one format and return the result."""
    return export(shapes / "m.keras", formats="onnx-float32", out=tmp_path, progress=False, **options)


def test_all_of_plain_train_and_val_folders_is_used(shapes, tmp_path, capsys):
    data = shapes / "data"
    (artifact,) = run(shapes, tmp_path, calibrate=data / "train", check=data / "val")
    assert (artifact.parity.n, artifact.misses) == (120, ())
    assert "calibrates on all 210 images of train; checks on all 120 images of val" in capsys.readouterr().err


def test_one_folder_or_one_npz_for_both_is_split_and_that_is_said(shapes, tmp_path, capsys):
    (artifact,) = run(shapes, tmp_path, check=shapes / "unnamed.npz")
    assert 20 < artifact.parity.n < 60
    said = capsys.readouterr().err
    assert f"checks on all {artifact.parity.n} images of unnamed.npz, test (which lettercast chose from its 330)" in said


def test_images_in_both_sets_are_refused(shapes, tmp_path):
    data = shapes / "data"
    with pytest.raises(LettercastError, match="of its images are in --calibrate"):
        run(shapes, tmp_path, calibrate=data / "val", check=data)


def test_benchmark_and_evaluate_take_the_images_that_export_checked_on(shapes, tmp_path, lettercast):
    whole, part = tmp_path / "whole", tmp_path / "part"
    words = ("export", shapes / "m.keras", "--formats", "tflite-int8")
    val = shapes / "data" / "val"
    assert lettercast(*words, "--check", val, "--calibrate", shapes / "data" / "train", "--out", whole)[0] == 0
    assert lettercast(*words, "--check", val, "--out", part)[0] == 0
    _, said, err = lettercast("evaluate", whole / "m-int8.tflite", "--data", val, "--json")
    assert '"split": "all", "n": 120' in said and "left out" not in err
    _, said, err = lettercast("evaluate", part / "m-int8.tflite", "--data", val, "--json")
    assert '"split": "test"' in said
    assert "of its 120 images that training or calibration left out; --split all measures on all" in err


def test_unnamed_labels_are_places_of_outputs_under_any_names(shapes, tmp_path):
    (artifact,) = run(shapes, tmp_path, check=shapes / "unnamed.npz", labels=["low", "mid", "high"])
    assert artifact.parity.original_accuracy > 95


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["cat", "dog", "owl"], "has 'bar', 'disc', 'ring', and the model's outputs are 'cat', 'dog', 'owl'; name them alike"),
        (["bar", "disc", "disk"], "has 'ring', and the model's outputs are 'bar', 'disc', 'disk'"),
        (["bar", "disc"], "--labels: has 2 names, and the model has 3 outputs"),
        (["bar", "disc", "bar"], "--labels: has 'bar' 2 times"),
        ("nosuch.txt", "--labels: 'nosuch.txt' is neither a file nor a list of names"),
    ],
)
def test_labels_of_another_model_are_refused(shapes, tmp_path, labels, why):
    with pytest.raises(LettercastError, match=why):
        run(shapes, tmp_path, check=shapes / "data", labels=labels)


def test_labels_may_differ_in_case_and_come_from_a_file(shapes, tmp_path):
    (tmp_path / "names.txt").write_bytes("Bar\r\nDISC\r\nring\r\n".encode("utf-16"))
    (artifact,) = run(shapes, tmp_path, check=shapes / "data", labels=str(tmp_path / "names.txt"))
    assert artifact.parity.original_accuracy > 95


def test_a_check_set_without_a_class_is_refused_and_names_it(shapes, tmp_path, refused):
    data = shapes / "data"
    (tmp_path / "two").mkdir()
    for name in NAMES[:2]:
        (tmp_path / "two" / name).symlink_to(data / "val" / name)
    words = ("export", shapes / "m.keras", "--labels", "bar,disc,ring", "--calibrate", data / "train", "--out", tmp_path / "dist")
    assert "--check two: has no image of 'ring', so it cannot prove that class" in refused(*words, "--check", tmp_path / "two")
    assert not (tmp_path / "dist").exists()


def test_an_output_that_no_image_belongs_to_may_be_unused(shapes, tmp_path, capsys):
    arrays = np.load(shapes / "unnamed.npz")
    high = arrays["label"][:, 0] < 2
    images, label = arrays["image"][high], arrays["label"][high]
    (artifact,) = run(shapes, tmp_path, check=(images, label), labels=["low", "mid", "unused"])
    assert artifact.parity.original_accuracy > 95
    assert "has no images of 'unused', so nothing is proven about them" in capsys.readouterr().err
    with pytest.raises(LettercastError, match=r"its labels go from 1 to 3, and the model's 3 outputs count from 0; subtract 1"):
        run(shapes, tmp_path, check=(arrays["image"], arrays["label"] + 1))
