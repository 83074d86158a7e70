// Find the candidates for letters on a photographed page; a port of runtime/page/find.py.
import { FIND_TUNING, INK_TUNING, LARGE_INK_PX, MORE_PLACES, PIECES_TUNING } from "../tuning.js";
import { median, roundHalfEven } from "../arrays.js";
import { cropped } from "../glyph.js";
import { atLeast, copied, cv, imageOf, keep, made, matOf, ones, part, scoped, zeros } from "../opencv.js";
import { Candidate } from "./candidate.js";
import { joinedPrint, mayBeBroken, mayBeForm } from "./form/forms.js";
import { findForm } from "./form/places.js";
import { around, joinPieces, standsAlone } from "./groups.js";
import { findInk, inkLevels, isNoisy, paperCopy } from "./ink.js";
import { doubled, Photo } from "./photo.js";
import { takeRules, withoutEdges } from "./rules.js";
import { findSheet } from "./sheet.js";
import { findPieces, withoutDust, withoutFrames, withoutScraps } from "./strokes.js";

/** @typedef {import("./candidate.js").Box} Box */
/** @typedef {import("../opencv.js").Image} Image */
/**
 * The strokes of a photograph, `scale` times its size: ink, a Mat (H, W), and a mask (H, W) of 0 and 255. isRuled says whether ruled
 * lines were removed; withRules are ink and mask before that.
 * @typedef {{ink, mask, isRuled: boolean, scale: number, withRules: {ink, mask}}} Strokes
 */

/** Separate strokes from paper, shadows, grain and ruled lines in a photograph, reduced to this longer side if it is larger. */
const strokesOf = (photo, maxSide) => strokesIn(photo.atMost(maxSide), Math.min(1, maxSide / photo.longer));

/** Find the strokes of an image that is `scale` times the photograph's size; small is what `findInk` takes. */
function strokesIn(gray, scale, small) {
  const none = (ink) => withoutRules({ ink, mask: zeros(gray.rows, gray.cols) }, scale);
  if (lightest(gray) < FIND_TUNING.min_light) return none(zeros(gray.rows, gray.cols));
  let ink = findInk(gray, small);
  if (isNoisy(ink, FIND_TUNING.max_noise)) {
    const smooth = made();
    cv.GaussianBlur(ink, smooth, new cv.Size(0, 0), FIND_TUNING.blur_px);
    ink = smooth;
  }
  const levels = inkLevels(ink);
  if (levels.stroke < INK_TUNING.min_stroke_ratio) return none(ink);
  const mask = withoutEdges(atLeast(ink, levels.threshold)), bare = takeRules(ink, mask, levels.threshold);
  return { ink: bare.ink, mask: bare.strokes, isRuled: bare.isRuled, scale, withRules: { ink, mask } };
}

/** Return the strokes of a page without ruled lines. */
const withoutRules = ({ ink, mask }, scale) => ({ ink, mask, isRuled: false, scale, withRules: { ink, mask } });

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
  const tuning = FIND_TUNING;
  let { strokes, pieces, form } = takePrint(strokesIn(reduced, Math.min(1, tuning.max_side_px / photo.longer), small), isSheet);
  if (form && strokes.scale === 1 && form.height < tuning.min_sharp_box_px) {
    // A side is hardly wider than a pixel here: in a larger image it can be told from the strokes beside it.
    const larger = { ...strokesIn(doubled(photo.gray), 1), scale: 2 };
    const again = findPrinted(larger, findPieces(larger.mask, isSheet));
    return again && !again.isSquared ? cutForm(again, larger.scale) : cutForm(form, strokes.scale);
  }
  if (form && (strokes.scale === 1 || form.height >= tuning.min_box_px)) return cutForm(form, strokes.scale);
  if (strokes.scale < 1 && (form || pieces.typicalSize < tuning.min_typical_px)) {
    ({ strokes, pieces, form } = takePrint(strokesOf(photo, tuning.max_fine_side_px), isSheet));
    if (form) return cutForm(form, strokes.scale);
  }
  return lookClosely(photo, strokes, pieces);
}

/** Return the strokes of a page, their pieces, and the form on it, if any; squared paper is taken off the strokes. */
function takePrint(strokes, isSheet) {
  const pieces = findPieces(strokes.mask, isSheet), form = findPrinted(strokes, pieces);
  if (!form?.isSquared) return { strokes, pieces, form };
  // Rules that were removed in part leave far more than letters behind.
  const most = FIND_TUNING.max_rest * cv.countNonZero(form.outside);
  if (strokes.isRuled && cv.countNonZero(strokes.mask) <= most) return { strokes, pieces, form: null };
  return { strokes: { ...strokes, ink: form.ink, mask: form.outside, isRuled: true }, pieces: findPieces(form.outside, isSheet), form: null };
}

/** Find the form on a page with these strokes and pieces; null if there is none. */
function findPrinted(strokes, pieces) {
  const { ink, mask } = strokes.withRules;
  let form = null;
  if (!strokes.isRuled) form = findForm(ink, mask, pieces);
  // The lines of a form may be long enough for ruled lines.
  else if (mayBeForm(mask, pieces.typicalSize)) form = findForm(ink, mask, findPieces(mask));
  if (!mayBeBroken(pieces)) return form;
  // Print that is much fainter than the pen, or dashed, or dotted.
  const whole = joinedPrint(ink, mask), other = findForm(ink, mask, findPieces(whole), whole);
  return other && (!form || other.length > MORE_PLACES * form.length) ? other : form;
}

/** Cut out what stands in the places of a form, found at `scale` of the image's size, and what stands outside. */
function cutForm(form, scale) {
  const ink = imageOf(form.ink);
  const found = form.filled.map(({ place, box, mask }) => {
    const [left, top] = cornerOf(box), window = windowOf(ink, box);
    const own = scoped(() => {
      const whole = made();
      cv.copyMakeBorder(matOf(mask), whole, box[1] - top, 1, box[0] - left, 1, cv.BORDER_CONSTANT, new cv.Scalar(0));
      // A copy, because OpenCV looks beyond the borders of a part.
      return imageOf(grown(copied(part(whole, 0, 0, window.width, window.height))));
    });
    return asCandidate({ ...window, data: window.data.map((value, i) => value & own.data[i]) }, box, scale, place);
  });
  const outside = cutCandidates(withoutRules({ ink: form.ink, mask: form.outside }, scale), findPieces(form.outside));
  const strong = found.filter((one) => one.strength >= FIND_TUNING.min_strength);
  return [...strong, ...outside.map((one) => one.outside())];
}

/** Return a mask with the soft edge of its strokes. */
function grown(mask) {
  const result = made();
  cv.dilate(mask, result, ones(3, 3));
  return result;
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
  const near = grown(strokes.mask);
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
    const soft = grown(own).data;
    return { ...ink, data: ink.data.map((value, i) => value & soft[i]) };
  });
}

/** Return the ink in the window around a box as a candidate; scale is the page's, see Strokes. */
function asCandidate(ink, box, scale, place = null) {
  return new Candidate(box.map((value) => roundHalfEven(value / scale)), ink, cornerOf(box), inkStrength(ink), place);
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
