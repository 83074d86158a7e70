// Remove ruled lines, and the edges of the page; a port of runtime/page/rules.py.
//
// Ink and masks are Mats (H, W), and belong to the scope of whoever calls, see opencv.js.
import { MIN_FILLED, RULE_TUNING, SECTION_SAMPLES, SQUEEZE } from "../tuning.js";
import { roundHalfEven } from "../arrays.js";
import { atLeast, copied, cv, keep, made, ones, part, scoped, zeros } from "../opencv.js";
import { findCurves, rowAt, runsOf, withHidden } from "./curves.js";

const { fround } = Math;

/**
 * Remove ruled lines, across and down, from the ink of a page; strokes that cross or follow a rule stay.
 * @param mask of all pixels with at least this much ink.
 * @returns {{ink, strokes, isRuled: boolean}} the ink without rules, and the mask of strokes; the same Mats if there are no rules.
 */
export function takeRules(ink, mask, threshold) {
  const { rows, cols } = mask;
  const thickness = Math.max(RULE_TUNING.max_thickness_px, roundHalfEven(RULE_TUNING.max_thickness_share * Math.max(rows, cols)));
  if (Math.min(rows, cols) < SQUEEZE) return { ink, strokes: mask, isRuled: false };
  const [across, down] = scoped(() => [squeeze(mask), squeezeTurned(mask)].map((one) => withHidden(findCurves(one, thickness), one.cols)));
  if (!across.length && !down.length) return { ink, strokes: mask, isRuled: false };
  const bare = copied(ink);
  for (const curve of across) subtractRule(bare.data, [cols, rows], [1, cols], curve, thickness);
  const beside = across.length ? both(atLeast(bare, threshold), mask) : mask;
  for (const curve of down) subtractRule(bare.data, [rows, cols], [cols, 1], curve, thickness);
  let strokes = down.length ? both(atLeast(bare, threshold), mask) : beside;
  // A rule across is restored between strokes above and below it only: along it lie letters that it does not join. Where rules
  // cross, both count.
  const bridge = thickness + RULE_TUNING.bridge_px, high = ones(bridge, 1), wide = ones(1, bridge);
  const taken = [less(mask, beside), less(beside, strokes)];
  const bands = bandsOf(across, mask, (thickness >> 1) + RULE_TUNING.soft_edge_px);
  if (across.length && down.length) taken[1] = bridged(taken[1], taken[0], high, bands);
  if (across.length) strokes = bridged(strokes, taken[0], high, bands);
  if (down.length) strokes = bridged(strokes, taken[1], wide, [[0, rows]]);
  const whole = both(ink, strokes);
  cv.max(bare, whole, whole);
  return { ink: whole, strokes, isRuled: true };
}

function both(one, other) {
  const result = made();
  cv.bitwise_and(one, other, result);
  return result;
}

function less(one, other) {
  const result = made();
  cv.subtract(one, other, result);
  return result;
}

/** Return the rows [first, end) that rules across come nearer than `reach`; bands that overlap are one. */
function bandsOf(curves, { rows, cols }, reach) {
  const beyond = (RULE_TUNING.extension_share * cols) / SQUEEZE + 1;
  const ends = [];
  for (const { parabola, start, end } of curves) {
    let low = Infinity, high = -Infinity;
    const first = start - beyond, count = Math.ceil(end + beyond + 1 - first);
    for (let i = 0; i < count; i++) {
      const row = rowAt(parabola, first + i);
      low = Math.min(low, row);
      high = Math.max(high, row);
    }
    const own = [Math.max(0, Math.floor(low) - reach), Math.min(rows, Math.ceil(high) + reach + 1)];
    if (own[0] < own[1]) ends.push(own);
  }
  const bands = [];
  for (const [top, bottom] of ends.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = bands[bands.length - 1];
    if (last && top <= last[1]) last[1] = Math.max(last[1], bottom);
    else bands.push([top, bottom]);
  }
  return bands;
}

/** Return strokes with what was taken from their gaps, which closing with a kernel finds, in these bands of rows. */
function bridged(strokes, taken, kernel, bands) {
  const whole = copied(strokes), { rows, cols } = strokes;
  scoped(() => {
    for (const [top, bottom] of bands) {
      // Closing looks this far beyond a band. A copy, because OpenCV looks beyond the borders of a part.
      const first = Math.max(0, top - 2 * kernel.rows), end = Math.min(rows, bottom + 2 * kernel.rows);
      const closed = copied(part(strokes, 0, first, cols, end - first));
      cv.morphologyEx(closed, closed, cv.MORPH_CLOSE, kernel);
      const [result, lost, shut] = [whole.data, taken.data, closed.data];
      for (let i = top * cols, from = (top - first) * cols; i < bottom * cols; i++, from++) result[i] |= lost[i] & shut[from];
    }
  });
  return whole;
}

/** Squeeze a mask (H, W) along its rows to (H, W / SQUEEZE): 255 if most of the pixels that become one are set. */
function squeeze(mask) {
  const wide = Math.floor(mask.cols / SQUEEZE), small = zeros(mask.rows, wide);
  const [data, result] = [mask.data, small.data];
  for (let y = 0, at = 0; y < mask.rows; y++) {
    for (let x = 0, i = y * mask.cols; x < wide; x++, at++) {
      let count = 0;
      for (const end = i + SQUEEZE; i < end; i++) count += data[i] & 1;
      if (count >= MIN_FILLED) result[at] = 255;
    }
  }
  return small;
}

/** Squeeze a mask (H, W) along its columns to (W, H / SQUEEZE), as `squeeze` does with the transposed mask. */
function squeezeTurned(mask) {
  const { rows, cols } = mask, wide = Math.floor(rows / SQUEEZE), small = zeros(cols, wide);
  const [data, result] = [mask.data, small.data], counts = new Uint8Array(cols);
  for (let y = 0; y < wide; y++) {
    counts.fill(0);
    for (let i = y * SQUEEZE * cols, k = 0; k < SQUEEZE; k++) {
      for (let x = 0; x < cols; x++, i++) counts[x] += data[i] & 1;
    }
    for (let x = 0; x < cols; x++) if (counts[x] >= MIN_FILLED) result[x * wide + y] = 255;
  }
  return small;
}

/**
 * Subtract what a rule absorbs from ink in place; light passes the rule and the ink in turn. In float32, as NumPy does.
 * @param {Uint8Array} pixels
 * @param {[number, number]} size of the page along the rule and across it.
 * @param {[number, number]} strides from a pixel to the next one along the rule and across it.
 */
function subtractRule(pixels, [width, height], [right, down], { parabola, start, end }, thickness) {
  const beyond = roundHalfEven(RULE_TUNING.extension_share * width);
  const first = Math.max(0, start * SQUEEZE - beyond), count = Math.min(end * SQUEEZE + beyond, width) - first;
  const reach = (thickness >> 1) + RULE_TUNING.soft_edge_px, high = 2 * reach + 1;
  const places = new Int32Array(high * count), band = new Uint8Array(high * count);
  for (let i = 0; i < count; i++) {
    const middle = roundHalfEven(rowAt(parabola, (first + i + 0.5) / SQUEEZE - 0.5));
    for (let k = 0, at = i; k < high; k++, at += count) {
      const row = Math.min(Math.max(middle + k - reach, 0), height - 1);
      places[at] = row * down + (first + i) * right;
      band[at] = pixels[places[at]];
    }
  }
  const absorbed = absorbedAlong(band, high, count);
  for (let at = 0; at < band.length; at++) {
    const left = fround(255 - fround(((255 - band[at]) * 255) / fround(256 - absorbed[at])));
    pixels[places[at]] = Math.max(left, 0);
  }
}

/** Return what a rule absorbs, 0..255, of the ink (high, count) along it: the usual ink around each place, but never a letter's. */
function absorbedAlong(band, high, count) {
  const sections = Math.max(1, Math.floor(count / RULE_TUNING.section_px));
  const end = (k) => Math.floor((k * count) / sections);
  const own = new Uint8Array(high * sections), usual = new Uint8Array(high * sections);
  const samples = new Uint8Array(SECTION_SAMPLES), reach = RULE_TUNING.sections_around, near = new Uint8Array(2 * reach + 1);
  for (let row = 0; row < high; row++) {
    for (let k = 0; k < sections; k++) {
      const first = end(k), last = end(k + 1) - first - 1;
      for (let i = 0; i < SECTION_SAMPLES; i++) samples[i] = band[row * count + first + Math.floor((i * last) / (SECTION_SAMPLES - 1))];
      own[row * sections + k] = upperMedian(samples);
    }
    // The first and last sections may lie beyond the paper, where there is no rule, so sections are mirrored at the ends.
    for (let k = 0; k < sections; k++) {
      for (let i = -reach; i <= reach; i++) {
        const place = Math.abs(k + i);
        near[i + reach] = own[row * sections + Math.max(Math.min(place, 2 * (sections - 1) - place), 0)];
      }
      usual[row * sections + k] = upperMedian(near);
    }
  }
  const wander = RULE_TUNING.max_wander_px, factor = fround(RULE_TUNING.max_print_factor);
  const absorbed = new Float32Array(high * count);
  for (let row = 0; row < high; row++) {
    for (let k = 0; k < sections; k++) {
      let most = 0;
      for (let r = Math.max(0, row - wander); r <= Math.min(high - 1, row + wander); r++) most = Math.max(most, usual[r * sections + k]);
      absorbed.fill(Math.min(fround(factor * most), 255), row * count + end(k), row * count + end(k + 1));
    }
  }
  return absorbed;
}

/** Return the upper median of values, which are sorted in place. */
const upperMedian = (values) => values.sort()[values.length >> 1];

/** Return a mask (H, W) without a dark frame along the sides of the image. */
export function withoutEdges(mask) {
  const result = copied(mask), { rows, cols, data } = result, last = rows * cols - 1;
  // Each side: how long it is, how far the image reaches from it, and the strides along it and away from it, from a corner.
  clearSide(data, 0, [cols, rows], [1, cols]);
  clearSide(data, last - cols + 1, [cols, rows], [1, -cols]);
  clearSide(data, 0, [rows, cols], [cols, 1]);
  clearSide(data, cols - 1, [rows, cols], [cols, -1]);
  return result;
}

function clearSide(data, corner, [length, depth], [along, away]) {
  const zone = Math.max(2, roundHalfEven(RULE_TUNING.edge_zone * depth));
  if (zone >= depth) return;
  let framed = new Uint8Array(length);
  for (let k = 0; k < zone; k++) {
    for (let i = 0, at = corner + k * away; i < length; i++, at += along) framed[i] |= data[at];
  }
  const least = RULE_TUNING.min_edge_share * length, count = (flags) => flags.reduce((sum, flag) => sum + (flag > 0), 0);
  const number = count(framed);
  if (number < length && number > least) {
    const kept = new Uint8Array(length);
    for (const [start, end] of runsOf(framed)) if (end - start >= RULE_TUNING.min_edge_run * length) kept.fill(1, start, end);
    framed = kept;
  }
  if (count(framed) <= least) return;
  for (let i = 0; i < length; i++) {
    const at = corner + i * along;
    // If ink continues beyond the zone, a letter touches the frame.
    const isFrame = framed[i] > 0 && data[at + zone * away] === 0;
    for (let k = 0; k < (isFrame ? zone : zone >> 1); k++) data[at + k * away] = 0;
  }
}
