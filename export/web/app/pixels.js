// What a model is shown: the same pixels, to the bit, as runtime/page/ink.py, runtime/glyph.py and runtime/classifier.py make.
//
// Every function takes the OpenCV module and its Mats. A Mat lives outside JavaScript's memory, so whoever makes one in a
// function gives it to `scope`, which frees all but the result.

const INK = {
  paperSide: 160, paperWindow: 17, windowShares: [0.3, 0.2], minMoreInk: 1.15, maxBorderShare: 0.35, borderWeight: 3, maxBorder: 0.5, minSheet: 0.9, minWritten: 0.002,
  darkness: 8, minInk: 14, strokeQuantile: 0.75, minStrokeRatio: 1.6, minLoneRatio: 3, thresholdShare: 0.4, grainSigmas: 5,
  maxFloor: 200, manyRows: 400,
};
const CROP = { minSpeckShare: 0.025, maxScrapShare: 0.3, minRuleLength: 0.6, maxRuleThickness: 0.12 };
const GLYPH = { side: 28, border: 2, edgeShare: 0.35, maxGain: 4 };
const MAX_INK = 256;

/** Run `work(keep)`; free every Mat given to keep, except the one that work returns. */
export function scope(work) {
  const kept = [];
  const keep = (mat) => (kept.push(mat), mat);
  let result;
  try {
    return (result = work(keep));
  } finally {
    for (const mat of kept) if (mat !== result) mat.delete();
  }
}

/** Copy a part of a Mat. Mat.clone() is no copy in OpenCV.js 5.0: both share their pixels. */
function copied(cv, keep, mat, box) {
  const part = keep(new cv.Mat());
  keep(mat.roi(box)).copyTo(part);
  return part;
}

/** Return an image (H, W, 4) RGBA of a canvas as grey (H, W). */
export function grayOf(cv, rgba, width, height) {
  return scope((keep) => {
    const colour = keep(cv.matFromArray(height, width, cv.CV_8UC4, rgba));
    const gray = keep(new cv.Mat());
    cv.cvtColor(colour, gray, cv.COLOR_RGBA2GRAY);
    return gray;
  });
}

/** Return the ink (H, W) of an image (H, W) grey of one letter: 0 is paper, 255 reflects nothing. */
export function findInk(cv, image) {
  return scope((keep) => {
    const made = () => keep(new cv.Mat());
    let gray = image;
    let small = keep(shrink(cv, gray, Math.max(1, Math.floor(Math.max(gray.rows, gray.cols) / INK.paperSide))));
    if (isLightLetter(cv, small)) {
      const [darkGray, darkSmall] = [made(), made()];
      cv.bitwise_not(gray, darkGray);
      cv.bitwise_not(small, darkSmall);
      [gray, small] = [darkGray, darkSmall];
    }
    const [soft, paper] = [made(), made()];
    cv.blur(small, soft, new cv.Size(3, 3));
    const round = keep(cv.getStructuringElement(cv.MORPH_ELLIPSE, new cv.Size(INK.paperWindow, INK.paperWindow)));
    cv.morphologyEx(soft, paper, cv.MORPH_CLOSE, round);
    const narrow = keep(inkOn(cv, gray, paper));
    const least = freeOfBorder(cv, keep, narrow).area;
    for (const share of INK.windowShares) {
      const side = Math.floor(share * Math.max(small.rows, small.cols)) | 1;
      if (side <= INK.paperWindow) break;
      cv.morphologyEx(soft, paper, cv.MORPH_CLOSE, keep(cv.Mat.ones(side, side, cv.CV_8U)));
      const wide = keep(inkOn(cv, gray, paper));
      const { area, dark } = freeOfBorder(cv, keep, wide);
      if (area <= INK.minMoreInk * least) continue;
      if (dark) {
        const grown = made();
        cv.dilate(dark, grown, keep(cv.Mat.ones(3, 3, cv.CV_8U)));
        narrow.copyTo(wide, grown);
      }
      return wide;
    }
    return narrow;
  });
}

/** Return the ink (H, W) of dark writing (H, W) on a paper, of which a smaller copy is enough. */
function inkOn(cv, gray, smallPaper) {
  return scope((keep) => {
    const paper = keep(new cv.Mat());
    cv.resize(smallPaper, paper, new cv.Size(gray.cols, gray.rows), 0, 0, cv.INTER_LINEAR_EXACT);
    const share = keep(new cv.Mat(gray.rows, gray.cols, cv.CV_32F));
    const [pixels, sheet, quotients] = [gray.data, paper.data, share.data32F];
    for (let i = 0; i < quotients.length; i++) {
      quotients[i] = Math.min(255, pixels[i] + INK.darkness) / Math.min(255, sheet[i] + INK.darkness);
    }
    const [light, ink] = [keep(new cv.Mat()), keep(new cv.Mat())];
    cv.convertScaleAbs(share, light, 255);
    cv.bitwise_not(light, ink);
    return ink;
  });
}

/** Return how many pixels of strokes lie along no border, and a mask (H, W) of those that do, or null. */
function freeOfBorder(cv, keep, ink) {
  const [mask, labels, stats, middles] = [0, 1, 2, 3].map(() => keep(new cv.Mat()));
  cv.threshold(ink, mask, inkThreshold(ink) - 1, 255, cv.THRESH_BINARY);
  const count = cv.connectedComponentsWithStats(mask, labels, stats, middles, 8, cv.CV_32S);
  const { rows, cols } = ink, place = labels.data32S;
  const along = new Float64Array(count);
  const sides = [[0, 1, cols], [(rows - 1) * cols, 1, cols], [0, cols, rows], [cols - 1, cols, rows]];
  for (const [start, step, length] of sides) {
    const counts = new Float64Array(count);
    for (let i = 0; i < length; i++) counts[place[start + i * step]]++;
    counts.forEach((n, i) => (along[i] = Math.max(along[i], n / length)));
  }
  const isDark = Array.from(along, (share, i) => i > 0 && share > INK.maxBorderShare);
  let area = 0;
  for (let i = 1; i < count; i++) if (!isDark[i]) area += stats.data32S[5 * i + 4];
  if (!isDark.some(Boolean)) return { area, dark: null };
  const dark = keep(cv.Mat.zeros(rows, cols, cv.CV_8U)), shown = dark.data;
  for (let i = 0; i < shown.length; i++) if (isDark[place[i]]) shown[i] = 1;
  return { area, dark };
}

/** Average blocks of `factor` by `factor` pixels of (H, W); pixels that fill no block are left out. */
function shrink(cv, image, factor) {
  return scope((keep) => {
    const size = new cv.Size(Math.max(1, Math.floor(image.cols / factor)), Math.max(1, Math.floor(image.rows / factor)));
    const width = Math.min(image.cols, size.width * factor), height = Math.min(image.rows, size.height * factor);
    let part = keep(image.roi(new cv.Rect(0, 0, width, height)));
    let rest = factor;
    while (rest % 2 === 0) {
      rest /= 2;
      const half = keep(new cv.Mat());
      const halved = new cv.Size(Math.max(1, part.cols >> 1), Math.max(1, part.rows >> 1));
      cv.resize(part, half, halved, 0, 0, cv.INTER_AREA);
      part = half;
    }
    const small = keep(new cv.Mat());
    cv.resize(part, small, size, 0, 0, cv.INTER_AREA);
    return small;
  });
}

/** Tell whether the letter of a small copy (H, W) is light on dark: by the skew of what differs, and by the border. */
function isLightLetter(cv, small) {
  return scope((keep) => {
    const { rows, cols } = small;
    const side = Math.max(3, Math.floor(Math.max(rows, cols) / 1.5) | 1);
    const soft = keep(new cv.Mat());
    cv.blur(small, soft, new cv.Size(side, side));
    const around = soft.data;
    const residual = Float64Array.from(small.data, (value, i) => value - around[i]);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = Math.sqrt(mean(residual.map((value) => value ** 2))) || 1;
    // The corners count once.
    const border = residual.filter((_, i) => i < cols || i >= (rows - 1) * cols || i % cols === 0 || i % cols === cols - 1);
    const clipped = mean(border.map((value) => Math.max(-INK.maxBorder, Math.min(INK.maxBorder, value / spread))));
    return mean(residual.map((value) => value ** 3)) / spread ** 3 > INK.borderWeight * clipped && !showsSheet(cv, small);
  });
}

/** Tell whether a small copy (H, W) shows a light sheet with a dark desk all around. */
function showsSheet(cv, small) {
  return scope((keep) => {
    const light = keep(new cv.Mat());
    cv.threshold(small, light, 0, 255, cv.THRESH_BINARY | cv.THRESH_OTSU);
    const { rows, cols } = light, pixels = light.data;
    const isBorder = (i) => i < cols || i >= (rows - 1) * cols || i % cols === 0 || i % cols === cols - 1;
    if (pixels.some((value, i) => value > 0 && isBorder(i))) return false;
    const [outlines, order] = [keep(new cv.MatVector()), keep(new cv.Mat())];
    cv.findContours(light, outlines, order, cv.RETR_EXTERNAL, cv.CHAIN_APPROX_NONE);
    let [area, largest] = [-1, null];
    for (let i = 0; i < outlines.size(); i++) {
      const outline = keep(outlines.get(i)), inside = cv.contourArea(outline);
      if (inside > area) [area, largest] = [inside, outline];
    }
    if (!largest) return false;
    const { width, height } = cv.minAreaRect(largest).size;
    if (area <= INK.minSheet * Math.max(width * height, (rows * cols) / 4)) return false;
    const [sheet, ink, whole] = [keep(cv.Mat.zeros(rows, cols, cv.CV_8U)), keep(new cv.Mat()), keep(new cv.MatVector())];
    whole.push_back(largest);
    cv.fillPoly(sheet, whole, new cv.Scalar(255));
    cv.subtract(sheet, light, ink);
    return cv.countNonZero(ink) > INK.minWritten * area;
  });
}

/** Return the least ink of a stroke's pixel, for the ink (H, W) of one image. */
function inkThreshold(ink) {
  const step = ink.rows > INK.manyRows ? 4 : 2;
  const histogram = new Float64Array(256);
  let count = 0;
  for (let row = 0; row < ink.rows; row += step) {
    for (const value of ink.ucharPtr(row)) histogram[value]++;
    count += ink.cols;
  }
  const [low, half] = [0.16, 0.5].map((share) => placeOf(histogram, share * count));
  const grain = Math.max(1, half - low);
  const floor = Math.trunc(Math.min(INK.maxFloor, Math.max(INK.minInk, half + INK.grainSigmas * grain)));
  const strokes = histogram.subarray(floor);
  if (strokes.every((n) => n === 0)) return floor;
  let level = floor + quantilePlace(strokes);
  if (level < INK.minStrokeRatio * floor) {
    // Few letters have fewer pixels than residues of uneven light, but much more ink.
    const byInk = floor + quantilePlace(strokes.map((n, i) => n * i));
    if (byInk >= INK.minLoneRatio * floor) level = byInk;
  }
  return Math.max(floor, Math.trunc(INK.thresholdShare * level));
}

const quantilePlace = (histogram) => placeOf(histogram, INK.strokeQuantile * histogram.reduce((sum, n) => sum + n, 0));

/** Return the first place up to which a histogram holds at least `amount`. */
function placeOf(histogram, amount) {
  let sum = 0;
  const place = histogram.findIndex((n) => (sum += n) >= amount);
  return place < 0 ? histogram.length : place;
}

/** Return the ink (H, W) of the one letter in a grey image, cut out and made smaller if it is large; 0 outside the letter. */
export function letterOnly(cv, gray) {
  return scope((keep) => {
    let ink = keep(letterInk(cv, gray));
    if (Math.max(ink.rows, ink.cols) <= MAX_INK) return ink;
    const box = cv.boundingRect(ink);
    if (box.width && box.height) ink = copied(cv, keep, ink, box);
    const scale = Math.min(1, MAX_INK / Math.max(ink.rows, ink.cols));
    if (scale === 1) return ink;
    const small = keep(new cv.Mat());
    if (Math.min(ink.rows, ink.cols) * scale <= 0.5) {
      // OpenCV rounds this side to nothing.
      const [width, height] = [ink.cols, ink.rows].map((side) => Math.max(1, Math.round(side * scale)));
      cv.resize(ink, small, new cv.Size(width, height), 0, 0, cv.INTER_AREA);
    } else cv.resize(ink, small, new cv.Size(0, 0), scale, scale, cv.INTER_AREA);
    return small;
  });
}

function letterInk(cv, gray) {
  return scope((keep) => {
    const made = () => keep(new cv.Mat());
    const ink = keep(findInk(cv, gray));
    const [mask, labels, stats, middles] = [made(), made(), made(), made()];
    cv.threshold(ink, mask, inkThreshold(ink) - 1, 255, cv.THRESH_BINARY);
    const count = cv.connectedComponentsWithStats(mask, labels, stats, middles, 8, cv.CV_32S);
    const isLetter = count > 1 ? lettersAmong(stats.data32S, count, ink.rows, ink.cols) : [];
    if (!isLetter.some(Boolean)) return keep(cv.Mat.zeros(ink.rows, ink.cols, cv.CV_8U));
    const kept = keep(cv.Mat.zeros(ink.rows, ink.cols, cv.CV_8U));
    const [place, shown] = [labels.data32S, kept.data];
    for (let i = 0; i < shown.length; i++) if (isLetter[place[i]]) shown[i] = 255;
    // One pixel more than the mask, for the soft edge of the strokes.
    const [grown, letter] = [made(), made()];
    cv.dilate(kept, grown, keep(cv.Mat.ones(3, 3, cv.CV_8U)));
    cv.bitwise_and(ink, grown, letter);
    return letter;
  });
}

/** Return which components belong to the letter, by OpenCV's statistics (count, 5), of which the first is the paper. */
function lettersAmong(stats, count, height, width) {
  const parts = Array.from({ length: count }, (_, i) => stats.slice(5 * i, 5 * i + 5));
  const total = parts.slice(1).reduce((sum, part) => sum + part[4], 0);
  const isLetter = parts.map(([x, y, w, h, area], i) => {
    const isCut = x === 0 || y === 0 || x + w === width || y + h === height;
    const isRule =
      (w > CROP.minRuleLength * width && h <= Math.max(2, CROP.maxRuleThickness * height)) ||
      (h > CROP.minRuleLength * height && w <= Math.max(2, CROP.maxRuleThickness * width));
    const isScrap = isCut && (area < CROP.maxScrapShare * total || isRule);
    return i > 0 && !isScrap && area >= CROP.minSpeckShare * total;
  });
  if (isLetter.some(Boolean)) return isLetter;
  // A letter that fills the image touches all edges, so there touching an edge means nothing.
  const largest = Math.max(...parts.slice(1).map((part) => part[4]));
  return parts.map((part, i) => i > 0 && part[4] === largest);
}

/** Fit the ink (H, W) of one letter into the 28 x 28 pixels that networks of letters read; returns 784 bytes. */
export function glyph(cv, ink) {
  const image = new Uint8Array(GLYPH.side * GLYPH.side);
  const peak = peakOf(ink);
  if (peak === 0) return image;
  scope((keep) => {
    const made = () => keep(new cv.Mat());
    const core = made();
    cv.threshold(ink, core, Math.ceil(Math.max(1, GLYPH.edgeShare * peak)) - 1, 255, cv.THRESH_BINARY);
    const box = cv.boundingRect(core);
    const scale = (GLYPH.side - 2 * GLYPH.border) / Math.max(box.width, box.height);
    const width = Math.max(1, roundHalfEven(box.width * scale)), height = Math.max(1, roundHalfEven(box.height * scale));
    const crop = copied(cv, keep, ink, box);
    const [fitted, strong] = [made(), made()];
    cv.resize(crop, fitted, new cv.Size(width, height), 0, 0, scale < 1 ? cv.INTER_AREA : cv.INTER_LINEAR_EXACT);
    const gain = Math.min((GLYPH.maxGain * 255) / peakOf(crop), 255 / Math.max(1, peakOf(fitted)));
    cv.convertScaleAbs(fitted, strong, gain);
    const left = (GLYPH.side - width) >> 1, top = (GLYPH.side - height) >> 1;
    for (let row = 0; row < height; row++) image.set(strong.ucharPtr(row), (top + row) * GLYPH.side + left);
  });
  return image;
}

const peakOf = (mat) => mat.data.reduce((most, value) => Math.max(most, value), 0);

/** Round as Python does: a half goes to the even number. */
function roundHalfEven(value) {
  const low = Math.floor(value), rest = value - low;
  return rest === 0.5 ? low + (low % 2) : Math.round(value);
}

/** Scale an image, RGBA of a canvas, to (height, width, channels) grey or RGB; returns the bytes. */
export function fitImage(cv, rgba, width, height, shape) {
  return scope((keep) => {
    const made = () => keep(new cv.Mat());
    const [rows, cols, channels] = shape;
    const colour = keep(cv.matFromArray(height, width, cv.CV_8UC4, rgba));
    const [plain, smaller, fitted] = [made(), made(), made()];
    cv.cvtColor(colour, plain, channels === 1 ? cv.COLOR_RGBA2GRAY : cv.COLOR_RGBA2RGB);
    cv.resize(plain, smaller, new cv.Size(Math.min(cols, width), Math.min(rows, height)), 0, 0, cv.INTER_AREA);
    cv.resize(smaller, fitted, new cv.Size(cols, rows), 0, 0, cv.INTER_LINEAR_EXACT);
    return Uint8Array.from(fitted.data);
  });
}

/** Return an image, RGBA of a canvas, as a model with these facts takes it; returns the bytes. */
export function prepare(cv, rgba, width, height, facts) {
  if (facts.takes !== "letters") return fitImage(cv, rgba, width, height, facts.input_shape);
  return scope((keep) => glyph(cv, keep(letterOnly(cv, keep(grayOf(cv, rgba, width, height))))));
}
