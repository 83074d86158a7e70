#!/usr/bin/env bash
# In OpenCV.js 5.0, Mat.clone() copies nothing: the clone and the original share their pixels.
#
# Versions: @opencvjs/web 5.0.0-release.2, @techstark/opencv-js 5.0.0-release.1 (both hold OpenCV 5.0.0). Needs node and npm.
# Behaviour: mat.clone() returns a second handle to the same pixels. What is written to the clone appears in the original, and the
# clone of a part of an image stays a view of it: its `data` holds the wrong pixels.
# Why it surprises: OpenCV's documentation of cv::Mat::clone and the tutorial of OpenCV.js promise a full copy, nothing is raised,
# and the clone's rows and cols are right. Embind's own method of the same name, which copies a handle, has taken its place.
# What to do: mat.copyTo(new cv.Mat()), or mat.mat_clone().
#
# Seen (4 x 4 pixels with the values 0 to 15; the part is the 2 x 2 pixels from row 1 and column 1, which hold 5 6 9 10):
#   @opencvjs/web: clone of the part: 5 6 7 8, copyTo: 5 6 9 10, mat_clone: 5 6 9 10
#   @opencvjs/web: original after the clone was set to 99: 99 99 99 99
#   @techstark/opencv-js: clone of the part: 5 6 7 8, copyTo: 5 6 9 10, mat_clone: 5 6 9 10
#   @techstark/opencv-js: original after the clone was set to 99: 99 99 99 99
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix "$folder" @opencvjs/web@5.0.0-release.2 @techstark/opencv-js@5.0.0-release.1 ||
    { echo "cannot be checked: no packages" >&2; exit 2; }

cat > show.mjs <<'JS'
import { loadOpenCV } from "@opencvjs/web";
import other from "@techstark/opencv-js";

function show(name, cv) {
  const image = cv.matFromArray(4, 4, cv.CV_8U, [...Array(16).keys()]);
  const part = image.roi(new cv.Rect(1, 1, 2, 2)), copy = new cv.Mat();
  part.copyTo(copy);
  const seen = [part.clone().data, copy.data, part.mat_clone().data].map((data) => [...data].join(" "));
  console.log(`${name}: clone of the part: ${seen[0]}, copyTo: ${seen[1]}, mat_clone: ${seen[2]}`);
  image.clone().setTo(new cv.Scalar(99));
  const row = [...image.data.slice(0, 4)].join(" ");
  console.log(`${name}: original after the clone was set to 99: ${row}`);
  return seen.join() === "5 6 7 8,5 6 9 10,5 6 9 10" && row === "99 99 99 99";
}

const isSame = [show("@opencvjs/web", await loadOpenCV()), show("@techstark/opencv-js", await other)];
process.exit(isSame.every(Boolean) ? 0 : 1);
JS
node show.mjs || { echo "The behaviour has changed: delete this finding." >&2; exit 1; }
