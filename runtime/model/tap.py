"""What the last layer of a network sees: its features, as a second output of the model.

A model file is edited in memory without a library. No operation changes, the engine only hands out one more tensor, so the
probabilities stay what they are.
"""

import struct

from .facts import _field, _offset, _protobuf_fields, _tables

# Field numbers in TFLite's schema, of the tables Model, SubGraph, Operator and OperatorCode.
MODEL_CODES, MODEL_GRAPHS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 1, 2, 2, 3
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, CODE_OLD, CODE_NEW = 0, 1, 2, 0, 3
# TFLite's numbers of FULLY_CONNECTED, and of what may follow the last dense layer: DEQUANTIZE, LOGISTIC, MUL, RESHAPE, SOFTMAX,
# DIV, CAST and QUANTIZE.
DENSE, AFTER_DENSE = 9, (6, 14, 18, 22, 25, 42, 53, 114)
# Field numbers in ONNX's schema, of ModelProto, GraphProto, NodeProto and ValueInfoProto.
MODEL_GRAPH, GRAPH_NODE, GRAPH_OUTPUT, NODE_INPUT, NODE_OUTPUT, NODE_OPERATION, VALUE_NAME = 7, 1, 12, 1, 2, 4, 1
ONNX_DENSE = (b"Gemm", b"MatMul")
QUANTIZERS = (b"QuantizeLinear", b"DequantizeLinear")
AFTER_ONNX_DENSE = (*QUANTIZERS, b"Add", b"Cast", b"Div", b"Identity", b"Mul", b"Reshape", b"Sigmoid", b"Softmax")
# A ValueInfoProto's type: a tensor of float32, of the shape (n, m).
FLOAT_TENSOR = bytes.fromhex("12100a0e0801120a0a0312016e0a0312016d")
# How protobuf writes the number of a field whose value is a message or text.
LENGTH_DELIMITED = 2
NO_DENSE = "its last layer is not a dense one, so it has no features to learn from"


def tflite_with_features(model: bytes) -> bytes:
    """Return a TFLite model with the input of its last dense layer as second output; raises ValueError if it has none."""
    root = _offset(model, 0)
    graph = _tables(model, _field(model, root, MODEL_GRAPHS))[0]
    codes = [_code(model, table) for table in _tables(model, _field(model, root, MODEL_CODES))]
    outputs = _integers(model, _field(model, graph, GRAPH_OUTPUTS))
    wanted = outputs[0]
    for operator in reversed(_tables(model, _field(model, graph, GRAPH_OPERATORS))):
        if wanted not in _integers(model, _field(model, operator, OPERATOR_OUTPUTS)):
            continue
        at = _field(model, operator, OPERATOR_CODE)
        code = codes[struct.unpack_from("<I", model, at)[0] if at else 0]
        wanted = _integers(model, _field(model, operator, OPERATOR_INPUTS))[0]
        if code == DENSE:
            return _with_outputs(model, _field(model, graph, GRAPH_OUTPUTS), [*outputs, wanted])
        if code not in AFTER_DENSE:
            break
    raise ValueError(NO_DENSE)


def onnx_with_features(model: bytes) -> tuple[bytes, str]:
    """Return an ONNX model with the input of its last dense layer as another output, and its name.

    Raises ValueError if it has no such layer.
    """
    graph = next(value for number, value in _protobuf_fields(model) if number == MODEL_GRAPH)
    fields = list(_protobuf_fields(graph))
    makers = {output: node for node in (_node(value) for number, value in fields if number == GRAPH_NODE) for output in node[2]}
    wanted = next(dict(_protobuf_fields(value))[VALUE_NAME] for number, value in fields if number == GRAPH_OUTPUT)
    while wanted in makers:
        operation, inputs, _ = makers[wanted]
        wanted = next((name for name in inputs if name in makers), b"")
        if operation in ONNX_DENSE:
            # The engine joins a dense layer with the conversions around it, unless somebody asks for what lies between.
            while wanted in makers and makers[wanted][0] in QUANTIZERS:
                wanted = makers[wanted][1][0]
            # Protobuf merges a message that comes twice, so another output is all that has to be added.
            output = _message(VALUE_NAME, wanted) + FLOAT_TENSOR
            return model + _message(MODEL_GRAPH, _message(GRAPH_OUTPUT, output)), wanted.decode()
        if operation not in AFTER_ONNX_DENSE:
            break
    raise ValueError(NO_DENSE)


def _code(model: bytes, table: int) -> int:
    """Return the number of an operation; early files have it in a byte of its own."""
    old, new = _field(model, table, CODE_OLD), _field(model, table, CODE_NEW)
    return max(
        struct.unpack_from("<b", model, old)[0] if old else 0,
        struct.unpack_from("<i", model, new)[0] if new else 0,
    )


def _integers(model: bytes, at: int) -> list[int]:
    """Return a vector of int32; empty if the field is absent."""
    if not at:
        return []
    vector = _offset(model, at)
    count = struct.unpack_from("<I", model, vector)[0]
    if 4 * count > len(model):
        raise ValueError("a vector longer than the file")
    return list(struct.unpack_from(f"<{count}i", model, vector + 4))


def _with_outputs(model: bytes, at: int, outputs: list[int]) -> bytes:
    """Return the model with these outputs: a new vector at its end, to which the field at this offset points."""
    changed = bytearray(model) + bytes(-len(model) % 4)
    struct.pack_into("<I", changed, at, len(changed) - at)
    return bytes(changed + struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs))


def _node(value: bytes) -> tuple[bytes, list[bytes], list[bytes]]:
    """Return an ONNX node's operation, inputs and outputs."""
    fields = list(_protobuf_fields(value))
    operation = next((text for number, text in fields if number == NODE_OPERATION), b"")
    inputs, outputs = ([text for number, text in fields if number == kind] for kind in (NODE_INPUT, NODE_OUTPUT))
    return operation, inputs, outputs


def _message(number: int, value: bytes) -> bytes:
    """Return a field of a protobuf message that is a message or text."""
    return bytes(_varint_of(number << 3 | LENGTH_DELIMITED) + _varint_of(len(value)) + value)


def _varint_of(value: int) -> bytes:
    """Return a number as protobuf writes it, seven bits in a byte, the lowest first."""
    parts = []
    while True:
        parts.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(parts)
