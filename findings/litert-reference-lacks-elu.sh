#!/usr/bin/env bash
# LiteRT's reference kernels lack the operator ELU, which its other kernels have, so such a model opens only without them.
#
# Versions: ai-edge-litert 2.3.0, flatbuffers 25.12.19, numpy 2.4.6.
# Behaviour: with OpResolverType.BUILTIN_REF, opening a model with ELU raises "Didn't find op for builtin opcode 'ELU'".
# Why it surprises: the reference kernels are the plain ones that exist first, the file is valid, and the message asks whether
# an old TFLite runs a newer model. The default, and BUILTIN_WITHOUT_DEFAULT_DELEGATES, run it.
# What to do: where reference results are wanted, fall back on OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, which takes no
# XNNPACK either.
#
# Seen (ELU of -1 0 1):
#   BUILTIN_REF: Didn't find op for builtin opcode 'ELU' version '1'
#   BUILTIN_WITHOUT_DEFAULT_DELEGATES: -0.632 0.0 1.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python 2>/dev/null - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

tensors = []
for name in ("x", "y"):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 3], schema.TensorType.FLOAT32, 0
    tensors.append(tensor)
graph, layer, code, whole = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT(), schema.ModelT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ELU
code.version = 1
layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0], [1]
graph.tensors, graph.operators, graph.inputs, graph.outputs, graph.name = tensors, [layer], [0], [1], "main"
whole.version, whole.description, whole.buffers, whole.subgraphs, whole.operatorCodes = 3, "", [schema.BufferT()], [graph], [code]
builder = flatbuffers.Builder(1024)
builder.Finish(whole.Pack(builder), b"TFL3")
content = bytes(builder.Output())

results = []
for kind in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
    try:
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([[-1, 0, 1]], np.float32))
        interpreter.invoke()
        values = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel()
        results.append(" ".join(str(round(float(value), 3)) for value in values))
    except ValueError as error:
        results.append(str(error).partition(". ")[0])
    print(f"{kind.name}:", results[-1])
sys.exit(0 if results == ["Didn't find op for builtin opcode 'ELU' version '1'", "-0.632 0.0 1.0"] else 1)
PY
