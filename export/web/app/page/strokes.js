// Connected strokes of a page: removes dust, frames and edges; a port of the first half of runtime/page/strokes.py.
import { MAX_FRAMES, MAX_PIECES, PIECES_TUNING } from "../tuning.js";
import { argsort, cumsum, range, searchsorted } from "../arrays.js";
import { cv, keep, made, scoped } from "../opencv.js";

/** @typedef {import("./candidate.js").Box} Box */
/**
 * The points of an outline: x, y, x, y, ...
 * @typedef {Int32Array} Outline
 */

/**
 * Connected strokes of a page: outlines and their boxes. Of the whole page, holes are the outlines of what its strokes enclose,
 * allBoxes the boxes of all strokes, and dust the outlines of what is too small for a stroke.
 */
export class Pieces {
  #typicalSize = null;

  /**
   * @param {Outline[]} outlines
   * @param {Box[]} boxes
   * @param {Box[]} allBoxes
   * @param {Outline[]} dust
   * @param {Outline[]} holes
   */
  constructor(outlines, boxes, allBoxes = [], dust = [], holes = []) {
    Object.assign(this, { outlines, boxes, allBoxes, dust, holes });
  }

  /** The typical letter's size in pixels (longer side of its box): pieces up to this size have half of all outline; else 0. */
  get typicalSize() {
    return (this.#typicalSize ??= this.#measure());
  }

  #measure() {
    if (!this.outlines.length) return 0;
    const sizes = this.boxes.map(longer);
    let order = argsort(sizes);
    // The edge of a sheet may be longer than the outlines of all letters on it together.
    const frames = new Set(enclosing(this.boxes, order.slice(-MAX_FRAMES), PIECES_TUNING.min_enclosed_px));
    order = order.filter((i) => !frames.has(i));
    return sizes[order[halfOfOutline(order.map((i) => this.outlines[i]))]];
  }

  /** Return the pieces with these indices, of the same page. */
  take(indices) {
    return new Pieces(indices.map((i) => this.outlines[i]), indices.map((i) => this.boxes[i]), this.allBoxes, this.dust);
  }
}

const longer = ([, , width, height]) => Math.max(width, height);

/** Return the place of the outline up to which they have half of all points. */
function halfOfOutline(outlines) {
  const sums = cumsum(outlines.map((outline) => outline.length / 2));
  return searchsorted(sums, sums[sums.length - 1] / 2);
}

/** Return the box of an outline. */
export function boundingBox(outline) {
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
  for (let i = 0; i < outline.length; i += 2) {
    const x = outline[i], y = outline[i + 1];
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  }
  return [left, top, right - left + 1, bottom - top + 1];
}

/** Return the outer outlines of the strokes of a mask, and those of what they enclose. */
export function outlinesOf(mask) {
  return scoped(() => {
    const [found, tree] = [keep(new cv.MatVector()), made()];
    cv.findContours(mask, found, tree, cv.RETR_CCOMP, cv.CHAIN_APPROX_NONE);
    const outer = [], holes = [], parents = tree.data32S.filter((_, i) => i % 4 === 3);
    for (let i = 0; i < found.size(); i++) {
      const outline = found.get(i);
      (parents[i] < 0 ? outer : holes).push(Int32Array.from(outline.data32S));
      outline.delete();
    }
    return { outer, holes };
  });
}

/**
 * Find the connected strokes of a mask (H, W), a Mat, without dust and without what lies along the image's edge.
 * @param isSheet whether the image is a sheet that was cut out: what lies along its edge is its rim and no letter.
 */
export function findPieces(mask, isSheet = false) {
  const { outer: every, holes } = outlinesOf(mask), least = 2 * PIECES_TUNING.min_outline_px;
  if (!every.length) return new Pieces([], []);
  let outer = every.filter((one) => one.length >= least), dust = every.filter((one) => one.length < least);
  if (outer.length > MAX_PIECES) {
    outer.sort((a, b) => b.length - a.length);
    dust = [...dust, ...outer.slice(MAX_PIECES)];
    outer = outer.slice(0, MAX_PIECES);
  }
  const boxes = outer.map(boundingBox), size = [mask.cols, mask.rows];
  let kept = range(0, outer.length).filter((i) => !touchesEdge(boxes[i], size) || !isEdge(outer[i], boxes[i], size));
  if (kept.length && kept.length < outer.length && !isSheet) {
    kept = [...kept, ...lettersAtEdge(outer, boxes, kept)].sort((a, b) => a - b);
  }
  if (!kept.length) {
    // A letter may fill the image and run out of it.
    kept = range(0, outer.length).filter((i) => shareAlongEdge(outer[i], size) < PIECES_TUNING.max_letter_edge_share);
  }
  return new Pieces(kept.map((i) => outer[i]), kept.map((i) => boxes[i]), boxes, dust, holes);
}

/** Remove pieces smaller than any dot, and scraps of rules; size is the typical letter's. */
export function withoutDust(pieces, size) {
  const { min_piece_share: least, max_elongation: most } = PIECES_TUNING;
  const isKept = ([, , w, h]) => Math.max(w, h) >= least * size && Math.max(w, h) <= most * Math.min(w, h);
  return pieces.take(range(0, pieces.boxes.length).filter((i) => isKept(pieces.boxes[i])));
}

/** Remove remnants of the rules of a ruled page: bars much thinner than strokes, or all bars if most pieces are bars. */
export function withoutScraps(pieces) {
  const { outlines, boxes } = pieces, tuning = PIECES_TUNING;
  const large = range(0, boxes.length).filter((i) => longer(boxes[i]) >= tuning.min_enclosed_px);
  if (!large.length) return pieces;
  const thickness = large.map((i) => thicknessOf(outlines[i]));
  // As with sizes, the longer outlines tell, because scraps may be many.
  const order = argsort(thickness);
  const least = tuning.min_bar_thickness * thickness[order[halfOfOutline(order.map((k) => outlines[large[k]]))]];
  const scraps = new Set(large.filter((i, k) => thickness[k] < least && isBar(outlines[i], tuning.max_bar_width)));
  let bars = 0;
  for (const [seen, i] of large.entries()) {
    // So many others that bars cannot be most.
    if (seen - bars >= (1 - tuning.max_bars_share) * large.length) break;
    if (isBar(outlines[i], tuning.max_bar_width)) bars++;
  }
  if (bars > tuning.max_bars_share * large.length) {
    // Short remnants are wider for their length.
    for (const i of large) if (isBar(outlines[i], tuning.max_scrap_width)) scraps.add(i);
  }
  return scraps.size ? pieces.take(range(0, boxes.length).filter((i) => !scraps.has(i))) : pieces;
}

/** Return how thick a stroke with this outline is on average, in pixels. */
function thicknessOf(outline) {
  let area = 0, length = 0;
  let x = outline[outline.length - 2], y = outline[outline.length - 1];
  for (let i = 0; i < outline.length; i += 2) {
    const [right, down] = [outline[i], outline[i + 1]];
    area += x * down - y * right;
    // OpenCV measures each step in float32.
    length += Math.fround(Math.sqrt((right - x) ** 2 + (down - y) ** 2));
    [x, y] = [right, down];
  }
  return 1 + Math.abs(area) / Math.max(1, length);
}

/** Tell whether an outline is a straight stroke: the smallest rectangle around it is narrow. */
function isBar(outline, maxWidth) {
  return scoped(() => {
    const { width, height } = cv.minAreaRect(keep(cv.matFromArray(outline.length / 2, 1, cv.CV_32SC2, outline))).size;
    return Math.min(width, height) <= maxWidth * Math.max(width, height);
  });
}

/** Remove what encloses letters, as the edge of the paper or a drawn box; size is the typical letter's. */
export function withoutFrames(pieces, size) {
  const all = range(0, pieces.boxes.length);
  const large = all.filter((i) => longer(pieces.boxes[i]) > PIECES_TUNING.min_frame_share * size);
  const frames = new Set(enclosing(pieces.boxes, large, PIECES_TUNING.min_letter_share * size));
  return frames.size ? pieces.take(all.filter((i) => !frames.has(i))) : pieces;
}

/** Return the pieces of `which` whose boxes contain too many other pieces, counted from `minSize` pixels, for one letter. */
function enclosing(boxes, which, minSize) {
  return which.filter((i) => {
    const [left, top, width, height] = boxes[i];
    let count = 0;
    for (const box of boxes) {
      const [x, y, w, h] = box;
      const isInside = x >= left && y >= top && x + w <= left + width && y + h <= top + height;
      if (isInside && Math.max(w, h) >= minSize) count++;
    }
    return count > PIECES_TUNING.max_enclosed;
  });
}

/** Return which outlines along the image's edge are strokes of letters: as large as those that were kept, and beside one. */
function lettersAtEdge(outlines, boxes, kept) {
  const { edge_letter_size: [low, high], max_edge_distance: away, max_edge_offset: off } = PIECES_TUNING;
  const size = new Pieces(kept.map((i) => outlines[i]), kept.map((i) => boxes[i])).typicalSize;
  const others = kept.map((i) => boxes[i]).filter((box) => longer(box) >= low * size);
  const own = new Set(kept);
  const found = range(0, boxes.length).filter((i) => {
    const [x, y, w, h] = boxes[i];
    if (own.has(i) || longer(boxes[i]) < low * size || longer(boxes[i]) > high * size) return false;
    return others.some(([left, top, width, height]) => {
      const gap = Math.max(left - x - w, x - left - width), level = Math.abs(top + height / 2 - y - h / 2);
      return gap <= away * size && level <= off * size;
    });
  });
  return found.length <= PIECES_TUNING.max_edge_letters * kept.length ? found : [];
}

/** Tell whether an outline runs along the image's edge, as a frame, the end of the paper or a finger does. */
function isEdge(outline, box, size) {
  const spans = [0, 1].some((k) => box[2 + k] > PIECES_TUNING.max_span * size[k]);
  const along = shareAlongEdge(outline, size);
  return along > PIECES_TUNING.max_edge_share || (spans && along > 0);
}

/** Tell whether a box reaches into the zone along the sides of an image of this size. */
function touchesEdge(box, size) {
  return [0, 1].some((k) => {
    const zone = PIECES_TUNING.edge_zone * size[k];
    return box[k] < zone || box[k] + box[2 + k] >= size[k] - zone;
  });
}

/** Return the share of an outline's points that lie in the zone along the sides of an image of this size. */
function shareAlongEdge(outline, [width, height]) {
  const across = PIECES_TUNING.edge_zone * width, down = PIECES_TUNING.edge_zone * height;
  let count = 0;
  for (let i = 0; i < outline.length; i += 2) {
    const x = outline[i], y = outline[i + 1];
    if (x < across || x >= width - across || y < down || y >= height - down) count++;
  }
  return count / (outline.length / 2);
}
