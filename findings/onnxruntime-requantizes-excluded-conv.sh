#!/usr/bin/env bash
# ONNX Runtime quantizes a Conv again that nodes_to_exclude kept in float32.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: quantize_static(nodes_to_exclude=[...]) writes a Conv with float32 weights between quantized neighbours. When an
# InferenceSession opens the file, the optimizer WeightBiasQuantization gives these weights eight bits, with one scale for the
# whole tensor, and fuses the Conv into a QLinearConv.
# Why it surprises: you exclude a layer because eight bits do not suffice for it. The file holds its float32 weights, but the
# default session computes with int8 ones, and with one scale even if the rest of the model has one scale a channel.
# What to do: exclude the neighbours too, or pass disabled_optimizers=["WeightBiasQuantization"] to InferenceSession, and
# measure accuracy with the session that the device will use.
#
# Seen (two filters of weight 100 and 0.1, input 0 and 1, so the second result is 0.1):
#   type of the excluded weights in the file: FLOAT
#   float32 model: 0.0 0.1
#   without optimizations: 0.0 0.1
#   by default: 0.0 0.0
#   without WeightBiasQuantization: 0.0 0.1
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
SHAPE = (1, 2, 1, 1)
LEVELS = onnxruntime.GraphOptimizationLevel


class Reader(CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter([{"x": sample} for sample in samples])

    def get_next(self):
        return next(self.samples, None)


def run(name, path, level=LEVELS.ORT_ENABLE_ALL, disabled=()):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
    )
    result = session.run(None, {"x": samples[-1]})[0].ravel()
    print(f"{name}:", *(round(float(value), 2) for value in result))
    return result[1]


same = np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
uneven = np.diag([100, 0.1]).astype(np.float32).reshape(2, 2, 1, 1)
nodes = [
    helper.make_node("Conv", ["x", "first"], ["a"], name="first"),
    helper.make_node("Conv", ["a", "middle"], ["b"], name="middle"),
    helper.make_node("Conv", ["b", "last"], ["y"], name="last"),
]
graph = helper.make_graph(
    nodes,
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
    [numpy_helper.from_array(weights, name) for name, weights in (("first", same), ("middle", uneven), ("last", same))],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "float32.onnx")
samples = [np.array([0, value], np.float32).reshape(SHAPE) for value in np.linspace(0, 1, 11)]
quantize_static(
    "float32.onnx",
    "int8.onnx",
    Reader(samples),
    quant_format=QuantFormat.QDQ,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    per_channel=True,
    nodes_to_exclude=["middle"],
)
kept = next(value for value in onnx.load("int8.onnx").graph.initializer if value.name == "middle")
print("type of the excluded weights in the file:", TensorProto.DataType.Name(kept.data_type))
run("float32 model", "float32.onnx")
plain = run("without optimizations", "int8.onnx", LEVELS.ORT_DISABLE_ALL)
usual = run("by default", "int8.onnx")
mended = run("without WeightBiasQuantization", "int8.onnx", disabled=["WeightBiasQuantization"])
sys.exit(0 if abs(plain - 0.1) < 0.01 and abs(usual - 0.1) > 0.05 and abs(mended - 0.1) < 0.01 else 1)
PY
