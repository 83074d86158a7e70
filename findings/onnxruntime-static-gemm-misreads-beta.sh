#!/usr/bin/env bash
# quantize_static divides the bias of a Gemm node by beta instead of multiplying it.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: Gemm computes alpha * A * B + beta * C. quantize_static sets beta to 1 in the quantized file, and stores C in a
# way that reads as C / beta. This holds for the QDQ format and for the QOperator format (whose QGemm has no beta at all).
# Why it surprises: the quantized model is silently wrong by the square of beta, even for values that eight bits represent
# exactly. More calibration data cannot help.
# What to do: multiply the bias by beta, set beta to 1, and then quantize.
#
# Seen (A is zero, C is 1 2 3 4, beta is 2, so the result is 2 4 6 8):
#   float32: 2.0 4.0 6.0 8.0
#   QDQ: 0.5 1.0 1.5 2.0
#   beta in the QDQ file: 1.0
#   QOperator: 0.5 1.0 1.5 2.0
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


class Reader(CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter([{"x": sample} for sample in samples])

    def get_next(self):
        return next(self.samples, None)


def run(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((1, 4), np.float32)})[0].ravel()


weights, bias = np.eye(4, dtype=np.float32), np.array([1, 2, 3, 4], np.float32)
graph = helper.make_graph(
    [helper.make_node("Gemm", ["x", "w", "b"], ["y"], beta=2.0)],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
    [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "float32.onnx")
print("float32:", *run("float32.onnx"))
samples = np.random.default_rng(0).uniform(-1, 1, (64, 1, 4)).astype(np.float32)
unchanged = True
for format in (QuantFormat.QDQ, QuantFormat.QOperator):
    quantize_static(
        "float32.onnx",
        "int8.onnx",
        Reader(samples),
        quant_format=format,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    result = run("int8.onnx")
    print(f"{format.name}:", *(round(float(value), 1) for value in result))
    for node in onnx.load("int8.onnx").graph.node:
        for attribute in node.attribute:
            if attribute.name == "beta":
                print("beta in the QDQ file:", attribute.f)
    unchanged = unchanged and np.allclose(result, bias / 2, atol=0.05)
sys.exit(0 if unchanged else 1)
PY
