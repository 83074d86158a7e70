#!/usr/bin/env bash
# quantize_dynamic(per_channel=True) gives a convolution one scale for all of its filters.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Behaviour: for Conv nodes, quantize_dynamic ignores per_channel. It writes the same file with it and without it: one scale
# for the whole weight tensor. For MatMul nodes the option works.
# Why it surprises: you ask for one scale a channel, and there is no warning. Filters whose weights are much smaller than the
# largest one lose digits or become zero. Depthwise layers suffer most, because their filters differ most in size.
# What to do: use quantize_static with per_channel=True for models with convolutions, and compare the quantized model with the
# float32 model before you ship it.
#
# Seen (the weights are 1, 0.1, 0.01 and 0.001, and the input is 1):
#   Conv, per_channel=False: 1.0 0.10236 0.00787 0.0
#   Conv, per_channel=True: 1.0 0.10236 0.00787 0.0
#   the two Conv files are the same: True
#   MatMul, per_channel=False: 1.0 0.10236 0.00787 0.0
#   MatMul, per_channel=True: 1.0 0.1 0.01 0.001
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
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

logging.disable(logging.WARNING)
WEIGHTS = np.array([1, 0.1, 0.01, 0.001], np.float32)


def save(operator, weights, input_shape, output_shape):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "float32.onnx")


def quantize(operator, weights, input_shape, output_shape, per_channel):
    save(operator, weights, input_shape, output_shape)
    quantize_dynamic("float32.onnx", "int8.onnx", per_channel=per_channel, weight_type=QuantType.QInt8)
    session = onnxruntime.InferenceSession("int8.onnx", providers=["CPUExecutionProvider"])
    result = session.run(None, {"x": np.ones(input_shape, np.float32)})[0].ravel()
    print(f"{operator}, per_channel={per_channel}:", *(round(float(value), 5) for value in result))
    return Path("int8.onnx").read_bytes(), result


conv = [quantize("Conv", WEIGHTS.reshape(4, 1, 1, 1), (1, 1, 1, 1), (1, 4, 1, 1), option) for option in (False, True)]
print("the two Conv files are the same:", conv[0][0] == conv[1][0])
matmul = [quantize("MatMul", WEIGHTS.reshape(1, 4), (1, 1), (1, 4), option) for option in (False, True)]
unchanged = conv[0][0] == conv[1][0] and conv[1][1][3] == 0 and np.allclose(matmul[1][1], WEIGHTS, rtol=0.01)
sys.exit(0 if unchanged else 1)
PY
