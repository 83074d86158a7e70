// The ink of a letter becomes the 28 x 28 pixels that every network reads; a port of runtime/glyph.py.
import { BORDER_PX, EDGE_SHARE, GLYPH_PX, MAX_GAIN } from "./tuning.js";
import { roundHalfEven } from "./arrays.js";
import { cv, made, matOf, resized, scoped } from "./opencv.js";

/** Fit the ink, an Image, of one letter into the image that the network reads; returns 784 bytes. */
export function glyph(ink) {
  const image = new Uint8Array(GLYPH_PX * GLYPH_PX);
  const box = inkBox(ink);
  if (!box) return image;
  const [x, y, w, h] = box;
  const scale = (GLYPH_PX - 2 * BORDER_PX) / Math.max(w, h);
  const width = Math.max(1, roundHalfEven(w * scale)), height = Math.max(1, roundHalfEven(h * scale));
  const crop = cropped(ink, x, y, w, h);
  scoped(() => {
    const fitted = resized(matOf(crop), width, height, scale < 1 ? cv.INTER_AREA : cv.INTER_LINEAR_EXACT);
    const gain = Math.min((MAX_GAIN * 255) / peakOf(crop.data), 255 / Math.max(1, peakOf(fitted.data)));
    const strong = made();
    cv.convertScaleAbs(fitted, strong, gain);
    const pixels = strong.data, left = (GLYPH_PX - width) >> 1, top = (GLYPH_PX - height) >> 1;
    for (let row = 0; row < height; row++) {
      image.set(pixels.subarray(row * width, (row + 1) * width), (top + row) * GLYPH_PX + left);
    }
  });
  return image;
}

/** Return the box [x, y, width, height] of the ink, an Image; null if there is none. */
export function inkBox({ data, width, height }) {
  const peak = peakOf(data);
  if (peak === 0) return null;
  const least = Math.max(1, EDGE_SHARE * peak);
  let left = width, right = -1, top = -1, bottom = -1;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (data[i] < least) continue;
      if (top < 0) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  return [left, top, right - left + 1, bottom - top + 1];
}

/** Return the strongest ink. */
export function peakOf(data) {
  let peak = 0;
  for (let i = 0; i < data.length; i++) if (data[i] > peak) peak = data[i];
  return peak;
}

/** Return part of an Image as a copy; what lies beyond the image is left out, as in NumPy's slices. */
export function cropped({ data, width, height }, x, y, w, h) {
  const right = Math.min(width, x + w), bottom = Math.min(height, y + h);
  const wide = Math.max(0, right - x), high = Math.max(0, bottom - y), copy = new Uint8Array(wide * high);
  for (let row = 0; row < high; row++) copy.set(data.subarray((y + row) * width + x, (y + row) * width + right), row * wide);
  return { data: copy, width: wide, height: high };
}
