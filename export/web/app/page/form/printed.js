// The printed lines of a form: how thick and dark they are, where the pen runs along them, and how they are taken off; a port of
// runtime/page/printed.py. Ink and masks are Mats (H, W).
import { ALONG, PRINTED_TUNING, WEIGHED } from "../../tuning.js";
import { argsort, linspace, median, range, roundHalfEven } from "../../arrays.js";
import { copied, cv, imageOf, made, ones, scoped, zeros } from "../../opencv.js";
import { runsOf } from "../curves.js";
import { halfway, lookedUp, minus, sampled } from "./quads.js";

const SHIFT = 4;
const { fround } = Math;

/**
 * Remove printed lines. Ink darker than the line is pen and stays. If pen and print are equally dark, what lies between strokes on
 * both sides of a line is restored.
 * @returns {{bare, strokes, around, thickness: number}} ink and mask of what remains, a mask of the lines' surroundings, and how thick
 *   the lines usually are.
 */
export function takeOff(ink, mask, lines) {
  const thickness = lineThickness(lines, imageOf(mask)), levels = lineLevels(lines, ink), { rows, cols } = ink;
  const [limit, around, upright] = [zeros(rows, cols), zeros(rows, cols), zeros(rows, cols)];
  const broad = Math.max(1, Math.ceil(thickness + 1.5));
  const draw = (image, [a, b], value, width) => {
    const [from, to] = [a, b].map(([x, y]) => new cv.Point(roundHalfEven(x * 2 ** SHIFT), roundHalfEven(y * 2 ** SHIFT)));
    cv.line(image, from, to, new cv.Scalar(value), width, cv.LINE_8, SHIFT);
  };
  lines.forEach((line, i) => {
    draw(limit, line, Math.trunc(Math.min(255, Math.max(1, PRINTED_TUNING.max_print_factor * levels[i]))), broad);
    draw(around, line, 255, broad + 3);
    if (!isAcross(line)) draw(upright, line, 255, broad);
  });
  for (const line of penAlong(lines, imageOf(ink), thickness)) {
    draw(limit, line, 0, broad);
    draw(around, line, 0, broad + 3);
  }
  const [taken, strokes, level, standing] = [made(), made(), made(), made()];
  cv.subtract(limit, ink, taken);
  cv.threshold(taken, taken, 0, 255, cv.THRESH_BINARY);
  cv.bitwise_and(mask, taken, taken);
  cv.subtract(mask, taken, strokes);
  cv.subtract(taken, upright, level);
  cv.bitwise_and(taken, upright, standing);
  const back = [[level, ones(broad + 3, 1)], [standing, ones(1, broad + 3)]].map(([own, kernel]) => {
    const closed = made();
    cv.morphologyEx(strokes, closed, cv.MORPH_CLOSE, kernel);
    cv.bitwise_and(own, closed, closed);
    return closed;
  });
  for (const one of back) cv.bitwise_or(strokes, one, strokes);
  const bare = copied(ink), [result, printed, written] = [bare.data, limit.data, strokes.data];
  for (let i = 0; i < result.length; i++) if (printed[i] && !written[i]) result[i] = 0;
  return { bare, strokes, around, thickness };
}

/** Tell whether a line runs from left to right rather than down. */
const isAcross = ([[ax, ay], [bx, by]]) => Math.abs(bx - ax) >= Math.abs(by - ay);

/** Return the parts of printed lines along which a stroke of the pen runs: there is much more ink. */
function penAlong(lines, ink, thickness) {
  const tuning = PRINTED_TUNING, shares = linspace(0.06, 0.94, ALONG);
  // A letter close to a line is not on it.
  const reach = Math.ceil(thickness / 2) + 1, offsets = range(-reach, reach + 1);
  const points = lines.map(([[ax, ay], [bx, by]]) => shares.map((share) => [ax + share * (bx - ax), ay + share * (by - ay)]));
  const weights = lines.map((line, i) => {
    const [nx, ny] = normalOf(line);
    return points[i].map(([x, y]) => offsets.reduce((sum, off) => sum + lookedUp(ink, [x + off * nx, y + off * ny]), 0));
  });
  const usual = weights.map(median);
  for (const way of [true, false]) {
    const own = range(0, lines.length).filter((i) => isAcross(lines[i]) === way);
    if (own.length <= WEIGHED) continue;
    // Print is paler in one place than in another, in a shadow for example.
    const middles = own.map((i) => halfway(...lines[i])), before = own.map((i) => usual[i]);
    own.forEach((i, k) => {
      const apart = middles.map(([x, y]) => Math.abs(x - middles[k][0]) + Math.abs(y - middles[k][1]));
      usual[i] = median(argsort(apart).slice(0, WEIGHED).map((n) => before[n]));
    });
  }
  const isPen = weights.map((row, i) => row.map((weight) => weight > fround(fround(tuning.min_pen) * usual[i])));
  const share = isPen.flat().filter(Boolean).length / (lines.length * ALONG);
  if (share > tuning.max_pen_share) return [];
  return isPen.flatMap((row, i) => {
    // A whole line that is darker than others is printed so.
    const long = runsOf(row).filter(([a, b]) => b - a >= tuning.min_pen_run * ALONG && b - a <= tuning.max_pen_run * ALONG);
    return long.map(([a, b]) => [points[i][a], points[i][b - 1]]);
  });
}

/** Move both ends of each line across it by up to a few pixels, to the middle of what is printed. */
export function centred(lines, mask) {
  const thickness = Math.max(3, roundHalfEven(lineThickness(lines, imageOf(mask))) | 1);
  const soft = scoped(() => {
    const blurred = made();
    cv.blur(mask, blurred, new cv.Size(thickness, thickness));
    return imageOf(blurred);
  });
  const shifts = [0, -1, 1, -2, 2, -3, 3];
  return lines.map((line) => {
    const normal = normalOf(line);
    for (const moves of [shifts.map((n) => [n, n]), shifts.map((n) => [-n / 2, n / 2])]) {
      const tried = moves.map((move) => line.map(([x, y], k) => [x + move[k] * normal[0], y + move[k] * normal[1]]));
      line = tried[placeOfMost(tried.map((one) => shadeOf(one, soft)))];
    }
    return line;
  });
}

/** Return the sum of an image's pixels along a line. */
export const shadeOf = (line, image) => sampled(line).reduce((sum, point) => sum + lookedUp(image, point), 0);

/** Return the place of the greatest value, of several the first. */
export const placeOfMost = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

/** Return the unit vector across a line; a shorter one for a line of less than a pixel. */
function normalOf([a, b]) {
  const [x, y] = minus(b, a), length = Math.max(Math.hypot(x, y), 1);
  return [-y / length, x / length];
}

/** Return how thick lines usually are in a mask, an Image, in pixels. */
function lineThickness(lines, mask) {
  const found = [];
  for (const line of lines) {
    const normal = normalOf(line);
    sampled(line).forEach(([x, y], i) => {
      const isInked = (off) => lookedUp(mask, [x + off * normal[0], y + off * normal[1]]) > 0;
      if (i % 3 || !isInked(0)) return;
      let out = 1;
      for (const step of [1, -1]) for (let off = step; Math.abs(off) <= 8 && isInked(off); off += step) out++;
      found.push(out);
    });
  }
  return found.length ? median(found) : 1;
}

/** Return the usual ink in the middle of each line. */
function lineLevels(lines, ink) {
  const near = scoped(() => {
    const grown = made();
    cv.dilate(ink, grown, ones(3, 3));
    return imageOf(grown);
  });
  return lines.map((line) => median(sampled(line).map((point) => lookedUp(near, point))));
}

