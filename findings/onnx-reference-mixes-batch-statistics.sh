#!/usr/bin/env bash
# ONNX's reference evaluator normalizes with statistics of the batch in models before opset 14.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: BatchNormalization-9 trains only if it has more than one output. The reference evaluator takes the default of its
# attribute momentum, 0.9, as a sign of training, and mixes a tenth of the batch's mean and variance into the stored ones.
# Why it surprises: the evaluator defines what a right result is, and here the answer for one image depends on the others of
# the batch. A correct converter then looks wrong. From opset 14 on the result is right.
# What to do: compare with ONNX Runtime, or convert the model to opset 14 with onnx.version_converter.
#
# Seen (stored mean 0 and variance 1, scale 1 and bias 0, so that the result is the input):
#   input: 10.0 20.0
#   opset 13, reference: 4.6 10.0
#   opset 13, ONNX Runtime: 10.0 20.0
#   opset 14, reference: 10.0 20.0
#   opset 14, ONNX Runtime: 10.0 20.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def build_model(opset):
    """Return a normalization of two pixels that keeps its input."""
    constants = {"scale": 1, "bias": 0, "mean": 0, "variance": 1}
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", ["x", *constants], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 1, 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 1, 2))],
        [numpy_helper.from_array(np.array([value], np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


x = np.array([[[[10, 20]]]], np.float32)
print("input:", *x.ravel())
results = []
for opset in (13, 14):
    model = build_model(opset)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, evaluator in (("reference", ReferenceEvaluator(model)), ("ONNX Runtime", session)):
        results.append(evaluator.run(None, {"x": x})[0].ravel())
        print(f"opset {opset}, {name}:", *(round(float(value), 1) for value in results[-1]))
# The batch's mean is 15 and its variance 25.
wrong = (x.ravel() - 0.1 * 15) / np.sqrt(0.9 * 1 + 0.1 * 25)
right = [np.allclose(result, x.ravel(), atol=0.001) for result in results]
sys.exit(0 if right == [False, True, True, True] and np.allclose(results[0], wrong, atol=0.001) else 1)
PY
