"""Make the files of Keras 2 that the tests open, and the answers of Keras 2 to images that the tests draw again.

pip install tensorflow-cpu==2.15.1
python tests/train/keras2/make.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
keras, layers = tf.keras, tf.keras.layers


def depthwise(inputs):
    """A part with layers whose arguments Keras 3 does not know, as in MobileNetV2."""
    x = layers.Conv2D(4, 3, strides=2, use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.SeparableConv2D(4, 1, activation=layers.LeakyReLU(0.2))(x)
    return layers.Add()([x, layers.Conv2D(4, 1)(x)])


def part():
    """A network that others contain."""
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, depthwise(inputs))


def teachable():
    """The form of Teachable Machine: a Sequential of two, the first with a Functional in it."""
    features = keras.Sequential([part(), layers.GlobalAveragePooling2D()])
    head = keras.Sequential(
        [layers.Dense(6, activation="relu", input_shape=(4,)), layers.Dense(2, activation="softmax", use_bias=False)]
    )
    return keras.Sequential([features, head])


def transfer():
    """The form of TensorFlow's tutorial of transfer learning: augmentation, operations between layers, one output."""
    inputs = keras.Input((12, 12, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal")])(inputs)
    # What preprocess_input of MobileNetV2 and of VGG16 consist of.
    x = x / 127.5 - 1
    x = tf.nn.bias_add(x[..., ::-1], tf.constant([0.1, -0.2, 0.3]))
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(part()(x, training=False)))))


def rows():
    """A recurrent network over the rows of an image, and weights in another precision."""
    half = layers.Dense(4, dtype=keras.mixed_precision.Policy("mixed_float16"))
    return keras.Sequential([layers.LSTM(4, input_shape=(12, 12)), half, layers.Activation("softmax", dtype="float32")])


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    answers = {}
    for build, ending in ((teachable, "h5"), (transfer, "h5"), (rows, "h5"), (teachable, "keras")):
        keras.backend.clear_session()
        network = build()
        # Other statistics than the initial ones; a variance is positive.
        moved = [value + rng.normal(0, 0.2, value.shape) for value in network.get_weights()]
        network.set_weights([abs(w) if "variance" in v.name else w for v, w in zip(network.weights, moved, strict=True)])
        images = np.random.default_rng(1).uniform(0, 255 if build is transfer else 1, (4, *network.input_shape[1:]))
        network.save(HERE / f"{build.__name__}.{ending}")
        answers[f"{build.__name__}.{ending}"] = network.predict(images.astype(np.float32), verbose=0)
    np.savez_compressed(HERE / "answers.npz", **answers)
