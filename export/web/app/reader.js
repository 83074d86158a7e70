// The reader: takes an image and returns lines of letters; a port of runtime/reader.py.
import { GRAVEL_TUNING, LABELS, LOOK_TUNING, MAX_ALTERNATIVES, MAX_LOOKS, MIN_PROBABILITY, NEIGHBOUR_TUNING, PLACE_TUNING, UNKNOWN } from "./tuning.js";
import { argmax, argsort, percentile } from "./arrays.js";
import { remembering } from "./engine.js";
import { glyph } from "./glyph.js";
import { cv, imageOf, keep, made, matOf, scoped } from "./opencv.js";
import { findCandidates } from "./page/find.js";
import { toGray } from "./page/ink.js";
import { joinStrokes } from "./page/join.js";
import { orderLines } from "./page/lines.js";
import { bestOf, certainty, mayBeSplit, merged, splitCandidates } from "./page/split.js";
import { splitStacked } from "./page/stacked.js";
import { firstLetters, splitWords } from "./page/words.js";
import { alphabetOf, lettersIn, settleKinds, withLetters } from "./text/codes.js";
import { findSmall, settleCase, settleHeights } from "./text/context.js";

/** @typedef {import("./page/candidate.js").Box} Box */
/** @typedef {import("./page/candidate.js").Candidate} Candidate */
/** @typedef {import("./page/split.js").Reading} Reading */

/**
 * One letter: its label, or ? for what the model takes for a non-letter; its probability 0..1; its box; and the next likeliest
 * labels with their probabilities.
 * @typedef {{letter: string, isKnown: boolean, confidence: number, box: Box, alternatives: [string, number][]}} Letter
 */

/**
 * The text of a page, its lines of words of letters, the lines of what stands outside the boxes of a form, and how many marks look
 * like no letters and stand beside none. On a form the lines are the rows of its boxes.
 * @typedef {{text: string, lines: Letter[][][], outside: Letter[][][], leftOut: number}} Page
 */

/** Lines of candidates, as indices from the left, and the start and the end of each of their words. */
/** @typedef {{order: number[][], words: [number, number][][]}} Order */

/** Reads letters with one model. */
export class Reader {
  /**
   * @param {import("./engine.js").Engine} engine of a model that takes letters.
   * @param {import("./text/context.js").CaseNet} caseNet
   */
  constructor(engine, caseNet) {
    Object.assign(this, { engine, caseNet, facts: engine.facts });
    // null for a model of other labels than letters and digits, of which context knows nothing.
    this.alphabet = alphabetOf(engine.facts.labels);
  }

  /**
   * Read one image.
   * @param rgba its pixels, four bytes each, as a canvas has them.
   * @param {number} width @param {number} height
   * @param {{isWritten?: boolean}} options
   * @returns {Promise<Page>}
   */
  read(rgba, width, height, options) {
    return this.readCandidates(scoped(() => findCandidates(toGray(rgba, width, height))), options);
  }

  /**
   * Read the letters of candidates, which `findCandidates` found on one page.
   * @param {Candidate[]} found
   * @param {{isWritten?: boolean}} options isWritten gives letters in the case in which they are written, not as capitals.
   * @returns {Promise<Page>}
   */
  async readCandidates(found, { isWritten = false } = {}) {
    // Finding letters takes reading some of them.
    const engine = remembering(this.engine);
    // Whatever stands in a box of a form is one letter.
    const placed = found.filter((one) => one.place), free = found.filter((one) => !one.place);
    const readings = await this.recognize(engine, [...placed, ...(await splitStacked(engine, await joinStrokes(engine, free)))]);
    const outside = readings.filter(({ candidates: [one] }) => one.isOutside), inside = readings.filter(({ candidates: [one] }) => one.place);
    const isForm = outside.length > 0 || inside.length > 0;
    const make = (some, orderOf) => (some.length ? this.compose(merged(some), orderOf, isWritten && this.alphabet !== null) : []);
    const lines = isForm ? make(inside, orderForm) : make(readings, orderFree), beside = make(outside, orderFree);
    const count = readings.reduce((sum, reading) => sum + reading.candidates.length, 0);
    const text = lines.map((line) => line.map((word) => word.map((one) => one.letter).join("")).join(" ")).join("\n");
    return { text, lines, outside: beside, leftOut: count - [...lines, ...beside].flat(2).length };
  }

  /**
   * Classify candidates; returns one reading each, which does not depend on the other candidates.
   * @returns {Promise<Reading[]>}
   */
  async recognize(engine, candidates) {
    const { facts } = this;
    const images = candidates.map((one) => one.glyphImage);
    const rows = await lookAgain(engine, candidates.map((one) => one.ink), await engine.classify(images));
    const sure = rows.map((row) => bestOf(row, facts));
    const letters = rows.filter((row) => certainty(row, facts) >= facts.reject_below).length;
    const isGravel = candidates.length > GRAVEL_TUNING.max_candidates && letters / candidates.length < GRAVEL_TUNING.min_letter_share;
    const wide = isGravel ? [] : candidates.map((_, i) => i).filter((i) => mayBeSplit(candidates[i], sure[i]));
    const found = await splitCandidates(engine, wide.map((i) => candidates[i]), wide.map((i) => sure[i]));
    const splits = new Map(wide.map((i, k) => [i, found[k]]));
    return candidates.map((one, i) => splits.get(i) ?? { candidates: [one], images: [images[i]], probabilities: [rows[i]] });
  }

  /**
   * Make lines of all letters of a page: reject candidates, put the others in order, and let context settle doubts.
   * @param {Reading} reading
   * @param {(candidates: Candidate[], confidence: number[], rejectBelow: number) => Order} orderOf
   */
  compose({ candidates, images, probabilities }, orderOf, isWritten) {
    const confidence = probabilities.map((row) => certainty(row, this.facts));
    const { order, words } = orderOf(candidates, confidence, this.facts.reject_below);
    if (!order.length) return [];
    const boxes = order.map((line) => line.map((i) => candidates[i].box));
    const seen = order.map((line) => line.map((i) => probabilities[i]));
    const capital = this.alphabet && order.map((line) => this.caseNet.capital(line.map((i) => images[i])));
    const settled = this.alphabet ? this.settle(seen, capital, boxes, words) : seen;
    const lines = settled.map((rows, k) =>
      // Context only chooses between letters: if the model alone is sure that something is a letter, it stays one.
      rows.map((row, i) => this.letterOf(row, boxes[k][i], this.isKnown(seen[k][i]) || this.isKnown(row))),
    );
    const written = isWritten ? inWrittenCase(lines, capital, words) : lines;
    return written.map((line, k) => words[k].map(([start, end]) => line.slice(start, end)));
  }

  /** Return whether a row is a letter or a digit for the model, not a non-letter. */
  isKnown(row) {
    return bestOf(row, this.facts) >= this.facts.reject_below;
  }

  /** Return the probabilities of each line, weighted by the groups, the case and the heights of the page. */
  settle(seen, capital, boxes, words) {
    const { alphabet } = this;
    const rows = seen.map((line, k) => settleKinds(line, words[k], alphabet, line.map((row) => this.isKnown(row))));
    // Digits have no case and no height of their own.
    const letters = rows.map((line) => placesOf(line.map((row) => !alphabet.digits.includes(argmax(row)))));
    const own = (lines) => letters.map((chosen, k) => chosen.map((i) => lines[k][i]));
    const first = own(words.map(firstLetters)), ownRows = own(rows), ownCapital = own(capital), ownBoxes = own(boxes);
    const byCase = settleCase(
      ownRows.map((line, k) => ({ probabilities: line.map((row) => lettersIn(row, alphabet)), capital: ownCapital[k], first: first[k] })),
    );
    const settled = rows.map((line) => [...line]);
    byCase.forEach((line, k) =>
      settleHeights(line, ownBoxes[k], first[k]).forEach((row, i) => {
        const place = letters[k][i];
        settled[k][place] = withLetters(rows[k][place], row, alphabet);
      }),
    );
    return settled;
  }

  /** @returns {Letter} */
  letterOf(row, box, isKnown) {
    const { labels } = this.facts;
    const order = argsort(row.map((value) => -value)).slice(0, MAX_ALTERNATIVES + 1);
    const guesses = (isKnown ? order.slice(1) : order).slice(0, MAX_ALTERNATIVES).filter((i) => row[i] >= MIN_PROBABILITY);
    const alternatives = guesses.map((i) => [labels[i], row[i]]);
    return { letter: isKnown ? labels[order[0]] : UNKNOWN, isKnown, confidence: row[order[0]], box, alternatives };
  }
}

/** Return the probabilities, averaged over several views of their ink for doubtful letters. */
async function lookAgain(engine, inks, probabilities) {
  // A bare stroke is an I or an L from every side, and the line decides which.
  const best = probabilities.map((row) => certainty(row, engine.facts));
  const isDoubtful = (i) => best[i] < LOOK_TUNING.max_confidence && best[i] >= LOOK_TUNING.min_confidence;
  const doubtful = inks.map((_, i) => i).filter(isDoubtful).slice(0, MAX_LOOKS);
  const views = viewsOf(LOOK_TUNING);
  const seen = await engine.classify(doubtful.flatMap((i) => views.map((view) => glyph(seenFrom(inks[i], view)))));
  const settled = [...probabilities];
  doubtful.forEach((i, k) => {
    const own = seen.slice(k * views.length, (k + 1) * views.length);
    settled[i] = probabilities[i].map((value, c) => Math.fround(value + own.reduce((sum, row) => Math.fround(sum + row[c]), 0)) / (1 + views.length));
  });
  return settled;
}

/** Return the 2x2 matrices of the views: turned to the left, to the right, and widened. */
function viewsOf({ turn_rad: turn, widen }) {
  const cos = Math.cos(turn), sin = Math.sin(turn);
  return [[[cos, -sin], [sin, cos]], [[cos, sin], [-sin, cos]], [[widen, 0], [0, 1]]];
}

/** Return ink transformed by a 2x2 matrix about its middle, on a canvas that holds all of it. */
export function seenFrom(ink, [[a, b], [c, d]]) {
  const { width, height } = ink;
  const wide = Math.ceil(Math.abs(a) * width + Math.abs(b) * height), high = Math.ceil(Math.abs(c) * width + Math.abs(d) * height);
  const x = (width - 1) / 2, y = (height - 1) / 2;
  return scoped(() => {
    const matrix = keep(cv.matFromArray(2, 3, cv.CV_64F, [a, b, (wide - 1) / 2 - a * x - b * y, c, d, (high - 1) / 2 - c * x - d * y]));
    const turned = made();
    cv.warpAffine(matOf(ink), turned, matrix, new cv.Size(wide, high));
    return imageOf(turned);
  });
}

/** @returns {Order} of the candidates of a page without a form that are writing. */
function orderFree(candidates, confidence, rejectBelow) {
  const isKept = keepByNeighbours(candidates.map((one) => one.box), candidates.map((one) => one.strength), confidence, rejectBelow);
  const kept = placesOf(isKept);
  const order = orderLines(kept.map((i) => candidates[i].box)).map((line) => line.map((k) => kept[k]));
  return { order, words: splitWords(order.map((line) => line.map((i) => candidates[i].box))) };
}

/** @returns {Order} of the candidates in the places of a form that are writing, with a space for empty places between letters. */
function orderForm(candidates, confidence, rejectBelow) {
  const kept = placesOf(keepInPlaces(candidates, confidence.map((value) => value >= rejectBelow)));
  const rows = [...new Set(kept.map((i) => candidates[i].place.row))].sort((a, b) => a - b);
  const order = rows.map((row) => {
    const own = kept.filter((i) => candidates[i].place.row === row);
    return own.sort((a, b) => candidates[a].place.column - candidates[b].place.column || a - b);
  });
  const words = order.map((line) => {
    const isApart = (i, k) => k > 0 && candidates[i].place.column > candidates[line[k - 1]].place.column + 1;
    const starts = [0, ...placesOf(line.map(isApart)), line.length];
    return starts.slice(1).map((end, k) => [starts[k], end]);
  });
  return { order, words };
}

const placesOf = (flags) => flags.flatMap((flag, i) => (flag ? [i] : []));

/** Return which candidates in the boxes of a form are writing: letters, and non-letters of their size and ink. */
function keepInPlaces(candidates, isKnown) {
  const { min_size_share: least, min_strength_share: faint } = PLACE_TUNING;
  const known = isKnown.some(Boolean) ? candidates.filter((_, i) => isKnown[i]) : candidates;
  const sizeOf = ({ box: [, , width, height] }) => Math.max(width, height);
  const usual = percentile(known.map(sizeOf), 50), strong = percentile(known.map((one) => one.strength), 80);
  return candidates.map((one, i) => (isKnown[i] || sizeOf(one) >= least * usual) && one.strength >= faint * strong);
}

/**
 * Return which candidates of a page are writing, judged by their neighbours.
 *
 * A candidate stays if at least as many of its neighbours of similar size, itself included, are letters as are non-letters. A
 * letter without neighbours needs a higher confidence, and the more so the more non-letters there are. Candidates that are much
 * fainter than the page's letters never stay.
 */
export function keepByNeighbours(boxes, strengths, confidence, rejectBelow) {
  const tuning = NEIGHBOUR_TUNING;
  const isSure = confidence.map((value) => value >= rejectBelow);
  if (!isSure.some(Boolean)) return isSure;
  const knownCount = isSure.filter(Boolean).length, unknownCount = isSure.length - knownCount;
  // A model without a threshold was never measured on non-letters, so all its outputs count.
  const alone = rejectBelow ? Math.max(rejectBelow, 1 - (1 - tuning.min_alone_confidence) / Math.sqrt(1 + unknownCount)) : 0;
  const allAlone = knownCount < tuning.min_letter_share * unknownCount;
  const least = tuning.min_strength_share * percentile(strengths.filter((_, i) => isSure[i]), 80);
  const isFaint = strengths.map((strength) => strength < least);
  const isKnown = isSure.map((value, i) => value && !isFaint[i]);
  const middles = boxes.map(([x, y, w, h]) => [x + w / 2, y + h / 2]), sizes = boxes.map(([, , w, h]) => Math.max(w, h));
  return boxes.map((_, i) => {
    const reach = (tuning.max_distance * sizes[i]) ** 2, most = tuning.max_size_ratio * sizes[i], small = sizes[i] / tuning.max_size_ratio;
    let letters = 0, others = 0;
    for (let k = 0; k < boxes.length; k++) {
      const across = middles[i][0] - middles[k][0], down = middles[i][1] - middles[k][1];
      if (across * across + down * down > reach || sizes[k] > most || sizes[k] < small) continue;
      if (isKnown[k]) letters++;
      else others++;
    }
    return !isFaint[i] && letters >= others && ((letters > 1 && !allAlone) || confidence[i] >= alone);
  });
}

/** Return lines of capitals with small letters where they were written. */
function inWrittenCase(lines, capital, words) {
  const small = findSmall(
    lines.map((line, k) => ({
      labels: line.map((one) => LABELS.indexOf(one.letter)),
      capital: capital[k],
      boxes: line.map((one) => one.box),
      first: firstLetters(words[k]),
    })),
  );
  const lower = (one) => ({ ...one, letter: one.letter.toLowerCase(), alternatives: one.alternatives.map(([name, share]) => [name.toLowerCase(), share]) });
  return lines.map((line, k) => line.map((one, i) => (small[k][i] ? lower(one) : one)));
}
