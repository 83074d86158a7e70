#!/usr/bin/env bash
# OpenCV 4 ignores count_include_pad of an ONNX AveragePool.
#
# Versions: opencv-python-headless 4.14.0.94, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: with count_include_pad=1 an AveragePool divides by the whole window, padding included. cv2.dnn divides by the
# part of the window that lies inside the image, as if the attribute were 0.
# Why it surprises: nothing is raised, and the results differ at the border only, so they look plausible. PyTorch's AvgPool2d
# includes the padding by default, so its exports carry the attribute.
# What to do: use OpenCV 5 or ONNX Runtime, or export with count_include_pad=False and train with it.
#
# Seen (an image of 3 x 3 ones, a window of 3 x 3, a padding of 1):
#   ONNX Runtime: 0.44 0.67 0.44 0.67 1.0 0.67 0.44 0.67 0.44
#   OpenCV: 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0
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
from onnx import TensorProto, helper

SHAPE = (1, 1, 3, 3)


def show(name, values):
    print(f"{name}:", *(round(float(value), 2) for value in values.ravel()))
    return values


graph = helper.make_graph(
    [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "model.onnx")
x = np.ones(SHAPE, np.float32)
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
right = show("ONNX Runtime", session.run(None, {"x": x})[0])
network = cv2.dnn.readNetFromONNX("model.onnx")
network.setInput(x)
wrong = show("OpenCV", network.forward())
sys.exit(0 if abs(right.ravel()[0] - 4 / 9) < 0.01 and np.allclose(wrong, 1) else 1)
PY
