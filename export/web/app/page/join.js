// Join strokes of one letter, if the model is surer of the letter than of its strokes; a port of runtime/page/join.py.
import { JOIN_TUNING, MAX_PAIRS, MAX_TRIPLES } from "../tuning.js";
import { argsort, compared, median } from "../arrays.js";
import { Candidate } from "./candidate.js";
import { bestOf, certainty } from "./split.js";
import { around } from "./groups.js";

/**
 * Indices of candidates that may be one letter, in ascending order, and the gap between them in pixels.
 * @typedef {{members: number[], gap: number}} Near
 */

/** Join candidates that are strokes of one letter; returns all candidates in no order. */
export async function joinStrokes(engine, candidates) {
  const boxes = candidates.map((one) => one.box);
  if (boxes.length < 2) return candidates;
  const size = median(boxes.map(longer));
  const pairs = nearPairs(boxes, size);
  const near = [...pairs, ...nearTriples(boxes, size, pairs)];
  if (!near.length) return candidates;
  const unions = near.map(({ members }) => members.map((i) => candidates[i]).reduce(union));
  const singles = [...new Set(near.flatMap(({ members }) => members))];
  const rows = await engine.classify([...singles.map((i) => candidates[i]), ...unions].map((one) => one.glyphImage));
  const logs = new Map(singles.map((i, k) => [i, log(certainty(rows[k], engine.facts))]));
  const whole = rows.slice(singles.length).map((row) => bestOf(row, engine.facts));
  const gain = near.map(({ members, gap }, k) => {
    const apart = members.reduce((sum, i) => Math.fround(sum + logs.get(i)), 0);
    return Math.fround(log(whole[k]) - apart) - minGain(gap / size);
  });
  const used = new Set(), joined = [];
  for (const k of argsort(gain.map((value) => (Number.isNaN(value) ? Infinity : -value)))) {
    const { members } = near[k];
    if (gain[k] > 0 && whole[k] >= JOIN_TUNING.min_confidence && !members.some((i) => used.has(i))) {
      members.forEach((i) => used.add(i));
      joined.push(unions[k]);
    }
  }
  return [...candidates.filter((_, i) => !used.has(i)), ...joined];
}

// Probabilities and their logarithms have single precision.
const log = (value) => Math.fround(Math.log(value));
const longer = ([, , width, height]) => Math.max(width, height);
const isBefore = (a, b) => a.gap - b.gap || compared(a.members, b.members);

/** Return the log-probability that joining must gain at this gap, a share of the size. */
function minGain(gap) {
  const { touching_gap: near, max_gap: far, min_gain_touching: low, min_gain_apart: high } = JOIN_TUNING;
  return gap <= near ? low : gap >= far ? high : ((high - low) / (far - near)) * (gap - near) + low;
}

/** Return pairs of boxes that may be one letter, with the gaps between them in pixels, the nearest first. */
function nearPairs(boxes, size) {
  const tuning = JOIN_TUNING, isStroke = boxes.map((box) => isStrokeSized(box, size)), found = [];
  boxes.forEach((one, a) => {
    if (!isStroke[a]) return;
    const [ax, ay, aw, ah] = one;
    boxes.forEach((other, b) => {
      // A pair of two strokes is listed once.
      if (a === b || (isStroke[b] && b < a)) return;
      const [bx, by, bw, bh] = other;
      const gap = Math.max(bx - ax - aw, ax - bx - bw, by - ay - ah, ay - by - bh);
      if (gap > tuning.max_gap * size) return;
      const wide = Math.max(ax + aw, bx + bw) - Math.min(ax, bx), high = Math.max(ay + ah, by + bh) - Math.min(ay, by);
      const large = Math.max(size, longer(one), longer(other));
      if (wide <= tuning.max_letter_width * large && high <= tuning.max_letter_height * size) found.push({ members: [a, b], gap });
    });
  });
  return found.sort(isBefore).slice(0, MAX_PAIRS);
}

/** Return triples of strokes that two pairs link, with the wider of their gaps, as an F whose bars do not touch its stem. */
function nearTriples(boxes, size, pairs) {
  const tuning = JOIN_TUNING, found = new Map();
  const linked = pairs.filter(({ members }) => members.every((i) => isStrokeSized(boxes[i], size)));
  linked.forEach((one, k) => {
    for (const other of linked.slice(k + 1)) {
      const members = [...new Set([...one.members, ...other.members])].sort((a, b) => a - b);
      if (members.length !== 3 || found.has(String(members))) continue;
      const [, , width, height] = around(members.map((i) => boxes[i]));
      const isSmall = Math.max(width / tuning.max_letter_width, height / tuning.max_letter_height) <= size;
      if (isSmall) found.set(String(members), { members, gap: Math.max(one.gap, other.gap) });
    }
  });
  return [...found.values()].sort(isBefore).slice(0, MAX_TRIPLES);
}

/** Return whether a box is narrower or smaller than letters. */
function isStrokeSized([, , width, height], size) {
  const { max_stroke_width: narrow, max_stroke_size: small } = JOIN_TUNING;
  return Math.min(width, height) <= narrow * size || Math.max(width, height) <= small * size;
}

/** Return one candidate with the ink of two. */
export function union(a, b) {
  const left = Math.min(a.corner[0], b.corner[0]), top = Math.min(a.corner[1], b.corner[1]);
  const width = Math.max(...[a, b].map((one) => one.corner[0] + one.ink.width)) - left;
  const height = Math.max(...[a, b].map((one) => one.corner[1] + one.ink.height)) - top;
  const data = new Uint8Array(width * height);
  for (const { corner, ink } of [a, b]) {
    for (let i = 0, y = 0; y < ink.height; y++) {
      let place = (corner[1] - top + y) * width + corner[0] - left;
      for (let x = 0; x < ink.width; x++, i++, place++) if (ink.data[i] > data[place]) data[place] = ink.data[i];
    }
  }
  return new Candidate(around([a.box, b.box]), { data, width, height }, [left, top], Math.max(a.strength, b.strength));
}
