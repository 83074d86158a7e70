// Split letters that touch beside each other, if the model is surer of the parts than of the whole; a port of runtime/page/split.py.
import { BARE_STROKES, ROUNDING, SPLIT_TUNING } from "../tuning.js";
import { roundHalfEven } from "../arrays.js";
import { cropped, glyph } from "../glyph.js";
import { cv, keep, made, matOf, scoped } from "../opencv.js";

/** @typedef {import("../opencv.js").Image} Image */
/** @typedef {import("../engine.js").Engine} Engine */
/** @typedef {import("./candidate.js").Candidate} Candidate */

/**
 * A cut through a candidate's ink: its column at half height, and its lean in pixels to the side per pixel down.
 * @typedef {{column: number, lean: number}} Cut
 */

/**
 * How the model reads one candidate: as letters from left to right; or several candidates, see `merged`. Images are what the
 * network saw, 784 bytes each.
 * @typedef {{candidates: Candidate[], images: Uint8Array[], probabilities: Float32Array[]}} Reading
 */

/** Return some readings as a single one of all their letters. */
export function merged(readings) {
  const all = (name) => readings.flatMap((reading) => reading[name]);
  return { candidates: all("candidates"), images: all("images"), probabilities: all("probabilities") };
}

/** Return the highest probability of a row, with a digit and a letter that looks like it as one class. */
export function bestOf(row, facts) {
  let best = 0;
  for (const value of row) if (value > best) best = value;
  for (const [digit, letter] of facts.look_alikes) best = Math.max(best, Math.fround(row[digit] + row[letter]));
  return best;
}

/** Return how sure the model is that a row is a letter: its highest probability, with I and L counted as one class. */
export function certainty(row, facts) {
  const bare = BARE_STROKES.map((name) => facts.labels.indexOf(name)).filter((place) => place >= 0);
  return Math.max(bestOf(row, facts), bare.reduce((sum, place) => Math.fround(sum + row[place]), 0));
}

/** Return whether trying to cut a candidate that was read with this confidence is worth its time. */
export function mayBeSplit(candidate, confidence) {
  const [, , width, height] = candidate.box;
  return candidate.place === null && confidence < SPLIT_TUNING.max_confidence && width >= SPLIT_TUNING.min_width * height;
}

/**
 * A candidate that may be several letters: where it may be cut, and what is known of its parts.
 *
 * A span [i, j] has the two ends of a part, counted from the left end of the candidate, which is 0, over its cuts, to its right end.
 */
class Splitting {
  /** @param {Candidate} candidate @param {number} confidence of the whole. */
  constructor(candidate, confidence) {
    const { ink } = candidate, { width, height } = ink, tuning = SPLIT_TUNING;
    const cuts = findCuts(ink);
    const columns = [0, ...cuts.map((cut) => cut.column), width];
    this.candidate = candidate;
    // The log-probability that letters must exceed.
    this.score = Math.log(Math.max(confidence, 1e-6));
    this.beyond = cuts.map((cut) => beyondCut(width, height, cut));
    this.last = cuts.length + 1;
    // The parts that are as wide as letters, in the order of their left ends, as the sums of `openSpans` need them.
    this.spans = [];
    for (let i = 0; cuts.length && i < columns.length; i++) {
      for (let j = i + 1; j < columns.length; j++) {
        const wide = columns[j] - columns[i];
        if (wide >= tuning.min_letter_width * height && wide <= tuning.max_letter_width * height) this.spans.push([i, j]);
      }
    }
    // Those that were read, by their key; null for a part without ink.
    this.parts = new Map();
    const isRun = width > tuning.min_run_width * height;
    this.least = isRun ? tuning.min_part_confidence_in_run : tuning.min_part_confidence;
  }

  keyOf([i, j]) {
    return i * (this.last + 1) + j;
  }

  /** Return the part between two ends if it may be a letter, else null. */
  sure(span) {
    const part = this.parts.get(this.keyOf(span));
    return part && part.confidence >= this.least ? part : null;
  }

  inkIn([i, j]) {
    return inkBetween(this.candidate.ink, this.beyond[i - 1] ?? null, this.beyond[j - 1] ?? null);
  }

  /** Return the unread parts of letters that are likelier than the whole, if the model is sure of all unread ones. */
  openSpans() {
    const cost = SPLIT_TUNING.cut_cost, { spans, last } = this;
    const gains = spans.map((span) => {
      if (!this.parts.has(this.keyOf(span))) return ROUNDING - cost;
      const part = this.sure(span);
      return (part ? Math.log(part.confidence) : -Infinity) - cost;
    });
    // The best score of letters from the left end to each end, and from each end to the right end.
    const before = Array(last + 1).fill(-Infinity), after = Array(last + 1).fill(-Infinity);
    before[0] = after[last] = 0;
    spans.forEach(([i, j], k) => (before[j] = Math.max(before[j], before[i] + gains[k])));
    for (let k = spans.length - 1; k >= 0; k--) {
      const [i, j] = spans[k];
      after[i] = Math.max(after[i], gains[k] + after[j]);
    }
    const least = this.score - ROUNDING;
    return spans.filter(([i, j], k) => !this.parts.has(this.keyOf([i, j])) && before[i] + gains[k] + after[j] > least);
  }
}

/**
 * Cut candidates, read with these confidences, into letters; null where these are no likelier than the whole.
 *
 * The engine is asked three times: about parts that begin at the left end of a candidate, then about those that end at its right
 * end, then about those between. Each answer leaves fewer parts that can belong to letters.
 * @param {Engine} engine @param {Candidate[]} candidates @param {number[]} confidences
 * @returns {Promise<(Reading | null)[]>}
 */
export async function splitCandidates(engine, candidates, confidences) {
  const tried = candidates.map((candidate, k) => new Splitting(candidate, confidences[k]));
  for (const isNext of [([i]) => i === 0, ([, j], one) => j === one.last, () => true]) {
    await readParts(engine, tried.flatMap((one) => one.openSpans().filter((span) => isNext(span, one)).map((span) => ({ one, span }))));
  }
  return tried.map(likeliestLetters);
}

/** Read these parts of candidates with one call of the engine, and add them to what is known. */
async function readParts(engine, asked) {
  const inked = [];
  for (const { one, span } of asked) {
    const ink = one.inkIn(span);
    one.parts.set(one.keyOf(span), null);
    if (ink.data.some(Boolean)) inked.push({ one, span, ink, image: glyph(ink) });
  }
  const rows = await engine.classify(inked.map(({ image }) => image));
  inked.forEach(({ one, span, ink, image }, k) => {
    one.parts.set(one.keyOf(span), { ink, image, probabilities: rows[k], confidence: bestOf(rows[k], engine.facts) });
  });
}

/** Return the letters that a candidate was cut into; null if they are no likelier than the whole. */
function likeliestLetters(tried) {
  const path = bestPath(tried), { candidate } = tried;
  const chosen = path.slice(1).map((end, k) => tried.sure([path[k], end]));
  const cost = Math.fround(SPLIT_TUNING.cut_cost);
  const score = chosen.reduce((sum, part) => Math.fround(sum + Math.fround(Math.fround(Math.log(part.confidence)) - cost)), 0);
  if (chosen.length < 2 || score <= tried.score) return null;
  return {
    candidates: chosen.map(({ ink }) => candidate.part(partBox(candidate, ink), ink)),
    images: chosen.map((part) => part.image),
    probabilities: chosen.map((part) => part.probabilities),
  };
}

/** Return the ends of the letters with the highest joint probability; none if no path leads through. */
function bestPath(tried) {
  const best = [{ score: 0, ends: [0] }];
  for (let j = 1; j <= tried.last; j++) {
    for (let i = 0; i < j; i++) {
      const before = best[i], part = tried.sure([i, j]);
      if (!before || !part?.confidence) continue;
      const score = before.score + Math.log(part.confidence) - SPLIT_TUNING.cut_cost;
      if (!best[j] || score > best[j].score) best[j] = { score, ends: [...before.ends, j] };
    }
  }
  return best[tried.last]?.ends ?? [];
}

/**
 * Find where a cut from top to bottom crosses little of the ink; returns the cuts from left to right.
 * @param {Image} ink @returns {Cut[]}
 */
export function findCuts(ink) {
  const tuning = SPLIT_TUNING, { data, width, height } = ink;
  const level = Math.floor(data.reduce((most, value) => Math.max(most, value), 0) / 3);
  const mask = data.map((value) => Number(value > level));
  const least = Math.fround(tuning.max_crossed_share * height);
  const possible = [];
  for (const lean of tuning.leans) {
    const crossed = smoothed(columnSums(lean ? sheared(mask, width, height, lean) : mask, width, height));
    for (let x = 1; x < width - 1; x++) {
      const isLow = crossed[x] <= crossed[x - 1] && crossed[x] <= crossed[x + 1] && crossed[x] <= least;
      if (isLow) possible.push({ ink: crossed[x] + Math.abs(lean), column: x, lean });
    }
  }
  possible.sort((a, b) => a.ink - b.ink);
  const edge = (tuning.min_letter_width / 2) * height, apart = tuning.min_cut_distance * height;
  const most = tuning.max_cuts_per_height * Math.max(2, width / height);
  const chosen = [];
  for (const { column, lean } of possible) {
    const isFree = column >= edge && column <= width - edge && chosen.every((cut) => Math.abs(column - cut.column) >= apart);
    if (isFree) chosen.push({ column, lean });
    if (chosen.length >= most) break;
  }
  return chosen.sort((a, b) => a.column - b.column);
}

/** Return a mask of 0 and 1 (height, width) whose columns lean by so many pixels to the side per pixel down. */
function sheared(mask, width, height, lean) {
  return scoped(() => {
    const shear = keep(cv.matFromArray(2, 3, cv.CV_64F, [1, -lean, (lean * (height - 1)) / 2, 0, 1, 0]));
    const upright = made();
    cv.warpAffine(matOf({ data: mask, width, height }), upright, shear, new cv.Size(width, height), cv.INTER_NEAREST);
    return Uint8Array.from(upright.data);
  });
}

function columnSums(mask, width, height) {
  const sums = new Float32Array(width);
  for (let i = 0, y = 0; y < height; y++) for (let x = 0; x < width; x++) sums[x] += mask[i++];
  return sums;
}

/** Return the mean of each value and its two neighbours, as cv2.blur has it: beyond an end lies the value next to it. */
function smoothed(values) {
  const last = values.length - 1;
  // A single value has no neighbours to mirror.
  const at = (i) => values[last === 0 ? 0 : i < 0 ? 1 : i > last ? last - 1 : i];
  return values.map((value, i) => (at(i - 1) + value + at(i + 1)) * (1 / 3));
}

/** Return a mask: 255 to the right of a cut, 0 on it and to its left. */
export function beyondCut(width, height, { column, lean }) {
  const mask = new Uint8Array(width * height);
  for (let i = 0, y = 0; y < height; y++) {
    const edge = column + lean * (y - (height - 1) / 2);
    for (let x = 0; x < width; x++, i++) if (x > edge) mask[i] = 255;
  }
  return mask;
}

/** Return the box [x, y, width, height] of what is not 0. */
export function boundingRect({ data, width, height }) {
  let left = width, right = -1, top = -1, bottom = -1;
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!data[i]) continue;
      if (top < 0) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/**
 * Return the ink between two cuts, with 0 elsewhere, without the scraps that they leave behind.
 *
 * left and right are masks of what lies beyond the cuts; null stands for the candidate's own end.
 */
export function inkBetween(ink, left, right) {
  const { width, height } = ink;
  const data = ink.data.map((value, i) => ((left && !left[i]) || right?.[i] ? 0 : value));
  const own = { data, width, height };
  const [x, y, w, h] = boundingRect(own);
  if (!w) return own;
  scoped(() => {
    const inked = matOf(cropped(own, x, y, w, h)), labels = made(), stats = made();
    const count = cv.connectedComponentsWithStats(inked, labels, stats, made(), 8, cv.CV_32S);
    // The first component is the paper.
    if (count <= 2) return;
    const areas = Array.from({ length: count }, (_, k) => (k ? stats.data32S[5 * k + 4] : 0));
    const least = SPLIT_TUNING.max_scrap_share * areas.reduce((sum, area) => sum + area, 0);
    const place = labels.data32S;
    for (let i = 0; i < w * h; i++) if (areas[place[i]] < least) data[(y + Math.trunc(i / w)) * width + x + (i % w)] = 0;
  });
  return own;
}

/** Return the box in the image of a part's ink, which has the shape of the candidate's own. */
export function partBox(candidate, ink) {
  const [x, y, w, h] = boundingRect(ink), [left, top, width, height] = candidate.box;
  const across = width / ink.width, down = height / ink.height;
  return [
    left + roundHalfEven(x * across),
    top + roundHalfEven(y * down),
    Math.max(1, roundHalfEven(w * across)),
    Math.max(1, roundHalfEven(h * down)),
  ];
}
