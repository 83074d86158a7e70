#!/usr/bin/env bash
# RandomFlip in a subclassed Keras model whose call() takes no `training` also flips images in predict().
#
# Versions: keras 3.15.1, jax 0.10.2, numpy 2.4.6.
# Behaviour: predict() flips images at random, and gives another answer for the same image each time.
# Why it surprises: predict() is inference, in which RandomFlip of a Sequential or Functional model does nothing. Most layers,
# such as Dropout, do nothing in this subclassed model either.
# What to do: give call() the argument `training`, or call the model behind an Input: keras.Model(inputs, model(inputs)).
#
# Seen:
#   call(x): predict() changes the images, and not always in the same way
#   call(x, training): predict() leaves the images
#   call(x) behind an Input: predict() leaves the images
#   Dropout in call(x): predict() leaves the images
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

KERAS_BACKEND=jax venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import keras
import numpy as np

images = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
CHANGES, LEAVES = "changes the images, and not always in the same way", "leaves the images"


class Without(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)


class With(Without):
    def call(self, x, training=None):
        return self.layer(x, training=training)


def behind_input(model):
    inputs = keras.Input(images.shape[1:])
    return keras.Model(inputs, model(inputs))


def outcome(model):
    answers = [model.predict(images, verbose=0) for _ in range(5)]
    if all((answer == images).all() for answer in answers):
        return LEAVES
    return CHANGES if any((answer != answers[0]).any() for answer in answers) else "changes the images"


flip = keras.layers.RandomFlip
expected = {
    "call(x)": (Without(flip()), CHANGES),
    "call(x, training)": (With(flip()), LEAVES),
    "call(x) behind an Input": (behind_input(Without(flip())), LEAVES),
    "Dropout in call(x)": (Without(keras.layers.Dropout(0.5)), LEAVES),
}
found = {name: outcome(model) for name, (model, _) in expected.items()}
for name, seen in found.items():
    print(f"{name}: predict() {seen}")
sys.exit(0 if all(found[name] == seen for name, (_, seen) in expected.items()) else 1)
PY
