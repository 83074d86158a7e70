// Capital or small letters: the shapes and heights of all letters on a page settle what one shape leaves open; a port of
// runtime/text/context.py.
import { CASE_TUNING, GLYPH_PX, HEIGHT_TUNING, LABELS, LOG_HEIGHTS, MIN_CHANCE, MIN_HEIGHT_PX, WRITTEN_TUNING } from "../tuning.js";
import { argmax, clipped, median, roundHalfEven } from "../arrays.js";

const HALF_PX = GLYPH_PX / 2, INPUTS = HALF_PX * HALF_PX, LETTERS = LABELS.length;

/** A small network of two dense layers, which estimates for every letter that an image might show the chance that it is the capital. */
export class CaseNet {
  /** @param {Float32Array} numbers weights (196, H), biases (H,), weights (H, 26) and biases (26,), one after the other. */
  constructor(numbers) {
    const hidden = (numbers.length - LETTERS) / (INPUTS + 1 + LETTERS);
    let place = 0;
    const next = (count) => numbers.subarray(place, (place += count));
    this.weights = [next(INPUTS * hidden)];
    this.biases = [next(hidden)];
    this.weights.push(next(hidden * LETTERS));
    this.biases.push(next(LETTERS));
  }

  /** Return for each image, 784 bytes, the chances (26) that it shows the capital, if it shows this letter. */
  capital(images) {
    return images.map((image) => {
      const hidden = dense(caseInput(image), this.weights[0], this.biases[0]).map((value) => Math.max(value, 0));
      return dense(hidden, this.weights[1], this.biases[1]).map((value) => 1 / (1 + Math.exp(-value)));
    });
  }
}

/** Return the outputs of a dense layer with weights (inputs, outputs). */
function dense(inputs, weights, biases) {
  const outputs = Float64Array.from(biases), count = biases.length;
  inputs.forEach((value, i) => {
    if (value) for (let k = 0, place = i * count; k < count; k++) outputs[k] += value * weights[place++];
  });
  return Float32Array.from(outputs);
}

/** Return the means of blocks of four pixels, 0..1. */
function caseInput(image) {
  const means = new Float32Array(INPUTS);
  for (let y = 0, i = 0; y < HALF_PX; y++) {
    for (let x = 0; x < HALF_PX; x++, i++) {
      const at = 2 * y * GLYPH_PX + 2 * x;
      means[i] = (image[at] + image[at + GLYPH_PX] + image[at + 1] + image[at + GLYPH_PX + 1]) * 0.25 * Math.fround(1 / 255);
    }
  }
  return means;
}

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);
const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

/**
 * The letters of one line: probabilities (26) of the network, chances of the capital for each class, and whether each letter is
 * the first of its word.
 * @typedef {{probabilities: Float32Array[], capital: Float32Array[], first: boolean[]}} Evidence
 */

/** Return log-likelihoods of a line in capitals, in small letters, and in both. */
function logStyles({ probabilities, capital, first }) {
  let upper = 0, lower = 0;
  probabilities.forEach((row, i) => {
    const share = dot(row, capital[i]) / Math.max(sumOf(row), MIN_CHANCE);
    // The first letter of a word may be a capital in either style, so it indicates neither.
    const chance = first[i] ? 0.5 : clipped(share, 1 - CASE_TUNING.max_certainty, CASE_TUNING.max_certainty);
    upper += Math.log(chance);
    lower += Math.log(1 - chance);
  });
  return [upper, lower, probabilities.length * Math.log(0.5)];
}

/**
 * Weight each line's probabilities by the case of the line and of the page.
 * @param {Evidence[]} lines @returns {Float32Array[][]}
 */
export function settleCase(lines) {
  const styles = lines.map(logStyles), { style_priors: prior, same_style: same } = CASE_TUNING;
  const page = posterior(prior.map((_, k) => sumOf(styles.map((style) => style[k]))), prior);
  return lines.map(({ probabilities, capital, first }, i) => {
    const mixture = prior.map((chance, k) => same * page[k] + (1 - same) * chance);
    const [capitals, small, mixed] = posterior(styles[i], mixture);
    return probabilities.map((row, k) => {
      const chance = capitals + mixed / 2 + (first[k] ? CASE_TUNING.first_capital * small : 0);
      // Neither a shape nor a line can make a letter impossible.
      const upper = clipped(chance, MIN_CHANCE, 1 - MIN_CHANCE);
      const weights = capital[k].map((value) => {
        const shape = clipped(value, MIN_CHANCE, 1 - MIN_CHANCE);
        return upper * shape + (1 - upper) * (1 - shape);
      });
      return weighted(row, weights);
    });
  });
}

/** Return probabilities times weights, adding up to 1. */
function weighted(row, weights) {
  const products = Array.from(row, (value, k) => value * weights[k]);
  const total = Math.max(sumOf(products), MIN_CHANCE);
  return Float32Array.from(products, (value) => value / total);
}

/** Return the chance of each style by Bayes' rule. */
function posterior(logLikelihood, prior) {
  const highest = Math.max(...logLikelihood);
  const joint = prior.map((chance, k) => chance * Math.exp(logLikelihood[k] - highest));
  const total = sumOf(joint);
  return joint.map((chance) => chance / total);
}

/**
 * Weight the letters of one line by their heights, if these indicate small letters rather than capitals.
 * @param {Float32Array[]} probabilities of the letters, A to Z.
 * @param {import("../page/candidate.js").Box[]} boxes
 * @param {boolean[]} first whether each letter is the first of its word.
 * @returns {Float32Array[]}
 */
export function settleHeights(probabilities, boxes, first) {
  if (boxes.length < HEIGHT_TUNING.min_letters) return probabilities;
  const heights = boxes.map((box) => Math.log(box[3]));
  const usual = median(heights);
  const asCapitals = sumOf(heights.map((height) => Math.log(fit(height - usual))));
  // The height of a capital on this line, by the letters that were read; first letters may be capitals themselves.
  const sizes = heights.map((height, i) => height - LOG_HEIGHTS[argmax(probabilities[i])]);
  const size = median(first.every(Boolean) ? sizes : sizes.filter((_, i) => !first[i]));
  const asSmall = heights.map((height, i) => {
    const capital = first[i] ? CASE_TUNING.first_capital : 0;
    return LOG_HEIGHTS.map((expected) => capital * fit(height - size) + (1 - capital) * fit(height - size - expected));
  });
  const likelihood = sumOf(
    probabilities.map((row, i) => Math.log(Math.max(dot(row, asSmall[i]) / Math.max(sumOf(row), MIN_CHANCE), MIN_CHANCE))),
  );
  const small = 1 / (1 + Math.exp(asCapitals - likelihood));
  return probabilities.map((row, i) => weighted(row, asSmall[i].map((value) => 1 - small + small * value)));
}

/** Return how well heights fit, 0..1, by the deviation of their logarithms from the expected ones. */
function fit(deviation) {
  const { any_height: other, spread } = HEIGHT_TUNING;
  return (1 - other) * Math.exp(-0.5 * (deviation / spread) ** 2) + other;
}

/**
 * The letters of a line that were read, to tell in which case they are written: the places of their labels, -1 for a non-letter;
 * the chances of the capital for each class; their boxes; and whether each is the first of its word.
 * @typedef {{labels: number[], capital: Float32Array[], boxes: number[][], first: boolean[]}} Shapes
 */

/**
 * Return for the letters of each line whether they are small letters.
 *
 * Shape and height of a letter count, and whether its line is in capitals, in small letters, or in both; lines of one page are
 * probably alike in that and in size.
 * @param {Shapes[]} lines @returns {boolean[][]}
 */
export function findSmall(lines) {
  const prior = WRITTEN_TUNING.style_priors, same = CASE_TUNING.same_style;
  const known = lines.filter((line) => line.labels.some((label) => label >= 0));
  if (!known.length) return lines.map((line) => line.labels.map(() => false));
  const all = (name) => known.flatMap((line) => line[name]);
  const together = { labels: all("labels"), capital: all("capital"), boxes: all("boxes"), first: all("first") };
  const { styles, size } = weighCase(together, prior, null);
  const mixed = prior.map((chance, k) => same * styles[k] + (1 - same) * chance);
  return lines.map((line) => weighCase(line, mixed, size).capital.map((chance) => chance < 0.5));
}

/**
 * Return the chances of the four styles, the logarithm of a capital's height, and the chance of each capital.
 *
 * prior are the chances of the styles, pageSize the logarithm of a capital's height on the page, or null.
 * @param {Shapes} line
 */
function weighCase(line, prior, pageSize) {
  const tuning = WRITTEN_TUNING, certain = CASE_TUNING.max_certainty, other = tuning.other_case;
  const isKnown = line.labels.map((label) => label >= 0), labels = line.labels.map((label) => Math.max(label, 0));
  const shape = labels.map((label, i) => (isKnown[i] ? clipped(line.capital[i][label], 1 - certain, certain) : 0.5));
  const heights = line.boxes.map((box) => Math.log(Math.max(MIN_HEIGHT_PX, box[3])));
  const smallHeights = heights.map((height, i) => height - LOG_HEIGHTS[labels[i]]);
  // The height of a capital is that of one of the letters, if it is a capital or if it is small.
  const possible = [...heights, ...smallHeights].filter((_, i) => isKnown[i % isKnown.length]);
  let sizes = [...new Set(possible.map((value) => roundHalfEven(value * 100) / 100))].sort((a, b) => a - b);
  if (!sizes.length) sizes = [0];
  // The chance of a capital by style and letter.
  const upper = [() => 1 - other, (i) => (line.first[i] ? tuning.first_capital : other), (i) => (line.first[i] ? 1 - other : other), () => 0.5];
  const fits = sizes.map((size) =>
    labels.map((_, i) => [
      shape[i] * (isKnown[i] ? fit(heights[i] - size) : 1),
      (1 - shape[i]) * (isKnown[i] ? fit(smallHeights[i] - size) : 1),
    ]),
  );
  const chances = upper.map((chance) => fits.map((letters) => letters.map(([capital, small], i) => [chance(i) * capital, (1 - chance(i)) * small])));
  const log = chances.map((bySize, k) =>
    bySize.map((letters, s) => {
      const sum = sumOf(letters.map(([capital, small]) => Math.log(Math.max(capital + small, MIN_CHANCE)))) + Math.log(prior[k]);
      return pageSize === null ? sum : sum - 0.5 * ((sizes[s] - pageSize) / tuning.line_spread) ** 2;
    }),
  );
  const highest = Math.max(...log.flat());
  const share = log.map((row) => row.map((value) => Math.exp(value - highest)));
  const total = sumOf(share.flat());
  const capital = labels.map(() => 0);
  chances.forEach((bySize, k) =>
    bySize.forEach((letters, s) =>
      letters.forEach(([large, small], i) => (capital[i] += ((share[k][s] / total) * large) / Math.max(large + small, MIN_CHANCE))),
    ),
  );
  const bySize = sizes.map((_, s) => sumOf(share.map((row) => row[s])));
  return { styles: share.map((row) => sumOf(row) / total), size: sizes[argmax(bySize)], capital };
}
