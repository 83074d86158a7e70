#!/usr/bin/env bash
# ai-edge-quantizer lets a layer take the copy of its input that was converted to be an output, and the layer returns zeros.
#
# Versions: ai-edge-quantizer 0.10.0, ai-edge-litert 2.3.0, flatbuffers 25.12.19, numpy 2.4.6.
# Behaviour: three dense layers in a row, the results of all three are outputs, the first has 8-bit activations and the others
# 16-bit ones. The outputs get one type, so QUANTIZE makes an int8 copy of the second result. The third layer, whose recipe says
# 16 bits, then takes this int8 copy and gives int16. LiteRT opens the file, runs it, and returns zeros for the third result.
# Why it surprises: with the last result as the only output the same recipe is right. Adding an output to a network changes what
# another output computes, and neither the quantizer nor LiteRT says a word.
# What to do: mix precisions only in networks with one output, or quantize with all outputs in one precision, and compare every
# output with that of the float model.
#
# Seen (the layers multiply by 1, 2 and 3; the input is 1 0.5 0.25, so the third result is 6 3 1.5):
#   one output, third result: 5.98 3.01 1.51
#   three outputs, first result: 1.0 0.5 0.25
#   three outputs, second result: 1.99 1.0 0.5
#   three outputs, third result: 0.0 0.0 0.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 ai-edge-quantizer==0.10.0
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - 2> errors.txt <<'PY' || { cat errors.txt >&2; echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import contextlib
import io
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer

BITS = {"h": 8, "y": 16, "z": 16}
REACH = {"x": 1, "h": 1, "y": 2, "z": 6}


def make_tensor(name, shape, buffer=0):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, np.array(shape, np.int32), buffer
    tensor.type = schema.TensorType.FLOAT32
    return tensor


def make_dense(source, weights, result):
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = np.array([source, weights, -1], np.int32), np.array([result], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    return operator


def make_entry(index):
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = str(index), index
    return entry


def make_weights(factor):
    buffer = schema.BufferT()
    buffer.data = np.frombuffer((factor * np.eye(3)).astype(np.float32).tobytes(), np.uint8)
    return buffer


def build_model(outputs):
    """Return a TFLite file of three dense layers in a row, with these tensors as outputs."""
    code, graph, signature, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.SignatureDefT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    graph.tensors = [make_tensor("x", (1, 3))]
    for place, name in enumerate("hyz", 1):
        graph.tensors += [make_tensor(f"weights of {name}", (3, 3), place), make_tensor(name, (1, 3))]
    graph.operators = [make_dense(0, 1, 2), make_dense(2, 3, 4), make_dense(4, 5, 6)]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array(outputs, np.int32)
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [make_entry(0)], [make_entry(index) for index in outputs]
    model.version, model.operatorCodes, model.subgraphs, model.signatureDefs = 3, [code], [graph], [signature]
    model.buffers = [schema.BufferT(), *(make_weights(factor) for factor in (1, 2, 3))]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def make_rule(name, bits):
    weights = {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
    activations = {"num_bits": bits, "symmetric": bits == 16, "granularity": "TENSORWISE", "dtype": "INT"}
    config = {
        "weight_tensor_config": weights,
        "activation_tensor_config": activations,
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    return {"regex": f"^{name};", "operation": "*", "algorithm_key": "min_max_uniform_quantize", "op_config": config}


def results(outputs):
    """Return the results of the quantized model for 1 0.5 0.25."""
    statistics = {
        name: {"min": np.full((1, 1), -reach, np.float32), "max": np.full((1, 1), reach, np.float32)}
        for name, reach in REACH.items()
    }
    with contextlib.redirect_stdout(io.StringIO()):
        worker = quantizer.Quantizer(build_model(outputs), [make_rule(name, bits) for name, bits in BITS.items()])
        content = bytes(worker.quantize(statistics).quantized_model)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    x = np.array([[1, 0.5, 0.25]], np.float32)
    if source["dtype"] == np.int8:
        scale, zero_point = source["quantization"]
        x = np.clip(np.rint(x / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    values = []
    for target in interpreter.get_output_details():
        value, (scale, zero_point) = interpreter.get_tensor(target["index"]), target["quantization"]
        values.append(((value.astype(np.float64) - zero_point) * scale if scale else value).ravel())
    return values


def show(title, values):
    print(f"{title}:", *(round(float(value), 2) for value in values))


(alone,) = results([6])
beside = results([2, 4, 6])
show("one output, third result", alone)
for name, values in zip(("first", "second", "third"), beside, strict=True):
    show(f"three outputs, {name} result", values)
right = np.array([1, 0.5, 0.25])
is_right = [np.allclose(values, right * factor, atol=0.1) for values, factor in zip((alone, *beside), (6, 1, 2, 6), strict=True)]
sys.exit(0 if is_right == [True, True, True, False] and not beside[2].any() else 1)
PY
