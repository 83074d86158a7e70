#!/usr/bin/env bash
# convert_float_to_float16(keep_io_types=True) returns a model that onnx.checker refuses.
#
# Versions: onnxruntime 1.32.0 (its module onnxruntime.transformers.float16), onnx 1.23.2, numpy 2.4.6, sympy 1.14.0.
# Behaviour: the converter appends the Cast of the input behind the nodes that read it. ONNX demands that nodes stand in
# topological order.
# Why it surprises: the input model is valid, and the result runs in ONNX Runtime, which sorts nodes itself. So the fault shows
# only when another tool checks the file or relies on the order that ONNX guarantees.
# What to do: call topological_sort() of onnxruntime.transformers.onnx_model.OnnxModel on the result, then check it.
#
# Seen:
#   nodes: Gemm Cast Cast
#   checker: Nodes in a graph must be topologically sorted, however input 'graph_input_cast_0' of node:
#   ONNX Runtime: 2.0 3.0
#   nodes after topological_sort: Cast Gemm Cast
#   checker: no complaint
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 sympy==1.14.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel


def check(model):
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        print("checker:", str(error).splitlines()[0].strip())
        return False
    print("checker: no complaint")
    return True


graph = helper.make_graph(
    [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="dense")],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2))],
    [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w"), numpy_helper.from_array(np.ones(2, np.float32), "b")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
half = convert_float_to_float16(model, keep_io_types=True)
print("nodes:", *(node.op_type for node in half.graph.node))
refused = not check(half)
session = onnxruntime.InferenceSession(half.SerializeToString(), providers=["CPUExecutionProvider"])
print("ONNX Runtime:", *session.run(None, {"x": np.array([[1, 2]], np.float32)})[0].ravel())
sorter = OnnxModel(half)
sorter.topological_sort()
print("nodes after topological_sort:", *(node.op_type for node in sorter.model.graph.node))
sys.exit(0 if refused and check(sorter.model) else 1)
PY
