// An image in grey, and at smaller sizes; a port of runtime/page/photo.py. What is made belongs to the scope, see opencv.js.
import { roundHalfEven } from "../arrays.js";
import { cv, keep, part, resized } from "../opencv.js";

/** An image in grey. */
export class Photo {
  /** @param gray a Mat (H, W). */
  constructor(gray) {
    this.gray = gray;
  }

  /** The longer side in pixels. */
  get longer() {
    return Math.max(this.gray.rows, this.gray.cols);
  }

  /** Return the image reduced to this longer side if it is larger. */
  atMost(maxSide) {
    if (this.longer <= maxSide) return this.gray;
    const { rows, cols } = this.gray, scale = maxSide / this.longer;
    return downscale(this.gray, Math.max(1, roundHalfEven(cols * scale)), Math.max(1, roundHalfEven(rows * scale)));
  }
}

/** Reduce an image; halving comes first, as long as the last step would skip whole pixels. */
export function downscale(gray, width, height) {
  while (Math.min(gray.cols / width, gray.rows / height) > 2) gray = halved(gray);
  return resized(gray, width, height, cv.INTER_LINEAR_EXACT);
}

/** Average blocks of four pixels; an odd last row or column is left out. */
export function halved(gray) {
  const width = gray.cols >> 1, height = gray.rows >> 1;
  return resized(part(gray, 0, 0, 2 * width, 2 * height), width, height, cv.INTER_AREA);
}

// What OpenCV weighs four pixels by, in 2048ths, a quarter of a pixel after the second of them; three quarters are the mirror image.
const CUBIC = [-216, 1800, 536, -72];

/**
 * Double both sides of an image as OpenCV's INTER_CUBIC does on a device: there a half becomes the even number, as float32 rounds, and
 * in WebAssembly the next number.
 */
export function doubled(gray) {
  const { rows, cols } = gray, { fround } = Math, limit = (value, most) => Math.min(Math.max(value, 0), most);
  const result = keep(new cv.Mat(2 * rows, 2 * cols, cv.CV_8U)), [pixels, larger] = [gray.data, result.data];
  const wide = new Int32Array(2 * rows * cols), weights = Int32Array.from([...[...CUBIC].reverse(), ...CUBIC]);
  const taps = new Int32Array(8 * cols);
  for (let x = 0, i = 0; x < 2 * cols; x++) for (let k = -1; k < 3; k++, i++) taps[i] = limit(((x - 1) >> 1) + k, cols - 1);
  for (let y = 0, at = 0; y < rows; y++) {
    const row = y * cols;
    for (let i = 0; i < taps.length; at++) {
      let sum = 0;
      for (let k = i & 4, end = k + 4; k < end; k++, i++) sum += weights[k] * pixels[row + taps[i]];
      wide[at] = sum;
    }
  }
  for (let y = 0, at = 0; y < 2 * rows; y++) {
    const [a, b, c, d] = Array.from(weights.subarray(4 * (y & 1), 4 * (y & 1) + 4), (weight) => weight / 2 ** 22);
    const [i, j, k, l] = [-1, 0, 1, 2].map((step) => 2 * cols * limit(((y - 1) >> 1) + step, rows - 1));
    for (let x = 0; x < 2 * cols; x++, at++) {
      const below = fround(fround(c * wide[k + x]) + fround(d * wide[l + x]));
      larger[at] = limit(roundHalfEven(fround(fround(a * wide[i + x]) + fround(fround(b * wide[j + x]) + below))), 255);
    }
  }
  return result;
}
