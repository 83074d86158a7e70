// The places between the ticks of a comb; a port of the first half of runtime/page/combs.py.
import { FORM_TUNING, LEANS, MAX_TICKS, MAX_TICK_OFF, MIN_FOLLOWED, TRACKING } from "../../tuning.js";
import { cumsum, median, range, roundHalfEven, searchsorted } from "../../arrays.js";
import { polynomial } from "../../linear.js";
import { cv, imageOf, made, ones, scoped } from "../../opencv.js";
import { runsOf } from "../curves.js";
import { placeOfMost, shadeOf } from "./printed.js";
import { flat, shaped, steady } from "./quads.js";

/** @typedef {import("./quads.js").PlaceRow} PlaceRow */

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const stepsOf = (values) => values.slice(1).map((value, i) => value - values[i]);

/**
 * Return the places between the ticks of a comb with this outline; null if it is no comb.
 * @param mask a Mat (H, W).
 * @returns {?PlaceRow}
 */
export function combRow(outline, mask) {
  const tuning = FORM_TUNING;
  let left = Infinity, right = -Infinity;
  for (let i = 0; i < outline.length; i += 2) [left, right] = [Math.min(left, outline[i]), Math.max(right, outline[i])];
  const bottom = new Array(right - left + 1).fill(-1);
  for (let i = 0; i < outline.length; i += 2) bottom[outline[i] - left] = Math.max(bottom[outline[i] - left], outline[i + 1]);
  const x = range(left, right + 1), fitted = fitBase(x, bottom);
  if (!fitted) return null;
  const page = imageOf(mask);
  let y = x.map(fitted.base);
  // Down from the middle of the line to its lower edge.
  const thickness = median(x.map((column, i) => {
    let run = 0;
    for (; run < 12; run++) {
      const row = Math.min(Math.max(roundHalfEven(y[i] - run), 0), page.height - 1);
      if (!page.data[row * page.width + column]) break;
    }
    return run;
  }));
  y = y.map((row) => row - (thickness - 1) / 2);
  const height = Math.min(Math.trunc(0.25 * (right - left)), 120);
  const wide = grown(mask), up = [roundHalfEven(thickness / 2) + 1, height];
  const runsAlong = (lean) => runsAbove(wide, x, y, up, fitted.slope + lean);
  // Only ticks as high as the letters show how the page is seen at an angle.
  let lean = 0, runs = runsAlong(0);
  const scores = LEANS.map((one) => runsAlong(one).reduce((sum, run) => sum + run * run, 0) * (1 - 0.5 * Math.abs(one)));
  const leaning = LEANS[placeOfMost(scores)], tallRuns = runsAlong(leaning);
  let found = bestComb(findTicks(tallRuns, thickness), tallRuns.map((run) => run >= minTick(thickness)));
  if (found && tickHeight(tallRuns, found) >= tuning.min_tall_tick * mean(stepsOf(found))) [lean, runs] = [leaning, tallRuns];
  else found = bestComb(findTicks(runs, thickness), runs.map((run) => run >= minTick(thickness)));
  if (!found || found.length < tuning.min_places + 1) return null;
  return placesOf({ found, left, right, y, lift: [fitted.slope + lean, -1], tall: tickHeight(runs, found), mask });
}

/** Return the places of a comb by its ticks and what was measured of them. */
function placesOf({ found, left, right, y, lift, tall, mask }) {
  const tuning = FORM_TUNING, step = mean(stepsOf(found)), isTall = tall >= tuning.min_tall_tick * step;
  const foot = found.map((column) => [left + column, between(y, column)]), room = isTall ? 1.15 * tall : tuning.room * step;
  const raised = ([px, py], by) => [px + by * lift[0], py + by * lift[1]];
  let ticks = foot.map((point) => [point, raised(point, tall + 1)]), tops = foot.map((point) => raised(point, room));
  let feet = foot;
  if (isTall) {
    ticks = followPrint(ticks, mask, MAX_TICK_OFF * step);
    // Sides that are not quite parallel cross nowhere near.
    tops = ticks.map(([[ax, ay], [bx, by]]) => [ax + (room / (tall + 1)) * (bx - ax), ay + (room / (tall + 1)) * (by - ay)]);
    feet = ticks.map(([low]) => low);
  }
  const places = range(0, found.length - 1).map((i) => [tops[i], tops[i + 1], feet[i + 1], feet[i]]);
  const base = range(0, found.length - 1).map((i) => [foot[i], foot[i + 1]]);
  const ends = [[[left, y[0]], foot[0]], [foot[foot.length - 1], [right, y[y.length - 1]]]];
  return { places, lines: [...base, ...ticks, ...ends], isOpen: true, isSure: false };
}

/** Return a value between those at whole places; at the ends the first or the last. */
function between(values, place) {
  const low = Math.min(Math.max(Math.floor(place), 0), values.length - 1), high = Math.min(low + 1, values.length - 1);
  return place <= 0 ? values[0] : values[low] + (values[high] - values[low]) * (place - low);
}

/** Return a mask with one pixel more on either side of its strokes, as an Image. */
function grown(mask) {
  return scoped(() => {
    const wide = made();
    cv.dilate(mask, wide, ones(1, 3));
    return imageOf(wide);
  });
}

/** Return how many of the steps [first, end) up from the points of a line the ink of an Image goes on; lean is as in LEANS. */
function runsAbove({ data, width }, x, y, [first, end], lean) {
  return x.map((column, i) => {
    let step = first;
    for (; step < end; step++) {
      const across = roundHalfEven(column + step * lean), above = roundHalfEven(y[i] - step);
      if (across < 0 || across >= width || above < 0 || !data[above * width + across]) break;
    }
    return Math.max(0, step - first);
  });
}

/** Move both ends of high ticks along the row by up to `reach` pixels, so that all together lie on their print. */
function followPrint(ticks, mask, reach) {
  if (ticks.length < MIN_FOLLOWED) return ticks;
  const soft = scoped(() => {
    const blurred = made();
    cv.blur(mask, blurred, new cv.Size(3, 1));
    return imageOf(blurred);
  });
  const shifts = [0, ...range(1, roundHalfEven(reach) + 1).flatMap((n) => [-n, n])];
  const moved = ticks.map((tick) => {
    for (const isHead of [false, true, false]) {
      const tried = shifts.map((shift) => tick.map(([px, py], k) => [px + (isHead && k === 0 ? 0 : shift), py]));
      tick = tried[placeOfMost(tried.map((one) => shadeOf(one, soft)))];
    }
    return tick;
  });
  return shaped(steady(flat(moved)));
}

/** Fit the lower edge of a comb; returns it as a function of the column and its slope, null if it is no straight or bent line. */
function fitBase(x, bottom) {
  const size = Math.floor(x.length / 9), larger = x.length % 9;
  const ends = range(0, 10).map((k) => k * size + Math.min(k, larger));
  const bins = range(0, 9).map((k) => [ends[k], ends[k + 1]]);
  const coarse = polynomial(bins.map((bin) => mean(x.slice(...bin))), bins.map((bin) => median(bottom.slice(...bin))), 1);
  if (!(Math.abs(coarse.slope) < 0.5)) return null;
  const near = (fit, reach) => range(0, x.length).filter((i) => Math.abs(bottom[i] - fit(x[i])) <= reach);
  let best = FORM_TUNING.min_comb_filled, base = null;
  // The second way is for sheets that are bent.
  for (const rounds of [[[8, 1], [4, 2], [2.5, 2]], [[0.02 * x.length, 2], [4, 3], [2.5, 3]]]) {
    let fit = coarse;
    for (const [reach, degree] of rounds) {
      const close = near(fit, reach);
      fit = close.length / x.length < 0.4 ? null : polynomial(close.map((i) => x[i]), close.map((i) => bottom[i]), degree);
      if (!fit) break;
    }
    const filled = fit ? near(fit, 2).length / x.length : 0;
    if (!fit || filled < best) continue;
    // The simpler line stands unless the other one follows the print clearly better.
    best = filled + 0.03;
    base = fit;
  }
  return base && { base, slope: coarse.slope };
}

/** Return the usual height of the ticks at these columns, by the ink above each column. */
function tickHeight(runs, ticks) {
  return median(ticks.map((tick) => {
    const at = Math.min(Math.max(roundHalfEven(tick), 0), runs.length - 1);
    return Math.max(...runs.slice(Math.max(0, at - 2), at + 3));
  }));
}

/** Return the least height of a tick on a line of this thickness, in pixels. */
const minTick = (thickness) => Math.max(4, 1.2 * thickness);

/** Return the columns of narrow strokes that rise from a line, by the height of the ink above each of its columns. */
function findTicks(runs, thickness) {
  return runsOf(runs.map((run) => run >= minTick(thickness))).map(([start, end]) => {
    if (end - start <= 3 * thickness + 4) return (start + end - 1) / 2;
    // A letter stands on the line here: the highest column may be a tick.
    return start + placeOfMost(runs.slice(start, end));
  });
}

/** Return the columns of the evenly spaced ticks that explain most of all ticks; high are the columns with ink above. */
function bestComb(ticks, high) {
  const tuning = FORM_TUNING;
  if (ticks.length < tuning.min_places + 1) return null;
  const inked = [0, ...cumsum(high.map(Number))];
  let best = 0, columns = null;
  ticks.slice(0, MAX_TICKS).forEach((a, start) => {
    for (const b of ticks.slice(start + 1, start + 1 + 3)) {
      const step = b - a;
      if (step < tuning.min_box_px) continue;
      const [right, hits] = follow(b, step, ticks, inked), [left, more] = follow(a, -step, ticks, inked);
      const found = [...left.reverse(), a, b, ...right], count = hits + more + 2;
      let score = count - 1.5 * (found.length - count) - 0.2 * (ticks.length - count);
      if (score > best) score -= 1.5 * unevenness(found);
      if (count >= tuning.min_ticks * found.length && score > best) [best, columns] = [score, found];
    }
  });
  return columns;
}

/** Return how far columns deviate from even steps that grow or shrink evenly, as the sum of shares of a step. */
function unevenness(columns) {
  const numbers = columns.map((_, i) => i / columns.length);
  const fit = polynomial(numbers, columns, Math.min(3, columns.length - 2));
  return columns.reduce((sum, column, i) => sum + Math.abs(column - fit(numbers[i])), 0) / mean(stepsOf(columns));
}

/** Return the columns of the ticks in the direction of a step up to the last that is there, and how many are there. */
function follow(at, step, ticks, inked) {
  const found = [], length = inked.length - 1;
  let hits = 0, last = 0, growth = 0;
  while (at + step >= -0.3 * Math.abs(step) && at + step <= length - 1 + 0.3 * Math.abs(step) && Math.abs(step) >= FORM_TUNING.min_box_px) {
    const reach = FORM_TUNING.max_tick_error * Math.abs(step);
    at += step;
    const after = Math.min(Math.max(1, searchsorted(ticks, at)), ticks.length - 1);
    const nearest = at - ticks[after - 1] <= ticks[after] - at ? ticks[after - 1] : ticks[after], error = nearest - at;
    const isHit = Math.abs(error) <= reach;
    if (isHit) {
      // A tracking filter: a letter's stroke beside a tick hardly changes the step, but the page's slant does.
      at += TRACKING[0] * error;
      growth += TRACKING[2] * error;
      step += TRACKING[1] * error;
    }
    step += growth;
    // A tick may be hidden by a letter that stands on it.
    const first = Math.max(0, roundHalfEven(at - reach / 2)), end = Math.max(0, roundHalfEven(at + reach / 2)) + 1;
    if (isHit || inked[Math.min(end, length)] > inked[Math.min(first, length)]) {
      hits++;
      last = found.length + 1;
    }
    found.push(at);
  }
  return [found.slice(0, last), hits];
}
