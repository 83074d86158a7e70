#!/usr/bin/env bash
# OpenVINO leaves out the scales of an int8 weight matrix that has one scale for each input, in batches of one to four.
#
# Versions: openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: the weights of a MatMul come from a DequantizeLinear along axis 0, the axis of the inputs. In a batch of one to four
# images the CPU plugin multiplies by the bare int8 values. In a batch of eight it multiplies by the scales too.
# Why it surprises: nothing is raised, and a test on a large batch passes, while the device reads one image at a time. Scales for
# each output (axis 1, or axis 0 of a Gemm with transB) are right in every batch.
# What to do: give each output a scale, or the whole matrix one. Compare results in the batch size that the device uses.
#
# Seen (the weights are the identity, the scales are 1 to 8, and the input is eight times 1; so the result is 1 to 8):
#   ONNX Runtime, batch of 1: 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0
#   ONNX Runtime, batch of 8: 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0
#   OpenVINO, batch of 1: 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0
#   OpenVINO, batch of 8: 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper


def build_model():
    """Return a dense layer of 8 inputs and outputs whose int8 weights have one scale for each input."""
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["w", "scales"], ["weights"], axis=0),
            helper.make_node("MatMul", ["x", "weights"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 8))],
        [
            numpy_helper.from_array(np.eye(8, dtype=np.int8), "w"),
            numpy_helper.from_array(np.arange(1, 9, dtype=np.float32), "scales"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def run_onnxruntime(model, x):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def run_openvino(model, x):
    core = openvino.Core()
    # Processors with bfloat16 would round the result.
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(compiled(x).values()))


model = build_model()
results = {}
for engine, run in (("ONNX Runtime", run_onnxruntime), ("OpenVINO", run_openvino)):
    for batch in (1, 8):
        result = run(model, np.ones((batch, 8), np.float32))
        results[engine, batch] = result[0]
        print(f"{engine}, batch of {batch}:", *result[0])
right = np.arange(1, 9)
wrong = results.pop(("OpenVINO", 1))
sys.exit(0 if np.allclose(wrong, 1) and all(np.allclose(result, right) for result in results.values()) else 1)
PY
