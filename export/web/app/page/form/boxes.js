// Rows of boxes on a form, grown from boxes that are plain to see; a port of runtime/page/boxes.py.
import { FORM_TUNING, KNOWN_STEPPING, MAX_STRIDES, MAX_STRIDE_ERROR, MIN_STRIDES, STEPPING } from "../../tuning.js";
import { median, range, roundHalfEven } from "../../arrays.js";
import { findGrids } from "./grids.js";
import { growthOf } from "./growth.js";
import { placeOfMost } from "./printed.js";
import { areCovered, dot, halfway, isInside, lengthOf, lookedUp, meanOf, minus, plus, sidesOf, sizeOf, support, times } from "./quads.js";

/** @typedef {import("./quads.js").Quad} Quad */
/** @typedef {import("./quads.js").PlaceRow} PlaceRow */
/**
 * Boxes that are plain to see: quads along the middles of their sides, their centres and sizes, and how they change over the page.
 * @typedef {{quads: Quad[], centres: number[][], sizes: number[][], growth: import("./growth.js").Growth}} Seeds
 */

// The upright sides, and the level ones, among the sides of a box.
const UPRIGHT = [1, 3], LEVEL = [0, 2];
const count = (flags) => flags.filter(Boolean).length;
const areClose = (one, other, most) => one.every((value, k) => Math.abs(value - other[k]) < most);

/** Make a row of boxes with its sides. */
const rowOf = (places, isSure = false) => ({ places, lines: places.flatMap(sidesOf), isOpen: false, isSure });

/**
 * Grow rows of boxes from quads, which lie on the inner edges of their sides; mask and near, a little broader, are Images.
 * @returns {PlaceRow[]}
 */
export function boxRows(quads, mask, near) {
  const tuning = FORM_TUNING;
  if (quads.length < tuning.min_row) return [];
  const thickness = sideThickness(quads, mask);
  const grown = quads.map((quad) => {
    const middle = meanOf(quad), [width, height] = sizeOf(quad);
    return quad.map(([x, y]) => [x + ((x - middle[0]) / width) * thickness, y + ((y - middle[1]) / height) * thickness]);
  });
  const centres = grown.map(meanOf), sizes = grown.map(sizeOf), all = range(0, grown.length);
  // Three or more others, as the frame of a form has.
  const holds = grown.map((quad) => count(centres.map((centre) => isInside(quad, centre))) > 3);
  // A letter that touches the sides cuts corners off its box.
  const isWhole = grown.map((quad) => sidesOf(quad).every((side) => support(side, near) >= tuning.min_whole_side));
  const isPlain = all.map((i) => isWhole[i] && !holds[i]);
  const growth = growthOf(grown.filter((_, i) => isPlain[i]));
  const seeds = { quads: grown, centres, sizes, growth };
  const logs = all.map((i) => growth.sizes(centres[i]).map((factor, k) => Math.log(sizes[i][k] / factor)));
  const alike = logs.map((one) => logs.map((other) => areClose(one, other, growth.tolerance)));
  const alikes = alike.map(count), areas = sizes.map(([width, height]) => width * height);
  // Boxes of the most usual size come first: parts of boxes that a letter cuts in two are found taken then.
  const order = [...all].sort((a, b) => isWhole[b] - isWhole[a] || alikes[b] - alikes[a] || areas[b] - areas[a]);
  const taken = [...holds], rows = [];
  const take = (places) => areCovered(places, centres).forEach((isCovered, i) => (taken[i] ||= isCovered));
  for (const row of gridRows(seeds, isPlain, near)) {
    take(row.places);
    rows.push(row);
  }
  let isKind = logs.map((one) => areClose(one, logs[order[0]], growth.tolerance));
  let stride = growth.isKnown ? usualStride(seeds, all.map((i) => isPlain[i] && isKind[i])) : 0;
  for (const i of order) {
    if (taken[i]) continue;
    let step = stepFrom(i, seeds, all.map((k) => alike[i][k] && isPlain[k])) ?? stepFrom(i, seeds, all.map((k) => alike[i][k] && !holds[k]));
    const ownStride = isKind[i] ? stride : 0;
    if (step) step = finest(step, grown[i], seeds, near, ownStride);
    // Letters touch all other boxes of this row.
    else if (ownStride && isWhole[i]) step = times(alongOf(grown[i]), ownStride);
    else continue;
    const row = [...[...walk(grown[i], times(step, -1), seeds, near)].reverse(), grown[i], ...walk(grown[i], step, seeds, near)];
    if (row.length < tuning.min_row) continue;
    if (row.length >= tuning.min_places && !stride && growth.isKnown) {
      stride = lengthOf(step) / sizes[i][0];
      isKind = logs.map((one) => areClose(one, logs[i], growth.tolerance));
    }
    for (const own of withStacked(row, rows, seeds, near)) {
      take(own);
      rows.push(rowOf(own));
    }
  }
  const usual = rows.filter((row) => row.places.length >= tuning.min_places).map((row) => sizeOf(row.places[0]));
  // Parts of letters look like a box or two as well.
  return rows.filter((row) => row.places.length >= tuning.min_places || isSizeKnown(sizeOf(row.places[0]), usual));
}

/** Return the rows of grids of boxes that share their sides; grids start with seeds that are able. */
function gridRows(seeds, able, near) {
  const rows = [];
  for (const grid of findGrids(seeds.quads, able, near)) {
    rows.push(...grid.map((own) => rowOf(own, true)));
    // The sides of the row above or below may be hidden, or not quite in the view.
    for (const end of [grid[0], grid[grid.length - 1]]) rows.push(...withStacked(end, rows, seeds, near).slice(1).map((own) => rowOf(own)));
  }
  return rows;
}

/** Return the vector from the left side of a box to its right side. */
const alongOf = ([a, b, c, d]) => times(plus(minus(b, a), minus(c, d)), 0.5);

/** Return the most usual step from a box to the next one, in widths of the box; 0 if too few are seen. */
function usualStride(seeds, able) {
  const some = range(0, able.length).filter((i) => able[i]).slice(0, MAX_STRIDES);
  const strides = some.flatMap((i) => {
    const step = stepFrom(i, seeds, able);
    return step ? [lengthOf(step) / seeds.sizes[i][0]] : [];
  });
  if (strides.length < MIN_STRIDES) return 0;
  const close = strides.map((one) => strides.filter((other) => Math.abs(Math.log(one / other)) < MAX_STRIDE_ERROR));
  const best = close[placeOfMost(close.map((row) => row.length))];
  return best.length >= MIN_STRIDES ? median(best) : 0;
}

/** Return a row of boxes and those above and below that share its sides, as far as they are not among rows. */
function withStacked(places, rows, seeds, near) {
  const found = [], stack = [places];
  while (stack.length) {
    const own = stack.pop();
    found.push(own);
    if (own.length < FORM_TUNING.min_places) continue;
    const down = own.map(([a, b, c, d]) => times(plus(minus(d, a), minus(c, b)), 0.5));
    for (const sign of [1, -1]) {
      const expected = own.map((quad, i) => quad.map((corner) => plus(corner, times(down[i], sign))));
      const beside = stackedRow(expected, [...rows.map((one) => one.places), ...found, ...stack], seeds, near);
      if (beside) stack.push(beside);
    }
  }
  return found;
}

/** Tell whether a box is about as large as another. */
const isSizeKnown = (size, known) =>
  known.some((other) => size.every((side, k) => Math.abs(Math.log(side / other[k])) < FORM_TUNING.max_difference));

/** Return the row of boxes that shares its upper or lower sides with another; null if there is none, or if it is known. */
function stackedRow(expected, rows, seeds, near) {
  const tuning = FORM_TUNING, middles = expected.map(meanOf);
  if (!middles.some(([x, y]) => x >= 0 && y >= 0 && x < near.width && y < near.height)) return null;
  if (rows.some((row) => areCovered(row, middles).some(Boolean))) return null;
  const margin = tuning.edge * sizeOf(expected[0])[1];
  const found = findBoxes(expected, seeds, near, margin), there = range(0, found.length).filter((i) => found[i]);
  // Boxes that do not share sides with this row look like halves of its boxes.
  const sides = there.map((i) => sidesOf(found[i]).map((side) => support(side, near, margin)));
  const seen = [0, 1, 2, 3].map((k) => sides.map((shares) => shares[k]).filter((share) => !Number.isNaN(share)));
  if (!seen.some((shares) => shares.length)) return null;
  if (seen.some((shares) => shares.reduce((sum, share) => sum + share, 0) < tuning.min_stacked_side * shares.length)) return null;
  if (there.length < Math.max(tuning.min_row, tuning.min_stacked * expected.length)) return null;
  return range(there[0], there[there.length - 1] + 1).map((i) => found[i] ?? expected[i]);
}

/** Return how thick the sides of quads usually are, measured outwards from the middles of their sides. */
function sideThickness(quads, mask) {
  const runs = quads.slice(0, 60).flatMap((quad) => {
    const centre = meanOf(quad);
    return sidesOf(quad).map(([a, b]) => {
      const middle = halfway(a, b), [x, y] = minus(middle, centre), length = Math.max(Math.hypot(x, y), 1);
      let run = 0;
      while (run < 16 && lookedUp(mask, [middle[0] + run * (x / length), middle[1] + run * (y / length)])) run++;
      return run;
    });
  });
  return Math.max(1, median(runs));
}

/** Return the step to the next box of a seed's row by its nearest neighbour of like size, null without one. */
function stepFrom(i, seeds, able) {
  const [width, height] = seeds.sizes[i], along = alongOf(seeds.quads[i]), length = lengthOf(along);
  const [x, y] = [along[0] / length, along[1] / length];
  let least = Infinity, step = null;
  seeds.centres.forEach((centre, k) => {
    if (!able[k]) return;
    const apart = minus(centre, seeds.centres[i]), across = dot(apart, [x, y]), down = dot(apart, [-y, x]);
    const isBeside = Math.abs(across) > 0.8 * width && Math.abs(across) < FORM_TUNING.max_step * width;
    if (!isBeside || Math.abs(down) >= 0.3 * height || Math.abs(across) >= least) return;
    least = Math.abs(across);
    step = times(apart, Math.sign(across));
  });
  return step;
}

/** Return the step to the box beside a box, if a step leads over others that letters have cut; else the step itself. */
function finest(step, quad, seeds, near, stride) {
  const [width] = sizeOf(quad), length = lengthOf(step);
  const isThere = (one) => [1, -1].some((sign) => findBox(quad.map((corner) => plus(corner, times(one, sign))), seeds, near));
  if (stride) {
    const number = length / width / stride, parts = Math.max(1, roundHalfEven(number));
    if (Math.abs(number / parts - 1) < MAX_STRIDE_ERROR) return [step[0] / parts, step[1] / parts];
    const usual = times(alongOf(quad), stride);
    if (isThere(usual)) return usual;
  }
  for (let parts = roundHalfEven(length / width); parts > 1; parts--) {
    const part = [step[0] / parts, step[1] / parts];
    if (isThere(part)) return part;
  }
  return step;
}

/** Yield box after box in the direction of the step, as long as there are sides. */
function* walk(quad, step, seeds, near) {
  const { growth: page } = seeds, gains = page.isKnown ? KNOWN_STEPPING : STEPPING;
  let hidden = [], growth = [0, 0], centre = meanOf(quad);
  const scale = page.sizes(centre), usual = sizeOf(quad).map((side, k) => side / scale[k]);
  for (;;) {
    const [middle] = meanOf(quad);
    if (hidden.length > FORM_TUNING.max_hidden || middle < 0 || middle >= near.width) return;
    let expected = quad.map((corner) => plus(corner, step));
    if (page.isKnown) {
      // Half a step further, the boxes are as large as the step is wide.
      step = times(step, page.sizes(plus(centre, step))[0] / page.sizes(centre)[0]);
      const there = plus(centre, step), factors = page.sizes(there);
      expected = page.boxAt(there, usual.map((side, k) => side * factors[k]));
    }
    const following = findBox(expected, seeds, near);
    centre = meanOf(following ?? expected);
    if (!following) {
      hidden.push(expected);
      [quad, step] = [expected, plus(step, growth)];
      continue;
    }
    const error = meanOf(following.map((corner, k) => minus(corner, expected[k])));
    growth = plus(growth, times(error, gains[1]));
    step = plus(plus(step, times(error, gains[0])), growth);
    quad = following;
    yield* hidden;
    hidden = [];
    yield quad;
  }
}

/** Return the box near an expected one: a seed, or sides of print. */
const findBox = (expected, seeds, near) => boxNear(expected, seeds, near, 0);

const findBoxes = (expected, seeds, near, margin) => expected.map((quad) => boxNear(quad, seeds, near, margin));

function boxNear(expected, seeds, near, margin) {
  const size = sizeOf(expected), centre = meanOf(expected);
  // What is expected stands for a seed where there is none.
  let nearest = expected, least = Infinity;
  seeds.centres.forEach(([x, y], i) => {
    const across = Math.abs(x - centre[0]), down = Math.abs(y - centre[1]);
    if (across >= 0.2 * size[0] || down >= 0.2 * size[1] || across + down >= least) return;
    if (!seeds.sizes[i].every((side, k) => Math.abs(Math.log(side / size[k])) < seeds.growth.tolerance)) return;
    least = across + down;
    nearest = seeds.quads[i];
  });
  for (const tried of [nearest, expected]) {
    if (sidesOf(tried).every((side) => support(side, near) >= FORM_TUNING.min_sure_side)) return tried;
  }
  const reach = Math.max(2, roundHalfEven(FORM_TUNING.snap * Math.max(...size)));
  // A letter that touches the sides may have cut corners off the seed.
  const every = [snap(expected, size, reach, near), nearest, expected];
  const seen = every.map((quad) => sidesOf(quad).map((side) => support(side, near, margin)));
  const best = placeOfMost(seen.map(seenOf));
  return isBox(seen[best], margin ? 2 : 3) ? every[best] : null;
}

/** Move a box with this size by up to `reach` pixels to where most of its sides is inked. */
function snap(quad, [width, height], reach, near) {
  const shifts = [0, ...range(1, reach + 1).flatMap((n) => [-n, n])];
  const [a, b, , d] = quad;
  const along = minus(b, a).map((value) => value / width), down = minus(d, a).map((value) => value / height);
  for (const [direction, which] of [[along, UPRIGHT], [down, LEVEL], [along, UPRIGHT]]) {
    const moved = shifts.map((shift) => quad.map((corner) => plus(corner, times(direction, shift))));
    quad = moved[placeOfMost(moved.map((one) => {
      const sides = sidesOf(one);
      return seenOf(which.map((k) => support(sides[k], near)));
    }))];
  }
  return quad;
}

/** Return how much of some sides is inked, all together; sides outside the image, NaN, count as nothing. */
const seenOf = (shares) => shares.reduce((sum, share) => sum + (Number.isNaN(share) ? 0 : share), 0);

/** Tell whether the sides of which these shares are inked make a box; NaN stands for a side outside the image. */
function isBox(shares, least) {
  const seen = shares.filter((share) => !Number.isNaN(share));
  const there = seen.filter((share) => share >= FORM_TUNING.min_side).length;
  return there >= Math.min(least, seen.length) && there >= 2 && seenOf(seen) / seen.length >= FORM_TUNING.min_mean_side;
}
