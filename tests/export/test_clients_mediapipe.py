"""Exports in MediaPipe Tasks' ImageClassifier, in an environment of its own: given to it as they are."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

LIMIT_S = 120
CAPITALS = "ABCEFGHKMNRSTWXYZ"
SCRIPT = """
import json, sys
import numpy as np
from mediapipe import Image, ImageFormat
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
from mediapipe.tasks.metadata import schema_py_generated as tflite
from mediapipe.tasks.python import BaseOptions, vision

model, pictures = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
names = {}
with vision.ImageClassifier.create_from_options(options) as classifier:
    for name, picture in np.load(pictures).items():
        said = classifier.classify(Image(image_format=ImageFormat.SRGB, data=picture)).classifications[0].categories[0]
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


@pytest.fixture(scope="module")
def python(root) -> Path:
    """The Python with MediaPipe."""
    path = root / ".venv-mediapipe" / "bin" / "python"
    if not path.exists():
        pytest.skip("no .venv-mediapipe here: make .venv-mediapipe/.ready")
    return path


@pytest.fixture(scope="module")
def report(python, mobile_base, photograph, tmp_path_factory) -> dict:
    """What MediaPipe says of the file, and of pictures: every capital in several sizes, dark and light, and none."""
    pictures = {"blank": np.full((300, 200, 3), 230, np.uint8)}
    for letter in CAPITALS:
        for side in (60, 300, 1500):
            drawn = photograph(letter, side, at=(0.3, 0.7))
            pictures |= {f"{letter} {side} dark": drawn, f"{letter} {side} light": 255 - drawn}
    path = tmp_path_factory.mktemp("mediapipe") / "pictures.npz"
    np.savez(path, **pictures)
    line = [python, "-c", SCRIPT, mobile_base, path]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["60 dark", "60 light", "300 dark", "300 light", "1500 dark", "1500 light"])
def test_it_names_the_letter_of_a_picture_of_any_size_and_polarity(report, how):
    named = [report["names"][f"{letter} {how}"][0] for letter in CAPITALS]
    assert sum(name == letter for name, letter in zip(named, CAPITALS, strict=True)) >= len(CAPITALS) - 1, named


def test_a_blank_picture_gives_a_number(report):
    assert 0 < report["names"]["blank"][1] <= 1


def test_its_own_parser_finds_the_picture_the_probabilities_and_the_labels(report):
    assert (report["name"], report["parser"], report["is_rgb"]) == ("letters-base", "1.0.0", True)
    assert report["mean_std"] == [0.0, 1.0]
    assert report["range"] == [[0.0, 255.0], [0.0, 1.0]]
    assert report["files"] == [["labels.txt", True]]
