#!/usr/bin/env bash
# MNN's threshold ignores the type, so that THRESH_BINARY_INV does not invert.
#
# Versions: MNN 3.6.1, opencv-python-headless 4.14.0.94, numpy 2.4.6.
# Behaviour: MNN.cv.threshold returns the result of THRESH_BINARY whatever the type. Its documentation lists the types of OpenCV
# and says that the function is equivalent to OpenCV's for float32 images.
# Why it surprises: nothing is raised. A classifier that expects white letters on black gets black letters on white, from the same
# call that inverts the image in OpenCV.
# What to do: subtract the result of THRESH_BINARY from 255, or use NumPy or OpenCV.
#
# Seen (the pixels are 50 100 150 200, the threshold is 120, the maximum is 255; MNN prints a line about the processor first):
#   THRESH_BINARY, OpenCV: 0.0 0.0 255.0 255.0
#   THRESH_BINARY, MNN: 0.0 0.0 255.0 255.0
#   THRESH_BINARY_INV, OpenCV: 255.0 255.0 0.0 0.0
#   THRESH_BINARY_INV, MNN: 0.0 0.0 255.0 255.0
#   THRESH_TOZERO, OpenCV: 0.0 0.0 150.0 200.0
#   THRESH_TOZERO, MNN: 0.0 0.0 255.0 255.0
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

pixels = np.array([[50, 100, 150, 200]], np.float32)
unchanged = True
for name in ("THRESH_BINARY", "THRESH_BINARY_INV", "THRESH_TOZERO"):
    right = cv2.threshold(pixels, 120, 255, getattr(cv2, name))[1].ravel()
    image = MNN.numpy.array(pixels.tolist(), dtype=MNN.numpy.float32)
    result = np.array(MNN.cv.threshold(image, 120.0, 255.0, getattr(MNN.cv, name)).read()).ravel()
    print(f"{name}, OpenCV:", *right)
    print(f"{name}, MNN:", *result)
    unchanged = unchanged and result.tolist() == [0, 0, 255, 255]
sys.exit(0 if unchanged else 1)
PY
