"""A network as converters take it: float32, without layers that only training needs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
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


def for_inference(network: "keras.Model") -> "keras.Model":
    """Return an equal network in float32 without training-only layers; the same object if there is nothing to change.

    Converters to ONNX have no operations for random numbers and lose the constants of a Normalization layer, so it becomes a
    Rescaling. Converters to TFLite do not mix precisions.
    """
    import keras

    dropped = tuple(kind for name in TRAINING_ONLY if (kind := getattr(keras.layers, name, None)))
    replaced = (*dropped, keras.layers.Normalization)
    source = network.inputs[0]
    is_float = source.dtype == FLOAT32
    if is_float and is_single(network) and not any(isinstance(layer, replaced) for layer in flat_layers(network)):
        return network
    copies: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def clone(layer: "keras.layers.Layer") -> "keras.layers.Layer":
        if isinstance(layer, dropped):
            return keras.layers.Identity(name=layer.name)
        if isinstance(layer, keras.layers.Normalization):
            return as_rescaling(layer)
        copy = layer.__class__.from_config({**layer.get_config(), **({} if is_single(network) else {"dtype": FLOAT32})})
        copies.append((layer, copy))
        return copy

    inputs = None if is_float else keras.Input(source.shape[1:], dtype=FLOAT32, name=source.name)
    cleaned = keras.models.clone_model(network, input_tensors=inputs, clone_function=clone, recursive=True)
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return cleaned


def is_single(network: "keras.Model") -> bool:
    """Whether all layers compute in float32."""
    return all(layer.compute_dtype == FLOAT32 for layer in flat_layers(network) if layer.weights)


def flat_layers(network: "keras.Model") -> "Iterator[keras.layers.Layer]":
    """Yield all layers, including those of nested networks."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from flat_layers(layer)
        else:
            yield layer


def as_rescaling(layer: "keras.layers.Normalization") -> "keras.layers.Rescaling":
    """Return the Rescaling that equals a Normalization with its learned mean and variance.

    Keras divides by the standard deviation, or by epsilon if that is larger.
    """
    import keras

    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (layer.mean, layer.variance))
    if mean.size == mean.shape[-1]:
        # One value per channel, as converters fold it best; other axes keep their shape, without the batch.
        mean, variance = mean.ravel(), variance.ravel()
    else:
        mean, variance = mean[0], variance[0]
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    scales, offsets = (scale, -mean * scale) if not layer.invert else (1 / scale, mean)
    return keras.layers.Rescaling(scales.tolist(), offsets.tolist(), name=layer.name)
