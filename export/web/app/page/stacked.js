// Cut letters of two lines that touch, if the model is sure of both parts; a port of runtime/page/stacked.py.
import { STACKED_TUNING } from "../tuning.js";
import { argmax, argsort, percentile } from "../arrays.js";
import { beyondCut, bestOf, certainty, findCuts, inkBetween, mayBeSplit, partBox, splitCandidates } from "./split.js";

/** @typedef {import("./candidate.js").Candidate} Candidate */

/** Split candidates that are letters of several lines; returns all candidates in no order. */
export async function splitStacked(engine, candidates) {
  let whole = candidates, tried = new Set();
  for (let round = 1; round < STACKED_TUNING.max_lines; round++) {
    const least = findTall(whole.map((one) => one.box));
    const tall = whole.map((_, i) => i).filter((i) => least[i] && !tried.has(whole[i]));
    const cut = await splitAcross(engine, tall.map((i) => whole[i]), tall.map((i) => least[i]));
    const parts = whole.map((one) => [one]);
    tall.forEach((i, k) => (parts[i] = cut[k]));
    if (parts.every((few) => few.length === 1)) break;
    tried = new Set(parts.filter((few) => few.length === 1).flat());
    whole = parts.flat();
  }
  return whole;
}

/**
 * Return the least confidence with which each candidate, of these boxes, may be two letters above each other.
 *
 * It is 0 for a candidate that may not: one that is not much higher than most, or has another as high beside it.
 */
function findTall(boxes) {
  const tuning = STACKED_TUNING, least = boxes.map(() => 0);
  if (boxes.length < tuning.min_candidates) return least;
  const size = percentile(boxes.map((box) => box[3]), tuning.height_percentile);
  boxes.forEach(([x, y, w, h], i) => {
    if (h < tuning.min_height * size) return;
    let hasHead = false, hasFoot = false, hasEqual = false;
    boxes.forEach(([left, top, width, height], k) => {
      const gap = Math.max(left - x - w, x - left - width), isLow = height < tuning.min_neighbour_height * h;
      if (top < y + h && y < top + height && gap > 0 && !isLow) hasEqual = true;
      const isBeside = isLow && gap <= tuning.max_distance * size && height >= tuning.min_part_height * size && k !== i;
      if (!isBeside) return;
      const lower = y - top;
      if (lower >= -tuning.max_head_offset[0] * size && lower <= tuning.max_head_offset[1] * size) hasHead = true;
      if (Math.abs(top + height - y - h) <= tuning.max_foot_offset * size) hasFoot = true;
    });
    if (hasHead && hasFoot) least[i] = tuning.min_both_in_lines;
    else if (!hasEqual) least[i] = tuning.min_both_confidence;
  });
  return least;
}

/**
 * Return for each candidate the two letters above each other that it consists of, or the candidate itself.
 *
 * least holds for each the product of confidences that the two letters must have. A part that is several letters beside each
 * other has the mean confidence of these.
 */
async function splitAcross(engine, candidates, least) {
  const tuning = STACKED_TUNING, { facts } = engine;
  if (!candidates.length) return [];
  // Every bare stroke is two bare strokes above each other, so for the parts I and L do not count as one class.
  const sure = (await engine.classify(candidates.map((one) => one.glyphImage))).map((row) => certainty(row, facts));
  const halves = candidates.map((one, k) => (sure[k] < tuning.min_whole_confidence ? halvesOf(one) : []));
  const confidences = [];
  const rows = await engine.classify(halves.flat().map((half) => half.glyphImage));
  for (const one of halves) confidences.push(rows.splice(0, one.length).map((row) => bestOf(row, facts)));
  const products = confidences.map((one) => one.filter((_, i) => i % 2).map((lower, i) => Math.fround(one[2 * i] * lower)));
  // A half may be several letters beside each other. Of each candidate only the likeliest cuts are tried with these.
  const beside = products.flatMap((both, k) => {
    const isOpen = both.length && Math.max(...both) < tuning.min_both_confidence && least[k] < tuning.min_both_confidence;
    return isOpen ? argsort(both.map((value) => -value)).slice(0, tuning.max_cuts_beside).map((cut) => [k, cut]) : [];
  });
  const both = (all) => beside.flatMap(([k, cut]) => all[k].slice(2 * cut, 2 * cut + 2));
  const means = await meanConfidences(engine, both(halves), both(confidences));
  beside.forEach(([k, cut], i) => (products[k][cut] = Math.fround(means[2 * i] * means[2 * i + 1])));
  return candidates.map((candidate, k) => {
    const best = products[k].length ? argmax(products[k]) : 0;
    return products[k][best] >= least[k] ? halves[k].slice(2 * best, 2 * best + 2) : [candidate];
  });
}

/** Return the upper and the lower part of a candidate for each cut across it, one after the other. */
function halvesOf(candidate) {
  const turned = transposed(candidate.ink), share = STACKED_TUNING.min_part_height;
  const isInside = ({ column }) => column >= share * turned.width && column <= (1 - share) * turned.width;
  return findCuts(turned).filter(isInside).flatMap((cut) => {
    const mask = beyondCut(turned.width, turned.height, cut);
    return [inkBetween(turned, null, mask), inkBetween(turned, mask, null)].map((part) => {
      const ink = transposed(part);
      return candidate.part(partBox(candidate, ink), ink);
    });
  });
}

function transposed({ data, width, height }) {
  const turned = new Uint8Array(data.length);
  for (let i = 0, y = 0; y < height; y++) for (let x = 0; x < width; x++) turned[x * height + y] = data[i++];
  return { data: turned, width: height, height: width };
}

/** Return the confidence of each candidate, or the mean of its letters' if it is likelier to be several beside each other. */
async function meanConfidences(engine, candidates, confidences) {
  const wide = candidates.map((_, i) => i).filter((i) => mayBeSplit(candidates[i], confidences[i]));
  const splits = await splitCandidates(engine, wide.map((i) => candidates[i]), wide.map((i) => confidences[i]));
  const means = [...confidences];
  wide.forEach((i, k) => {
    if (!splits[k]) return;
    const logs = splits[k].probabilities.map((row) => Math.fround(Math.log(bestOf(row, engine.facts))));
    means[i] = Math.fround(Math.exp(Math.fround(logs.reduce((sum, one) => Math.fround(sum + one), 0) / logs.length)));
  });
  return means;
}
