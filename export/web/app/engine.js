// A model that is ready to run; a port of the parts of runtime/model/engine.py that a browser needs.
import * as ort from "./packages/ort/ort.wasm.min.mjs";
import { MAX_BATCH } from "./tuning.js";

/**
 * A model's facts, as in model.json, and the function that returns the probabilities of each image's labels.
 * @typedef {{facts: object, classify: (images: Uint8Array[]) => Promise<Float32Array[]>}} Engine
 */

const CODES = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };

/** Open an .onnx model; folder is the address of ONNX Runtime's files. */
export async function openEngine(model, facts, folder) {
  ort.env.wasm.numThreads = 1;
  if (folder) ort.env.wasm.wasmPaths = folder;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const [source] = session.inputNames, [target] = session.outputNames;
  const run = async (images) => {
    const pixels = new CODES[facts.input_dtype](images.length * images[0].length);
    images.forEach((image, i) => pixels.set(image, i * image.length));
    const tensor = new ort.Tensor(facts.input_dtype, pixels, [images.length, ...facts.input_shape]);
    const { data } = (await session.run({ [source]: tensor }))[target];
    return images.map((_, i) => data.slice(i * facts.labels.length, (i + 1) * facts.labels.length));
  };
  // Where scales come from the whole batch, an image's probabilities would depend on the others.
  const most = facts.is_alone ? 1 : MAX_BATCH;
  const classify = async (images) => {
    const rows = [];
    for (let start = 0; start < images.length; start += most) rows.push(...(await run(images.slice(start, start + most))));
    return rows;
  };
  return { facts, classify };
}

/** Return an engine that passes on only images that it was not asked about before, and each only once; it is for one page. */
export function remembering(engine) {
  const known = new Map();
  const classify = async (images) => {
    const keys = images.map((image) => String.fromCharCode(...image));
    const fresh = new Map(keys.map((key, i) => [key, images[i]]).filter(([key]) => !known.has(key)));
    const rows = await engine.classify([...fresh.values()]);
    [...fresh.keys()].forEach((key, i) => known.set(key, rows[i]));
    return keys.map((key) => known.get(key));
  };
  return { facts: engine.facts, classify };
}
