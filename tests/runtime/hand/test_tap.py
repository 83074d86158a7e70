"""What a network's last layer sees, as another output of a file: every engine gives it, and probabilities stay what they are."""

import numpy as np
import pytest

from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.installed import LITERT, ONNX_RUNTIME, OPENCV, find_package
from lettercast.runtime.model.tap import onnx_with_features, tflite_with_features


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("runtime/models/letters-base-int8.tflite", LITERT),
        ("runtime/models/letters-nano-int8.tflite", LITERT),
        ("runtime/models/letters-digits-int8.tflite", LITERT),
        ("runtime/models/letters-nano-float32.onnx", ONNX_RUNTIME),
        ("export/models/letters-base-int8.onnx", ONNX_RUNTIME),
        ("runtime/models/letters-nano-float32.onnx", OPENCV),
    ],
)
def test_probabilities_stay_and_features_come_with_them(name, package, mirrored, root):
    if not find_package(package).module:
        pytest.skip(f"{package.title} is not installed")
    engine = open_engine(root / name, package=package)
    images = mirrored[0][:30]
    probabilities, features = engine.tap()(images)
    np.testing.assert_array_equal(probabilities, engine(images))
    assert features.shape == (30, 360 if "nano" in name else 864)
    assert features.min() == 0 < features.max()


def test_files_of_one_network_show_the_same_features(mirrored, root):
    seen = [
        open_engine(root / "runtime" / "models" / name).tap()(mirrored[0][:30])[1]
        for name in ("letters-nano-int8.tflite", "letters-nano-float32.onnx")
    ]
    assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] > 0.99


def test_models_without_a_dense_layer_at_the_end_are_refused(root):
    tflite = (root / "runtime/models/letters-nano-int8.tflite").read_bytes()
    onnx = (root / "runtime/models/letters-nano-float32.onnx").read_bytes()
    # The tapped file's last output is a layer that no dense one makes.
    assert len(tflite_with_features(tflite)) > len(tflite)
    with pytest.raises(ValueError, match="its last layer is not a dense one"):
        onnx_with_features(onnx.replace(b"MatMul", b"MutMal").replace(b"Gemm", b"Gumm"))
