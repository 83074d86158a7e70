// All places of a page; a port of `_Grid` in runtime/page/places.py.
import { MIN_AROUND_PX, PLACES_TUNING } from "../../tuning.js";
import { median, roundHalfEven } from "../../arrays.js";
import { cv, keep, scoped, zeros } from "../../opencv.js";
import { halfway, lengthOf, meanOf, minus, plus, sizeOf, times } from "./quads.js";

/** @typedef {import("./quads.js").PlaceRow} PlaceRow */
/** @typedef {import("./quads.js").Quad} Quad */
/**
 * All places of a page as numbers from 1, row after row; 0 is outside. firsts are the numbers of the first places of the rows, quads,
 * rowOf and heights (of its row) those of each number, and where (H * W) the number of the place at each pixel.
 * @typedef {{rows: PlaceRow[], firsts: number[], quads: Quad[], rowOf: number[], heights: number[], where: Int32Array}} Grid
 */

/** @returns {Grid} the places of rows on a page of the size of a mask. */
export function gridOf(rows, mask) {
  const firsts = [1];
  for (const row of rows) firsts.push(firsts[firsts.length - 1] + row.places.length);
  const heights = rows.map((row) => median(row.places.map((quad) => sizeOf(quad)[1])));
  const where = scoped(() => {
    const numbers = zeros(mask.rows, mask.cols, cv.CV_32S);
    const fill = (quad, number) => {
      const corners = keep(cv.matFromArray(4, 1, cv.CV_32SC2, quad.flat().map(roundHalfEven)));
      cv.fillConvexPoly(numbers, corners, new cv.Scalar(number));
    };
    // From below, because the room above a comb may reach into the row above it.
    const backwards = rows.map((row, r) => ({ row, first: firsts[r] })).reverse();
    for (const { row, first } of backwards) if (!row.isOpen) widened(row.places).forEach((quad, k) => fill(quad, first + k));
    for (const { row, first } of backwards) row.places.forEach((quad, k) => fill(quad, first + k));
    return Int32Array.from(numbers.data32S);
  });
  const ofEach = (value) => rows.flatMap((row, r) => row.places.map(() => value(r)));
  return {
    rows, firsts, where,
    quads: [null, ...rows.flatMap((row) => row.places)],
    rowOf: [-1, ...ofEach((r) => r)],
    heights: [1, ...ofEach((r) => heights[r])],
  };
}

/** Return boxes with half the gaps between them, and with their sides: letters hang out of their boxes. */
function widened(places) {
  const middles = places.map(meanOf), sizes = places.map(sizeOf);
  const gaps = middles.slice(1).map((middle, i) => lengthOf(minus(middle, middles[i])));
  const step = gaps.length ? Math.min(...gaps) : sizes[0][0];
  return places.map(([, b, c, d], i) => {
    const [width, height] = sizes[i], most = PLACES_TUNING.max_aside * width;
    const beside = Math.min(Math.max((step - width) / 2, MIN_AROUND_PX), most);
    const along = times(minus(halfway(b, c), middles[i]), 1 + (2 * beside) / width);
    const down = times(minus(halfway(c, d), middles[i]), 1 + (2 * MIN_AROUND_PX) / height);
    const corners = [times(plus(along, down), -1), minus(along, down), plus(along, down), minus(down, along)];
    return corners.map((corner) => plus(middles[i], corner));
  });
}
