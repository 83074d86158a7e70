#!/usr/bin/env bash
# OpenCV 5 cannot run a quantized Gemm that has a bias.
#
# Versions: opencv-python-headless 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: cv2.dnn.readNetFromONNX opens the model, and forward() raises "Assertion failed" for a Gemm whose bias comes from a
# DequantizeLinear of int32 values. Without the bias the same Gemm runs.
# Why it surprises: this is the form that ONNX Runtime's quantize_static writes for every Gemm with a bias, the usual last layer
# of a classifier. OpenCV 4.14 runs the same file, and opening it in OpenCV 5 reports nothing.
# What to do: run int8 models with ONNX Runtime, or give OpenCV 5 the float32 model. Test forward(), not only opening.
#
# Seen (the input is 1 2 3, the weights are the identity, the bias is 1 2 3):
#   with a bias, ONNX Runtime: 2.0 4.0 6.0
#   with a bias, OpenCV: (-215:Assertion failed) bufidx >= 0 in function 'argTensor'
#   without a bias, OpenCV: 1.0 2.0 3.0
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


def show(name, run, x):
    try:
        result = run(x).ravel()
    except cv2.error as error:
        print(f"{name}:", str(error).strip().partition("error: ")[2])
        return None
    print(f"{name}:", *(round(float(value), 1) for value in result))
    return result


constants = {
    "scale": np.float32(0.1),
    "zero": np.uint8(128),
    "weights": (np.eye(3) * 10).astype(np.int8),
    "weights_zero": np.int8(0),
}
bias = {"bias": np.array([100, 200, 300], np.int32), "bias_scale": np.float32(0.01), "bias_zero": np.int32(0)}
weights = helper.make_node("DequantizeLinear", ["weights", "scale", "weights_zero"], ["w"])
x = np.array([[1, 2, 3]], np.float32)
nodes = [
    *quantized("x", "input"),
    weights,
    helper.make_node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], ["b"]),
    helper.make_node("Gemm", ["input", "w", "b"], ["sum"]),
    *quantized("sum", "y"),
]
save(nodes, constants | bias, (1, 3))
right = show("with a bias, ONNX Runtime", run_onnxruntime, x)
refused = show("with a bias, OpenCV", run_opencv, x)
without = helper.make_node("Gemm", ["input", "w"], ["sum"])
save([*quantized("x", "input"), weights, without, *quantized("sum", "y")], constants, (1, 3))
alone = show("without a bias, OpenCV", run_opencv, x)
sys.exit(0 if right is not None and refused is None and alone is not None else 1)
PY
