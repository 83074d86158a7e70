// What may be one letter; the class of that name in runtime/page/find.py.
import { glyph } from "../glyph.js";

/**
 * A box in pixels: x, y, width, height.
 * @typedef {[number, number, number, number]} Box
 */
/** @typedef {import("../opencv.js").Image} Image */

/** What may be one letter. */
export class Candidate {
  #glyphImage = null;

  /**
   * @param {Box} box in pixels of the image.
   * @param {Image} ink of the letter, without its neighbours' ink.
   * @param {[number, number]} corner the left and top of the ink on the page, at the size at which the page was searched.
   * @param {number} strength the ink (0..255) of the darkest tenth of its pixels.
   */
  constructor(box, ink, corner = [0, 0], strength = 255) {
    Object.assign(this, { box, ink, corner, strength });
  }

  /** The 784 bytes that the network reads, made once. */
  get glyphImage() {
    return (this.#glyphImage ??= glyph(this.ink));
  }

  /** Return the same ink at another place in the image. */
  at(box) {
    return new Candidate(box, this.ink, this.corner, this.strength);
  }
}
