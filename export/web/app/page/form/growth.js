// How boxes change over a page that is seen at an angle; a port of `Growth` and of what fits it in runtime/page/boxes.py.
import { BOX_ROUNDS, EVEN_TOLERANCES, FORM_TUNING, MIN_DEVIATION, MIN_EVEN } from "../../tuning.js";
import { leastSquares } from "../../linear.js";
import { dot, meanOf, minus, plus, times } from "./quads.js";
import { placeOfMost } from "./printed.js";

/** How boxes change over a page; if it is not known, they do not. */
export class Growth {
  /**
   * @param {[number, number][]} slopes the changes per pixel to the right and down of the logarithms of width and height, and of the
   *   directions of the sides along the row and down, in radians.
   * @param {number[]} shape what a box at `middle` has.
   * @param tolerance the usual difference in size between boxes of one kind.
   */
  constructor(slopes, shape, middle, tolerance, isKnown) {
    Object.assign(this, { slopes, shape, middle, tolerance, isKnown });
  }

  /** Return by which factors the width and the height of a box at a point differ from one at the middle. */
  sizes(point) {
    const apart = minus(point, this.middle);
    return [Math.exp(dot(apart, this.slopes[0])), Math.exp(dot(apart, this.slopes[1]))];
  }

  /** Return the box with this centre and size. */
  boxAt(centre, [width, height]) {
    const apart = minus(centre, this.middle);
    const [along, down] = [2, 3].map((k) => this.shape[k] + dot(this.slopes[k], apart));
    const half = times([Math.cos(along), Math.sin(along)], width / 2), deep = times([Math.cos(down), Math.sin(down)], height / 2);
    return [minus(times(half, -1), deep), minus(half, deep), plus(half, deep), minus(deep, half)].map((corner) => plus(centre, corner));
  }
}

/** Fit how the boxes of one kind change over a page to quads; some are of other kinds, or parts. */
export function growthOf(quads) {
  const unknown = new Growth([[0, 0], [0, 0], [0, 0], [0, 0]], [0, 0, 0, 0], [0, 0], FORM_TUNING.max_difference, false);
  if (quads.length < MIN_EVEN) return unknown;
  const centres = quads.map(meanOf), middle = meanOf(centres);
  const shapes = quads.map(([a, b, c, d]) => {
    const along = plus(minus(b, a), minus(c, d)), down = plus(minus(d, a), minus(c, b));
    const logs = [along, down].map(([x, y]) => Math.log(Math.hypot(x, y) / 2));
    return [...logs, ...[along, down].map(([x, y]) => Math.atan2(y, x))];
  });
  const points = centres.map((centre) => [...minus(centre, middle), 1]);
  let fit = [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (const tolerance of EVEN_TOLERANCES) {
    const rest = shapes.map((shape, n) => shape.map((value, k) => value - fit[k].reduce((sum, slope, i) => sum + slope * points[n][i], 0)));
    const close = rest.map((one) => rest.map((other) => one.every((value, k) => Math.abs(value - other[k]) < tolerance)));
    const own = close[placeOfMost(close.map((row) => row.filter(Boolean).length))];
    if (own.filter(Boolean).length < MIN_EVEN) return unknown;
    const [near, alike] = [points, shapes].map((values) => values.filter((_, n) => own[n]));
    fit = leastAbsolute(near, alike);
  }
  return new Growth(fit.map(([x, y]) => [x, y]), fit.map((plane) => plane[2]), middle, FORM_TUNING.max_even_difference, true);
}

/** Fit a plane to each of k values (n, k) at points (n, 3) so that the sum of all absolute errors is small: some are far off. */
function leastAbsolute(points, values) {
  const reach = [0, 1, 2].map((k) => points.reduce((most, point) => Math.max(most, Math.abs(point[k])), 1));
  // A little stiffness against slopes, because boxes in one row show none across it.
  const a = [...points.map((point) => point.map((value, k) => value / reach[k])), [0.2, 0, 0], [0, 0.2, 0]];
  return values[0].map((_, k) => {
    const b = [...values.map((row) => row[k]), 0, 0];
    let weights = null, fit = [0, 0, 0];
    for (let round = 0; round < BOX_ROUNDS; round++) {
      fit = leastSquares(a, b, weights);
      weights = b.map((value, n) => 1 / Math.max(Math.abs(value - a[n].reduce((sum, x, i) => sum + x * fit[i], 0)), MIN_DEVIATION));
      weights.fill(1, -2);
    }
    return fit.map((value, i) => value / reach[i]);
  });
}
