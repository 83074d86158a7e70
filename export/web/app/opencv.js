// OpenCV for all modules, and its memory: a Mat lives outside JavaScript's memory, so that somebody must free it.
import create from "./packages/opencv/opencv_js.js";

/** The OpenCV module. */
export let cv = null;

/** Start OpenCV for all modules; takes the bytes of opencv.wasm. */
export async function loadOpenCV(program) {
  const start = (imports, done) => WebAssembly.instantiate(program, imports).then(({ instance, module }) => done(instance, module));
  cv = await create({ instantiateWasm: start });
  return cv;
}

/**
 * A grey image or ink that JavaScript owns.
 * @typedef {{data: Uint8Array, width: number, height: number}} Image
 */

let scope = null;

/** Run `work`; free every Mat that was kept during it, except the one that it returns, which the scope around keeps. */
export function scoped(work) {
  const around = scope, own = (scope = []);
  let result;
  try {
    return (result = work());
  } finally {
    scope = around;
    for (const one of own) {
      if (one !== result) one.delete();
      else around?.push(one);
    }
  }
}

/** Have the scope free a Mat, a MatVector or the like at its end; returns it. */
export function keep(one) {
  scope.push(one);
  return one;
}

/** Make an empty Mat, which an OpenCV function fills. */
export const made = () => keep(new cv.Mat());

/** Make a Mat (height, width) of zeros. */
export const zeros = (height, width, type = cv.CV_8U) => keep(cv.Mat.zeros(height, width, type));

/** Make a kernel (height, width) of ones. */
export const ones = (height, width) => keep(cv.Mat.ones(height, width, cv.CV_8U));

/** Return part of a Mat; it shares the pixels. */
export const part = (mat, x, y, width, height) => keep(mat.roi(new cv.Rect(x, y, width, height)));

/** Return a copy of a Mat, also of a part. Mat.clone() shares the pixels in OpenCV.js 5.0. */
export function copied(mat) {
  const copy = made();
  mat.copyTo(copy);
  return copy;
}

/** Return an Image as a Mat. */
export function matOf(image) {
  const mat = keep(new cv.Mat(image.height, image.width, cv.CV_8U));
  mat.data.set(image.data);
  return mat;
}

/** Return a copy of a Mat as an Image. */
export function imageOf(mat) {
  const whole = mat.isContinuous() ? mat : copied(mat);
  return { data: Uint8Array.from(whole.data), width: mat.cols, height: mat.rows };
}

/** Resize a Mat to (width, height). */
export function resized(mat, width, height, method) {
  const result = made();
  cv.resize(mat, result, new cv.Size(width, height), 0, 0, method);
  return result;
}

/** Return a mask of the pixels with at least this much ink: 255, else 0. */
export function atLeast(ink, level) {
  const mask = made();
  cv.threshold(ink, mask, Math.ceil(level) - 1, 255, cv.THRESH_BINARY);
  return mask;
}
