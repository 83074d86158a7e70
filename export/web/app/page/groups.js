// Group the strokes that make one letter; a port of the second half of runtime/page/strokes.py.
import { GROUPS_TUNING, OUTLINE_POINTS, PIECES_TUNING } from "../tuning.js";
import { argsort, searchsorted } from "../arrays.js";

/** @typedef {import("./candidate.js").Box} Box */

/** Group the pieces that make one letter (dots with stems, broken strokes), as indices into them. */
export function joinPieces(pieces, size) {
  const { boxes, outlines } = pieces;
  const groupOf = boxes.map((_, i) => i), groups = new Map(groupOf.map((i) => [i, [i]]));
  const likely = nearPieces(boxes).filter(([a, b]) => mayBelong(boxes[a], boxes[b], size));
  const stems = stemsOfDots(boxes, likely, size);
  for (const [a, b] of likely) {
    const one = groupOf[a], other = groupOf[b];
    if (one === other) continue;
    // The quick questions come first, because most pairs are letters beside each other.
    const belong = stems.get(a) === b || stems.get(b) === a || areParts(boxes[a], boxes[b], size);
    if (!belong && !mayTouch(boxes[a], boxes[b], size)) continue;
    const whole = [...groups.get(one), ...groups.get(other)];
    if (!isOneLetter(whole.map((i) => boxes[i]), size)) continue;
    if (!belong && !isBroken(outlines[a], outlines[b], size)) continue;
    for (const piece of groups.get(other)) groupOf[piece] = one;
    groups.set(one, whole);
    groups.delete(other);
  }
  return [...groups.values()];
}

/** Return the stem of each dot among pairs of boxes: of several, the one that it stands most nearly above. */
function stemsOfDots(boxes, pairs, size) {
  const found = new Map();
  for (const [a, b] of pairs) {
    const [dot, stem] = boxes[a][1] < boxes[b][1] ? [a, b] : [b, a];
    if (!isDotOf(boxes[dot], boxes[stem], size)) continue;
    const [x, , w] = boxes[dot], [left, , width] = boxes[stem];
    const off = Math.abs(x + w / 2 - left - width / 2), best = found.get(dot);
    if (!best || off < best.off || (off === best.off && stem < best.stem)) found.set(dot, { off, stem });
  }
  return new Map([...found].map(([dot, { stem }]) => [dot, stem]));
}

/** Tell whether pieces together are no larger than a letter, or hardly larger than the largest of them. */
function isOneLetter(boxes, size) {
  const [, , width, height] = around(boxes);
  const widest = Math.max(...boxes.map((box) => box[2])), tallest = Math.max(...boxes.map((box) => box[3]));
  const isNarrow = width <= GROUPS_TUNING.max_joined_width * Math.max(size, widest);
  return isNarrow && height <= GROUPS_TUNING.max_joined_height * Math.max(size, tallest);
}

/** Return the pairs of boxes that are close enough to be parts of one letter, the lower index first. */
function nearPieces(boxes) {
  const reach = boxes.map(([, , w, h]) => GROUPS_TUNING.max_dot_gap * Math.max(w, h));
  return nearBoxes(boxes, boxes, reach).filter(([a, b]) => a < b).sort((p, q) => p[0] - q[0] || p[1] - q[1]);
}

/** Tell whether two boxes may be parts of one letter, by what is quick to see: letters beside each other do not touch. */
function mayBelong(a, b, size) {
  const [across, down] = [0, 1].map((k) => Math.max(b[k] - a[k] - a[k + 2], a[k] - b[k] - b[k + 2]));
  const isDot = Math.min(Math.max(a[2], a[3]), Math.max(b[2], b[3])) <= GROUPS_TUNING.max_dot_share * size;
  return across < 0 || Math.max(across, down) <= GROUPS_TUNING.max_broken_gap * size || isDot;
}

/**
 * Return the pairs [i, k] of boxes and others that are near each other.
 * @param {Box[]} boxes
 * @param {Box[]} others
 * @param {number[]} reach how far from each of the others a box is near; of boxes among the others it counts as well.
 */
export function nearBoxes(boxes, others, reach) {
  if (!boxes.length || !others.length) return [];
  // Only what is level with a box, as far as the others reach, is compared with it.
  const order = argsort(others.map((box) => box[1])), tops = order.map((k) => others[k][1]);
  const greatest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
  const tallest = greatest(others.map((box) => box[3])), far = greatest(reach);
  const pairs = [];
  boxes.forEach(([x, y, w, h], i) => {
    const end = searchsorted(tops, y + h + far, true);
    for (let at = searchsorted(tops, y - tallest - far); at < end; at++) {
      const k = order[at], [left, top, width, height] = others[k];
      const gap = Math.max(left - x - w, x - left - width, top - y - h, y - top - height);
      if (gap <= (others === boxes ? Math.max(reach[i], reach[k]) : reach[k])) pairs.push([i, k]);
    }
  });
  return pairs;
}

/** Tell whether two boxes are parts of one letter; size is the typical letter's. */
export function belongTogether(a, b, size) {
  const [above, below] = a[1] < b[1] ? [a, b] : [b, a];
  return areParts(a, b, size) || isDotOf(above, below, size);
}

/** Tell whether two boxes are parts of one letter that are no dot and stem; size is the typical letter's. */
export function areParts(a, b, size) {
  const tuning = GROUPS_TUNING;
  const [sharedX, sharedY] = [0, 1].map((k) => Math.min(a[k] + a[k + 2], b[k] + b[k + 2]) - Math.max(a[k], b[k]));
  const small = Math.min(a[2] * a[3], b[2] * b[3]);
  if (sharedX > 0 && sharedY > 0 && sharedX * sharedY >= tuning.min_overlap * small && !isBesideTail(a, b, size)) return true;
  const gap = -sharedY, height = Math.max(a[1] + a[3], b[1] + b[3]) - Math.min(a[1], b[1]);
  const isLow = height <= tuning.max_joined_height * size, isAbove = sharedX >= 0.5 * Math.min(a[2], b[2]);
  const isPart = Math.min(Math.max(a[2], a[3]), Math.max(b[2], b[3])) <= tuning.max_part_share * size;
  if (isPart && isLow && isAbove && gap <= tuning.max_part_gap * size) return true;
  const [bar, rest] = a[3] < b[3] ? [a, b] : [b, a];
  const isBar = bar[3] <= tuning.max_bar_height * rest[3] && bar[2] >= 0.5 * rest[2];
  return isBar && isAbove && isLow && gap <= tuning.max_bar_gap * size;
}

/** Tell whether a box may be the dot of the one below it; size is the typical letter's. */
export function isDotOf(above, below, size) {
  const tuning = GROUPS_TUNING;
  const gap = Math.max(above[1], below[1]) - Math.min(above[1] + above[3], below[1] + below[3]);
  const offset = Math.max(0, Math.max(above[0], below[0]) - Math.min(above[0] + above[2], below[0] + below[2]));
  const isSmall = Math.max(above[2], above[3]) <= tuning.max_dot_share * Math.min(below[3], size);
  const isDot = isSmall && below[3] >= PIECES_TUNING.min_letter_share * size;
  return isDot && offset <= tuning.max_dot_offset * below[3] && gap > 0 && gap <= tuning.max_dot_gap * below[3];
}

/** Tell whether one box may be a letter beside the tail of the other; size is the typical letter's. */
function isBesideTail(a, b, size) {
  const tuning = GROUPS_TUNING, [letter, tall] = a[3] < b[3] ? [a, b] : [b, a];
  const isTall = tall[3] > tuning.max_joined_height * size && letter[3] <= tuning.max_beside_share * tall[3];
  const [height, width] = tuning.min_beside;
  return isTall && letter[3] >= height * size && Math.min(a[2], b[2]) >= width * size;
}

/** Tell whether outlines with these boxes may be one broken letter; size is the typical letter's. */
function mayTouch([ax, ay, aw, ah], [bx, by, bw, bh], size) {
  const tuning = GROUPS_TUNING;
  const areLarge = Math.min(Math.max(aw, ah), Math.max(bw, bh)) > tuning.max_part_share * size;
  if (areLarge && Math.min(aw, bw) > PIECES_TUNING.min_letter_share * size) return false;
  const gap = Math.max(bx - ax - aw, ax - bx - bw, by - ay - ah, ay - by - bh);
  if (gap > tuning.max_broken_gap * size) return false;
  const [, , width, height] = around([[ax, ay, aw, ah], [bx, by, bw, bh]]);
  return width <= tuning.max_joined_width * size && height <= tuning.max_joined_height * size;
}

/** Tell whether two outlines nearly touch, so that they are one broken letter; size is the typical letter's. */
function isBroken(a, b, size) {
  // Sampled outlines miss the nearest points by a pixel or two at most.
  const [one, other] = [a, b].map((outline) => 2 * Math.max(1, Math.floor(outline.length / 2 / OUTLINE_POINTS)));
  let least = Infinity;
  for (let i = 0; i < a.length; i += one) {
    for (let k = 0; k < b.length; k += other) least = Math.min(least, (a[i] - b[k]) ** 2 + (a[i + 1] - b[k + 1]) ** 2);
  }
  return Math.sqrt(least) <= GROUPS_TUNING.max_broken_gap * size;
}

/** Return which boxes, around these counts of pieces each, have no other stroke of the page in or beside them. */
export function standsAlone(pieces, boxes, counts) {
  // An outline returns to its first point, so that it is no farther away than half of its length.
  const dust = pieces.dust.map((outline) => {
    const half = Math.floor(outline.length / 4);
    return [outline[0] - half, outline[1] - half, 2 * half + 1, 2 * half + 1];
  });
  const every = [...pieces.allBoxes, ...dust], found = new Array(boxes.length).fill(0);
  for (const [i] of nearBoxes(boxes, every, new Array(every.length).fill(1))) found[i]++;
  return found.map((count, i) => count === counts[i]);
}

/** Return the smallest box around all boxes. */
export function around(boxes) {
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
  for (const [x, y, w, h] of boxes) {
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + w);
    bottom = Math.max(bottom, y + h);
  }
  return [left, top, right - left, bottom - top];
}
