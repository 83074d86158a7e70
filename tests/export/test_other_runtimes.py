"""Exports in engines that need other environments: MediaPipe Tasks, and tflite-runtime 2.14 with NumPy 1 of 32-bit boards."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.bundle import write_bundle
from lettercast.runtime.arguments import device_model

LIMIT_S = 120
CAPITALS = "ABCEFGHKMNRSTWXYZ"
SCRIPT = """
import json, sys
import numpy as np
from mediapipe import Image, ImageFormat
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
from mediapipe.tasks.metadata import schema_py_generated as tflite
from mediapipe.tasks.python import BaseOptions, vision

model, images = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
names = {}
with vision.ImageClassifier.create_from_options(options) as classifier:
    for name, image in np.load(images).items():
        said = classifier.classify(Image(image_format=ImageFormat.SRGB, data=image)).classifications[0].categories[0]
        names[name] = [said.category_name, said.score]
file = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(open(model, "rb").read(), 0))
buffer = next(file.buffers[entry.buffer] for entry in file.metadata if entry.name == b"TFLITE_METADATA")
about = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(bytes(buffer.data), 0))
(graph,) = about.subgraphMetadata
(source,), (target,) = graph.inputTensorMetadata, graph.outputTensorMetadata
(unit,) = source.processUnits
print(json.dumps({
    "names": names,
    "name": about.name.decode(),
    "parser": about.minParserVersion.decode(),
    "is_rgb": source.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB,
    "mean_std": [float(values[0]) for values in (unit.options.mean, unit.options.std)],
    "range": [[float(tensor.stats.min[0]), float(tensor.stats.max[0])] for tensor in (source, target)],
    "files": [[file.name.decode(), file.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS] for file in target.associatedFiles],
}))
"""


@pytest.fixture(scope="session")
def mediapipe(root) -> Path:
    """The Python with MediaPipe."""
    path = root / ".venv-mediapipe" / "bin" / "python"
    if not path.exists():
        pytest.skip("no .venv-mediapipe here: make .venv-mediapipe/.ready")
    return path


@pytest.fixture(scope="module")
def tasks(mediapipe, mobile_base, photograph, tmp_path_factory) -> dict:
    """What MediaPipe reads from the file, and its labels for images: all capitals in three sizes, dark and light, and a blank."""
    images = {"blank": np.full((300, 200, 3), 230, np.uint8)}
    for letter in CAPITALS:
        for side in (60, 300, 1500):
            drawn = photograph(letter, side, at=(0.3, 0.7))
            images |= {f"{letter} {side} dark": drawn, f"{letter} {side} light": 255 - drawn}
    path = tmp_path_factory.mktemp("mediapipe") / "images.npz"
    np.savez(path, **images)
    line = [mediapipe, "-c", SCRIPT, mobile_base, path]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["60 dark", "60 light", "300 dark", "300 light", "1500 dark", "1500 light"])
def test_mediapipe_names_the_letter_at_any_size_and_polarity(tasks, how):
    named = [tasks["names"][f"{letter} {how}"][0] for letter in CAPITALS]
    assert sum(name == letter for name, letter in zip(named, CAPITALS, strict=True)) >= len(CAPITALS) - 1, named


def test_mediapipe_gives_a_probability_for_a_blank_image(tasks):
    assert 0 < tasks["names"]["blank"][1] <= 1


def test_mediapipes_parser_finds_image_probabilities_and_labels(tasks):
    assert (tasks["name"], tasks["parser"], tasks["is_rgb"]) == ("letters-base", "1.0.0", True)
    assert tasks["mean_std"] == [0.0, 1.0]
    assert tasks["range"] == [[0.0, 255.0], [0.0, 1.0]]
    assert tasks["files"] == [["labels.txt", True]]


@pytest.fixture(scope="session")
def tflite_runtime(root) -> Path:
    """The Python with tflite-runtime."""
    path = root / ".venv-tflite-runtime" / "bin" / "python"
    if not path.exists():
        pytest.skip("no .venv-tflite-runtime here: make .venv-tflite-runtime/.ready (Linux and Python 3.11)")
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "reader.pyz"
    write_bundle(device_model("letters-base"), path)
    return path


@pytest.fixture(scope="module")
def doctor(tflite_runtime, bundle, exported) -> dict[str, dict]:
    """The doctor's report on every export under tflite-runtime, by the format's name; lettercast runs from a bundle."""
    line = [tflite_runtime, bundle, "doctor", "--json", *exported.values()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert (said["packages"]["tflite-runtime"]["version"], said["packages"]["numpy"]["version"][:2]) == ("2.14.0", "1.")
    return dict(zip(exported, said["models"], strict=True))


def test_tflite_runtime_gives_the_golden_answers_of_every_tflite_export(doctor):
    for name, model in doctor.items():
        if name.startswith("tflite"):
            assert model["engine"] == "tflite-runtime 2.14.0", model["fault"]
            assert model["self_test"]["verdict"] in ("equal", "close"), name


def test_tflite_runtime_runs_the_formats_that_messages_recommend(doctor):
    assert doctor["tflite-int8"]["self_test"]["strays"] == doctor["tflite-float32"]["self_test"]["strays"] == []


def test_without_onnx_runtime_opencv_runs_the_onnx_file_of_float32(doctor):
    assert doctor["onnx-float32"]["engine"].startswith("opencv-python 4.")
    assert doctor["onnx-float32"]["self_test"]["verdict"] in ("equal", "close")


def test_a_bundle_reads_the_same_page_with_tflite_runtime(tflite_runtime, bundle, page_file, lettercast):
    line = [tflite_runtime, bundle, page_file, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["text"] == json.loads(lettercast("read", page_file, "--json")[1])["text"] == "ABC\nDEF"
