// An image in grey, and at smaller sizes; a port of runtime/page/photo.py. What is made belongs to the scope, see opencv.js.
import { roundHalfEven } from "../arrays.js";
import { cv, part, resized } from "../opencv.js";

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
