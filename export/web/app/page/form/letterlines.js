// Rows of short lines, one for each letter; a port of the second half of runtime/page/combs.py.
import { FORM_TUNING, MAX_SEEDS, MAX_SHARED_LINES } from "../../tuning.js";
import { argsort, range, roundHalfEven } from "../../arrays.js";
import { cv, keep, scoped } from "../../opencv.js";
import { placeOfMost } from "./printed.js";
import { halfway, lengthOf, lookedUp, minus, plus, sizeOf, support, times } from "./quads.js";

/** @typedef {import("./quads.js").Line} Line */
/** @typedef {import("./quads.js").PlaceRow} PlaceRow */

const widthOf = ([a, b]) => b[0] - a[0];

/**
 * Return rows of short lines, one for each letter, from the outlines of flat pieces; near is the mask, a little broader.
 * @returns {PlaceRow[]}
 */
export function lineRows(flat, near) {
  const tuning = FORM_TUNING, lines = flat.slice(0, MAX_SEEDS).map(lineOf).filter(Boolean);
  if (lines.length < tuning.min_places - 1) return [];
  const centres = lines.map((line) => halfway(...line)), lengths = lines.map(widthOf);
  const alike = lengths.map((one) => lengths.map((other) => Math.abs(Math.log(one / other)) < tuning.max_difference));
  const taken = new Array(lines.length).fill(false), rows = [];
  for (const i of argsort(alike.map((row) => -row.filter(Boolean).length))) {
    if (taken[i]) continue;
    let step = null, least = Infinity;
    centres.forEach((centre, k) => {
      const [x, y] = minus(centre, centres[i]), across = Math.abs(x);
      if (!alike[i][k] || taken[k] || across <= 1.03 * lengths[i] || across >= tuning.max_step * lengths[i]) return;
      if (Math.abs(y) >= 0.35 * across || across >= least) return;
      least = across;
      step = times([x, y], Math.sign(x));
    });
    if (!step) continue;
    const back = [...walkLines(lines[i], times(step, -1), lines, near)].reverse();
    const own = [...back, lines[i], ...walkLines(lines[i], step, lines, near)], middles = own.map((line) => halfway(...line));
    const isClose = centres.map(([x, y]) => middles.some(([mx, my]) => Math.max(Math.abs(mx - x), Math.abs(my - y)) < 0.3 * lengths[i]));
    if (own.length < tuning.min_places || isClose.filter(Boolean).length < 3) continue;
    isClose.forEach((close, k) => (taken[k] ||= close));
    rows.push(rowOn(own, step, lengths[i]));
  }
  return longestFirst(rows);
}

/** Return the line of a flat outline; null if it is too short or too thick. */
function lineOf(outline) {
  const tuning = FORM_TUNING;
  const { center, size } = scoped(() => cv.minAreaRect(keep(cv.matFromArray(outline.length / 2, 1, cv.CV_32SC2, outline))));
  const long = Math.max(size.width, size.height), thick = Math.min(size.width, size.height);
  if (long < tuning.min_box_px || thick > Math.max(2, tuning.max_line_thickness * long)) return null;
  let left = 0, right = 0;
  for (let i = 2; i < outline.length; i += 2) {
    if (outline[i] < outline[left]) left = i;
    if (outline[i] > outline[right]) right = i;
  }
  const slope = (outline[right + 1] - outline[left + 1]) / Math.max(1, outline[right] - outline[left]);
  const half = (outline[right] - outline[left]) / 2;
  return [[center.x - half, center.y - slope * half], [center.x + half, center.y + slope * half]];
}

/** Return the places on a row of lines, which follow each other by a step. */
function rowOn(own, step, length) {
  const width = lengthOf(step), lift = times([step[1] / step[0], -1], FORM_TUNING.room * width);
  const places = own.map((line) => {
    const half = times(minus(line[1], line[0]), width / length / 2), middle = halfway(...line);
    const [left, right] = [minus(middle, half), plus(middle, half)];
    return [plus(left, lift), plus(right, lift), right, left];
  });
  return { places, lines: own, isOpen: true, isSure: false };
}

/** Return the rows, the longest first, without those that share lines with longer ones. */
function longestFirst(rows) {
  const kept = [];
  for (const row of [...rows].sort((a, b) => b.places.length - a.places.length)) {
    const reach = 0.3 * sizeOf(row.places[0])[0], known = kept.flatMap((other) => other.lines.map((line) => halfway(...line)));
    const shared = row.lines.filter((line) => {
      const [x, y] = halfway(...line);
      return known.some(([kx, ky]) => Math.max(Math.abs(kx - x), Math.abs(ky - y)) < reach);
    });
    if (shared.length / row.lines.length <= MAX_SHARED_LINES) kept.push(row);
  }
  return kept;
}

/** Yield line after line in the direction of the step. */
function* walkLines(line, step, lines, near) {
  let hidden = [];
  for (;;) {
    const [middle] = halfway(...line);
    if (hidden.length > FORM_TUNING.max_hidden || middle < 0 || middle >= near.width) return;
    const expected = line.map((end) => plus(end, step)), length = widthOf(line), [x, y] = halfway(...expected);
    let following = null, least = 0.2 * length;
    for (const one of lines) {
      const [cx, cy] = halfway(...one), apart = Math.max(Math.abs(cx - x), Math.abs(cy - y));
      if (apart >= least || Math.abs(Math.log(widthOf(one) / length)) >= FORM_TUNING.max_difference) continue;
      least = apart;
      following = one;
    }
    following ??= findLine(expected, step, near);
    if (!following) {
      hidden.push(expected);
      line = expected;
      continue;
    }
    step = plus(times(step, 0.5), times(minus(halfway(...following), halfway(...line)), 0.5));
    line = following;
    yield* hidden;
    hidden = [];
    yield line;
  }
}

/** Return the printed line near an expected one: inked along its length, but not where the gaps beside it are. */
function findLine(expected, step, near) {
  const along = minus(expected[1], expected[0]), length = lengthOf(along);
  const moved = lineShifts(length, FORM_TUNING.line_reach).map((shift) => expected.map((end) => plus(end, shift)));
  const inked = moved.map((line) => support(line, near) || 0);
  if (inked.reduce((most, share) => Math.max(most, share), 0) < FORM_TUNING.min_line) return null;
  const gap = along.map((value) => (((lengthOf(step) - length) / 2) * value) / length);
  const scores = moved.map(([a, b], i) => {
    const free = [minus(a, gap), plus(b, gap)].filter((point) => !lookedUp(near, point)).length;
    return inked[i] + (0.25 * free) / 2;
  });
  const best = placeOfMost(scores);
  return inked[best] >= FORM_TUNING.min_line ? moved[best] : null;
}

/** Return how far a line may lie from where it is expected, the nearest first; reach is a share of its length. */
function lineShifts(length, reach) {
  const across = range(0, Math.ceil((2 * reach + 0.01) / 0.06)).map((i) => (-reach + i * 0.06) * length);
  const deep = Math.max(2, roundHalfEven(0.12 * length));
  const shifts = range(-deep, deep + 1).flatMap((y) => across.map((x) => [x, y]));
  return argsort(shifts.map(lengthOf)).map((i) => shifts[i]);
}
