#!/usr/bin/env bash
# With dynamic quantization, the result of one image depends on the other images of its batch.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: quantize_dynamic puts DynamicQuantizeLinear before a layer. Its scale is that of the whole tensor, and so of the
# whole batch. A dim image loses its digits if a bright one is beside it, and there is no warning.
# Why it surprises: a network without batch statistics gives each image its own result in every other format. An accuracy that
# is measured in large batches is not that of a device, which classifies one image at a time.
# What to do: run such a model with a batch of one, where you measure it and where you use it.
#
# Seen (the weights are 1 and 0.9, the dim image is 0.003 everywhere, the bright one 1):
#   float32, alone: 0.003 0.0027
#   float32, beside the bright image: 0.003 0.0027
#   dynamic, alone: 0.003 0.00269
#   dynamic, beside the bright image: 0.00392 0.00352
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
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

logging.disable(logging.WARNING)
WEIGHTS = np.array([[1, 0.9]], np.float32)
DIM, BRIGHT = np.full((1, 1), 0.003, np.float32), np.ones((1, 1), np.float32)

graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 1))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 2))],
    [numpy_helper.from_array(WEIGHTS, "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "float32.onnx")
quantize_dynamic("float32.onnx", "dynamic.onnx", weight_type=QuantType.QInt8)

results = {}
for name in ("float32", "dynamic"):
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    for place, images in (("alone", DIM), ("beside the bright image", np.concatenate([DIM, BRIGHT]))):
        results[name, place] = session.run(None, {"x": images})[0][0]
        print(f"{name}, {place}:", *(round(float(value), 5) for value in results[name, place]))

alone, beside = results["dynamic", "alone"], results["dynamic", "beside the bright image"]
unchanged = np.array_equal(results["float32", "alone"], results["float32", "beside the bright image"])
unchanged &= np.allclose(alone, results["float32", "alone"], rtol=0.01) and not np.allclose(alone, beside, rtol=0.1)
sys.exit(0 if unchanged else 1)
PY
