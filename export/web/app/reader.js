// The reader: takes an image and returns lines of letters; a port of runtime/reader.py for pages without form boxes.
import { GRAVEL_TUNING, LABELS, LOOK_TUNING, MAX_ALTERNATIVES, MAX_LOOKS, MIN_PROBABILITY, NEIGHBOUR_TUNING, UNKNOWN } from "./tuning.js";
import { argsort, percentile } from "./arrays.js";
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
 * The text of a page, its lines of words of letters, and how many marks look like no letters and stand beside none.
 * @typedef {{text: string, lines: Letter[][][], leftOut: number}} Page
 */

/** Reads letters with one model. */
export class Reader {
  /**
   * @param {import("./engine.js").Engine} engine of a model that takes letters.
   * @param {import("./text/context.js").CaseNet} caseNet
   */
  constructor(engine, caseNet) {
    Object.assign(this, { engine, caseNet, facts: engine.facts });
    const { labels } = engine.facts;
    // Where A to Z stand among the labels; null for a model of other labels, of which context knows nothing.
    this.places = labels.length === LABELS.length && LABELS.every((name) => labels.includes(name)) ? LABELS.map((name) => labels.indexOf(name)) : null;
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
    const candidates = await splitStacked(engine, await joinStrokes(engine, found));
    const readings = await this.recognize(engine, candidates);
    const lines = readings.length ? this.compose(merged(readings), isWritten && this.places !== null) : [];
    const count = readings.reduce((sum, reading) => sum + reading.candidates.length, 0);
    const text = lines.map((line) => line.map((word) => word.map((one) => one.letter).join("")).join(" ")).join("\n");
    return { text, lines, leftOut: count - lines.flat(2).length };
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

  /** Make lines of all letters of a page: reject candidates by their neighbours, and let context settle doubts. */
  compose({ candidates, images, probabilities }, isWritten) {
    const confidence = probabilities.map((row) => certainty(row, this.facts));
    const isKept = keepByNeighbours(candidates.map((one) => one.box), candidates.map((one) => one.strength), confidence, this.facts.reject_below);
    const kept = candidates.map((_, i) => i).filter((i) => isKept[i]);
    const order = orderLines(kept.map((i) => candidates[i].box)).map((line) => line.map((k) => kept[k]));
    if (!order.length) return [];
    const boxes = order.map((line) => line.map((i) => candidates[i].box));
    const words = splitWords(boxes);
    const seen = order.map((line) => line.map((i) => probabilities[i]));
    const capital = this.places && order.map((line) => this.caseNet.capital(line.map((i) => images[i])));
    const settled = this.places ? this.settle(seen, capital, boxes, words) : seen;
    const isKnown = (row) => bestOf(row, this.facts) >= this.facts.reject_below;
    const lines = settled.map((rows, k) =>
      // Context only chooses between letters: if the model alone is sure that something is a letter, it stays one.
      rows.map((row, i) => this.letterOf(row, boxes[k][i], isKnown(seen[k][i]) || isKnown(row))),
    );
    const written = isWritten ? inWrittenCase(lines, capital, words) : lines;
    return written.map((line, k) => words[k].map(([start, end]) => line.slice(start, end)));
  }

  /** Return the probabilities of each line, weighted by the case and the heights of the page. */
  settle(seen, capital, boxes, words) {
    const letters = seen.map((rows) => rows.map((row) => Float32Array.from(this.places, (place) => row[place])));
    const first = words.map(firstLetters);
    const byCase = settleCase(letters.map((probabilities, k) => ({ probabilities, capital: capital[k], first: first[k] })));
    return byCase.map((rows, k) =>
      settleHeights(rows, boxes[k], first[k]).map((row, i) => {
        const own = seen[k][i].slice();
        this.places.forEach((place, letter) => (own[place] = row[letter]));
        return own;
      }),
    );
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
