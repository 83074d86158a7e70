#!/usr/bin/env bash
# LiteRT's reference kernels round a dense layer of int8 once and a convolution twice, and tflite-micro rounds both twice.
#
# Versions: ai-edge-litert 2.3.0, tflite-micro 0.dev20261023182759, flatbuffers 25.12.19, numpy 2.4.6. tflite-micro has wheels
# for Linux on x86-64 only.
# Behaviour: a sum of products is multiplied by input scale * weight scale / output scale, and rounded. With
# OpResolverType.BUILTIN_REF, a dense layer rounds the result. A convolution of 1 x 1 with the same weights rounds before and
# after the last shift, so that 0.25 becomes 0.5, and then 1. In tflite-micro the dense layer computes as that convolution does.
# Why it surprises: reference kernels are what others are compared with, the two layers are the same function, and a quarter is
# rounded up. A network's answers by LiteRT's reference kernels are not always those of a microcontroller.
# What to do: for answers that a microcontroller must give to the bit, ask tflite-micro itself.
#
# Seen (the sums 1 2 3 5 6 7, and scales that divide them by 4):
#   sums / 4: 0.25 0.5 0.75 1.25 1.5 1.75
#   LiteRT's reference, dense layer: 0 1 1 1 2 2
#   LiteRT's reference, convolution: 1 1 1 2 2 2
#   tflite-micro, dense layer: 1 1 1 2 2 2
#   tflite-micro, convolution: 1 1 1 2 2 2
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 tflite-micro==0.dev20261023182759
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python 2>/dev/null - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro import runtime

# The input is 0, so that the biases are the sums.
SUMS = np.array([1, 2, 3, 5, 6, 7], np.int32)
DIVISOR = 4.0


def tensor(name, shape, kind, buffer, scale):
    made, quantized = schema.TensorT(), schema.QuantizationParametersT()
    made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
    quantized.scale, quantized.zeroPoint, made.quantization = [scale], [0], quantized
    return made


def model(is_dense):
    buffers = []
    for content in (b"", bytes(len(SUMS)), SUMS.tobytes()):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8) if content else None
        buffers.append(buffer)
    middle, int8 = ([] if is_dense else [1, 1]), schema.TensorType.INT8
    graph, layer, code = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    graph.tensors = [
        tensor("x", [1, *middle, 1], int8, 0, 1.0),
        tensor("weights", [len(SUMS), *middle, 1], int8, 1, 1.0),
        tensor("bias", [len(SUMS)], schema.TensorType.INT32, 2, 1.0),
        tensor("y", [1, *middle, len(SUMS)], int8, 0, DIVISOR),
    ]
    if is_dense:
        code.builtinCode = schema.BuiltinOperator.FULLY_CONNECTED
        layer.builtinOptionsType, layer.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT()
    else:
        code.builtinCode, options = schema.BuiltinOperator.CONV_2D, schema.Conv2DOptionsT()
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        layer.builtinOptionsType, layer.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 4 if is_dense else 3
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    graph.operators, graph.inputs, graph.outputs, graph.name = [layer], [0], [3], "main"
    whole = schema.ModelT()
    whole.version, whole.description, whole.buffers, whole.subgraphs, whole.operatorCodes = 3, "", buffers, [graph], [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def litert(content, shape):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.zeros(shape, np.int8))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist()


def micro(content, shape):
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=100_000)
    interpreter.set_input(np.zeros(shape, np.int8), 0)
    interpreter.invoke()
    return interpreter.get_output(0).ravel().tolist()


print("sums / 4:", *(SUMS / DIVISOR).tolist())
found = {}
for name, run in (("LiteRT's reference", litert), ("tflite-micro", micro)):
    for layer, is_dense, shape in (("dense layer", True, (1, 1)), ("convolution", False, (1, 1, 1, 1))):
        found[name, layer] = run(model(is_dense), shape)
        print(f"{name}, {layer}:", *found[name, layer])
once, twice = [0, 1, 1, 1, 2, 2], [1, 1, 1, 2, 2, 2]
sys.exit(0 if list(found.values()) == [once, twice, twice, twice] else 1)
PY
