// Digits beside letters: the group that a character stands in settles what its shape leaves open, such as O and 0; a port of
// runtime/text/codes.py.
import { DIGITS, KIND_TUNING, LABELS } from "../tuning.js";
import { clipped } from "../arrays.js";

const TINY = 2 ** -126;

/**
 * The places of letters in the order A to Z, and of digits, if there are any, among a model's labels.
 * @typedef {{letters: number[], digits: number[]}} Alphabet
 */

/** Return where letters and digits stand among labels; null unless these are A to Z, or A to Z and 0 to 9, in any order. */
export function alphabetOf(labels) {
  const digits = labels.length > LABELS.length ? DIGITS : [];
  const isOurs = labels.length === LABELS.length + digits.length && [...LABELS, ...digits].every((name) => labels.includes(name));
  return isOurs ? { letters: LABELS.map((name) => labels.indexOf(name)), digits: digits.map((name) => labels.indexOf(name)) } : null;
}

const sumOf = (row, places) => places.reduce((sum, place) => sum + row[place], 0);
const most = (row, places) => Math.max(...places.map((place) => row[place]));

/** Return the probabilities of A to Z in a row, as if there were no digits. */
export function lettersIn(row, { letters, digits }) {
  const total = digits.length ? Math.max(sumOf(row, letters), TINY) : 1;
  return Float32Array.from(letters, (place) => row[place] / total);
}

/** Return a row with other probabilities of A to Z; digits keep their own. */
export function withLetters(row, own, { letters, digits }) {
  const share = digits.length ? sumOf(row, letters) : 1, changed = row.slice();
  letters.forEach((place, k) => (changed[place] = share * own[k]));
  return changed;
}

/**
 * Weight digits against letters by the other characters of their group; a character alone stays as the network saw it.
 * @param {Float32Array[]} rows probabilities of the characters of a line.
 * @param {[number, number][]} words the groups of the line.
 * @param {Alphabet} alphabet
 * @param {boolean[]} known false for non-letters, which say nothing about their group.
 */
export function settleKinds(rows, words, { letters, digits }, known) {
  if (!digits.length) return rows;
  const low = 1 - KIND_TUNING.max_certainty, high = KIND_TUNING.max_certainty;
  return words.flatMap(([start, end]) => {
    const own = rows.slice(start, end);
    if (own.length < 2) return own;
    // The likeliest digit against the likeliest letter, because there are more letters than digits to be unlikely.
    const shapes = own.map((row, i) => {
      const digit = most(row, digits);
      return known[start + i] ? clipped(digit / Math.max(digit + most(row, letters), TINY), low, high) : 0.5;
    });
    return digitChances(shapes).map((value, i) => {
      const chance = clipped(value, 1e-6, 1 - 1e-6), digit = shapes[i];
      // What the others say is the odds with them, divided by the odds of the shape alone.
      const weighted = Float64Array.from(own[i]);
      for (const place of digits) weighted[place] *= ((chance / (1 - chance)) * (1 - digit)) / digit;
      const total = Math.max(weighted.reduce((sum, one) => sum + one, 0), TINY);
      return Float32Array.from(weighted, (one) => one / total);
    });
  });
}

/**
 * Return the chance that each character of a group is a digit, given the chances of the shapes alone.
 *
 * The states are: in a group of letters, in a group of digits, and a letter or a digit in a group of both. The forward-backward
 * algorithm sums over all their sequences.
 */
function digitChances(digit) {
  const { same, both } = KIND_TUNING;
  const moves = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, same, 1 - same], [0, 0, 1 - same, same]];
  const whole = (state) => {
    const total = state.reduce((sum, value) => sum + value, 0);
    return state.map((value) => value / total);
  };
  const shapes = digit.map((chance) => [1 - chance, chance, 1 - chance, chance]);
  const ahead = [], behind = shapes.map(() => [1, 1, 1, 1]);
  let state = [KIND_TUNING.letters, KIND_TUNING.digits, both / 2, both / 2];
  shapes.forEach((shape, i) => {
    // The moves are symmetric.
    const next = i === 0 ? state : moves.map((row) => row.reduce((sum, move, k) => sum + move * state[k], 0));
    ahead.push((state = whole(next.map((value, k) => value * shape[k]))));
  });
  for (let i = shapes.length - 2; i >= 0; i--) {
    behind[i] = whole(moves.map((row) => row.reduce((sum, move, k) => sum + move * shapes[i + 1][k] * behind[i + 1][k], 0)));
  }
  return ahead.map((row, i) => {
    const products = row.map((value, k) => value * behind[i][k]);
    return (products[1] + products[3]) / products.reduce((sum, value) => sum + value, 0);
  });
}
