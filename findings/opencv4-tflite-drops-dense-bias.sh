#!/usr/bin/env bash
# OpenCV 4 drops the bias of a dense layer when it reads a TFLite file.
#
# Versions: opencv-python-headless 4.14.0.94, ai-edge-litert 2.3.0, flatbuffers 25.12.19, numpy 2.4.6.
# Behaviour: cv2.dnn.readNetFromTFLite computes FULLY_CONNECTED without its third input, the bias.
# Why it surprises: nothing is raised, and an untrained network, whose biases are zero, passes every comparison. A trained
# classifier loses accuracy, mostly in classes that the bias separates.
# What to do: use LiteRT, or OpenCV 5, which is right here. Compare engines on a trained model, not on a fresh one.
#
# Seen (the first layer adds 1, the second multiplies by 10 and adds 5; the input is 1 2 3):
#   LiteRT: 25.0 35.0 45.0
#   OpenCV: 10.0 20.0 30.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 opencv-python-headless==4.14.0.94
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys
from pathlib import Path

import cv2
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter


def build_model(names, constants):
    """Return a TFLite file of two dense layers; names are those of its seven tensors, constants are its weights and biases."""

    def make_buffer(values=None):
        buffer = schema.BufferT()
        buffer.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        return buffer

    def make_tensor(name, shape, buffer):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, np.array(shape, np.int32), buffer
        tensor.type = schema.TensorType.FLOAT32
        return tensor

    def make_dense(inputs, output):
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        return operator

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    shapes = [(1, 3), (3, 3), (3,), (1, 3), (3, 3), (3,), (1, 3)]
    graph = schema.SubGraphT()
    graph.tensors = [make_tensor(*parts) for parts in zip(names, shapes, [0, 1, 2, 0, 3, 4, 0], strict=True)]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([6], np.int32)
    graph.operators = [make_dense([0, 1, 2], 3), make_dense([3, 4, 5], 6)]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [make_buffer(), *(make_buffer(values) for values in constants)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run_litert(model, x):
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


same, one = np.eye(3, dtype=np.float32), np.ones(3, np.float32)
x = np.array([[1, 2, 3]], np.float32)
model = build_model(("x", "w1", "b1", "h", "w2", "b2", "y"), (same, one, same * 10, one * 5))
right = run_litert(model, x)
print("LiteRT:", *right.ravel())
Path("model.tflite").write_bytes(model)
network = cv2.dnn.readNetFromTFLite("model.tflite")
network.setInput(x)
wrong = network.forward()
print("OpenCV:", *wrong.ravel())
sys.exit(0 if np.allclose(right, (x + 1) * 10 + 5) and np.allclose(wrong, x * 10) else 1)
PY
