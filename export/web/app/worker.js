// Classifies images apart from the page, so that the page answers while a large image is looked at.
import { loadOpenCV } from "./opencv.js";
import * as ort from "./packages/ort/ort.wasm.min.mjs";
import { prepare } from "./pixels.js";

// As `lettercast doctor` on a device: the same labels, and no probability off by more than this.
const MAX_DIFFERENCE = 0.1;
const CODES = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };
let session, facts;

/** Load both libraries and the model, and ask the golden cases again; returns the facts and what came of the cases. */
async function start() {
  facts = await (await fetch("model.json")).json();
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("packages/ort/", self.location.href).href;
  const [program, model, cases] = await Promise.all([bytesOf("packages/opencv/opencv.wasm"), bytesOf("model.onnx"), facts.cases ? bytesOf("golden.bin") : null]);
  await loadOpenCV(program);
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return { facts, proof: cases ? await replay(cases) : null };
}

async function bytesOf(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Compare this browser's answers with those of the export: images first, then their probabilities as float32. */
async function replay(cases) {
  const size = facts.input_shape.reduce((a, b) => a * b), classes = facts.labels.length;
  const wanted = new Float32Array(cases.slice(facts.cases * size).buffer);
  let wrong = 0, difference = 0;
  for (let i = 0; i < facts.cases; i++) {
    const rows = await probabilities(cases.subarray(i * size, (i + 1) * size));
    const row = wanted.subarray(i * classes, (i + 1) * classes);
    for (let k = 0; k < classes; k++) difference = Math.max(difference, Math.abs(rows[k] - row[k]));
    if (placeOfMost(rows) !== placeOfMost(row)) wrong++;
  }
  return { cases: facts.cases, wrong, difference, isProved: wrong === 0 && difference <= MAX_DIFFERENCE };
}

const placeOfMost = (row) => row.reduce((best, value, i) => (value > row[best] ? i : best), 0);

/** Return the probability of each label for one prepared image, in bytes. */
async function probabilities(pixels) {
  const image = new ort.Tensor(facts.input_dtype, CODES[facts.input_dtype].from(pixels), [1, ...facts.input_shape]);
  const answers = await session.run({ [session.inputNames[0]]: image });
  return answers[session.outputNames[0]].data;
}

async function classify({ pixels, width, height }) {
  const image = prepare(new Uint8Array(pixels), width, height, facts);
  // An image of a letter without ink is no letter.
  if (facts.takes === "letters" && image.every((value) => value === 0)) return { isEmpty: true };
  const row = await probabilities(image);
  const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
  // A digit and a letter that looks like it count as one.
  const sure = Math.max(row[order[0]], ...facts.look_alikes.map(([one, other]) => row[one] + row[other]));
  return {
    label: facts.labels[order[0]],
    isRejected: sure < facts.reject_below,
    best: order.slice(0, 3).map((i) => [facts.labels[i], row[i]]),
    glyph: facts.takes === "letters" ? image : null,
  };
}

const tasks = { start, classify };

self.onmessage = async ({ data: { id, task, value } }) => {
  try {
    self.postMessage({ id, result: await tasks[task](value) });
  } catch (error) {
    // OpenCV throws the address of a C++ exception.
    self.postMessage({ id, error: typeof error === "number" ? `OpenCV error ${error}` : String(error?.message ?? error) });
  }
};
