#!/usr/bin/env bash
# MNN's resize takes single pixels with INTER_AREA and INTER_CUBIC, so that thin strokes disappear.
#
# Versions: MNN 3.6.1, opencv-python-headless 4.14.0.94, numpy 2.4.6.
# Behaviour: MNN.cv.resize accepts the interpolations of OpenCV that its documentation lists, and computes INTER_LINEAR. For
# INTER_AREA, INTER_CUBIC and INTER_LANCZOS4 it returns the nearest pixel.
# Why it surprises: nothing is raised, and the documentation says that the function is equivalent to OpenCV's. INTER_AREA is the
# usual choice to make a photographed letter small, because it keeps every stroke; here a stroke may vanish.
# What to do: resize with OpenCV or Pillow before MNN gets the image.
#
# Seen (a row of 8 pixels with a stroke of one pixel, made 2 pixels wide; MNN prints a line about the processor first):
#   INTER_LINEAR, OpenCV: 100 0
#   INTER_LINEAR, MNN: 100 0
#   INTER_AREA, OpenCV: 50 0
#   INTER_AREA, MNN: 0 0
#   INTER_CUBIC, OpenCV: 119 0
#   INTER_CUBIC, MNN: 0 0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            numpy==2.4.6 MNN==3.6.1 opencv-python-headless==4.14.0.94
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import cv2
import MNN.cv
import MNN.numpy
import numpy as np

image = np.zeros((1, 8), np.uint8)
image[0, 1] = 200
wrong = []
for name in ("INTER_LINEAR", "INTER_AREA", "INTER_CUBIC"):
    right = cv2.resize(image, (2, 1), interpolation=getattr(cv2, name)).ravel()
    given = MNN.numpy.array(image.tolist(), dtype=MNN.numpy.uint8)
    result = np.array(MNN.cv.resize(given, (2, 1), interpolation=getattr(MNN.cv, name)).read()).ravel()
    print(f"{name}, OpenCV:", *right)
    print(f"{name}, MNN:", *result)
    if right[0] and not result.any():
        wrong.append(name)
sys.exit(0 if wrong == ["INTER_AREA", "INTER_CUBIC"] else 1)
PY
