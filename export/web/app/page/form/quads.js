// The quads and lines of a form's print: their sizes, and how much of them is inked; a port of runtime/page/quads.py.
import { FORM_TUNING, MAX_SEEDS, MIN_DEVIATION_PX, MIN_SEEN, ROUNDS, STIFFNESS } from "../../tuning.js";
import { linspace, roundHalfEven } from "../../arrays.js";
import { leastSquares } from "../../linear.js";
import { cv, keep, made, scoped } from "../../opencv.js";
import { boundingBox } from "../strokes.js";

/** @typedef {import("../../opencv.js").Image} Image */
/** @typedef {[number, number]} Point */
/**
 * The corners of a box, from the left top one with the clock.
 * @typedef {[Point, Point, Point, Point]} Quad
 */
/** @typedef {[Point, Point]} Line */
/**
 * A row of places and its printed lines. isOpen says whether the places have no top, as in a comb, and isSure whether the print of
 * a whole grid shows where they are.
 * @typedef {{places: Quad[], lines: Line[], isOpen: boolean, isSure: boolean}} PlaceRow
 */

/** The corners at the ends of each side: top, right, bottom, left. */
export const SIDE_ENDS = [[0, 1], [1, 2], [2, 3], [3, 0]];
const SAMPLES = linspace(0.08, 0.92, 20);

export const plus = ([ax, ay], [bx, by]) => [ax + bx, ay + by];
export const minus = ([ax, ay], [bx, by]) => [ax - bx, ay - by];
export const times = ([x, y], factor) => [x * factor, y * factor];
export const dot = ([ax, ay], [bx, by]) => ax * bx + ay * by;
export const lengthOf = ([x, y]) => Math.hypot(x, y);

/** Return the mean of points. */
export function meanOf(points) {
  let x = 0, y = 0;
  for (const point of points) {
    x += point[0];
    y += point[1];
  }
  return [x / points.length, y / points.length];
}

/** Return the mean of two points. */
export const halfway = ([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2];

/** Return the outlines that are boxes, with sides of at least minPx pixels, as quads, the largest first. */
export function findQuads(outlines, minPx) {
  const found = [];
  for (const outline of outlines) {
    const quad = quadOf(outline, minPx);
    if (!quad) continue;
    const [[ax, ay], [bx, by]] = quad;
    if (Math.abs(by - ay) >= 0.6 * Math.abs(bx - ax)) continue;
    const [width, height] = sizeOf(quad);
    found.push({ area: width * height, quad });
  }
  return found.sort((a, b) => b.area - a.area).slice(0, MAX_SEEDS).map(({ quad }) => quad);
}

function quadOf(outline, minPx) {
  if (outline.length / 2 < 3 * minPx) return null;
  const [, , w, h] = boundingBox(outline);
  if (Math.min(w, h) < minPx || areaOf(outline) < 0.35 * w * h) return null;
  return scoped(() => {
    const [hull, corners] = [made(), made()];
    cv.convexHull(keep(cv.matFromArray(outline.length / 2, 1, cv.CV_32SC2, outline)), hull, false, true);
    const rect = cv.minAreaRect(hull), { width, height } = rect.size, a = Math.min(width, height), b = Math.max(width, height);
    if (a < minPx || b > FORM_TUNING.max_aspect * a || cv.contourArea(hull) < FORM_TUNING.min_filled * a * b) return null;
    cv.approxPolyDP(hull, corners, 0.04 * cv.arcLength(hull, true), true);
    const places = corners.data32S;
    if (corners.rows === 4) return inOrder([0, 2, 4, 6].map((i) => [places[i], places[i + 1]]));
    return inOrder(cv.RotatedRect.points(rect).map(({ x, y }) => [x, y]));
  });
}

/** Return the area within an outline. */
export function areaOf(outline) {
  let area = 0, x = outline[outline.length - 2], y = outline[outline.length - 1];
  for (let i = 0; i < outline.length; i += 2) {
    area += x * outline[i + 1] - y * outline[i];
    [x, y] = [outline[i], outline[i + 1]];
  }
  return Math.abs(area) / 2;
}

/** Return four corners from the left top one with the clock. */
function inOrder(points) {
  const down = points.map(([x, y]) => y - x), across = points.map(([x, y]) => x + y);
  const [least, most] = [Math.min, Math.max].map((pick) => (values) => values.indexOf(pick(...values)));
  return [least(across), least(down), most(across), most(down)].map((i) => points[i]);
}

/** Return the mean width and height of a quad. */
export function sizeOf([[ax, ay], [bx, by], [cx, cy], [dx, dy]]) {
  const width = Math.hypot(bx - ax, by - ay) + Math.hypot(cx - dx, cy - dy);
  return [width / 2, (Math.hypot(cx - bx, cy - by) + Math.hypot(dx - ax, dy - ay)) / 2];
}

/** Return the sides of a quad: top, right, bottom, left. */
export const sidesOf = (quad) => SIDE_ENDS.map(([a, b]) => [quad[a], quad[b]]);

/** Tell whether a point lies in a convex quad, whose corners run with the clock. */
export function isInside(quad, [x, y]) {
  return SIDE_ENDS.every(([a, b]) => {
    const [ax, ay] = quad[a], [bx, by] = quad[b];
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0;
  });
}

/** Return which points lie in any of some quads. */
export const areCovered = (quads, points) => points.map((point) => quads.some((quad) => isInside(quad, point)));

/** Return points along a line. */
export const sampled = ([[ax, ay], [bx, by]]) => SAMPLES.map((share) => [ax + share * (bx - ax), ay + share * (by - ay)]);

/** Return the pixel of an Image at a point, and that at its border for a point outside. */
export function lookedUp({ data, width, height }, [px, py]) {
  const x = Math.min(Math.max(roundHalfEven(px), 0), width - 1), y = Math.min(Math.max(roundHalfEven(py), 0), height - 1);
  return data[y * width + x];
}

/** Return the share of a line that is inked in an Image; NaN outside the image and in its margin. */
export function support([[ax, ay], [bx, by]], { data, width, height }, margin = 0) {
  let seen = 0, inked = 0;
  for (const share of SAMPLES) {
    const x = roundHalfEven(ax + share * (bx - ax)), y = roundHalfEven(ay + share * (by - ay));
    if (x < margin || y < margin || x >= width - margin || y >= height - margin) continue;
    seen++;
    if (data[y * width + x]) inked++;
  }
  return seen >= MIN_SEEN ? inked / seen : NaN;
}

/**
 * Return where rows of numbers (n, m), in pixels, would be if they followed each other evenly: most do, and some are far off. Fits a
 * polynomial of up to the third degree to each column, so that the sum of all absolute errors is small.
 */
export function steady(rows) {
  const count = rows.length, degree = Math.max(1, Math.min(4, count - 2));
  const powers = linspace(-1, 1, count).map((at) => Array.from({ length: degree }, (_, i) => at ** (degree - 1 - i)));
  const fits = rows[0].map((_, column) => {
    const values = rows.map((row) => row[column]);
    let weights = null, fit = values;
    for (let round = 0; round < ROUNDS; round++) {
      const factors = leastSquares(powers, values, weights, STIFFNESS);
      fit = powers.map((row) => row.reduce((sum, power, i) => sum + power * factors[i], 0));
      weights = values.map((value, i) => 1 / Math.max(Math.abs(value - fit[i]), MIN_DEVIATION_PX));
    }
    return fit;
  });
  return rows.map((_, i) => fits.map((fit) => fit[i]));
}

/** Return quads, or lines, as rows of numbers. */
export const flat = (shapes) => shapes.map((shape) => shape.flat());

/** Return rows of numbers as quads, or lines. */
export const shaped = (rows) => rows.map((row) => Array.from({ length: row.length / 2 }, (_, i) => [row[2 * i], row[2 * i + 1]]));
