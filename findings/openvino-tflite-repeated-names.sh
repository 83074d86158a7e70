#!/usr/bin/env bash
# OpenVINO connects the tensors of a TFLite file by their names, and computes wrong values if a name repeats.
#
# Versions: openvino 2026.4.1, ai-edge-litert 2.3.0, flatbuffers 25.12.19, numpy 2.4.6.
# Behaviour: TFLite connects tensors by their indices; names are labels, may be empty and may repeat. OpenVINO's reader looks
# tensors up by name, so two constants of one name become one. If their shapes agree, the first serves twice.
# Why it surprises: nothing is raised, and LiteRT and OpenCV 5 run the same file correctly. Names repeat in files whose names
# were shortened or removed to save space. If shapes differ, OpenVINO refuses the file with a message about shapes.
# What to do: give every tensor a name of its own before OpenVINO reads the file, or give OpenVINO the ONNX model.
#
# Seen (the first layer adds 1, the second multiplies by 10; the input is 1 2 3):
#   own names, LiteRT: 20.0 30.0 40.0
#   own names, OpenVINO: 20.0 30.0 40.0
#   repeated names, LiteRT: 20.0 30.0 40.0
#   repeated names, OpenVINO: 3.0 4.0 5.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 openvino==2026.4.1
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import openvino
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


def run_openvino(model, x):
    Path("model.tflite").write_bytes(model)
    # Processors with bfloat16 would round the result.
    compiled = openvino.Core().compile_model("model.tflite", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(compiled(x).values()))


same, one, none = np.eye(3, dtype=np.float32), np.ones(3, np.float32), np.zeros(3, np.float32)
x = np.array([[1, 2, 3]], np.float32)
results = []
for title, names in (
    ("own names", ("x", "w1", "b1", "h", "w2", "b2", "y")),
    ("repeated names", ("x", "w", "b", "h", "w", "b", "y")),
):
    model = build_model(names, (same, one, same * 10, none))
    for engine, run in (("LiteRT", run_litert), ("OpenVINO", run_openvino)):
        results.append(run(model, x).ravel())
        print(f"{title}, {engine}:", *results[-1])
right = [np.allclose(values, (x + 1) * 10) for values in results]
sys.exit(0 if right == [True, True, True, False] and np.allclose(results[-1], x + 2) else 1)
PY
