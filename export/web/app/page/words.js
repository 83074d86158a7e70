// Split a page's lines into words; a port of the second half of runtime/page/lines.py.
//
// The distance between the letters of a word differs from hand to hand and is unknown. So every distance between letters and
// between words, and also the case of one word per line, is tried against all gaps of the page; each counts by how well it
// explains these gaps (Bayes).
import { BETWEEN_LETTERS, BETWEEN_WORDS, LETTER_PRIORS, SPACING_TUNING, WORD_PRIORS } from "../tuning.js";
import { mean, percentile } from "../arrays.js";

/** @typedef {import("./candidate.js").Box} Box */

/**
 * Split the lines of a page into words; takes the boxes of each line.
 * @param {Box[][]} lines @returns {[number, number][][]} the start and the end of each word's letters.
 */
export function splitWords(lines) {
  if (!lines.some((line) => line.length > 1)) return lines.map((line) => [[0, line.length]]);
  const chances = spaceChances(lines);
  let place = 0;
  return lines.map((line) => {
    const own = chances.slice(place, (place += Math.max(0, line.length - 1)));
    // A gap is a space if that is likelier than not.
    const ends = [0, ...own.flatMap((chance, k) => (chance > 0.5 ? [k + 1] : [])), line.length];
    return ends.slice(1).map((end, k) => [ends[k], end]);
  });
}

/** Return the chance that each gap is a space, line after line; the page must have at least one gap. */
function spaceChances(lines) {
  const tuning = SPACING_TUNING, letters = BETWEEN_LETTERS.length, words = BETWEEN_WORDS.length;
  const measured = measureGaps(lines).map((gaps) => {
    const letter = densities(gaps, BETWEEN_LETTERS, tuning.letter_gap_spread);
    const word = densities(gaps, BETWEEN_WORDS, tuning.word_gap_spread).map((row) => row.map((value) => tuning.spaces * value));
    const spaced = new Float64Array(letters * words), unspaced = new Float64Array(letters);
    gaps.forEach((_, k) => {
      for (let i = 0; i < letters; i++) {
        unspaced[i] += Math.log(letter[k][i]);
        for (let j = 0; j < words; j++) spaced[i * words + j] += Math.log((1 - tuning.spaces) * letter[k][i] + word[k][j]);
      }
    });
    // If all gaps lie between letters, none of them is a space.
    return { letter, word, spaced: spaced.map((sum, i) => sum + WORD_PRIORS[i]), unspaced: unspaced.map((sum, i) => sum + LETTER_PRIORS[i]) };
  });
  const highest = Math.max(...measured.flatMap(({ spaced, unspaced }) => [...spaced, ...unspaced]));
  const chances = lines.flatMap((line) => Array(Math.max(0, line.length - 1)).fill(0));
  let total = 0;
  for (const { letter, word, spaced, unspaced } of measured) {
    const shares = spaced.map((value) => Math.exp(value - highest));
    for (const value of shares) total += value;
    for (const value of unspaced) total += Math.exp(value - highest);
    chances.forEach((_, k) => {
      for (let i = 0; i < letters; i++) {
        const within = (1 - tuning.spaces) * letter[k][i];
        for (let j = 0; j < words; j++) chances[k] += (word[k][j] / (within + word[k][j])) * shares[i * words + j];
      }
    });
  }
  return chances.map((chance) => chance / total);
}

/** Return the page's gaps in heights of letters, line after line, for each of the `middle_shares`. */
function measureGaps(lines) {
  const tuning = SPACING_TUNING;
  const written = lines.filter((line) => line.length);
  const sizes = written.map((line) => line.map(([, , width, height]) => Math.max(height, tuning.min_height_share * width)));
  const page = Math.log(percentile(sizes.flat(), tuning.height_percentile));
  const widths = [], between = [], apart = [];
  written.forEach((line, k) => {
    const own = Math.log(percentile(sizes[k], tuning.height_percentile));
    const height = Math.exp((line.length * own + tuning.page_letters * page) / (line.length + tuning.page_letters));
    let farthest = -Infinity;
    line.forEach(([x, , width], i) => {
      const left = x / height, right = (x + width) / height;
      widths.push(right - left);
      if (i > 0) {
        const [before, , wide] = line[i - 1];
        between.push(left - farthest);
        apart.push((left + right - (before / height + (before + wide) / height)) / 2);
      }
      farthest = Math.max(farthest, right);
    });
  });
  const usual = mean(widths);
  return tuning.middle_shares.map((share) => between.map((gap, k) => (1 - share) * gap + share * (apart[k] - usual)));
}

/** Return the density of gaps around each mean, a row for each gap; it is wider for wider gaps. */
function densities(gaps, means, [spread, growth]) {
  return gaps.map((gap) => means.map((middle) => normal(gap, middle, spread + growth * Math.max(middle, 0)) + SPACING_TUNING.any_gap));
}

/** Return the density of the normal distribution. */
const normal = (value, middle, spread) => Math.exp(-0.5 * ((value - middle) / spread) ** 2) / (spread * Math.sqrt(2 * Math.PI));

/** Return which letters of a line of these words are the first of their word. */
export function firstLetters(words) {
  const first = Array(words.at(-1)[1]).fill(false);
  for (const [start] of words) first[start] = true;
  return first;
}
