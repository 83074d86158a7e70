// Find light paper on a darker desk; a port of `find_sheet` in runtime/page/find.py.
import { CORNERS, INK_TUNING, SHEET_TUNING } from "../tuning.js";
import { median, percentile } from "../arrays.js";
import { copied, cv, keep, made, ones, part, resized, scoped, zeros } from "../opencv.js";
import { blurred, paperCopy } from "./ink.js";
import { largestOf } from "./letter.js";

/**
 * Find light paper on a darker desk in an image, a Mat; null if there is none or if it fills the image.
 * @returns {?{corner: [number, number], image}} the left and top of the sheet, and its image with the desk painted as paper.
 */
export function findSheet(gray, small = null) {
  if (!hasDarkSides(gray)) return null;
  return withMat((sheet) => {
    const tuning = SHEET_TUNING, step = Math.max(1, Math.floor(Math.max(gray.rows, gray.cols) / INK_TUNING.paper_side_px));
    const soft = blurred(small ?? paperCopy(gray), 3), light = made();
    cv.threshold(soft, light, 0, 255, cv.THRESH_BINARY | cv.THRESH_OTSU);
    const [outlines, tree] = [keep(new cv.MatVector()), made()];
    cv.findContours(light, outlines, tree, cv.RETR_EXTERNAL, cv.CHAIN_APPROX_NONE);
    if (!outlines.size() || light.data.every((value) => value)) return null;
    const outline = largestOf(outlines), { x, y, width, height } = cv.boundingRect(outline);
    const sides = [x <= 1, y <= 1, x + width >= soft.cols - 1, y + height >= soft.rows - 1];
    if (sides.filter(Boolean).length > tuning.max_sides) return null;
    const [hull, corners] = [made(), made()];
    cv.convexHull(outline, hull, false, true);
    cv.approxPolyDP(hull, corners, tuning.corner_tolerance * cv.arcLength(hull, true), true);
    const area = cv.contourArea(hull), pixels = soft.data, shown = light.data;
    if (area > tuning.max_share * soft.rows * soft.cols || corners.rows !== CORNERS) return null;
    if (cv.contourArea(corners) < tuning.min_covered_share * area) return null;
    const [paper, desk] = [true, false].map((isLight) => median(pixels.filter((_, i) => shown[i] > 0 === isLight)));
    if (paper + INK_TUNING.darkness < tuning.min_contrast * (desk + INK_TUNING.darkness)) return null;
    return cutSheet(gray, hull, [x, y, width, height], step, sheet);
  });
}

/** Run `work` in a scope of its own with a Mat of the scope around, which holds the image of a sheet. */
function withMat(work) {
  const sheet = made();
  return scoped(() => work(sheet));
}

/** Tell whether an image is darker at its sides than its light pixels are, so that searching for a sheet makes sense. */
function hasDarkSides(gray) {
  const { rows, cols, data } = gray, step = Math.max(1, Math.floor(Math.max(rows, cols) / SHEET_TUNING.sampled_px));
  const all = [], border = [];
  const lastRow = Math.floor((rows - 1) / step) * step, lastColumn = Math.floor((cols - 1) / step) * step;
  for (let y = 0; y < rows; y += step) {
    for (let x = 0; x < cols; x += step) {
      const value = data[y * cols + x];
      all.push(value);
      // What lies in two of the four sides, or is the only row, counts twice.
      for (const isSide of [y === 0, y === lastRow, x === 0, x === lastColumn]) if (isSide) border.push(value);
    }
  }
  const sides = percentile(border, 50), light = percentile(all, SHEET_TUNING.light_percentile);
  return light + INK_TUNING.darkness >= SHEET_TUNING.min_side_contrast * (sides + INK_TUNING.darkness);
}

/** Cut a sheet out of an image; outline and box are those of a copy `step` times smaller. Null if hardly more than its rim is paper. */
function cutSheet(gray, outline, [x, y, w, h], step, sheet) {
  const inside = zeros(h, w), points = copied(outline), places = points.data32S;
  for (let i = 0; i < places.length; i += 2) [places[i], places[i + 1]] = [places[i] - x, places[i + 1] - y];
  cv.fillConvexPoly(inside, points, new cv.Scalar(255));
  // Pixels of the rim are part paper, part desk; nothing outside the image is paper either.
  cv.erode(inside, inside, ones(3, 3), new cv.Point(-1, -1), 1, cv.BORDER_CONSTANT, new cv.Scalar(0));
  if (!cv.countNonZero(inside)) return null;
  const left = x * step, top = y * step;
  part(gray, left, top, Math.min(w * step, gray.cols - left), Math.min(h * step, gray.rows - top)).copyTo(sheet);
  const paper = resized(inside, sheet.cols, sheet.rows, cv.INTER_NEAREST), shown = paper.data, pixels = sheet.data;
  const usual = Math.trunc(median(pixels.filter((_, i) => shown[i])));
  for (let i = 0; i < pixels.length; i++) if (!shown[i]) pixels[i] = usual;
  return { corner: [left, top], image: sheet };
}
