// What a model is shown; a port of `prepare` in runtime/classifier.py.
import { glyph } from "./glyph.js";
import { cv, imageOf, keep, made, resized, scoped } from "./opencv.js";
import { toGray } from "./page/ink.js";
import { letterOnly } from "./page/letter.js";

/** Scale an image, RGBA of a canvas, to (height, width, channels) grey or RGB; returns the bytes. */
export function fitImage(rgba, width, height, [rows, cols, channels]) {
  return scoped(() => {
    const colour = keep(cv.matFromArray(height, width, cv.CV_8UC4, rgba)), plain = made();
    cv.cvtColor(colour, plain, channels === 1 ? cv.COLOR_RGBA2GRAY : cv.COLOR_RGBA2RGB);
    const smaller = resized(plain, Math.min(cols, width), Math.min(rows, height), cv.INTER_AREA);
    return Uint8Array.from(resized(smaller, cols, rows, cv.INTER_LINEAR_EXACT).data);
  });
}

/** Return an image, RGBA of a canvas, as a model with these facts takes it; returns the bytes. */
export function prepare(rgba, width, height, facts) {
  if (facts.takes !== "letters") return fitImage(rgba, width, height, facts.input_shape);
  return glyph(scoped(() => imageOf(letterOnly(toGray(rgba, width, height)))));
}
