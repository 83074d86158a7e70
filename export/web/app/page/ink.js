// The ink of a photograph: how much darker (or lighter) each pixel is than the paper around it; a port of runtime/page/ink.py.
//
// Images are Mats (H, W) here, and belong to the scope of whoever calls, see opencv.js.
import { INK_TUNING, MANY_ROWS, MAX_FLOOR } from "../tuning.js";
import { cumsum, searchsorted } from "../arrays.js";
import { copied, cv, keep, made, part, resized, scoped } from "../opencv.js";

// So many rows of an image become grey at once, because a large photo in colour would fill OpenCV's memory.
const STRIP_ROWS = 256;

/** Return an image of a canvas, RGBA bytes, as grey (H, W); with transparent pixels as white paper. */
export function toGray(rgba, width, height) {
  const gray = keep(new cv.Mat(height, width, cv.CV_8U));
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const end = Math.min(top + STRIP_ROWS, height);
    scoped(() => {
      const some = onPaper(rgba.subarray(4 * width * top, 4 * width * end)), strip = made();
      cv.cvtColor(keep(cv.matFromArray(end - top, width, cv.CV_8UC4, some)), strip, cv.COLOR_RGBA2GRAY);
      gray.data.set(strip.data, width * top);
    });
  }
  return gray;
}

/** Return RGBA bytes as they look on white paper. */
function onPaper(rgba) {
  let i = 3;
  while (i < rgba.length && rgba[i] === 255) i += 4;
  if (i >= rgba.length) return rgba;
  const plain = Uint8Array.from(rgba);
  for (; i < plain.length; i += 4) {
    const alpha = plain[i], paper = 255 * (255 - alpha);
    for (let k = i - 3; k < i; k++) plain[k] = (plain[k] * alpha + paper) / 255;
  }
  return plain;
}

/** Measure the ink of a page against the paper around it; small is what `paperCopy` gives for it. */
export function findInk(gray, small = paperCopy(gray)) {
  return scoped(() => {
    if (isLightOnDark(small)) [gray, small] = [inverted(gray), inverted(small)];
    return inkOn(gray, closeStrokes(blurred(small, 3), true));
  });
}

/** Return the opposite of an image. */
export function inverted(image) {
  const result = made();
  cv.bitwise_not(image, result);
  return result;
}

/** Return the means of windows of this side. */
export function blurred(image, side) {
  const result = made();
  cv.blur(image, result, new cv.Size(side, side));
  return result;
}

let inks = null;

/** Return what `inkOn` gives for each pair of paper (rows) and pixel (columns); computed by OpenCV, once. */
function inkTable() {
  if (inks) return inks;
  scoped(() => {
    const share = keep(new cv.Mat(256, 256, cv.CV_32F)), light = made();
    const values = share.data32F, { darkness } = INK_TUNING;
    for (let i = 0; i < values.length; i++) values[i] = Math.min(255, (i & 255) + darkness) / Math.min(255, (i >> 8) + darkness);
    cv.convertScaleAbs(share, light, 255);
    inks = Uint8Array.from(light.data, (value) => 255 - value);
  });
  return inks;
}

/** Return the ink (H, W) of dark writing (H, W) on a paper, of which a smaller copy is enough. */
export function inkOn(gray, smallPaper) {
  return scoped(() => {
    const paper = resized(smallPaper, gray.cols, gray.rows, cv.INTER_LINEAR_EXACT);
    const whole = gray.isContinuous() ? gray : copied(gray);
    const table = inkTable(), ink = keep(new cv.Mat(gray.rows, gray.cols, cv.CV_8U));
    const [pixels, sheet, result] = [whole.data, paper.data, ink.data];
    for (let i = 0; i < result.length; i++) result[i] = table[(sheet[i] << 8) | pixels[i]];
    return ink;
  });
}

/** Return a copy of an image with about INK_TUNING.paper_side_px pixels along its longer side. */
export function paperCopy(gray) {
  return shrink(gray, Math.max(1, Math.floor(Math.max(gray.rows, gray.cols) / INK_TUNING.paper_side_px)));
}

/** Return the paper under the strokes of an image, which are narrower than INK_TUNING.paper_window_px. */
export function closeStrokes(small, hasPaperRim) {
  return scoped(() => {
    const side = INK_TUNING.paper_window_px, rim = side >> 1;
    const window = keep(cv.getStructuringElement(cv.MORPH_ELLIPSE, new cv.Size(side, side)));
    const paper = made();
    cv.morphologyEx(small, paper, cv.MORPH_CLOSE, window);
    if (!hasPaperRim || Math.min(small.rows, small.cols) <= 4 * rim) return paper;
    // A copy, because OpenCV looks beyond the borders of a part.
    const inside = copied(part(paper, rim, rim, small.cols - 2 * rim, small.rows - 2 * rim));
    const [edge, mirrored] = [cv.BORDER_REPLICATE, cv.BORDER_REFLECT_101].map((kind) => {
      const whole = made();
      cv.copyMakeBorder(inside, whole, rim, rim, rim, rim, kind, new cv.Scalar());
      return whole;
    });
    const falling = made();
    cv.addWeighted(edge, 2, mirrored, -1, 0, falling);
    cv.min(paper, falling, falling);
    cv.max(falling, small, falling);
    return falling;
  });
}

/** Average blocks of `factor` by `factor` pixels; pixels that fill no block are left out, and the image is halved first. */
export function shrink(image, factor) {
  return scoped(() => {
    const wide = Math.max(1, Math.floor(image.cols / factor)), high = Math.max(1, Math.floor(image.rows / factor));
    let rest = part(image, 0, 0, Math.min(image.cols, wide * factor), Math.min(image.rows, high * factor));
    for (; factor % 2 === 0; factor /= 2) {
      rest = resized(rest, Math.max(1, rest.cols >> 1), Math.max(1, rest.rows >> 1), cv.INTER_AREA);
    }
    return resized(rest, wide, high, cv.INTER_AREA);
  });
}

/** Tell whether a page's writing is light on dark: what differs from its surroundings is skewed to light. */
function isLightOnDark(small) {
  return scoped(() => {
    const { rows, cols } = small;
    const window = Math.max(3, Math.min(INK_TUNING.writing_window_px, Math.floor(Math.max(rows, cols) / 3) | 1));
    const soft = blurred(small, window);
    const residual = keep(new cv.Mat(rows, cols, cv.CV_32F)), values = residual.data32F;
    const [pixels, around] = [small.data, soft.data];
    for (let i = 0; i < values.length; i++) values[i] = pixels[i] - around[i];
    // Once more, because the middle of a lamp's light is brighter than what is around it.
    const softer = blurred(residual, window).data32F, sharp = residual.data32F;
    // At a border there is light from one side alone.
    const rim = window >> 1, above = rows > 2 * window ? rim : 0, beside = cols > 2 * window ? rim : 0;
    let sum = 0;
    for (let y = above; y < rows - above; y++) {
      for (let x = beside; x < cols - beside; x++) {
        const value = Math.fround(sharp[y * cols + x] - softer[y * cols + x]);
        sum += Math.fround(Math.fround(value * value) * value);
      }
    }
    return sum / ((rows - 2 * above) * (cols - 2 * beside)) > INK_TUNING.min_light_skew;
  });
}

/** Return the first place in a histogram up to which it holds the share `stroke_quantile` of its sum. */
function quantilePlace(histogram) {
  const sums = cumsum(histogram);
  return searchsorted(sums, INK_TUNING.stroke_quantile * sums[sums.length - 1]);
}

/** Measure the ink of one image: the least ink of a stroke's pixel, and the ink of its strokes as a multiple of the paper's most. */
export function inkLevels(ink) {
  const step = ink.rows > MANY_ROWS ? 4 : 2, { rows, cols } = ink, data = ink.data;
  const counts = new Uint32Array(256);
  let size = 0;
  for (let row = 0; row < rows; row += step, size += cols) {
    for (let i = row * cols, end = i + cols; i < end; i++) counts[data[i]]++;
  }
  const below = cumsum(counts);
  const [low, half] = [0.16, 0.5].map((share) => searchsorted(below, share * size));
  const grain = Math.max(1, half - low);
  const floor = Math.trunc(Math.min(MAX_FLOOR, Math.max(INK_TUNING.min_ink, half + INK_TUNING.grain_sigmas * grain)));
  const strokes = counts.subarray(floor);
  if (!strokes.some((count) => count)) return { threshold: floor, stroke: 0 };
  let level = floor + quantilePlace(strokes);
  if (level < INK_TUNING.min_stroke_ratio * floor) {
    // Few letters have fewer pixels than a large sheet has residues of uneven light, but theirs have much more ink.
    const byInk = floor + quantilePlace(Float64Array.from(strokes, (count, i) => count * i));
    if (byInk >= INK_TUNING.min_lone_ratio * floor) level = byInk;
  }
  return { threshold: Math.max(floor, Math.trunc(INK_TUNING.threshold_share * level)), stroke: level / floor };
}

/** Tell whether the ink differs from pixel to pixel by more than noise of this standard deviation. */
export function isNoisy(ink, maxNoise) {
  const { rows, cols } = ink, data = ink.data;
  if (cols < 2) return false;
  // The median absolute value of normal noise is 0.6745 standard deviations, and a difference has the noise of two pixels.
  const median = maxNoise * 0.6745 * Math.sqrt(2), whole = Math.trunc(median);
  let below = 0, upTo = 0, size = 0;
  for (let row = 0; row < rows; row += rows > MANY_ROWS ? 8 : 1, size += cols - 1) {
    for (let i = row * cols + 1, end = (row + 1) * cols; i < end; i++) {
      const step = Math.abs(data[i] - data[i - 1]);
      if (step < whole) below++;
      if (step < whole + 1) upTo++;
    }
  }
  return size / 2 > below + (median - whole) * (upTo - below);
}
