#!/usr/bin/env bash
# pnnx ignores the stride when it computes the SAME padding of a pooling layer, so that the pooling starts one pixel too early.
#
# Versions: pnnx 20261020, ncnn 1.0.20261020, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Behaviour: pnnx replaces auto_pad of an ONNX MaxPool or AveragePool with the padding that stride 1 needs. A pool of 3 x 3 with
# stride 2 on an image of even size needs one column on the right only; pnnx puts one on each side.
# Why it surprises: nothing is printed, the shapes agree, a convolution with auto_pad is right, and so is a pool of 2 x 2 with
# SAME_UPPER or an image of odd size. The network reads an image that is shifted by one pixel.
# What to do: replace auto_pad with pads before pnnx reads the model, for example [0, 0, 1, 1] here, or pool without padding.
#
# Seen (the image is 0 to 3 on each of four rows; the pool is 3 x 3 with stride 2; the first row of the result):
#   SAME_UPPER, ONNX Runtime: 2.0 3.0
#   SAME_UPPER, pnnx and ncnn: 1.0 3.0
#   pads, ONNX Runtime: 2.0 3.0
#   pads, pnnx and ncnn: 2.0 3.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 ncnn==1.0.20261020 &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pnnx==20261020
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


# The module pnnx imports PyTorch; the program beside it does not.
converter = Path(find_spec("pnnx").origin).with_name("pnnx")


def run_onnxruntime(image):
    return onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": image})[0][0]


def run_ncnn(image):
    subprocess.run([converter, "model.onnx", "inputshape=[1,1,4,4]f32"], check=True, capture_output=True)
    network = ncnn.Net()
    if network.load_param("model.ncnn.param") or network.load_model("model.ncnn.bin"):
        raise RuntimeError("ncnn cannot load the model")
    extractor = network.create_extractor()
    extractor.input("in0", ncnn.Mat(image[0]).clone())
    return np.array(extractor.extract("out0")[1])


image = np.tile(np.arange(4, dtype=np.float32), (1, 1, 4, 1))
results = []
for title, padding in (("SAME_UPPER", {"auto_pad": "SAME_UPPER"}), ("pads", {"pads": [0, 0, 1, 1]})):
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], **padding)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 2, 2))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    for engine, run in (("ONNX Runtime", run_onnxruntime), ("pnnx and ncnn", run_ncnn)):
        results.append(run(image)[0, 0].tolist())
        print(f"{title}, {engine}:", *results[-1])
sys.exit(0 if results == [[2, 3], [1, 3], [2, 3], [2, 3]] else 1)
PY
