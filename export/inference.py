"""What of a network counts when it answers: layers that only training needs go, and constants become what converters keep."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
# Layers of Keras that change pictures in training and hand them on as they are ever after. RandomCrop is none: it cuts the middle
# out then.
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
    """Return a network that answers alike in float32, without layers that training alone needs; the same one where it is that.

    Converters to ONNX have no operations for random numbers, and lose the constants of a Normalization layer, which becomes
    a Rescaling; those to TFLite mix no precisions.
    """
    import keras

    dropped = tuple(kind for name in TRAINING_ONLY if (kind := getattr(keras.layers, name, None)))
    replaced = (*dropped, keras.layers.Normalization)
    source = network.inputs[0]
    is_float = source.dtype == FLOAT32
    if is_float and is_single(network) and not any(isinstance(layer, replaced) for layer in flat_layers(network)):
        return network
    kept: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def clone(layer: "keras.layers.Layer") -> "keras.layers.Layer":
        if isinstance(layer, dropped):
            return keras.layers.Identity(name=layer.name)
        if isinstance(layer, keras.layers.Normalization):
            return as_rescaling(layer)
        copy = layer.__class__.from_config({**layer.get_config(), **({} if is_single(network) else {"dtype": FLOAT32})})
        kept.append((layer, copy))
        return copy

    inputs = None if is_float else keras.Input(source.shape[1:], dtype=FLOAT32, name=source.name)
    made = keras.models.clone_model(network, input_tensors=inputs, clone_function=clone, recursive=True)
    for layer, copy in kept:
        copy.set_weights(layer.get_weights())
    return made


def is_single(network: "keras.Model") -> bool:
    """Whether all layers compute in float32, and none in half precision."""
    return all(layer.compute_dtype == FLOAT32 for layer in flat_layers(network) if layer.weights)


def flat_layers(network: "keras.Model") -> "Iterator[keras.layers.Layer]":
    """Yield all layers, those of networks within it included."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from flat_layers(layer)
        else:
            yield layer


def as_rescaling(layer: "keras.layers.Normalization") -> "keras.layers.Rescaling":
    """Return the Rescaling that does what a Normalization does with the mean and variance that it has learnt.

    Keras divides by the standard deviation, at least by its epsilon.
    """
    import keras

    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value), np.float64).ravel() for value in (layer.mean, layer.variance))
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    scales, offsets = (scale, -mean * scale) if not layer.invert else (1 / scale, mean)
    return keras.layers.Rescaling(scales.tolist(), offsets.tolist(), name=layer.name)
