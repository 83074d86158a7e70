#!/usr/bin/env bash
# ncnn.Mat reads a transposed NumPy array in the wrong order.
#
# Versions: ncnn 1.0.20261020, numpy 2.4.6.
# Behaviour: ncnn.Mat(array) takes the array's shape and its memory, but not its strides. For an array that is a view, such as
# the result of transpose, the values arrive in the order of the memory.
# Why it surprises: image.transpose(2, 0, 1) is the usual step from OpenCV's height, width, channels to ncnn's channels, height,
# width. The shape of the Mat is right, nothing is raised, and the network sees a scrambled image. clone() does not help.
# What to do: call numpy.ascontiguousarray first.
#
# Seen (an image of 2 x 2 pixels whose three channels hold 0, 1 and 2):
#   array: 0 0 0 0 1 1 1 1 2 2 2 2
#   ncnn: 0 1 2 0 1 2 0 1 2 0 1 2
#   ncnn after ascontiguousarray: 0 0 0 0 1 1 1 1 2 2 2 2
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 ncnn==1.0.20261020
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import ncnn
import numpy as np


def show(name, values):
    print(f"{name}:", *values.ravel().astype(int))
    return values


image = np.tile(np.arange(3, dtype=np.float32), (2, 2, 1))
view = image.transpose(2, 0, 1)
show("array", view)
wrong = show("ncnn", np.array(ncnn.Mat(view).clone()))
right = show("ncnn after ascontiguousarray", np.array(ncnn.Mat(np.ascontiguousarray(view)).clone()))
sys.exit(0 if wrong.shape == view.shape and not np.array_equal(wrong, view) and np.array_equal(right, view) else 1)
PY
