#!/usr/bin/env bash
# onnxslim turns a multiplication along the width or the height of an image into one of its channels.
#
# Versions: onnxslim 0.1.98, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: a Conv is followed by a Mul with a constant. If the constant has as many values as the Conv has filters, onnxslim
# multiplies the filters by it and removes the Mul, whichever axis the constant lies along: (n,), (1, 1, 1, n), (1, 1, n, 1).
# Why it surprises: nothing is raised and the shapes agree. It happens only if the image is as wide or as high as there are
# filters, such as 8 filters on 8 x 8 pixels, so that the same network is right with one filter more.
# What to do: call slim(model, skip_fusion_patterns=["FusionConvMul"]), or compare the results before and after onnxslim.
#
# Seen (the convolution copies an image of ones to two channels of 1 x 2 pixels; the vector is 1 and 10):
#   before: 1.0 10.0 1.0 10.0
#   after onnxslim: 1.0 1.0 10.0 10.0
#   after onnxslim without FusionConvMul: 1.0 10.0 1.0 10.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import numpy as np
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones((1, 1, 1, 2), np.float32)})[0].ravel()


graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "filters"], ["h"]), helper.make_node("Mul", ["h", "vector"], ["y"])],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 1, 2))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, 1, 2))],
    [
        numpy_helper.from_array(np.ones((2, 1, 1, 1), np.float32), "filters"),
        numpy_helper.from_array(np.array([1, 10], np.float32), "vector"),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
right = run(model)
print("before:", *right)
wrong = run(onnxslim.slim(model))
print("after onnxslim:", *wrong)
skipped = run(onnxslim.slim(model, skip_fusion_patterns=["FusionConvMul"]))
print("after onnxslim without FusionConvMul:", *skipped)
sys.exit(0 if right.tolist() == skipped.tolist() == [1, 10, 1, 10] and wrong.tolist() == [1, 1, 10, 10] else 1)
PY
