// Find the candidates for letters on a photographed page; a port of runtime/page/find.py without forms.
//
// A page with a form box for each letter is read on the device: here its lines are strokes like others.
import { FIND_TUNING, INK_TUNING, LARGE_INK_PX, PIECES_TUNING } from "../tuning.js";
import { median, roundHalfEven } from "../arrays.js";
import { cropped } from "../glyph.js";
import { atLeast, copied, cv, imageOf, keep, made, ones, part, scoped, zeros } from "../opencv.js";
import { Candidate } from "./candidate.js";
import { around, joinPieces, standsAlone } from "./groups.js";
import { findInk, inkLevels, isNoisy, paperCopy } from "./ink.js";
import { Photo } from "./photo.js";
import { takeRules, withoutEdges } from "./rules.js";
import { findSheet } from "./sheet.js";
import { findPieces, withoutDust, withoutFrames, withoutScraps } from "./strokes.js";

/** @typedef {import("./candidate.js").Box} Box */
/** @typedef {import("../opencv.js").Image} Image */
/**
 * The strokes of a photograph, `scale` times its size: ink, a Mat (H, W), and a mask (H, W) of 0 and 255.
 * @typedef {{ink, mask, isRuled: boolean, scale: number}} Strokes
 */

/** Separate strokes from paper, shadows, grain and ruled lines in a photograph, reduced to this longer side if it is larger. */
const strokesOf = (photo, maxSide) => strokesIn(photo.atMost(maxSide), Math.min(1, maxSide / photo.longer));

/** Find the strokes of an image that is `scale` times the photograph's size; small is what `findInk` takes. */
function strokesIn(gray, scale, small) {
  const none = (ink) => ({ ink, mask: zeros(gray.rows, gray.cols), isRuled: false, scale });
  if (lightest(gray) < FIND_TUNING.min_light) return none(zeros(gray.rows, gray.cols));
  let ink = findInk(gray, small);
  if (isNoisy(ink, FIND_TUNING.max_noise)) {
    const smooth = made();
    cv.GaussianBlur(ink, smooth, new cv.Size(0, 0), FIND_TUNING.blur_px);
    ink = smooth;
  }
  const levels = inkLevels(ink);
  if (levels.stroke < INK_TUNING.min_stroke_ratio) return none(ink);
  const bare = takeRules(ink, withoutEdges(atLeast(ink, levels.threshold)), levels.threshold);
  return { ink: bare.ink, mask: bare.strokes, isRuled: bare.isRuled, scale };
}

/** Return the lightest of every fourth pixel. */
function lightest({ rows, cols, data }) {
  let most = 0;
  for (let y = 0; y < rows; y += 4) for (let i = y * cols; i < (y + 1) * cols; i += 4) most = Math.max(most, data[i]);
  return most;
}

/**
 * Find what may be letters on a page, in no order.
 * @param gray a Mat (H, W), see `toGray`.
 * @returns {Candidate[]}
 */
export function findCandidates(gray) {
  return scoped(() => {
    const photo = new Photo(gray), reduced = photo.atMost(FIND_TUNING.max_side_px), small = paperCopy(reduced);
    let sheet = findSheet(reduced, small);
    // A sheet is cut out of the whole image; most images have none, and they need no second small copy.
    if (sheet && photo.longer > FIND_TUNING.max_side_px) sheet = findSheet(gray);
    if (!sheet) return findOnPaper(photo, reduced, small);
    const whole = new Photo(sheet.image);
    const found = moved(findOnPaper(whole, whole.atMost(FIND_TUNING.max_side_px), undefined, true), sheet.corner);
    if (found.length >= FIND_TUNING.min_sheet_candidates) return found;
    const all = findOnPaper(photo, reduced, small);
    return all.length >= found.length ? all : found;
  });
}

/** Return candidates that were found in a part of an image, with this left and top. */
const moved = (found, [left, top]) => found.map((one) => one.at([one.box[0] + left, one.box[1] + top, one.box[2], one.box[3]]));

/** Find what may be letters in a photograph that shows nothing but paper, or in a sheet that was cut out. */
function findOnPaper(photo, reduced, small, isSheet = false) {
  let strokes = strokesIn(reduced, Math.min(1, FIND_TUNING.max_side_px / photo.longer), small);
  let pieces = findPieces(strokes.mask, isSheet);
  if (strokes.scale < 1 && pieces.typicalSize < FIND_TUNING.min_typical_px) {
    strokes = strokesOf(photo, FIND_TUNING.max_fine_side_px);
    pieces = findPieces(strokes.mask, isSheet);
  }
  return lookClosely(photo, strokes, pieces);
}

/** Find what may be letters in a photograph by its strokes and their pieces; look closer if these are tiny. */
function lookClosely(photo, strokes, pieces) {
  const tuning = FIND_TUNING, { scale } = strokes, size = pieces.typicalSize;
  const isEnough = scale === 1 || pieces.boxes.length > tuning.max_close_pieces || size >= tuning.min_fine_typical_px;
  const writing = isEnough ? null : withoutDust(pieces, size);
  if (!writing?.boxes.length) return cutCandidates(strokes, pieces);
  const [x, y, w, h] = around(writing.boxes), margin = tuning.close_margin * size;
  const [left, top] = [x, y].map((low) => Math.trunc(Math.max(0, (low - margin) / scale)));
  const right = Math.min(photo.gray.cols, Math.ceil((x + w + margin) / scale));
  const bottom = Math.min(photo.gray.rows, Math.ceil((y + h + margin) / scale));
  const close = new Photo(copied(part(photo.gray, left, top, right - left, bottom - top)));
  const finer = strokesOf(close, Math.ceil((close.longer * scale * tuning.close_typical_px) / size));
  // Letters that run together at one size may come apart as tiny ones at the next.
  return moved(lookClosely(close, finer, findPieces(finer.mask)), [left, top]);
}

/** Group the pieces of a page into candidates and cut these out of its strokes. */
function cutCandidates(strokes, pieces) {
  if (strokes.isRuled) pieces = withoutScraps(pieces);
  const size = pieces.typicalSize;
  pieces = withoutFrames(withoutDust(pieces, size), size);
  const groups = joinPieces(pieces, size)
    .map((group) => ({ group, box: around(group.map((i) => pieces.boxes[i])) }))
    .filter(({ box }) => isLetterSized(box, size));
  if (!groups.length) return [];
  const isAlone = standsAlone(pieces, groups.map(({ box }) => box), groups.map(({ group }) => group.length));
  const near = made();
  cv.dilate(strokes.mask, near, ones(3, 3));
  cv.bitwise_and(strokes.ink, near, near);
  const [close, ink, mask] = [near, strokes.ink, strokes.mask].map(imageOf);
  const inks = groups.map(({ box, group }, i) => {
    if (isAlone[i]) return windowOf(close, box);
    return cutInk(box, group.map((k) => pieces.outlines[k]), windowOf(ink, box), windowOf(mask, box));
  });
  return withoutFaint(groups.map(({ box }, i) => asCandidate(inks[i], box, strokes.scale)));
}

/** Remove candidates with too little ink to be strokes. */
function withoutFaint(found) {
  const { min_strength: least, faint_shares: [count, share] } = FIND_TUNING;
  const strong = found.filter((one) => one.strength >= least);
  if (!strong.length || strong.length === found.length || strong.length < count * found.length) return strong;
  const usual = median(strong.map((one) => one.strength));
  return found.filter((one) => one.strength >= Math.min(least, share * usual));
}

/** Tell whether a box is neither a speck nor a dash; size is that of the typical letter. */
function isLetterSized([, , width, height], size) {
  const least = Math.max(FIND_TUNING.min_letter_px, PIECES_TUNING.min_letter_share * size);
  return Math.max(width, height) >= least && height >= FIND_TUNING.min_height_share * width;
}

/** Return the left and top of the window around a box: one pixel more on each side, for the soft edge of the strokes. */
const cornerOf = ([x, y]) => [Math.max(0, x - 1), Math.max(0, y - 1)];

/** Return the window around a box of an Image, as a copy. */
function windowOf(image, box) {
  const [left, top] = cornerOf(box);
  return cropped(image, left, top, box[0] + box[2] + 1 - left, box[1] + box[3] + 1 - top);
}

/** Cut the ink within outlines, which this box bounds, out of windows of ink and mask, without its neighbours' ink. */
function cutInk(box, outlines, ink, mask) {
  const [left, top] = cornerOf(box);
  return scoped(() => {
    const own = zeros(mask.height, mask.width), polygons = keep(new cv.MatVector());
    for (const outline of outlines) polygons.push_back(keep(cv.matFromArray(outline.length / 2, 1, cv.CV_32SC2, outline)));
    cv.fillPoly(own, polygons, new cv.Scalar(255), cv.LINE_8, 0, new cv.Point(-left, -top));
    const pixels = own.data;
    for (let i = 0; i < pixels.length; i++) pixels[i] &= mask.data[i];
    // The soft edge of strokes belongs to them.
    cv.dilate(own, own, ones(3, 3));
    const grown = own.data;
    return { ...ink, data: ink.data.map((value, i) => value & grown[i]) };
  });
}

/** Return the ink in the window around a box as a candidate; scale is the page's, see Strokes. */
function asCandidate(ink, box, scale) {
  return new Candidate(box.map((value) => roundHalfEven(value / scale)), ink, cornerOf(box), inkStrength(ink));
}

/** Return the 90th percentile of the inked pixels of an ink; 0 if there are none. Of large ink every second row and column counts. */
export function inkStrength({ data, width, height }) {
  const step = Math.min(width, height) > LARGE_INK_PX ? 2 : 1, levels = new Uint32Array(256);
  let count = 0;
  for (let y = 0; y < height; y += step) {
    for (let i = y * width, end = i + width; i < end; i += step) {
      if (!data[i]) continue;
      levels[data[i]]++;
      count++;
    }
  }
  const most = Math.floor((count * 9) / 10);
  let below = 0;
  for (let level = 0; level < 256; level++) if ((below += levels[level]) > most) return level;
  return 0;
}
