"""Keras models that take RGB pictures as a phone's app has them, with all preprocessing inside."""

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import LettercastError
from ..runtime.facts import LETTERS, PHOTOS, Facts
from ..train.photo import PHOTO_PX
from .single_letter import to_glyph, to_gray

if TYPE_CHECKING:
    import keras


def take_rgb(model: "keras.Model", facts: Facts) -> "tuple[keras.Model, Facts]":
    """Put the preprocessing in front of a network: RGB pixels 0..255 of one picture in, its probabilities out.

    A network of letters gets a photograph of one letter (1, 128, 128, 3), and finds, cuts out and scales the letter
    inside; any other gets a picture of its own size, whose grey is taken where it has one channel.

    Returns the network (uint8 in, batches of one, as MediaPipe wants it) and the facts of what it takes.
    Raises LettercastError where the network takes neither grey nor RGB.
    """
    import keras
    import tensorflow as tf

    height, width, channels = facts.input_shape
    if channels not in (1, 3):
        raise LettercastError(f"{facts.name}: takes pictures of {channels} channels; apps give RGB; choose another format")
    if facts.takes == LETTERS:
        prepare, taken = to_glyph, replace(facts, takes=PHOTOS, input_shape=(PHOTO_PX, PHOTO_PX, 3), input_dtype="uint8")
    else:
        prepare = to_gray if channels == 1 else tf.identity
        taken = replace(facts, input_shape=(height, width, 3), input_dtype="uint8")
    picture = keras.Input(taken.input_shape, batch_size=1, dtype="uint8", name="picture")
    prepared = keras.layers.Lambda(
        lambda pixels: prepare(tf.cast(pixels, tf.float32)), output_shape=(height, width, channels), name="preprocessing"
    )(picture)
    return keras.Model(picture, model(prepared), name=model.name), taken
