"""One form for every Keras classifier: an image (H, W, C) in, probabilities of two or more classes out."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import LettercastError
from ..runtime.console import say_once

if TYPE_CHECKING:
    import keras

# A flat input of so many numbers or more may be an image; iris flowers have 4, a digit of 8 x 8 pixels 64.
MIN_FLAT = 64
# Random images on which an output is probed.
PROBES = 16
SIGMOIDS = ("sigmoid", "hard_sigmoid")
# Layers that pass on the values of the layer before.
PASSING = ("Reshape", "Flatten", "Dropout", "Identity")


def as_classifier(path: Path, network: "keras.Model") -> "keras.Model":
    """Return a network that classifies images (N, H, W, C), with outputs (N, classes); the same object if it does already.

    An input without an axis of channels, a flat one and one of a fixed batch get layers in front; a single output gets layers
    behind it that give the probabilities of both classes. You are told what is added.

    Raises LettercastError if the network does not classify images of one size.
    """
    import keras

    if not getattr(network, "inputs", None):
        network = with_input(path, network)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise refusal(path, f"has {len(network.inputs)} inputs and {len(network.outputs)} outputs")
    source, (_, *returned) = network.inputs[0], network.outputs[0].shape
    taken, classes = tuple(source.shape[1:]), returned[-1] if returned else 1
    image = image_shape(path, taken, network)
    if not classes or math.prod(size or 0 for size in returned) != classes:
        raise refusal(path, f"returns {tuple(returned)}, not one probability for each class")
    if len(returned) == 1 and classes > 1 and last_activation(network) in SIGMOIDS:
        say_once(f"{path.stem}: each of the {classes} outputs is a sigmoid by itself, so the probabilities do not sum to 1")
    if image == taken and len(returned) == 1 and classes > 1 and source.shape[0] is None and _is_plain(network):
        return network
    inputs = keras.Input(image, dtype=source.dtype, name="pixels")
    values = inputs if image == taken else _as_taken(path, inputs, taken)
    named = {} if _is_plain(network) or not isinstance(network.input, dict) else network.input
    outputs = network(dict.fromkeys(named, values) or values)
    while isinstance(outputs, dict | list | tuple):
        (outputs,) = outputs.values() if isinstance(outputs, dict) else outputs
    if len(returned) != 1:
        outputs = keras.layers.Reshape((classes,))(outputs)
    if classes == 1:
        outputs = as_two_classes(path, network, outputs)
    return keras.Model(inputs, outputs, name=network.name)


def with_input(path: Path, network: Any) -> "keras.Model":
    """Return a network of a class of its own, which has no Input, behind an Input of the shape that it was called with."""
    import keras

    built = (network.get_build_config() or {}) if isinstance(network, keras.Model) else {}
    shape = built.get("input_shape") or built.get("shapes_dict", {}).get("input_shape")
    if not shape:
        raise LettercastError(f"{path}: is not a built Keras model; call it on an image, or give its Input a shape")
    inputs = keras.Input(shape[1:], name="pixels")
    return keras.Model(inputs, network(inputs), name=network.name)


def _is_plain(network: "keras.Model") -> bool:
    """Whether a network takes an array and returns one, and not a dict or a list of one."""
    import keras

    # A Sequential has no `input` before it is called.
    return isinstance(network, keras.Sequential) or all(
        isinstance(end, keras.KerasTensor) for end in (network.input, network.output)
    )


def _as_taken(path: Path, images: Any, taken: tuple[int, ...]) -> Any:
    """Return images (N, H, W, C) in the shape that a network takes: without channels, flat, or with channels first."""
    import keras

    shape = tuple(images.shape[1:])
    what, how = (f"{taken[0]} numbers", "flattened row by row") if len(taken) == 1 else (f"{taken}", f"given to it as {taken}")
    say_once(f"{path.stem}: the model takes {what}; images {shape} are {how}")
    if len(taken) == 3:
        return keras.layers.Permute((3, 1, 2))(images)
    return keras.layers.Reshape(taken)(images)


def image_shape(path: Path, taken: tuple[Any, ...], network: "keras.Model") -> tuple[int, ...]:
    """Return the (H, W, C) of the images that a network classifies, given the shape of its input without the batch.

    Raises LettercastError if these are not grey or RGB images of one size.
    """
    if None in taken:
        mend = f"keras.Sequential([keras.Input((96, 96, 3)), model]).save('{path.stem}-96.keras') makes a model of one size"
        raise LettercastError(f"{path}: takes images of any size {taken}; {mend}, with the size that it was trained on")
    if len(taken) == 3 and taken[2] in (1, 3):
        return taken
    if len(taken) == 3 and taken[0] in (1, 3):
        if any(getattr(layer, "data_format", None) == "channels_first" for layer in _layers(network)):
            mend = "build it again with keras.config.set_image_data_format('channels_last') and copy its weights"
            raise LettercastError(f"{path}: takes {taken}, channels first, which TensorFlow Lite does not run; {mend}")
        return *taken[1:], taken[0]
    if len(taken) == 2:
        return *taken, 1
    if len(taken) == 1 and taken[0] >= MIN_FLAT:
        for channels in (1, 3):
            side = math.isqrt(taken[0] // channels)
            if channels * side**2 == taken[0]:
                return side, side, channels
        raise refusal(path, f"takes {taken[0]} numbers, which are no square image")
    if len(taken) == 3:
        raise refusal(path, f"takes images of {taken[2]} channels {taken}, not grey or RGB images")
    raise refusal(path, f"takes {taken}, not grey or RGB images")


def _layers(network: "keras.Model") -> list["keras.layers.Layer"]:
    """Return the layers of a network and of the networks within."""
    return [layer for part in network.layers for layer in (_layers(part) if hasattr(part, "layers") else [part])]


def refusal(path: Path, reason: str) -> LettercastError:
    """Return the error for a network that does not classify images of one size."""
    return LettercastError(f"{path}: needs one input of images of a fixed size and one output of probabilities; it {reason}")


def as_two_classes(path: Path, network: "keras.Model", output: Any) -> Any:
    """Return the probabilities (N, 2) of a network with one output (N, 1): class 1 is the output, as Keras counts."""
    import keras

    if last_activation(network) == "softmax":
        raise LettercastError(f"{path}: has one output with a softmax, which gives 1 for every image; train it with a sigmoid")
    kind = "a sigmoid output p"
    if not gives_probability(network):
        output = keras.layers.Activation("sigmoid")(output)
        kind = "one output without a sigmoid, which gets one to give p"
    say_once(f"{path.stem}: the model has {kind}; its two classes have the probabilities 1 - p and p")
    return keras.layers.Concatenate()([keras.layers.Rescaling(-1.0, 1.0)(output), output])


def gives_probability(network: "keras.Model") -> bool:
    """Whether the values of a network's outputs are probabilities by themselves, and not logits."""
    activation = last_activation(network)
    if activation in (*SIGMOIDS, "linear"):
        return activation != "linear"
    # An activation of another kind is known by what it does.
    source = network.inputs[0]
    noise = np.random.default_rng(0).uniform(-1, 1, (PROBES, *source.shape[1:]))
    rows = np.asarray(network.predict(np.concatenate([noise, 255 * np.abs(noise)]).astype(source.dtype), verbose=0))
    return bool((rows >= 0).all() and (rows <= 1).all())


def last_activation(network: Any) -> str | None:
    """Return the name of the activation behind which a network's output lies, such as `sigmoid` or `linear`; None if unknown."""
    operation = network.outputs[0]._keras_history.operation
    while type(operation).__name__ in PASSING:
        operation = operation._inbound_nodes[0].input_tensors[0]._keras_history.operation
    if getattr(operation, "outputs", None):
        return last_activation(operation)
    if hasattr(operation, "activation"):
        return str(getattr(operation.activation, "__name__", type(operation.activation).__name__)).lower()
    return type(operation).__name__.lower() if type(operation).__name__ in ("Sigmoid", "Softmax") else None
