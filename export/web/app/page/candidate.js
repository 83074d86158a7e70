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
   * @param {{row: number, column: number} | null} place on a form, the place that it stands in.
   * @param {boolean} isOutside whether it stands in no place of a form.
   */
  constructor(box, ink, corner = [0, 0], strength = 255, place = null, isOutside = false) {
    Object.assign(this, { box, ink, corner, strength, place, isOutside });
  }

  /** The 784 bytes that the network reads, made once. */
  get glyphImage() {
    return (this.#glyphImage ??= glyph(this.ink));
  }

  /** Return the same ink at another place in the image. */
  at(box) {
    return new Candidate(box, this.ink, this.corner, this.strength, this.place, this.isOutside);
  }

  /** Return a part of the same candidate: other ink, in its own box. */
  part(box, ink) {
    return new Candidate(box, ink, this.corner, this.strength, this.place, this.isOutside);
  }

  /** Return the same candidate of a form as one that stands in none of its places. */
  outside() {
    return new Candidate(this.box, this.ink, this.corner, this.strength, null, true);
  }
}
