// Connected strokes of a mask, with their boxes and sizes; a port of runtime/page/components.py.
import { cv, made, scoped } from "../../opencv.js";

/**
 * The connected strokes 1 to N of a mask; index 0 stands for what is no stroke. labels (H * W) are their numbers, boxes and areas
 * theirs, middles the rows of their centres, and at the places of all their pixels, from the top.
 * @typedef {{labels: Int32Array, boxes: number[][], areas: Float64Array, middles: Float64Array, at: Int32Array, width: number}} Components
 */

/** Find the strokes of a mask, a Mat, that are connected, also at corners. */
export function findComponents(mask) {
  const [labels, count] = scoped(() => {
    const found = made(), number = cv.connectedComponents(mask, found, 8, cv.CV_32S);
    return [Int32Array.from(found.data32S), number];
  });
  const width = mask.cols, areas = new Float64Array(count), sums = new Float64Array(count);
  const boxes = Array.from({ length: count }, () => [Infinity, Infinity, 0, 0]), at = [];
  for (let i = 0; i < labels.length; i++) {
    const own = labels[i];
    if (!own) continue;
    const x = i % width, y = Math.floor(i / width), box = boxes[own];
    at.push(i);
    areas[own]++;
    sums[own] += y;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x >= box[2]) box[2] = x + 1;
    if (y >= box[3]) box[3] = y + 1;
  }
  boxes[0] = [0, 0, 0, 0];
  return {
    labels, areas, width,
    boxes: boxes.map(([left, top, right, bottom]) => [left, top, right - left, bottom - top]),
    middles: sums.map((sum, i) => sum / Math.max(areas[i], 1)),
    at: Int32Array.from(at),
  };
}
