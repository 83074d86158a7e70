#!/usr/bin/env bash
# onnx.reference runs QuantizeLinear of old opsets, but DequantizeLinear only from opset 19.
#
# Versions: onnx 1.23.2, numpy 2.4.6.
# Behaviour: for a model of opset 10 to 18, ReferenceEvaluator raises "No implementation for operator 'DequantizeLinear'".
# Why it surprises: this is the evaluator that others are checked against, the operator exists since opset 10, and tools for
# quantization commonly write opset 13 to 18. Its partner QuantizeLinear works in the same opsets.
# What to do: lift the model with onnx.version_converter.convert_version(model, 19). The results stay the same.
#
# Seen:
#   opset 10: QuantizeLinear works; DequantizeLinear: No implementation for operator 'DequantizeLinear'
#   opset 13: QuantizeLinear works; DequantizeLinear: No implementation for operator 'DequantizeLinear'
#   opset 18: QuantizeLinear works; DequantizeLinear: No implementation for operator 'DequantizeLinear'
#   opset 18 lifted to 19: QuantizeLinear works; DequantizeLinear works
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator


def build(operator, given, taken, opset):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scale", "zero"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", given, (3,))],
        [helper.make_tensor_value_info("y", taken, (3,))],
        [numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(np.uint8(2), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def evaluate(model, values):
    try:
        ReferenceEvaluator(model).run(None, {"x": values})
    except RuntimeError as error:
        return ": " + str(error).partition(" domain")[0]
    return " works"


outcomes = {}
for opset, lifted in ((10, 10), (13, 13), (18, 18), (18, 19)):
    quantize = build("QuantizeLinear", TensorProto.FLOAT, TensorProto.UINT8, opset)
    dequantize = build("DequantizeLinear", TensorProto.UINT8, TensorProto.FLOAT, opset)
    if lifted != opset:
        quantize, dequantize = (version_converter.convert_version(model, lifted) for model in (quantize, dequantize))
    row = [evaluate(quantize, np.zeros(3, np.float32)), evaluate(dequantize, np.zeros(3, np.uint8))]
    name = f"opset {opset}" + (f" lifted to {lifted}" if lifted != opset else "")
    print(f"{name}: QuantizeLinear{row[0]}; DequantizeLinear{row[1]}")
    outcomes[opset, lifted] = [text == " works" for text in row]
unchanged = outcomes.pop((18, 19)) == [True, True] and all(row == [True, False] for row in outcomes.values())
sys.exit(0 if unchanged else 1)
PY
