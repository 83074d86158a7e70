// Grids of boxes on a form that share their sides, row under row: one perspective view gives the places of all boxes; a port of
// runtime/page/grids.py.
import {
  FITS, FORM_TUNING, GRID_ROUNDS, MAX_OFF_PX, MAX_SIDE, MIN_ALL, MIN_BOXES, MIN_DETERMINANT, MIN_MEAN, MIN_ROWS, MIN_SIDE, MIN_START,
  MIN_THERE, NEAR,
} from "../../tuning.js";
import { range, roundHalfEven } from "../../arrays.js";
import { cv, keep, scoped } from "../../opencv.js";
import { areCovered, halfway, meanOf, sidesOf, sizeOf, support } from "./quads.js";

/** @typedef {import("./quads.js").Quad} Quad */

// Each box of a grid, with its left top corner at the origin.
const UNIT = [[0, 0], [1, 0], [1, 1], [0, 1]];
// Rows and columns from a box to those on its right, on its left, below and above.
const STEPS = [[0, 1], [0, -1], [1, 0], [-1, 0]];

/** Return grids as lists of rows of boxes, from quads of which those that are able start a grid. */
export function findGrids(quads, able, near) {
  const grids = [], centres = quads.map(meanOf);
  let free = [...able];
  for (let round = 0; round < quads.length; round++) {
    const cells = largestBlock(quads, free);
    if (cells.size < MIN_START) break;
    for (const i of cells.keys()) free[i] = false;
    const found = viewOf(quads, cells);
    const rows = found ? rowsOf(found.view, found.cells, near) : [];
    if (rows.length < MIN_ROWS) continue;
    grids.push(rows);
    const covered = areCovered(rows.flat(), centres);
    free = free.map((isFree, i) => isFree && !covered[i]);
  }
  return grids;
}

/** Return the row and column of each box of the largest block of free boxes that share sides, relative to one of them. */
function largestBlock(quads, free) {
  const indices = range(0, quads.length).filter((i) => free[i]);
  if (indices.length < MIN_START) return new Map();
  const own = indices.map((i) => quads[i]), reach = own.map((quad) => NEAR * Math.min(...sizeOf(quad)));
  const middles = own.map((quad) => sidesOf(quad).map(([a, b]) => halfway(a, b)));
  const beside = STEPS.map(() => own.map(() => []));
  const isNear = ([ax, ay], [bx, by], most) => Math.max(Math.abs(ax - bx), Math.abs(ay - by)) < most;
  for (let i = 0; i < own.length; i++) {
    for (let j = 0; j < own.length; j++) {
      if (isNear(middles[i][1], middles[j][3], reach[i])) {
        beside[0][i].push(j);
        beside[1][j].push(i);
      }
      if (isNear(middles[i][2], middles[j][0], reach[i])) {
        beside[2][i].push(j);
        beside[3][j].push(i);
      }
    }
  }
  let best = new Map();
  const seen = new Set();
  for (let first = 0; first < own.length; first++) {
    if (seen.has(first)) continue;
    const cells = new Map([[first, [0, 0]]]), stack = [first];
    while (stack.length) {
      const i = stack.pop(), [row, column] = cells.get(i);
      STEPS.forEach(([down, along], k) => {
        for (const j of beside[k][i]) {
          if (cells.has(j)) continue;
          cells.set(j, [row + down, column + along]);
          stack.push(j);
        }
      });
    }
    for (const i of cells.keys()) seen.add(i);
    if (cells.size > best.size) best = cells;
  }
  return new Map([...best].map(([i, cell]) => [indices[i], cell]));
}

/** Return the perspective view (9 numbers) of a grid, and row and column of the boxes that fit it; null without one. */
function viewOf(quads, start) {
  let indices = [...start.keys()], cells = [...start.values()], view = null;
  for (let round = 0; round < GRID_ROUNDS; round++) {
    const corners = cells.flatMap(([row, column]) => UNIT.map(([x, y]) => [column + x, row + y]));
    view = homography(corners, indices.flatMap((i) => quads[i]));
    if (!view) return null;
    const back = inverse(view), before = indices;
    indices = [];
    cells = [];
    quads.forEach((quad, i) => {
      const flat = quad.map((point) => seenFrom(back, point));
      const [x, y] = meanOf(flat).map((value) => roundHalfEven(value - 0.5));
      const off = Math.max(...flat.map(([px, py], k) => Math.max(Math.abs(px - x - UNIT[k][0]), Math.abs(py - y - UNIT[k][1]))));
      if (!(off < FITS)) return;
      indices.push(i);
      cells.push([y, x]);
    });
    if (indices.length < MIN_START) return null;
    if (indices.length === before.length && indices.every((i, k) => i === before[k])) break;
  }
  return indices.length < MIN_BOXES ? null : { view, cells };
}

/** Fit a perspective view from points to others; null if there is none. */
function homography(points, others) {
  return scoped(() => {
    const [from, to] = [points, others].map((some) => keep(cv.matFromArray(some.length, 1, cv.CV_64FC2, some.flat())));
    const fitted = keep(cv.findHomography(from, to, cv.RANSAC, MAX_OFF_PX));
    if (fitted.rows !== 3) return null;
    const view = Array.from(fitted.data64F);
    return view.every(Number.isFinite) && Math.abs(determinant(view)) >= MIN_DETERMINANT ? view : null;
  });
}

const determinant = ([a, b, c, d, e, f, g, h, i]) => a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);

function inverse(view) {
  const [a, b, c, d, e, f, g, h, i] = view, whole = determinant(view);
  const cofactors = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
  return cofactors.map((value) => value / whole);
}

/** Return a point as a view shows it. */
function seenFrom([a, b, c, d, e, f, g, h, i], [x, y]) {
  const scale = 1 / (x * g + y * h + i);
  return [(x * a + y * b + c) * scale, (x * d + y * e + f) * scale];
}

/** Return the box of a grid in this row and column as it is seen. */
const boxAt = (view, row, column) => UNIT.map(([x, y]) => seenFrom(view, [column + x, row + y]));

/** Return the rows of boxes of a grid with this view, around the boxes that fit it. */
function rowsOf(view, cells, near) {
  let [top, left] = [0, 1].map((k) => Math.min(...cells.map((cell) => cell[k])));
  let [bottom, right] = [0, 1].map((k) => Math.max(...cells.map((cell) => cell[k])));
  if (Math.max(bottom - top, right - left) >= MAX_SIDE) return [];
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  // How much of the sides of a box is there on average, and whether the box has each side.
  const look = (row, column) => {
    const sides = sidesOf(boxAt(view, row, column)).map((side) => support(side, near, 2)).filter((share) => !Number.isNaN(share));
    const average = sides.reduce((sum, share) => sum + share, 0) / Math.max(sides.length, 1);
    return { average, isWhole: sides.every((share) => share >= MIN_SIDE) && average >= MIN_MEAN && sides.length > 1 };
  };
  // The last row or column in the direction of a step, also behind a few whose sides cannot be seen.
  const endOf = (at, step, across, isRow) => {
    let last = at;
    for (let beside = at + step; beside !== at + step * MAX_SIDE; beside += step) {
      const boxes = across.map((other) => (isRow ? look(beside, other) : look(other, beside)));
      const least = isRow ? MIN_THERE : 1 / across.length;
      if (mean(boxes.map((box) => box.average)) >= MIN_ALL || mean(boxes.map((box) => Number(box.isWhole))) >= least) last = beside;
      else if (isRow || Math.abs(beside - last) > FORM_TUNING.max_hidden) break;
    }
    return last;
  };
  // Rows first: each is as wide as what was found.
  const columns = range(left, right + 1);
  [top, bottom] = [endOf(top, -1, columns, true), endOf(bottom, 1, columns, true)];
  const rows = range(top, bottom + 1);
  [left, right] = [endOf(left, -1, rows, false), endOf(right, 1, rows, false)];
  let found = [];
  for (const row of rows) {
    const boxes = range(left, right + 1).map((column) => look(row, column));
    const there = range(0, boxes.length).filter((i) => boxes[i].average >= MIN_ALL);
    const [first, end] = there.length ? [there[0], there[there.length - 1] + 1] : [0, 0];
    if (there.length >= FORM_TUNING.min_places && mean(boxes.slice(first, end).map((box) => Number(box.isWhole))) >= MIN_THERE) {
      found.push(range(left + first, left + end).map((column) => boxAt(view, row, column)));
    } else if (found.length < MIN_ROWS) found = [];
    // The space between two rows that share no sides.
    else break;
  }
  return found;
}
