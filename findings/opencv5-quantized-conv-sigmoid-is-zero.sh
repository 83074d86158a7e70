#!/usr/bin/env bash
# OpenCV 5 returns zeros for a Sigmoid behind a quantized Conv.
#
# Versions: opencv-python-headless 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: in an ONNX model of QuantizeLinear and DequantizeLinear pairs, cv2.dnn evaluates Conv followed by Sigmoid to zero
# everywhere. The same Sigmoid without the Conv is right, and so are both in float32.
# Why it surprises: nothing is raised, and OpenCV 4.14 gives the right values for the same file. Sigmoid behind Conv is common:
# gates, squeeze-and-excitation, masks and every detector head.
# What to do: run int8 models with ONNX Runtime, or give OpenCV 5 the float32 model. Compare with the float32 model first.
#
# Seen (the input is -4 -1 0 1 4, the weight is 1):
#   Conv and Sigmoid, ONNX Runtime: 0.02 0.27 0.5 0.73 0.98
#   Conv and Sigmoid, OpenCV: 0.0 0.0 0.0 0.0 0.0
#   Sigmoid alone, OpenCV: 0.02 0.27 0.5 0.73 0.98
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def quantized(name, result):
    """Quantize and dequantize a tensor in steps of 0.1."""
    return [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [result + "_quantized"]),
        helper.make_node("DequantizeLinear", [result + "_quantized", "scale", "zero"], [result]),
    ]


def save(nodes, constants, shape):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")


def run_onnxruntime(x):
    return onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def run_opencv(x):
    network = cv2.dnn.readNetFromONNX("model.onnx")
    network.setInput(x)
    return network.forward()


def show(name, values):
    print(f"{name}:", *(round(float(value), 2) for value in values.ravel()))
    return values


constants = {
    "scale": np.float32(0.1),
    "zero": np.uint8(128),
    "weights": np.full((1, 1, 1, 1), 10, np.int8),
    "weights_zero": np.int8(0),
    "result_scale": np.float32(1 / 255),
    "result_zero": np.uint8(0),
}
x = np.array([-4, -1, 0, 1, 4], np.float32).reshape(1, 1, 1, 5)
sigmoid = [
    helper.make_node("Sigmoid", ["before"], ["after"]),
    helper.make_node("QuantizeLinear", ["after", "result_scale", "result_zero"], ["after_quantized"]),
    helper.make_node("DequantizeLinear", ["after_quantized", "result_scale", "result_zero"], ["y"]),
]
conv = [
    helper.make_node("DequantizeLinear", ["weights", "scale", "weights_zero"], ["w"]),
    helper.make_node("Conv", ["input", "w"], ["c"]),
]
save([*quantized("x", "input"), *conv, *quantized("c", "before"), *sigmoid], constants, x.shape)
right = show("Conv and Sigmoid, ONNX Runtime", run_onnxruntime(x))
wrong = show("Conv and Sigmoid, OpenCV", run_opencv(x))
unused = {"weights", "weights_zero"}
save([*quantized("x", "before"), *sigmoid], {name: constants[name] for name in constants.keys() - unused}, x.shape)
alone = show("Sigmoid alone, OpenCV", run_opencv(x))
sys.exit(0 if np.allclose(alone, right, atol=0.01) and not wrong.any() else 1)
PY
