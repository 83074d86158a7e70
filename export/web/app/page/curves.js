// Find ruled lines on a page, straight or gently curved, by a Hough transform; a port of runtime/page/curves.py.
import { CURVE_TUNING, MAX_CURVES, RULED_TUNING, UNRULED_TUNING } from "../tuning.js";
import { median } from "../arrays.js";
import { cv, made, ones, scoped } from "../opencv.js";

const { fround } = Math;

/**
 * A line through an image: its row is (a * column + b) * column + c, and it spans the columns [start, end).
 * @typedef {{parabola: [number, number, number], start: number, end: number}} Curve
 */

/** Return the row of a parabola at a column. */
export const rowAt = ([a, b, c], column) => (a * column + b) * column + c;

/**
 * Find the lines from left to right that are at most `thickness` pixels thick, the clearest first.
 * @param mask a Mat (H, W) of 0 and 255; may be squeezed along its rows.
 * @returns {Curve[]}
 */
export function findCurves(mask, thickness) {
  const points = findBars(mask, thickness), width = mask.cols, count = points.rows.length;
  if (count < Math.max(1, UNRULED_TUNING.min_votes * width)) return [];
  const hough = vote(points, width, thickness);
  const isFree = new Uint8Array(count).fill(1);
  const curves = [];
  for (let i = 0; i < MAX_CURVES; i++) {
    const fullest = hough.votes.reduce((best, value, k, votes) => (value > votes[best] ? k : best), 0);
    const length = curves.length >= CURVE_TUNING.min_rules ? RULED_TUNING : UNRULED_TUNING;
    if (hough.votes[fullest] < length.min_votes * width) break;
    const line = Math.floor(fullest / hough.height), slope = hough.slopes[line];
    const height = fround(hough.lowest + ((fullest % hough.height) + 0.5) * hough.cell);
    const guess = [0, slope, fround(height - fround(fround(slope * width) / 2))];
    const [parabola, own] = fitParabola(points, isFree, guess, thickness);
    const columns = own.map((k) => points.columns[k]);
    if (isLong(columns, width, length)) {
      const [start, last] = extremes(columns);
      curves.push({ parabola, start, end: last + 1 });
    }
    // All points that vote for this cell leave with the curve's, so that the search continues elsewhere.
    const leaving = new Set(own);
    for (let k = 0; k < count; k++) if (isFree[k] && hough.cells[k * hough.slopes.length + line] === fullest) leaving.add(k);
    for (const k of leaving) {
      for (let s = 0, at = k * hough.slopes.length; s < hough.slopes.length; s++, at++) hough.votes[hough.cells[at]]--;
      isFree[k] = 0;
    }
  }
  return curves;
}

/** Let the points vote in a Hough transform over slope and height; computed in float32, as NumPy does. */
function vote({ rows, columns }, width, thickness) {
  const steepest = CURVE_TUNING.max_slope, steps = 2 * Math.ceil((steepest * width) / thickness);
  const slopes = Float32Array.from({ length: steps + 1 }, (_, i) => (i === steps ? steepest : i * ((2 * steepest) / steps) - steepest));
  // Cells are half as high as a line is thick; the lowest belongs to the steepest line above the image.
  const cell = Math.max(1, thickness >> 1);
  const heights = new Float32Array(rows.length * slopes.length);
  let lowest = Infinity;
  for (let k = 0, at = 0; k < rows.length; k++) {
    for (let s = 0; s < slopes.length; s++, at++) {
      heights[at] = rows[k] - fround((columns[k] - width / 2) * slopes[s]);
      if (heights[at] < lowest) lowest = heights[at];
    }
  }
  const cells = new Int32Array(heights.length);
  let height = 0;
  for (let at = 0; at < cells.length; at++) {
    cells[at] = fround(fround(heights[at] - lowest) / cell);
    if (cells[at] >= height) height = cells[at] + 1;
  }
  const votes = new Int32Array(height * slopes.length);
  for (let at = 0; at < cells.length; at++) votes[(cells[at] += (at % slopes.length) * height)]++;
  return { slopes, cell, lowest, height, cells, votes };
}

/** Return the rules with those that letters hide: the rules of a sheet are evenly spaced. */
export function withHidden(curves, width) {
  const even = CURVE_TUNING.min_even;
  if (curves.length < even) return curves;
  const middle = (curve) => rowAt(curve.parabola, width / 2);
  const sorted = [...curves].sort((a, b) => middle(a) - middle(b));
  const gaps = sorted.slice(1).map((curve, i) => middle(curve) - middle(sorted[i]));
  const hidden = [];
  gaps.forEach((gap, k) => {
    const step = median(gaps.slice(Math.max(0, k - even), k + even + 1));
    if (Math.abs(gap - 2 * step) > CURVE_TUNING.max_distance_error * step) return;
    const [one, other] = [sorted[k], sorted[k + 1]];
    const parabola = one.parabola.map((value, i) => (value + other.parabola[i]) / 2);
    hidden.push({ parabola, start: Math.min(one.start, other.start), end: Math.max(one.end, other.end) });
  });
  return [...sorted, ...hidden];
}

/** Return the rows and columns of what is at most `thickness` pixels thick and has the least length of a run. */
function findBars(mask, thickness) {
  return scoped(() => {
    const kernel = ones(thickness + 1, 1), [thick, thin, runs] = [made(), made(), made()];
    const border = cv.morphologyDefaultBorderValue();
    // Erosion and dilation with anchors: cv.MORPH_OPEN shifts by a pixel if the kernel is even, and keeps a row of thick strokes.
    cv.erode(mask, thick, kernel, new cv.Point(0, 0), 1, cv.BORDER_CONSTANT, border);
    cv.dilate(thick, thick, kernel, new cv.Point(0, thickness), 1, cv.BORDER_CONSTANT, border);
    cv.subtract(mask, thick, thin);
    // One row more on either side keeps a climbing line in one run.
    cv.dilate(thin, runs, ones(3, 1));
    cv.morphologyEx(runs, runs, cv.MORPH_OPEN, ones(1, CURVE_TUNING.min_run));
    cv.bitwise_and(thin, runs, runs);
    const rows = [], columns = [], { cols, data } = runs;
    for (let i = data.indexOf(255); i >= 0; i = data.indexOf(255, i + 1)) {
      rows.push(Math.floor(i / cols));
      columns.push(i % cols);
    }
    return { rows, columns };
  });
}

/** Fit a parabola to the free points near a first guess by least squares; returns it and the places of the points on it. */
function fitParabola({ rows, columns }, isFree, parabola, thickness) {
  const [first, ...later] = CURVE_TUNING.max_fit_distances;
  const isClose = (k, distance) => Math.abs(rows[k] - rowAt(parabola, columns[k])) <= distance * thickness;
  const near = [];
  for (let k = 0; k < rows.length; k++) if (isFree[k] && isClose(k, first)) near.push(k);
  let own = near;
  for (const distance of later) {
    const [low, high] = extremes(own.map((k) => columns[k]));
    if (own.length < 3 || low + 3 > high) break;
    // Columns relative to their middle keep the normal equations well conditioned.
    const middle = own.reduce((sum, k) => sum + columns[k], 0) / own.length, half = (high - low) / 2;
    let [s4, s3, s2, s1, y2, y1, y0] = [0, 0, 0, 0, 0, 0, 0];
    for (const k of own) {
      const x = (columns[k] - middle) / half, square = x * x, y = rows[k];
      s4 += square * square;
      s3 += square * x;
      s2 += square;
      s1 += x;
      y2 += square * y;
      y1 += x * y;
      y0 += y;
    }
    const [p, q, c] = solve([s4 + CURVE_TUNING.stiffness, s3, s2, s1, own.length], [y2, y1, y0]);
    const a = p / half ** 2, b = q / half;
    parabola = [a, b - 2 * a * middle, c - b * middle + a * middle ** 2];
    own = near.filter((k) => isClose(k, distance));
  }
  return [parabola, own];
}

/** Solve the normal equations ((s4, s3, s2), (s3, s2, s1), (s2, s1, s0)) of a parabola by Cramer's rule. */
function solve([s4, s3, s2, s1, s0], [y2, y1, y0]) {
  const first = s2 * s0 - s1 * s1, second = s1 * s2 - s3 * s0, third = s3 * s1 - s2 * s2;
  const middle = s4 * s0 - s2 * s2, last = s4 * s2 - s3 * s3, mixed = s2 * s3 - s4 * s1;
  const whole = s4 * first + s3 * second + s2 * third;
  return [
    (first * y2 + second * y1 + third * y0) / whole,
    (second * y2 + middle * y1 + mixed * y0) / whole,
    (third * y2 + mixed * y1 + last * y0) / whole,
  ];
}

/** Tell whether a line fills enough columns of an image of this width to be a ruled line and not a row of letters' bars. */
function isLong(columns, width, length) {
  const [low, high] = extremes(columns), span = high - low;
  if (!columns.length || span < length.min_span * width) return false;
  const filled = new Uint8Array(width);
  for (const column of columns) filled[column] = 1;
  // A gap of one column, by dust or by a crossing line, does not end a run.
  const closed = filled.map((value, i) => value | (i > 0 && i < width - 1 ? filled[i - 1] & filled[i + 1] : 0));
  const runs = runsOf(closed).map(([start, end]) => end - start);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const long = runs.filter((run) => run >= CURVE_TUNING.min_long_run_share * width);
  return sum(runs) >= length.min_present * span && sum(long) >= length.min_long * width;
}

/** Return where each run of filled places starts and ends, [start, end). */
export function runsOf(filled) {
  const runs = [];
  for (let i = 0; i < filled.length; i++) {
    if (!filled[i]) continue;
    const start = i;
    while (i < filled.length && filled[i]) i++;
    runs.push([start, i]);
  }
  return runs;
}

/** Return the least and the greatest of the values. */
function extremes(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
