// Order a page's letters into lines, and split its lines into words; a port of runtime/page/lines.py.
import { ORDER_TUNING } from "../tuning.js";
import { compared, mean, median } from "../arrays.js";

/** @typedef {import("./candidate.js").Box} Box */

/**
 * A letter: its middle (level without the page's tilt), size, box, and index.
 * @typedef {{x: number, level: number, size: number, box: Box, letter: number}} Placed
 */

const sizeOf = ([, , width, height]) => Math.max(height, 0.5 * width);

// As tuples of these values are compared.
const inOrder = (a, b) => a.x - b.x || a.level - b.level || a.size - b.size || compared(a.box, b.box) || a.letter - b.letter;

/** Return how far a letter lies above or below a line, as a share of the letters' height; a tall one by its head or its foot. */
function offsetTo(course, one) {
  const tuning = ORDER_TUNING, reach = tuning.max_reach * course.size, height = one.box[3];
  const across = Math.max(-reach, Math.min(reach, one.x - course.x));
  const off = one.level - course.level - course.slope * across;
  if (height <= tuning.min_tall * course.size) return Math.abs(off) / Math.max(one.size, course.size);
  const more = (height - course.size) / 2;
  const standing = Math.abs(off + more) / course.size + tuning.standing_cost;
  return Math.min(Math.abs(off) / height, Math.abs(off - more) / course.size, standing);
}

/** Return how badly a letter fits a line; infinite beyond an offset. */
function costTo(course, one, maxOffset) {
  const offset = offsetTo(course, one);
  return offset <= maxOffset ? offset + (ORDER_TUNING.distance_cost * Math.abs(one.x - course.x)) / course.size : Infinity;
}

/** Return where a line leads by some of its letters: through (x, level) with a slope; tall ones count only if there are no others. */
function courseOf(all) {
  const size = median(all.map((one) => one.size));
  const letters = all.length > 1 ? all.filter((one) => one.size <= ORDER_TUNING.min_tall * size) : all;
  const x = mean(letters.map((one) => one.x)), level = mean(letters.map((one) => one.level));
  // Ridge regression, because few letters show a slope badly.
  let rise = 0, run = (ORDER_TUNING.stiffness * size) ** 2;
  for (const one of letters) {
    rise += (one.x - x) * (one.level - level);
    run += (one.x - x) ** 2;
  }
  return { x, level, slope: rise / run, size };
}

/** Return whether one box is above or below another, so that they cannot be letters of one line. */
function overlap(a, b) {
  const shared = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  return shared > ORDER_TUNING.max_overlap * Math.min(a[2], b[2]);
}

/** The letters of one line from the left, and where its end leads. */
class Row {
  /** @param {Placed[]} letters */
  constructor(letters = []) {
    this.letters = letters;
    if (letters.length) this.end = courseOf(letters.slice(-ORDER_TUNING.last_letters));
  }

  get level() {
    return mean(this.letters.map((one) => one.level));
  }

  /** Add the next letter to the right. */
  add(one) {
    this.letters.push(one);
    this.end = courseOf(this.letters.slice(-ORDER_TUNING.last_letters));
  }

  /** Return the line's course near a letter. */
  near({ x }) {
    const nearest = [...this.letters].sort((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x));
    return courseOf(nearest.slice(0, ORDER_TUNING.last_letters));
  }

  /** Return whether none of its letters is above or below another letter. */
  hasRoom(one) {
    return !this.letters.some((other) => overlap(one.box, other.box));
  }

  /** Return the letters that have a neighbour of their line above or below them; or the only one. */
  stray() {
    if (this.letters.length === 1) return this.letters;
    const pairs = this.letters.slice(1).map((one, k) => [this.letters[k], one]);
    return pairs.filter(([one, other]) => overlap(one.box, other.box)).flat();
  }
}

/**
 * Sort boxes into lines, the top line first; returns the indices of each line from the left.
 * @param {Box[]} boxes @returns {number[][]}
 */
export function orderLines(boxes) {
  const slope = tilt(boxes);
  const placed = boxes.map((box, letter) => {
    const [x, y, w, h] = box;
    return { x: x + w / 2, level: y + h / 2 - slope * (x + w / 2), size: sizeOf(box), box, letter };
  });
  const rows = joined(settled(rowsOf(placed.sort(inOrder)))).sort((a, b) => a.level - b.level);
  return rows.map((row) => row.letters.sort((a, b) => a.x - b.x || a.letter - b.letter).map((one) => one.letter));
}

/** Put letters, from the left, into the rows where they fit best. */
function rowsOf(letters) {
  const rows = [];
  for (const one of letters) {
    const costs = rows.map((row) => costTo(row.end, one, ORDER_TUNING.max_offset));
    const least = Math.min(...costs);
    if (least === Infinity) rows.push(new Row([one]));
    else rows[costs.indexOf(least)].add(one);
  }
  return rows;
}

/** Move letters that stand above or below others of their line, or alone, to a line that has room for them. */
function settled(rows) {
  const moves = new Map();
  rows.forEach((row, k) => {
    for (const one of row.stray()) {
      const most = row.letters.length > 1 ? ORDER_TUNING.max_offset : ORDER_TUNING.max_alone_offset;
      const costs = rows.map((other, j) => {
        const isOpen = j !== k && other.letters.length > 1 && other.hasRoom(one);
        return isOpen ? costTo(other.near(one), one, most) : Infinity;
      });
      const least = Math.min(...costs);
      if (least < Infinity) moves.set(one.letter, costs.indexOf(least));
    }
  });
  if (!moves.size) return rows;
  const all = rows.flatMap((row, k) => row.letters.map((one) => ({ one, k: moves.get(one.letter) ?? k })));
  const moved = rows.map(() => new Row());
  for (const { one, k } of all.sort((a, b) => inOrder(a.one, b.one))) moved[k].add(one);
  return moved.filter((row) => row.letters.length);
}

/**
 * Return how many pixels lines fall per pixel to the right: the median over boxes and their next neighbours to the right.
 *
 * In words of capitals and small letters the middles fall from the first letter to the second; there the feet agree better.
 */
function tilt(boxes) {
  const ordered = [...boxes].sort(compared), byMiddles = [], byFeet = [];
  ordered.forEach(([x, y, w, h], k) => {
    const size = sizeOf(ordered[k]), farthest = ORDER_TUNING.max_neighbour_distance * size;
    for (const other of ordered.slice(k + 1)) {
      const [left, top, width, height] = other;
      const across = left + width / 2 - x - w / 2;
      if (across > farthest) break;
      if (across <= w / 2) continue;
      const down = top + height / 2 - y - h / 2;
      if (Math.abs(down) > ORDER_TUNING.max_offset * Math.max(size, sizeOf(other))) continue;
      byMiddles.push(down / across);
      byFeet.push((top + height - y - h) / across);
      break;
    }
  });
  if (!byMiddles.length) return 0;
  return median(compared(disagreement(byMiddles), disagreement(byFeet)) <= 0 ? byMiddles : byFeet);
}

/** Return the median deviation of slopes from their median, and the size of that. */
function disagreement(slopes) {
  const usual = median(slopes);
  return [median(slopes.map((slope) => Math.abs(slope - usual))), Math.abs(usual)];
}

/** Join rows that are parts of one line: at the same height and with room for each other. */
function joined(rows) {
  const whole = [];
  for (const row of [...rows].sort((a, b) => a.level - b.level)) {
    let k = Math.max(0, whole.length - 2);
    while (k < whole.length && !areOne(row, whole[k])) k++;
    if (k < whole.length) whole[k] = new Row([...row.letters, ...whole[k].letters].sort(inOrder));
    else whole.push(row);
  }
  return whole;
}

/** Return whether two rows are parts of one line. */
function areOne(a, b) {
  const size = Math.max(...[a, b].map((row) => median(row.letters.map((one) => one.size))));
  const offset = Math.abs(a.level - b.level) / size;
  if (a.letters.at(-1).x < b.letters[0].x || b.letters.at(-1).x < a.letters[0].x) return offset <= ORDER_TUNING.max_part_offset;
  if (offset > ORDER_TUNING.max_alone_offset) return false;
  const [few, many] = b.letters.length < a.letters.length ? [b, a] : [a, b];
  const apart = mean(few.letters.map((one) => offsetTo(many.near(one), one)));
  return apart <= ORDER_TUNING.max_part_offset && few.letters.every((one) => many.hasRoom(one));
}
