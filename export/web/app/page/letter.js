// The ink of an image of one letter, whose strokes may lie at the borders; a port of the functions for one in runtime/page/ink.py.
//
// Images are Mats (H, W), and belong to the scope of whoever calls, see opencv.js.
import { CROP_TUNING, INK_TUNING, MAX_INK_PX } from "../tuning.js";
import { roundHalfEven } from "../arrays.js";
import { atLeast, copied, cv, keep, made, ones, part, resized, scoped, zeros } from "../opencv.js";
import { blurred, closeStrokes, inkLevels, inkOn, inverted, paperCopy } from "./ink.js";

/** Return the ink of the one letter in a grey image, cut out and made smaller if it is large; 0 outside the letter. */
export function letterOnly(gray) {
  return scoped(() => {
    let ink = letterInk(gray);
    if (Math.max(ink.rows, ink.cols) <= MAX_INK_PX) return ink;
    const { x, y, width, height } = cv.boundingRect(ink);
    if (width && height) ink = copied(part(ink, x, y, width, height));
    const scale = Math.min(1, MAX_INK_PX / Math.max(ink.rows, ink.cols));
    if (scale === 1) return ink;
    if (Math.min(ink.rows, ink.cols) * scale <= 0.5) {
      // OpenCV rounds this side to nothing.
      const [wide, high] = [ink.cols, ink.rows].map((side) => Math.max(1, roundHalfEven(side * scale)));
      return resized(ink, wide, high, cv.INTER_AREA);
    }
    const small = made();
    cv.resize(ink, small, new cv.Size(0, 0), scale, scale, cv.INTER_AREA);
    return small;
  });
}

/** Return the ink of the one letter in a grey image; 0 outside the letter. */
function letterInk(gray) {
  return scoped(() => {
    const ink = findLetterInk(gray), { count, labels, stats } = componentsOf(ink);
    const isLetter = count > 1 ? lettersAmong(stats, ink) : [];
    const kept = zeros(ink.rows, ink.cols);
    if (!isLetter.some(Boolean)) return kept;
    const place = labels.data32S, shown = kept.data;
    for (let i = 0; i < shown.length; i++) if (isLetter[place[i]]) shown[i] = 255;
    // One pixel more than the mask, for the soft edge of the strokes.
    cv.dilate(kept, kept, ones(3, 3));
    cv.bitwise_and(ink, kept, kept);
    return kept;
  });
}

/** Return the connected strokes of ink: their count, the paper included, their labels (H, W), and OpenCV's statistics of each. */
function componentsOf(ink) {
  const [labels, stats, middles] = [made(), made(), made()];
  const count = cv.connectedComponentsWithStats(atLeast(ink, inkLevels(ink).threshold), labels, stats, middles, 8, cv.CV_32S);
  return { count, labels, stats: Array.from({ length: count }, (_, i) => Array.from(stats.data32S.subarray(5 * i, 5 * i + 5))) };
}

/** Return the ink of a grey image of one letter. */
function findLetterInk(gray) {
  return scoped(() => {
    let small = paperCopy(gray);
    if (isLightLetter(small)) [gray, small] = [inverted(gray), inverted(small)];
    const soft = blurred(small, 3), narrow = inkOn(gray, closeStrokes(soft, false)), least = freeOfBorder(narrow).area;
    for (const share of INK_TUNING.letter_window_shares) {
      const side = Math.trunc(share * Math.max(small.rows, small.cols)) | 1;
      if (side <= INK_TUNING.paper_window_px) break;
      // A square, which OpenCV closes in a hundredth of an ellipse's time.
      const paper = made();
      cv.morphologyEx(soft, paper, cv.MORPH_CLOSE, ones(side, side));
      const wide = inkOn(gray, paper), { area, dark } = freeOfBorder(wide);
      if (area <= INK_TUNING.min_more_ink * least) continue;
      if (dark) {
        cv.dilate(dark, dark, ones(3, 3));
        narrow.copyTo(wide, dark);
      }
      return wide;
    }
    return narrow;
  });
}

/** Return how many pixels of strokes lie along no border, and a mask of those that do, or null. */
function freeOfBorder(ink) {
  const { count, labels, stats } = componentsOf(ink), { rows, cols } = ink, place = labels.data32S;
  const along = new Float64Array(count);
  const sides = [[0, 1, cols], [(rows - 1) * cols, 1, cols], [0, cols, rows], [cols - 1, cols, rows]];
  for (const [start, step, length] of sides) {
    const counts = new Float64Array(count);
    for (let i = 0; i < length; i++) counts[place[start + i * step]]++;
    counts.forEach((n, i) => (along[i] = Math.max(along[i], n / length)));
  }
  const isDark = Array.from(along, (share, i) => i > 0 && share > INK_TUNING.max_border_share);
  const area = stats.reduce((sum, one, i) => sum + (i > 0 && !isDark[i] ? one[4] : 0), 0);
  if (!isDark.some(Boolean)) return { area, dark: null };
  const dark = zeros(rows, cols), shown = dark.data, own = labels.data32S;
  for (let i = 0; i < shown.length; i++) if (isDark[own[i]]) shown[i] = 1;
  return { area, dark };
}

/** Tell whether the letter of a small copy is light on dark: by the skew of what differs, and by the border. */
function isLightLetter(small) {
  return scoped(() => {
    const soft = blurred(small, Math.max(3, Math.trunc(Math.max(small.rows, small.cols) / 1.5) | 1)).data;
    const residual = Float64Array.from(small.data, (value, i) => value - soft[i]);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = Math.sqrt(mean(residual.map((value) => value ** 2))) || 1, most = INK_TUNING.max_border;
    const border = residual.filter((_, i) => isOnBorder(i, small));
    const clipped = mean(border.map((value) => Math.max(-most, Math.min(most, value / spread))));
    const isLight = mean(residual.map((value) => value ** 3)) / spread ** 3 > INK_TUNING.border_weight * clipped;
    return isLight && !showsSheet(small);
  });
}

/** Tell whether the pixel at this place lies at the border of an image. */
const isOnBorder = (i, { rows, cols }) => i < cols || i >= (rows - 1) * cols || i % cols === 0 || i % cols === cols - 1;

/** Tell whether a small copy shows a light sheet with writing, on a dark desk; light letters fill no box. */
function showsSheet(small) {
  const light = made();
  cv.threshold(small, light, 0, 255, cv.THRESH_BINARY | cv.THRESH_OTSU);
  if (light.data.some((value, i) => value > 0 && isOnBorder(i, light))) return false;
  const [outlines, tree] = [keep(new cv.MatVector()), made()];
  cv.findContours(light, outlines, tree, cv.RETR_EXTERNAL, cv.CHAIN_APPROX_NONE);
  const largest = largestOf(outlines);
  if (!largest) return false;
  const area = cv.contourArea(largest), { width, height } = cv.minAreaRect(largest).size;
  if (area <= INK_TUNING.min_sheet * Math.max(width * height, (small.rows * small.cols) / 4)) return false;
  const sheet = zeros(small.rows, small.cols), whole = keep(new cv.MatVector());
  whole.push_back(largest);
  cv.fillPoly(sheet, whole, new cv.Scalar(255));
  cv.subtract(sheet, light, sheet);
  return cv.countNonZero(sheet) > INK_TUNING.min_written * area;
}

/** Return the outline with the largest area, of several the first; null if there is none. */
export function largestOf(outlines) {
  let most = -1, found = null;
  for (let i = 0; i < outlines.size(); i++) {
    const outline = keep(outlines.get(i)), area = cv.contourArea(outline);
    if (area > most) [most, found] = [area, outline];
  }
  return found;
}

/** Return which components belong to the letter, by OpenCV's statistics, of which the first are the paper's. */
function lettersAmong(stats, { rows, cols }) {
  const tuning = CROP_TUNING, strokes = stats.slice(1), total = strokes.reduce((sum, one) => sum + one[4], 0);
  const isLetter = stats.map(([x, y, w, h, area], i) => {
    const isCut = x === 0 || y === 0 || x + w === cols || y + h === rows;
    const isRule =
      (w > tuning.min_rule_length * cols && h <= Math.max(2, tuning.max_rule_thickness * rows)) ||
      (h > tuning.min_rule_length * rows && w <= Math.max(2, tuning.max_rule_thickness * cols));
    const isScrap = isCut && (area < tuning.max_scrap_share * total || isRule);
    return i > 0 && !isScrap && area >= tuning.min_speck_share * total;
  });
  if (isLetter.some(Boolean)) return isLetter;
  // A letter that fills the image touches all edges, so there touching an edge means nothing.
  const largest = strokes.reduce((most, one) => Math.max(most, one[4]), 0);
  return stats.map((one, i) => i > 0 && one[4] === largest);
}
