#!/usr/bin/env bash
# OpenCV 4 turns a quantized bias into a square matrix.
#
# Versions: opencv-python-headless 4.14.0.94, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: in an ONNX model of QuantizeLinear and DequantizeLinear pairs, cv2.dnn reads a constant of shape (n,) as (n, 1).
# Adding it to the (1, n) result of a MatMul broadcasts to (n, n).
# Why it surprises: nothing is raised. The model that ONNX's checker and ONNX Runtime accept returns n times as many
# values, and only the diagonal is right. MatMul and Add are the form in which Keras exports a dense layer.
# What to do: run int8 models with ONNX Runtime, or use OpenCV 5, which is right here. Compare the shape of the result.
#
# Seen (the input is 1 2 3, the weights are the identity, the bias is 1 2 3):
#   ONNX Runtime: [[2.0, 4.0, 6.0]]
#   OpenCV: [[2.0, 3.0, 4.0], [3.0, 4.0, 5.0], [4.0, 5.0, 6.0]]
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==4.14.0.94
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


constants = {
    "scale": np.float32(0.1),
    "zero": np.uint8(128),
    "weights": (np.eye(3) * 10).astype(np.int8),
    "weights_zero": np.int8(0),
    "bias": np.array([138, 148, 158], np.uint8),
}
nodes = [
    *quantized("x", "input"),
    helper.make_node("DequantizeLinear", ["weights", "scale", "weights_zero"], ["w"]),
    helper.make_node("MatMul", ["input", "w"], ["product"]),
    *quantized("product", "p"),
    helper.make_node("DequantizeLinear", ["bias", "scale", "zero"], ["b"]),
    helper.make_node("Add", ["p", "b"], ["sum"]),
    *quantized("sum", "y"),
]
save(nodes, constants, (1, 3))
x = np.array([[1, 2, 3]], np.float32)
right, result = run_onnxruntime(x), run_opencv(x)
print("ONNX Runtime:", right.round(1).tolist())
print("OpenCV:", result.round(1).tolist())
sys.exit(0 if right.shape == (1, 3) and result.shape == (3, 3) else 1)
PY
