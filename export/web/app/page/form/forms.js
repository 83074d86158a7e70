// Find the boxes, combs and short lines of a form, one for each letter; a port of runtime/page/forms.py. Ink and masks are Mats.
import {
  CORNER, FAINT, FOOT_STEP, FORM_TUNING, MAX_DASH_PX, MAX_FOOT, MAX_GAP, MAX_HOLES, MIN_DASHES, MIN_DASHES_SHARE, MIN_FOOT,
} from "../../tuning.js";
import { roundHalfEven } from "../../arrays.js";
import { atLeast, copied, cv, imageOf, made, ones, resized, scoped, zeros } from "../../opencv.js";
import { boundingBox, outlinesOf } from "../strokes.js";
import { boxRows } from "./boxes.js";
import { combRow } from "./combs.js";
import { findComponents } from "./components.js";
import { lineRows } from "./letterlines.js";
import { areCovered, findQuads, halfway, sizeOf } from "./quads.js";
import { mended } from "./rows.js";

/** @typedef {import("./quads.js").PlaceRow} PlaceRow */

/** Tell whether to look for a form on a page whose ruled lines can be removed; size is that of its letters in pixels. */
export function mayBeForm(mask, size) {
  const tuning = FORM_TUNING;
  const { outer, holes } = scoped(() => outlinesOf(atLeast(resized(mask, mask.cols >> 1, mask.rows >> 1, cv.INTER_AREA), 64)));
  if (!outer.length && !holes.length) return false;
  // On squared paper a sample is enough.
  const every = Math.max(1, Math.floor(holes.length / MAX_HOLES));
  const heights = findQuads(holes.filter((_, i) => i % every === 0), tuning.min_box_px / 2).map((quad) => 2 * sizeOf(quad)[1]);
  if (heights.length >= tuning.min_places - 1) {
    // A letter cuts boxes into smaller ones.
    const height = heights.sort((a, b) => a - b)[Math.floor((heights.length * 3) / 4)];
    const fits = tuning.min_letter * height <= size && size <= tuning.max_letter * height;
    const isSquared = every * heights.length >= tuning.min_squares && !fits;
    const isCard = heights.length < tuning.min_large && height > tuning.max_box_share * mask.rows;
    if (isSquared || isCard) return false;
    if (every * heights.length >= 2 * tuning.min_places) return true;
  }
  const boxes = outer.map((one) => boundingBox(one).map((value) => 2 * value));
  return boxes.some((box) => isCombShaped(box, mask.cols)) || boxes.filter(isLineShaped).length >= tuning.min_places - 1;
}

/** Tell whether a page may have a form whose lines are dashed or so faint that they fall to pieces. */
export function mayBeBroken({ boxes }) {
  const [thin, long] = MAX_DASH_PX;
  const dashes = boxes.filter(([, , w, h]) => Math.min(w, h) <= thin && Math.max(w, h) <= long);
  return boxes.length >= MIN_DASHES && dashes.length >= Math.max(MIN_DASHES, MIN_DASHES_SHARE * boxes.length);
}

/** Return a mask of faint lines as well, and with the gaps between dashes closed. */
export function joinedPrint(ink, mask) {
  return scoped(() => {
    const { rows, cols } = mask, [pixels, shown] = [ink.data, mask.data];
    let least = 256;
    for (let i = 0; i < shown.length; i++) if (shown[i] && pixels[i] < least) least = pixels[i];
    const faint = atLeast(ink, Math.max(1, roundHalfEven(least < 256 ? FAINT * least : 255)));
    cv.bitwise_or(mask, faint, faint);
    const found = findComponents(faint), [thin, long] = MAX_DASH_PX, corner = CORNER * Math.max(rows, cols);
    // At the corner of a box two dashes are one.
    const isDash = found.boxes.map(([, , w, h], i) => {
      const isThin = Math.min(w, h) <= thin && Math.max(w, h) <= long;
      return i > 0 && (isThin || Math.max(w, h) <= corner);
    });
    const dashesOf = (isOwn) => {
      const dashes = zeros(rows, cols), data = dashes.data;
      for (const i of found.at) if (isDash[found.labels[i]] && isOwn(found.boxes[found.labels[i]])) data[i] = 255;
      return dashes;
    };
    const flat = dashesOf(([, , w, h]) => w >= h), upright = dashesOf(([, , w, h]) => h >= w);
    const gap = 2 * roundHalfEven((MAX_GAP * Math.max(rows, cols)) / 2) + 1, whole = copied(faint);
    // One pixel more beside a line keeps the dashes of a turned one together; lines across come twice for the corners of boxes.
    for (const [dashes, beside, along] of [[flat, [3, 1], [1, gap]], [upright, [1, 3], [gap, 1]], [flat, [3, 1], [1, gap]]]) {
      // A dash that touches a letter or another line is part of it.
      const broad = made();
      cv.dilate(dashes, broad, ones(2 * along[0] + 1, 2 * along[1] + 1));
      cv.bitwise_and(broad, whole, broad);
      cv.bitwise_or(dashes, broad, broad);
      cv.dilate(broad, broad, ones(...beside));
      cv.morphologyEx(broad, broad, cv.MORPH_CLOSE, ones(...along));
      cv.erode(broad, broad, ones(...beside));
      cv.bitwise_or(whole, broad, whole);
    }
    return whole;
  });
}

/**
 * Return the rows of places on a page, from the top; empty without a form.
 * @param mask a Mat (H, W).
 * @param {import("../strokes.js").Pieces} pieces
 * @returns {PlaceRow[]}
 */
export function findRows(mask, pieces) {
  const tuning = FORM_TUNING, { outlines, boxes } = pieces, quads = findQuads(pieces.holes, tuning.min_box_px);
  const long = outlines.filter((_, i) => isCombShaped(boxes[i], mask.cols)), flat = outlines.filter((_, i) => isLineShaped(boxes[i]));
  if (quads.length < tuning.min_places - 1 && !long.length && flat.length < tuning.min_places - 1) return [];
  const near = scoped(() => {
    const grown = made();
    cv.dilate(mask, grown, ones(3, 3));
    return imageOf(grown);
  });
  const rows = boxRows(quads, imageOf(mask), near);
  // The lower edge of a row of boxes looks like a comb, and takes as long to be looked at. Combs may lie over each other.
  const combs = [...rows];
  for (const outline of long) {
    const row = isFoot(outline, rows) ? null : combRow(outline, mask);
    if (row && !isTaken(row, rows)) combs.push(row);
  }
  const all = [...combs, ...lineRows(flat, near).filter((row) => !isTaken(row, combs))];
  if (all.every((row) => row.places.length < tuning.min_places)) return [];
  const footOf = ({ places }) => places.reduce((sum, [, , c, d]) => sum + c[1] + d[1], 0) / (2 * places.length);
  return mended(all, near).sort((a, b) => footOf(a) - footOf(b));
}

/** Tell whether a box is long and low enough for a comb on a page of this width. */
const isCombShaped = ([, , w, h], width) => w >= FORM_TUNING.min_comb_aspect * h && w >= Math.max(60, 0.12 * width) && h >= 6;

/** Tell whether a box is low enough for a line under one letter, if the page is turned a little. */
const isLineShaped = ([, , w, h]) => w >= FORM_TUNING.min_box_px && h <= 0.35 * w;

/** Tell whether places of a row lie in rows that were found before. */
function isTaken(row, rows) {
  const feet = row.places.map(([a, b, c, d]) => {
    const foot = halfway(c, d), top = halfway(a, b);
    return foot.map((value, k) => value + 0.15 * (top[k] - value));
  });
  return areCovered(rows.flatMap((other) => other.places), feet).filter(Boolean).length / feet.length > 0.3;
}

/** Tell whether the lower edge of an outline is that of places in rows that were found before. */
function isFoot(outline, rows) {
  if (!rows.length) return false;
  const bottom = new Map();
  for (let i = 0; i < outline.length; i += 2) bottom.set(outline[i], Math.max(bottom.get(outline[i]) ?? -1, outline[i + 1]));
  const columns = [...bottom.keys()].sort((a, b) => a - b).filter((_, i) => i % FOOT_STEP === 0);
  const height = Math.max(...rows.map((row) => sizeOf(row.places[0])[1]));
  const feet = columns.map((column) => [column, bottom.get(column) - MAX_FOOT * height]);
  return areCovered(rows.flatMap((row) => row.places), feet).filter(Boolean).length / feet.length > MIN_FOOT;
}
