"""A network as converters take it: float32, without layers that only training needs."""

import contextlib
import json
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import LettercastError

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
# The precisions of floating-point numbers in Keras; the mixed ones hold weights in float32.
PRECISIONS = (FLOAT32, "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
# The entry of a saved model that describes its layers.
DESCRIPTION = "config.json"
# Keras layers that change images in training only. RandomCrop is not one of them: at inference it crops the middle.
TRAINING_ONLY = (
    "AugMix",
    "CutMix",
    "GaussianDropout",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
# A name that TensorFlow takes for a scope and ONNX for a node.
PLAIN_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
# If a mean is more standard deviations away from 0 than this, a factor and an offset instead of a difference lose digits.
MAX_MEAN = 16
# Unit vectors that a quantized layer answers at a time.
UNIT_VECTORS = 256
# Random images on which a network with a float input is compared with the original, and the difference that is rounding.
PROBES, MAX_ROUNDING = 2, 1e-4
# So many steps of a recurrent layer are written out at most; the time to convert them grows faster than their number.
MAX_STEPS = 256


def for_inference(network: "keras.Model") -> "keras.Model":
    """Return an equal network in float32 without training-only layers; the same object if there is nothing to change.

    Converters to TFLite do not mix precisions, and hardly any has operations for random numbers. A Normalization becomes a
    Rescaling, because int8 has no division. The result shares all other layers with a network in float32.
    """
    import keras

    if quantized_layers(network):
        network = dequantized(network)
    network = with_plain_names(network)
    if not is_single(network):
        network = in_precision(network, FLOAT32)
    if network.inputs[0].dtype != FLOAT32:
        network = with_float_input(network)
    dropped = tuple(kind for name in TRAINING_ONLY if (kind := getattr(keras.layers, name, None)))
    if not any(isinstance(layer, (*dropped, keras.layers.Normalization)) for layer in flat_layers(network)):
        return network

    def clone(layer: Any) -> Any:
        if isinstance(layer, dropped):
            return keras.layers.Identity(name=layer.name)
        return as_rescaling(layer) if isinstance(layer, keras.layers.Normalization) else layer

    def call(layer: Any, *args: Any, **settings: Any) -> Any:
        # A network may say whether a layer trains, which an Identity does not take.
        return layer(*args) if isinstance(layer, keras.layers.Identity) else layer(*args, **settings)

    # A Sequential calls its layers without settings, and takes no function for it.
    settings = {} if isinstance(network, keras.Sequential) else {"call_function": call}
    return keras.models.clone_model(network, clone_function=clone, recursive=True, **settings)


def with_plain_names(network: "keras.Model") -> "keras.Model":
    """Return an equal network whose name, inputs and layers have names that TensorFlow takes; the same object if all have."""
    import keras

    taken: dict[str, str] = {}
    for node in _nodes(keras.saving.serialize_keras_object(network)):
        config = node.get("config")
        for name in (node.get("name"), config.get("name") if isinstance(config, dict) else None):
            if isinstance(name, str) and not PLAIN_NAME.fullmatch(name):
                plain = re.sub(r"[^A-Za-z0-9_.]", "_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode())
                taken.setdefault(name, f"{plain.lstrip('_') or 'layer'}_{len(taken)}")

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(part) for part in value]
        return taken.get(value, value) if isinstance(value, str) else value

    if not taken:
        return network
    return _described_again(network, lambda node: {key: renamed(value) for key, value in node.items()})


def quantized_layers(network: "keras.Model") -> "list[keras.layers.Layer]":
    """Return the layers that Keras itself quantized, as `model.quantize("int8")` does."""
    # Also those that are a part of another layer, as in an attention.
    return [layer for layer in network._flatten_layers() if getattr(layer, "quantization_mode", None)]


def dequantized(network: "keras.Model") -> "keras.Model":
    """Return a copy of a network that Keras quantized with the same weights in float32, and activations that are not rounded.

    Raises LettercastError for a quantized layer other than Dense.
    """
    import keras

    weights: list[tuple[keras.layers.Layer, list[Any]]] = []

    def clone(layer: Any) -> Any:
        if not (parts := [part for part in layer._flatten_layers() if getattr(part, "quantization_mode", None)]):
            return layer
        if not isinstance(layer, keras.layers.Dense):
            layer = parts[0]
            kind = f"{layer.quantization_mode} layer '{layer.name}' ({type(layer).__name__})"
            raise LettercastError(
                f"{network.name}: the {kind} is quantized by Keras; export the model as it is before quantize()"
            )
        config = {name: value for name, value in layer.get_config().items() if name != "quantization_config"}
        plain = type(layer).from_config({**config, "dtype": FLOAT32})
        weights.append((plain, [_float_kernel(layer), *([] if layer.bias is None else [layer.bias])]))
        return plain

    copy = keras.models.clone_model(network, clone_function=clone, recursive=True)
    for plain, values in weights:
        plain.set_weights([keras.ops.convert_to_numpy(value) for value in values])
    return copy


def _float_kernel(layer: Any) -> Any:
    """Return the weights (inputs, units) by which a quantized Dense layer multiplies: its answers to unit vectors."""
    import keras

    inputs = layer.input_spec.axes[-1]
    activation, bias = layer.activation, layer.bias
    layer.activation = layer.bias = None
    try:
        eye = np.eye(inputs, dtype=np.float32)
        rows = [keras.ops.convert_to_numpy(layer(part)) for part in np.array_split(eye, -(-inputs // UNIT_VECTORS))]
    finally:
        layer.activation, layer.bias = activation, bias
    return np.concatenate(rows)


def is_single(network: "keras.Model") -> bool:
    """Whether no layer or operation computes in half or double precision, and no constant of theirs has it."""
    import keras

    nodes = _nodes(keras.saving.serialize_keras_object(network))
    return not any(_precision(node) in PRECISIONS[1:] for node in nodes)


def in_precision(network: "keras.Model", dtype: str) -> "keras.Model":
    """Return a copy of a network that computes in a dtype such as float32, in whatever layers of layers its precision is set."""

    def change(node: dict[str, Any]) -> dict[str, Any]:
        if _precision(node) not in PRECISIONS:
            return node
        return {**node, "config": {"name": dtype}} if node.get("class_name") == "DTypePolicy" else {**node, "dtype": dtype}

    return _described_again(network, change)


def with_float_input(network: "keras.Model") -> "keras.Model":
    """Return an equal network whose input is float32, and not integer or half."""
    import keras

    source = network.inputs[0]
    shape = source.shape[1:]
    probes = np.random.default_rng(0).integers(0, 256, (PROBES, *shape)).astype(source.dtype)
    expected = np.asarray(network(probes, training=False))
    # Layers that look values up take integers only, and Keras passes on any error of theirs.
    with contextlib.suppress(Exception):
        copy = _described_again(network, _as_float_input)
        if np.allclose(expected, np.asarray(copy(probes.astype(FLOAT32), training=False)), MAX_ROUNDING, MAX_ROUNDING):
            return copy
    inputs = keras.Input(shape, dtype=FLOAT32, name=source.name)
    return keras.Model(inputs, network(keras.ops.cast(inputs, source.dtype)), name=network.name)


def unrolled(network: "keras.Model") -> "keras.Model":
    """Return an equal network whose recurrent layers are written out step by step; the same object if it has none.

    Raises ValueError if a layer has too many steps.
    """
    import keras

    nodes = list(_nodes(keras.saving.serialize_keras_object(network)))
    steps = [node["build_config"]["input_shape"][1] for node in nodes if _is_loop(node) and node.get("build_config")]
    if not any(_is_loop(node) for node in nodes):
        return network
    if max(steps, default=0) > MAX_STEPS:
        raise ValueError(f"a recurrent layer has {max(steps)} steps, and more than {MAX_STEPS} are too many to write out")
    return _described_again(
        network, lambda node: {**node, "config": {**node["config"], "unroll": True}} if _is_loop(node) else node
    )


def _is_loop(node: dict[str, Any]) -> bool:
    """Whether a node of a description is a recurrent layer that loops over its steps."""
    config = node.get("config")
    return isinstance(config, dict) and config.get("unroll") is False


def _described_again(network: "keras.Model", change: Callable[[dict[str, Any]], dict[str, Any]]) -> "keras.Model":
    """Return a copy of a network whose description is changed in each of its nodes.

    It goes through a file, because only there every layer stores and restores all that it learned.
    """
    import keras

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(part) for part in node]
        return change({key: walk(part) for key, part in node.items()}) if isinstance(node, dict) else node

    with tempfile.TemporaryDirectory() as folder:
        saved, changed = Path(folder) / "saved.keras", Path(folder) / "changed.keras"
        network.save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                target.writestr(name, json.dumps(walk(json.loads(content))) if name == DESCRIPTION else content)
        return keras.saving.load_model(changed, compile=False)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a description."""
    if isinstance(value, dict):
        yield value
        value = value.values()
    for part in value if not isinstance(value, str | bytes) and isinstance(value, Iterable) else ():
        yield from _nodes(part)


def _precision(node: dict[str, Any]) -> Any:
    """Return the precision that a node of a description sets: the name of a policy, or of a dtype."""
    return node["config"]["name"] if node.get("class_name") == "DTypePolicy" else node.get("dtype")


def _as_float_input(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node of a description with an input of float32 if it is an input."""
    return {**node, "config": {**node["config"], "dtype": FLOAT32}} if node.get("class_name") == "InputLayer" else node


def flat_layers(network: "keras.Model") -> "Iterator[keras.layers.Layer]":
    """Yield all layers, including those of nested networks."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from flat_layers(layer)
        else:
            yield layer


def as_rescaling(layer: "keras.layers.Normalization") -> "keras.layers.Layer":
    """Return the Rescaling, or two in a row, that equals a Normalization with its learned mean and variance.

    Keras divides by the standard deviation, or by epsilon if that is larger.
    """
    import keras

    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (layer.mean, layer.variance))
    if mean.size == mean.shape[-1]:
        # One value per channel, as converters fold it best; other axes keep their shape, without the batch.
        mean, variance = mean.ravel(), variance.ravel()
    else:
        mean, variance = mean[0], variance[0]
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    if layer.invert:
        return keras.layers.Rescaling(deviation.tolist(), mean.tolist(), name=layer.name)
    if np.abs(mean / deviation).max() <= MAX_MEAN:
        return keras.layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist(), name=layer.name)
    # A pixel that is the same in nearly all images has a deviation near 0.
    centred, scaled = keras.layers.Rescaling(1.0, (-mean).tolist()), keras.layers.Rescaling((1 / deviation).tolist())
    return keras.Sequential([centred, scaled], name=layer.name)
