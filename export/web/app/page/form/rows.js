// Mend the rows of places on a form: leave out those over others, join the parts of one, and straighten boxes that are off; a port of
// runtime/page/rows.py.
import {
  FOOT, FORM_TUNING, MAX_OFF, MAX_OFF_SHARE, MAX_OVER, MAX_STEPS, MAX_STEP_ERROR, MIN_BETWEEN, MIN_OFF_PX, MIN_STRAIGHT, OWN_HEIGHT,
} from "../../tuning.js";
import { range, roundHalfEven } from "../../arrays.js";
import { areCovered, dot, flat, halfway, lengthOf, minus, plus, shaped, sidesOf, sizeOf, steady, support, times } from "./quads.js";

/** @typedef {import("./quads.js").PlaceRow} PlaceRow */

/** Return rows of places as they are on the page: each row once, whole and even; near is the mask, a little broader. */
export const mended = (rows, near) =>
  withoutCovered(joined(rows.map((row) => (row.isOpen || row.isSure ? row : straightened(row))), near));

/** Return the rows that do not lie over longer ones. */
function withoutCovered(rows) {
  const kept = [];
  for (const row of [...rows].sort((a, b) => b.places.length - a.places.length)) {
    if (!kept.length || over(row, kept) <= MAX_OVER) kept.push(row);
  }
  return kept;
}

/** Return a point at a share of the way from one to another. */
const between = (from, to, share) => plus(from, times(minus(to, from), share));

/** Return the share of a row's places whose feet lie in the places of other rows. */
function over(row, others) {
  const feet = row.places.map(([a, b, c, d]) => between(halfway(c, d), halfway(a, b), FOOT));
  return areCovered(others.flatMap(core), feet).filter(Boolean).length / feet.length;
}

/** Return the part of each place that no other row may have: the room above a comb reaches into the next one. */
function core({ places, isOpen }) {
  if (!isOpen) return places;
  const [width, height] = sizeOf(places[places.length >> 1]), share = Math.min(1, (OWN_HEIGHT * width) / height);
  return places.map(([a, b, c, d]) => [between(d, a, share), between(c, b, share), c, d]);
}

/** Return rows in which those that continue each other are one. */
function joined(rows, near) {
  const leftOf = ({ places: [[a, b, c, d]] }) => (a[0] + b[0] + c[0] + d[0]) / 4;
  const rest = [...rows].sort((a, b) => leftOf(a) - leftOf(b)), whole = [];
  while (rest.length) {
    let row = rest.shift();
    for (;;) {
      let gap = null;
      const k = rest.findIndex((one) => (gap = gapPlaces(row, one, near)) !== null);
      if (k < 0) break;
      const [following] = rest.splice(k, 1);
      const lines = row.isOpen ? gap.map(([, , c, d]) => [d, c]) : gap.flatMap(sidesOf);
      row = {
        places: [...row.places, ...gap, ...following.places],
        lines: [...row.lines, ...lines, ...following.lines],
        isOpen: row.isOpen,
        isSure: row.isSure && following.isSure,
      };
    }
    whole.push(row);
  }
  return whole;
}

/** Return the places between two rows that are parts of one; null if they are not. */
function gapPlaces(row, following, near) {
  if (row.isOpen !== following.isOpen || Math.min(row.places.length, following.places.length) < 2) return null;
  const last = row.places[row.places.length - 1], [first, second] = following.places;
  const before = sizeOf(last), after = sizeOf(first);
  const differs = (k) => Math.abs(Math.log(before[k] / after[k])) > FORM_TUNING.max_difference;
  if (differs(0) || (!row.isOpen && differs(1))) return null;
  const feet = [row.places[row.places.length - 2], last, first, second].map(([, , c, d]) => halfway(c, d));
  const step = times(plus(minus(feet[1], feet[0]), minus(feet[3], feet[2])), 0.5), length = lengthOf(step);
  const apart = minus(feet[2], feet[1]), count = roundHalfEven(dot(apart, step) / length ** 2);
  if (!(count >= 1 && count <= MAX_STEPS) || lengthOf(minus(apart, times(step, count))) > MAX_STEP_ERROR * length) return null;
  const lines = row.isOpen ? [[last[2], first[3]]] : [[last[2], first[3]], [last[1], first[0]]];
  const isPrinted = lines.every((line) => support(line, near) >= MIN_BETWEEN);
  if (lengthOf(minus(first[3], last[2])) > 2 && !isPrinted) return null;
  return range(1, count).map((i) => last.map((corner, k) => between(corner, first[k], i / count)));
}

/** Return a row of boxes in which those that a letter has cut, so that their outline is another, stand as the others do. */
function straightened(row) {
  const { places } = row;
  if (places.length < MIN_STRAIGHT) return row;
  const fit = shaped(steady(flat(places))), least = Math.max(MIN_OFF_PX, MAX_OFF * Math.min(...sizeOf(places[places.length >> 1])));
  const isOff = places.map((place, i) => place.map((corner, k) => lengthOf(minus(corner, fit[i][k])) > least));
  const count = isOff.flat().filter(Boolean).length;
  if (!count || count / (4 * places.length) > MAX_OFF_SHARE) return row;
  const moved = places.map((place, i) => place.map((corner, k) => (isOff[i][k] ? fit[i][k] : corner)));
  return { places: moved, lines: moved.flatMap(sidesOf), isOpen: false, isSure: false };
}
