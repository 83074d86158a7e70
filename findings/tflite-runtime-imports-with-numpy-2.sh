#!/usr/bin/env bash
# tflite-runtime imports with NumPy 2 and fails only when it opens a model.
#
# Versions: tflite-runtime 2.14.0, numpy 2.4.6 and 1.26.4; ai-edge-litert 2.3.0 and flatbuffers 25.12.19 only make a model.
# Needs Python 3.11: pass it as the first argument if your python3 is another one.
# Behaviour: its wheel asks for numpy>=1.23.2 without an upper limit, so pip installs NumPy 2. The import succeeds;
# Interpreter() raises a SystemError whose cause, "_ARRAY_API not found", is printed to stderr.
# Why it surprises: the usual "try: import tflite_runtime; except ImportError: import something else" picks the broken runtime.
# What to do: find a runtime by opening a model. Install numpy<2 beside tflite-runtime, or use ai-edge-litert.
#
# Seen:
#   numpy 2.4.6: imported
#   numpy 2.4.6: SystemError when it opens the model
#   numpy 1.26.4: imported
#   numpy 1.26.4: the model gives 25.0 35.0 45.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 tflite-runtime==2.14.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


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


same, one = np.eye(3, dtype=np.float32), np.ones(3, np.float32)
Path("model.tflite").write_bytes(build_model(("x", "w1", "b1", "h", "w2", "b2", "y"), (same, one, same * 10, one * 5)))
Path("run.py").write_text('''
import numpy as np
from tflite_runtime.interpreter import Interpreter
print(f"numpy {np.__version__}: imported", flush=True)
try:
    interpreter = Interpreter(model_path="model.tflite")
except Exception as error:
    raise SystemExit(print(f"numpy {np.__version__}: {type(error).__name__} when it opens the model"))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([[1, 2, 3]], np.float32))
interpreter.invoke()
result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print(f"numpy {np.__version__}: the model gives", *result.ravel())
''')


def run():
    result = subprocess.run([sys.executable, "run.py"], capture_output=True, text=True)
    print(result.stdout, end="", flush=True)
    return result.stdout


new = run()
install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy==1.26.4"]
subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
old = run()
sys.exit(0 if "imported" in new and "SystemError" in new and "25.0 35.0 45.0" in old else 1)
PY
