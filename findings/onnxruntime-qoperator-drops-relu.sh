#!/usr/bin/env bash
# quantize_static in the QOperator format removes a Relu although another node reads what comes before the Relu.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: the QOperator format lets a Conv absorb the Relu behind it, by clipping at the zero point. It does the same if
# a second node reads the output of the Conv: then nothing clips, the Relu is gone, and both readers get the same tensor.
# Why it surprises: every skip connection that starts between a Conv and its Relu is silently wrong. The QDQ format, with the
# same options, is right.
# What to do: use QuantFormat.QDQ (the default). If a device needs QOperator, leave Relu out of op_types_to_quantize.
#
# Seen (a Conv of weight 1, and the result is c + Relu(c)):
#   input: -0.5 0.0 0.5
#   float32: -0.5 0.0 1.0
#   QDQ: -0.5 0.0 1.0
#   QOperator: -1.0 0.0 1.0
#   nodes of the QOperator file: QuantizeLinear QLinearConv QLinearAdd DequantizeLinear
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
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

logging.disable(logging.WARNING)
SHAPE = (1, 1, 1, 3)


class Reader(CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter([{"x": sample} for sample in samples])

    def get_next(self):
        return next(self.samples, None)


def run(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel()


nodes = [
    helper.make_node("Conv", ["x", "w"], ["c"]),
    helper.make_node("Relu", ["c"], ["r"]),
    helper.make_node("Add", ["c", "r"], ["y"]),
]
graph = helper.make_graph(
    nodes,
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
    [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "float32.onnx")
x = np.array([-0.5, 0, 0.5], np.float32).reshape(SHAPE)
print("input:", *x.ravel())
results = {"float32": run("float32.onnx")}
print("float32:", *results["float32"])
for format in (QuantFormat.QDQ, QuantFormat.QOperator):
    quantize_static(
        "float32.onnx",
        "int8.onnx",
        Reader([2 * x]),
        quant_format=format,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    results[format.name] = run("int8.onnx")
    print(f"{format.name}:", *(round(float(value), 1) + 0.0 for value in results[format.name]))
operators = [node.op_type for node in onnx.load("int8.onnx").graph.node]
print("nodes of the QOperator file:", *operators)
right = np.allclose(results["QDQ"], results["float32"], atol=0.03)
wrong = abs(results["QOperator"][0] - results["float32"][0]) > 0.4
sys.exit(0 if right and wrong and "Relu" not in operators else 1)
PY
