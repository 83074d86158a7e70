"""Rounding weights to 4 bits so that the errors of a channel cancel on the images that calibrate.

A weight has 15 levels, so rounding each to the nearest loses much. Here the weights that are not yet rounded take up the error of
those that are, on the inputs that the layer sees, and the bias makes up for the mean error.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ..convert.onnx_int8 import MAX_INPUTS, PATCHES, SEED, round_to_cancel
from .tflite_graph import CONV, DENSE, Graph

# The largest integer of a weight with 4 bits, which is symmetric.
LARGEST = 7
# The largest weight of a channel may be cut off: its scale is one of these shares of what it would need.
SHARES = np.linspace(0.55, 1.0, 7)
SAME = 0

Floats = NDArray[np.float32]
Run = Callable[[Any, list[int]], Callable[[NDArray[np.uint8]], Iterator[Floats]]]


def narrow_weights(graph: Graph, calibration: Pixels, open_model: Run) -> dict[int, tuple[Floats, NDArray[np.float32] | None]]:
    """Return weights of convolutions and dense layers that are multiples of a scale with 4 bits, and their biases.

    Args:
        graph: in float32.
        calibration: (N, H, W, C) uint8.
        open_model: returns a function that gives some tensors of a model for an image.

    Returns:
        By the operation's index, weights of the same shape, and the bias, None if it has none. Grouped convolutions and layers
        of more inputs than `onnx_int8.MAX_INPUTS` are left out.
    """
    layers = {index: graph.constant(operator.inputs[1]) for index, operator in _layers(graph)}
    sources = {index: int(graph.subgraph.operators[index].inputs[0]) for index in layers}
    run = open_model(graph.tree, list(sources.values()))
    rng = np.random.default_rng(SEED)
    each = max(1, PATCHES // len(calibration))
    seen: dict[int, list[NDArray[np.float64]]] = {index: [] for index in layers}
    for image in calibration:
        for index, values in zip(layers, run(image), strict=True):
            seen[index].append(_draw_inputs(graph, index, layers[index].shape, values, most=each, rng=rng))
    found = {}
    for index, weights in layers.items():
        operator = graph.subgraph.operators[index]
        has_bias = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        rounded, shift = _round(weights, np.concatenate(seen[index]), has_bias=has_bias)
        found[index] = rounded, graph.constant(operator.inputs[2]) + shift if has_bias else None
    return found


def with_narrow(tree: Any, narrow: Mapping[int, tuple[Floats, Floats | None]]) -> Any:
    """Return a model (ModelT) in which some operations, by their index, have other weights and biases."""
    changed = copy.copy(tree)
    changed.buffers, graph = list(tree.buffers), copy.copy(tree.subgraphs[0])
    graph.tensors = list(graph.tensors)
    changed.subgraphs = [graph]
    users = Counter(tensor.buffer for tensor in graph.tensors)
    for index, values in narrow.items():
        for tensor, value in zip(graph.operators[index].inputs[1:], values, strict=False):
            if value is None or tensor < 0:
                continue
            place = graph.tensors[tensor].buffer
            buffer = copy.copy(changed.buffers[place])
            buffer.data = np.frombuffer(np.ascontiguousarray(value, np.float32).tobytes(), np.uint8)
            if users[place] > 1:
                # Another layer has the same numbers.
                place = len(changed.buffers)
                changed.buffers.append(buffer)
                graph.tensors[tensor] = copy.copy(graph.tensors[tensor])
                graph.tensors[tensor].buffer = place
            changed.buffers[place] = buffer
    return changed


def _layers(graph: Graph) -> Iterator[tuple[int, Any]]:
    """Yield the operations whose weights can be rounded here, with their index."""
    uses = [int(one) for operator in graph.subgraph.operators for one in operator.inputs]
    for index, operator in enumerate(graph.subgraph.operators):
        if graph.codes[index] not in (CONV, DENSE) or not graph.is_constant(operator.inputs[1]):
            continue
        shape = graph.constant(operator.inputs[1]).shape
        channels = graph.subgraph.tensors[operator.inputs[0]].shape[-1]
        is_whole = graph.codes[index] == DENSE or shape[-1] == channels
        has_own = all(uses.count(int(one)) == 1 for one in operator.inputs[1:] if one >= 0)
        if is_whole and has_own and int(np.prod(shape[1:])) <= MAX_INPUTS:
            yield index, operator


def _draw_inputs(
    graph: Graph, index: int, shape: tuple[int, ...], values: Floats, *, most: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return some of what an operation multiplies with its weights (n, inputs) for one image; shape is that of the weights."""
    if graph.codes[index] == DENSE:
        rows = values.reshape(-1, shape[-1])
        return rows[rng.permutation(len(rows))[:most]].astype(np.float64)
    options = graph.subgraph.operators[index].builtinOptions
    padded = values[0]
    steps = (options.strideH, options.strideW)
    spans = tuple(
        (size - 1) * gap + 1 for size, gap in zip(shape[1:3], (options.dilationHFactor, options.dilationWFactor), strict=True)
    )
    if options.padding == SAME:
        lacks = [
            max(0, (-(-side // step) - 1) * step + span - side)
            for side, step, span in zip(padded.shape, steps, spans, strict=False)
        ]
        padded = np.pad(padded, [*((lack // 2, lack - lack // 2) for lack in lacks), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, (0, 1))[:: steps[0], :: steps[1]]
    places = np.unravel_index(rng.permutation(windows.shape[0] * windows.shape[1])[:most], windows.shape[:2])
    # Channels come before the rows and columns of a window.
    drawn = windows[places][..., :: options.dilationHFactor, :: options.dilationWFactor].transpose(0, 2, 3, 1)
    return drawn.reshape(len(drawn), -1).astype(np.float64)


def _round(weights: Floats, inputs: NDArray[np.float64], *, has_bias: bool) -> tuple[Floats, Floats]:
    """Return weights (channels, ...) as multiples of a scale per channel, and what their biases need in addition (channels,).

    inputs are (n, inputs). Of several scales the one with the smallest squared error of the results is taken.
    """
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    mean = inputs.mean(0) if has_bias else np.zeros(inputs.shape[1])
    moments = inputs.T @ inputs / len(inputs) - np.outer(mean, mean)
    needed = np.maximum(np.abs(rows).max(1) / LARGEST, 1e-12)
    # All scales at once: every channel is rounded once for each.
    scales = (SHARES[:, None] * needed).reshape(-1)
    rounded = round_to_cancel(np.tile(rows, (len(SHARES), 1))[None], scales[None], moments[None], LARGEST)[0] * scales[:, None]
    rounded = rounded.reshape(len(SHARES), *rows.shape)
    lost = rounded - rows
    errors = ((lost @ moments) * lost).sum(-1)
    best = rounded[errors.argmin(0), np.arange(len(rows))]
    return best.reshape(weights.shape).astype(np.float32), ((rows - best) @ mean).astype(np.float32)
