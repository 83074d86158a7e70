// Take the print of a form off the page, and put the strokes in each of its places together; a port of runtime/page/places.py.
// Ink and masks are Mats (H, W).
import { FORM_TUNING, MAX_BORDER_PX, MAX_SQUARE, MIN_RISES, MIN_SPECK_PX, MIN_USUAL, PLACES_TUNING } from "../../tuning.js";
import { median, range } from "../../arrays.js";
import { copied, zeros } from "../../opencv.js";
import { findComponents } from "./components.js";
import { findRows } from "./forms.js";
import { gridOf } from "./grid.js";
import { centred, placeOfMost, takeOff } from "./printed.js";
import { dot, lengthOf, meanOf, minus, plus, sizeOf, times } from "./quads.js";

/** @typedef {import("../candidate.js").Box} Box */
/** @typedef {import("../../opencv.js").Image} Image */
/**
 * The place of a letter in a form: its row and column, from 0, the row from the top and the column from the left.
 * @typedef {{row: number, column: number}} Place
 */
/**
 * A page with a form: its ink without the print, what is filled in with its mask, and the mask of what is outside; height is the usual
 * height of its places, and length the length of its rows in places. If isSquared, the places are the squares of squared paper, and
 * all strokes are outside.
 * @typedef {{ink, filled: {place: Place, box: Box, mask: Image}[], outside, height: number, length: number, isSquared: boolean}} Form
 */

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);
const count = (flags) => flags.filter(Boolean).length;

/**
 * Find a form and take it off; null if there is none.
 * @param mask strokes and printed lines.
 * @param pieces of this mask, or of `whole`, in which the gaps of dashed and faint lines are closed, to look for the form there.
 * @returns {?Form}
 */
export function findForm(ink, mask, pieces, whole = mask) {
  const rows = findRows(whole, pieces);
  return rows.length ? fillRows(ink, mask, rows) : null;
}

/** Take the print of rows of places off a page, and cut out what is filled in; null if they are no places for letters. */
function fillRows(ink, mask, rows) {
  const tuning = PLACES_TUNING, grid = gridOf(rows, mask), lines = centred(rows.flatMap((row) => row.lines), mask);
  const { bare, strokes, around, thickness } = takeOff(ink, mask, lines), found = findComponents(strokes);
  const parts = partsOf(found, around.data, grid), { heights } = grid;
  const kept = parts.isHeld.map((isHeld, i) => isHeld && !parts.isScrap[i]);
  const isCrossing = kept.map((isKept, i) => isKept && parts.share[i] < tuning.min_own_share);
  const form = { ink: bare, height: median(heights.slice(1)), length: lengthOfRows(rows) };
  if (isSquared(parts, kept, isCrossing, grid)) {
    return { ...form, filled: [], outside: withoutSquaresAtBorder(strokes, found, parts, form.height), isSquared: true };
  }
  // On squared paper letters run across places, and a form that is found by half leaves letters outside.
  const sure = sumOf(rows.filter((row) => row.isSure).map((row) => row.places.length));
  const maxCrossing = sure > tuning.min_sure * (heights.length - 1) ? tuning.max_sure_crossing : tuning.max_crossing;
  if (count(isCrossing) > Math.max(2, maxCrossing * count(kept)) || hasLettersOutside(parts, kept, grid)) return null;
  const limits = limitsOf(grid, parts, kept);
  const owner = parts.main.map((main, i) => (kept[i] && parts.middles[i] >= limits[main] ? main : 0));
  parts.isHeld.forEach((isHeld, i) => isHeld && parts.isScrap[i] && (owner[i] = -1));
  mendOwners(owner, parts, found, grid, Math.ceil(thickness) + 3);
  const ownerAt = ownersOf(owner, shareOut(owner, parts, grid), found, grid);
  const outside = zeros(mask.rows, mask.cols), data = outside.data;
  found.at.forEach((at, k) => ownerAt[k] === 0 && (data[at] = 255));
  return { ...form, filled: ofLetters(filledOf(grid, ownerAt, found)), outside, isSquared: false };
}

/** Return the length of rows in places: long rows count more, because a row may be found in parts. */
const lengthOfRows = (rows) => rows.reduce((length, row) => Math.hypot(length, row.places.length), 0);

/** Return how the connected strokes of a page lie in its places; beside are the pixels of the mask of the print's surroundings. */
function partsOf(found, beside, grid) {
  const tuning = PLACES_TUNING, number = found.boxes.length, total = grid.heights.length;
  const shares = new Float64Array(number * total), residue = new Float64Array(number);
  for (const at of found.at) {
    shares[found.labels[at] * total + grid.where[at]]++;
    if (beside[at]) residue[found.labels[at]]++;
  }
  const parts = { boxes: found.boxes, middles: found.middles, main: [], second: [], share: [], isHeld: [], isScrap: [] };
  parts.sizes = found.boxes.map(([, , w, h]) => Math.max(w, h));
  for (let i = 0; i < number; i++) {
    const inside = Array.from(shares.subarray(i * total + 1, (i + 1) * total)), within = sumOf(inside), most = placeOfMost(inside);
    const area = Math.max(within + shares[i * total], 1), main = most + 1;
    parts.main.push(main);
    parts.share.push(inside[most] / Math.max(within, 1));
    inside[most] = 0;
    const next = placeOfMost(inside);
    parts.second.push(inside[next] > 0 ? next + 1 : 0);
    parts.isHeld.push(i > 0 && within >= 0.5 * area);
    const isSpeck = parts.sizes[i] < Math.max(MIN_SPECK_PX, tuning.min_speck * grid.heights[main]);
    parts.isScrap.push(residue[i] >= tuning.max_beside * area || isSpeck);
  }
  return parts;
}

/** Tell whether the places are those of squared paper: there are many, and most parts of letters run across their sides. */
function isSquared(parts, kept, isCrossing, grid) {
  const isLarge = kept.map((isKept, i) => isKept && parts.sizes[i] >= PLACES_TUNING.min_large * grid.heights[parts.main[i]]);
  const crossing = count(isLarge.map((large, i) => large && isCrossing[i]));
  return grid.heights.length > FORM_TUNING.min_squares && crossing > Math.max(MIN_USUAL, PLACES_TUNING.max_large_crossing * count(isLarge));
}

/** Return a mask of strokes without squares of this height that the border cuts off: they touch it. */
function withoutSquaresAtBorder(strokes, found, parts, height) {
  const result = copied(strokes), { data, rows, cols } = result;
  const isCut = parts.boxes.map(([x, y, w, h], i) => {
    const isSquare = !parts.isHeld[i] || parts.sizes[i] <= MAX_SQUARE * height;
    return i > 0 && isSquare && Math.min(x, y, cols - x - w, rows - y - h) <= MAX_BORDER_PX;
  });
  for (const at of found.at) if (isCut[found.labels[at]]) data[at] = 0;
  return result;
}

/** Tell whether nearly as many parts of the size of letters lie outside the places as inside. */
function hasLettersOutside(parts, kept, grid) {
  let number = count(kept), usual;
  if (number < MIN_USUAL) {
    // What is in so few places need not be letters.
    usual = PLACES_TUNING.usual_share * median(grid.heights.slice(1));
    number = grid.heights.length - 1;
  } else usual = median(parts.sizes.filter((_, i) => kept[i]));
  const isLetter = parts.boxes.map(([, , w, h], i) => {
    const size = parts.sizes[i];
    return i > 0 && !parts.isHeld[i] && size > 0.6 * usual && size < 1.6 * usual && Math.min(w, h) > 0.2 * size;
  });
  return count(isLetter) > PLACES_TUNING.max_outside * number;
}

/** Return for each place the row on the page above which nothing belongs to it: captions stand above combs. */
function limitsOf(grid, parts, kept) {
  const above = new Array(grid.heights.length).fill(-Infinity), rises = new Map();
  const feetOf = ({ places }) => places.map(([, , c, d]) => (c[1] + d[1]) / 2);
  grid.rows.forEach((row, r) => {
    if (!row.isOpen) return;
    const feet = feetOf(row), least = 0.45 * sizeOf(row.places[0])[0], own = [];
    parts.main.forEach((main, i) => {
      if (!kept[i] || grid.rowOf[main] !== r) return;
      const [, y, , h] = parts.boxes[i], foot = feet[main - grid.firsts[r]];
      // What reaches down to the line is a letter.
      if (y + h > foot - least) own.push(foot - y);
    });
    rises.set(r, own);
  });
  const all = [...rises.values()].flat();
  if (!all.length) return above;
  for (const [r, rise] of rises) {
    const height = median(rise.length >= MIN_RISES ? rise : all);
    feetOf(grid.rows[r]).forEach((foot, k) => (above[grid.firsts[r] + k] = foot - PLACES_TUNING.max_height * height));
  }
  return above;
}

/** Give what the print cut off a letter, up to `reach` pixels away, to the letter's place; owner is changed. */
function mendOwners(owner, parts, found, grid, reach) {
  const held = range(0, owner.length).filter((i) => owner[i] > 0), isLarge = new Array(owner.length).fill(false), filled = new Set();
  for (const i of held) {
    isLarge[i] = parts.sizes[i] >= PLACES_TUNING.min_part * Math.min(...sizeOf(grid.quads[owner[i]]));
    if (isLarge[i]) filled.add(owner[i]);
  }
  const { labels, width } = found, height = labels.length / width;
  for (const i of held) {
    if (isLarge[i] || filled.has(owner[i])) continue;
    const counts = new Map();
    for (const at of nearTo(i, parts.boxes[i], reach, labels, width, height)) {
      const other = labels[at];
      if (isLarge[other]) counts.set(other, (counts.get(other) ?? 0) + 1);
    }
    const best = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
    if (best) owner[i] = owner[best[0]];
  }
}

/** Return the pixels up to `reach` pixels away from those of a part with this label, across and down. */
function nearTo(label, [x, y, w, h], reach, labels, width, height) {
  const left = Math.max(0, x - reach), top = Math.max(0, y - reach), right = Math.min(width, x + w + reach), bottom = Math.min(height, y + h + reach);
  const near = new Set();
  for (let row = y; row < y + h; row++) {
    for (let column = x; column < x + w; column++) {
      if (labels[row * width + column] !== label) continue;
      for (let r = Math.max(top, row - reach); r < Math.min(bottom, row + reach + 1); r++) {
        for (let c = Math.max(left, column - reach); c < Math.min(right, column + reach + 1); c++) near.add(r * width + c);
      }
    }
  }
  return near;
}

/** Give each letter across two places to the free one in place; owner is changed. Returns the parts that are larger. */
function shareOut(owner, parts, grid) {
  const tuning = PLACES_TUNING, larger = [], crossing = [], taken = new Array(grid.heights.length).fill(false);
  owner.forEach((own, i) => {
    if (own <= 0) return;
    const [, , w, h] = parts.boxes[i], room = sizeOf(grid.quads[own]);
    if (w > tuning.max_single * room[0] || h > tuning.max_single * room[1]) larger.push(i);
    else if (parts.share[i] < tuning.min_own_share) crossing.push(i);
    else if (parts.sizes[i] > tuning.min_part * Math.min(...room)) taken[own] = true;
  });
  for (const i of crossing.sort((a, b) => parts.boxes[a][0] - parts.boxes[b][0])) {
    const other = parts.second[i];
    if (taken[owner[i]] && other > 0 && !taken[other]) owner[i] = other;
    taken[owner[i]] = true;
  }
  return larger;
}

/** Return the place of each inked pixel: letters of neighbouring places that touch are cut along the sides. */
function ownersOf(owner, larger, found, grid) {
  const owners = Array.from(found.at, (at) => owner[found.labels[at]]);
  for (const i of larger) {
    const own = range(0, found.at.length).filter((k) => found.labels[found.at[k]] === i), places = own.map((k) => grid.where[found.at[k]]);
    const points = own.map((k) => [found.at[k] % found.width, Math.floor(found.at[k] / found.width)]);
    cutUp(owner[i], places, points, grid).forEach((place, n) => (owners[own[n]] = place));
  }
  return owners;
}

/** Return the place of each pixel of a part that is larger than the place `main` with most of it. */
function cutUp(main, places, points, grid) {
  const tuning = PLACES_TUNING, owners = places.map(() => main), own = [main], slivers = [0];
  for (const other of [...new Set(places)].filter((place) => place > 0 && place !== main).sort((a, b) => a - b)) {
    const quad = grid.quads[other], [a, b, c, d] = quad, [width, height] = sizeOf(quad), centre = meanOf(quad);
    const along = times(plus(minus(b, a), minus(c, d)), 1 / 2 / width), down = times(plus(minus(d, a), minus(c, b)), 1 / 2 / height);
    const apart = minus(meanOf(grid.quads[main]), centre), isBeside = grid.rowOf[other] === grid.rowOf[main];
    const towards = dot(apart, isBeside ? along : down) < 0 ? 1 : -1;
    let farthest = -Infinity, low = Infinity, high = -Infinity;
    points.forEach((point, i) => {
      if (places[i] !== other) return;
      const to = minus(point, centre), across = dot(to, along), deep = dot(to, down);
      farthest = Math.max(farthest, towards * (isBeside ? across : deep));
      [low, high] = [Math.min(low, deep), Math.max(high, deep)];
    });
    const room = isBeside ? width : height, reach = (room / 2 + farthest) / room;
    const tall = (high - low) / (isBeside ? Math.min(height, 1.3 * width) : height);
    if (reach >= tuning.min_reach && tall >= tuning.min_part) {
      own.push(other);
      places.forEach((place, i) => place === other && (owners[i] = other));
    } else slivers.push(other);
  }
  if (own.length === 1) return owners;
  // A little of a letter that reaches into another place belongs to the letter beside it.
  const middles = own.map((one) => meanOf(grid.quads[one])), isSliver = new Set(slivers);
  points.forEach((point, i) => {
    if (isSliver.has(places[i])) owners[i] = own[placeOfMost(middles.map((middle) => -lengthOf(minus(point, middle))))];
  });
  return owners;
}

/** Return what is in each place, by the place that each inked pixel belongs to. */
function filledOf(grid, owners, found) {
  const pixels = grid.heights.map(() => []), filled = [];
  owners.forEach((owner, k) => owner > 0 && pixels[owner].push(found.at[k]));
  pixels.forEach((own, number) => {
    if (!own.length) return;
    const across = own.map((at) => at % found.width), down = own.map((at) => Math.floor(at / found.width));
    const ends = [across, down].map((values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -1]));
    const [[left, right], [top, bottom]] = ends, width = right - left + 1, height = bottom - top + 1, row = grid.rowOf[number];
    const least = PLACES_TUNING.min_letter * Math.min(grid.heights[number], 2 * sizeOf(grid.rows[row].places[0])[0]);
    if (Math.max(width, height) < least) return;
    const mask = { data: new Uint8Array(width * height), width, height };
    own.forEach((_, i) => (mask.data[(down[i] - top) * width + across[i] - left] = 255));
    filled.push({ place: { row, column: number - grid.firsts[row] }, box: [left, top, width, height], mask });
  });
  return filled;
}

/** Return what is not far smaller than the usual letter in the places: the ends of letters in empty places are. */
function ofLetters(filled) {
  const sizes = filled.map(({ box }) => Math.max(box[2], box[3]));
  const least = sizes.length >= MIN_USUAL ? PLACES_TUNING.min_of_usual * median(sizes) : 0;
  return filled.filter((_, i) => sizes[i] >= least);
}
