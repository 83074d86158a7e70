#!/usr/bin/env bash
# ai-edge-quantizer gives a dense layer one scale per output but not the operator version for it, so old runtimes return zeros.
#
# Versions: ai-edge-quantizer 0.10.0, ai-edge-litert 2.3.0, flatbuffers 25.12.19, numpy 2.4.6; and tflite-runtime 2.14.0 with
# numpy 1.26.4, in an environment of its own. You need Python 3.11, the last that tflite-runtime has wheels for.
# Behaviour: the recipe dynamic_wi8_afp32 gives FULLY_CONNECTED int8 weights with a scale for each output, and float activations.
# The operator keeps version 1, with which it had float weights. tflite-runtime 2.14 opens the file, runs it, and returns zeros.
# Why it surprises: versions are there so that an old runtime refuses what it cannot compute. TensorFlow's converter writes
# version 12 for such a layer, which tflite-runtime 2.14 refuses with a message. Here nothing is raised.
# What to do: quantize dense layers with the granularity TENSORWISE if activations stay in float, or run the file only with
# LiteRT, or TFLite 2.17 and later.
#
# Seen (a dense layer whose weights are the diagonal 1 0.5 0.25; the input is 1 1 1):
#   version of FULLY_CONNECTED: 1, its weights have 3 scales
#   LiteRT: 1.0 0.5 0.25
#   tflite-runtime: 0.0 0.0 0.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 ai-edge-quantizer==0.10.0 &&
        "${1:-python3}" -m venv "$folder/old" &&
        "$folder/old/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 tflite-runtime==2.14.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

cat > run.py <<'PY'
import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

interpreter = Interpreter(model_path="dynamic.tflite")
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 3), np.float32))
interpreter.invoke()
result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print(*(round(float(value), 2) for value in result.ravel()))
PY

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import contextlib
import io
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import quantizer, recipe


def make_tensor(name, shape, buffer):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, np.array(shape, np.int32), buffer
    tensor.type = schema.TensorType.FLOAT32
    return tensor


def run(python):
    done = subprocess.run([f"{python}/bin/python", "run.py"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


code, operator, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
code.version = 1
operator.inputs, operator.outputs = np.array([0, 1, -1], np.int32), np.array([2], np.int32)
operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
operator.builtinOptions = schema.FullyConnectedOptionsT()
graph.tensors = [make_tensor("x", (1, 3), 0), make_tensor("w", (3, 3), 1), make_tensor("y", (1, 3), 0)]
graph.inputs, graph.outputs, graph.operators = np.array([0], np.int32), np.array([2], np.int32), [operator]
weights = schema.BufferT()
weights.data = np.frombuffer(np.diag([1, 0.5, 0.25]).astype(np.float32).tobytes(), np.uint8)
model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
model.buffers = [schema.BufferT(), weights]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), b"TFL3")
with contextlib.redirect_stdout(io.StringIO()):
    result = quantizer.Quantizer(bytes(builder.Output()), recipe.dynamic_wi8_afp32()).quantize()
content = bytes(result.quantized_model)
Path("dynamic.tflite").write_bytes(content)

made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
scales = made.subgraphs[0].tensors[1].quantization.scale
print(f"version of FULLY_CONNECTED: {made.operatorCodes[0].version}, its weights have {len(scales)} scales")
new, old = run("venv"), run("old")
print("LiteRT:", new)
print("tflite-runtime:", old)
is_same = made.operatorCodes[0].version == 1 and len(scales) == 3
sys.exit(0 if is_same and new == "1.0 0.5 0.25" and old == "0.0 0.0 0.0" else 1)
PY
