#!/usr/bin/env bash
# In OpenCV 5, pixels of warpAffine depend on how wide the result is.
#
# Versions: opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Behaviour: cv2.warpAffine with INTER_LINEAR gives other pixels of the same image, under the same matrix, if the result is cut one
# column narrower. Vectors of single precision with fused multiply-add compute as many columns as fill whole vectors; the last
# columns of each row are computed one by one in other arithmetic, and round differently.
# Why it surprises: a pixel of the result depends on the image and the matrix alone, and `dsize` seems only to say where the result
# ends. One level of grey is enough for another answer of a network that reads the image.
# What to do: compare images that were warped with a tolerance of 1, across processors as well, and pad results that must be equal
# to a multiple of 32 columns.
#
# Seen (an x86-64 processor with AVX2; an image of 300 x 300 random pixels, widened by 1.4):
#   416 columns twice: 0 pixels differ
#   416 and 415 columns: 11 of 124500 pixels differ, by at most 1, all in the last columns
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    "${1:-python3}" -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 opencv-python-headless==5.0.0.93
} || { echo "cannot be checked: no environment" >&2; exit 2; }
cd "$folder"

venv/bin/python - <<'PY' || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
import sys

import cv2
import numpy as np

WIDTH, HEIGHT, VECTOR = 416, 300, 32
image = (np.random.default_rng(0).random((HEIGHT, HEIGHT)) * 255).astype(np.uint8)
matrix = np.array([[1.4, 0, 0.3], [0, 1, 0.1]])
whole, again, narrower = (cv2.warpAffine(image, matrix, (width, HEIGHT)) for width in (WIDTH, WIDTH, WIDTH - 1))
same = int((whole != again).sum())
differences = np.abs(whole[:, : WIDTH - 1].astype(int) - narrower)
columns = np.nonzero(differences)[1]
is_last = bool(len(columns)) and columns.min() >= WIDTH - VECTOR
print(f"{WIDTH} columns twice: {same} pixels differ")
where = "all in the last columns" if is_last else "not in the last columns"
print(f"{WIDTH} and {WIDTH - 1} columns: {len(columns)} of {differences.size} pixels differ, by at most {differences.max()}, {where}")
sys.exit(0 if same == 0 and is_last else 1)
PY
