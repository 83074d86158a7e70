// Reads images beside the page, so that the page stays quick: loads OpenCV and ONNX Runtime, and proves that both compute what the
// export did.
import { loadOpenCV } from "./opencv.js";
import { argmax, argsort } from "./arrays.js";
import { openEngine } from "./engine.js";
import { bestOf } from "./page/split.js";
import { prepare } from "./pixels.js";
import { Reader } from "./reader.js";
import { CaseNet } from "./text/context.js";

// As `lettercast doctor` on a device: the same labels, and no probability off by more than this.
const MAX_DIFFERENCE = 0.1;
const BEST = 3;
let engine, reader;

/** Load both libraries and the model, and ask the golden cases again; returns the facts and what came of the cases. */
async function start() {
  const facts = await (await fetch("model.json")).json();
  const files = ["packages/opencv/opencv.wasm", "model.onnx", "case.bin", ...(facts.cases ? ["golden.bin"] : [])];
  const [program, model, numbers, cases] = await Promise.all(files.map(bytesOf));
  const opened = openEngine(model, facts, new URL("packages/ort/", self.location.href).href);
  await loadOpenCV(program);
  engine = await opened;
  reader = new Reader(engine, new CaseNet(new Float32Array(numbers.buffer)));
  return { facts: { ...facts, has_case: reader.alphabet !== null }, proof: cases ? await replay(cases) : null };
}

async function bytesOf(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Compare this browser's answers with those of the export: images first, then their probabilities as float32. */
async function replay(cases) {
  const { facts } = engine, size = facts.input_shape.reduce((a, b) => a * b), classes = facts.labels.length;
  const wanted = new Float32Array(cases.slice(facts.cases * size).buffer);
  const rows = await engine.classify(Array.from({ length: facts.cases }, (_, i) => cases.subarray(i * size, (i + 1) * size)));
  let wrong = 0, difference = 0;
  rows.forEach((row, i) => {
    const own = wanted.subarray(i * classes, (i + 1) * classes);
    for (let k = 0; k < classes; k++) difference = Math.max(difference, Math.abs(row[k] - own[k]));
    if (argmax(row) !== argmax(own)) wrong++;
  });
  return { cases: facts.cases, wrong, difference, isProved: wrong === 0 && difference <= MAX_DIFFERENCE };
}

/** Classify an image of one letter or thing. */
async function classify({ pixels, width, height }) {
  const { facts } = engine;
  const image = prepare(new Uint8Array(pixels), width, height, facts);
  // An image of a letter without ink is no letter.
  if (facts.takes === "letters" && image.every((value) => value === 0)) return { isEmpty: true };
  const [row] = await engine.classify([image]);
  const order = argsort(row.map((value) => -value));
  return {
    label: facts.labels[order[0]],
    // A digit and a letter that looks like it count as one.
    isRejected: bestOf(row, facts) < facts.reject_below,
    best: order.slice(0, BEST).map((i) => [facts.labels[i], row[i]]),
    glyph: facts.takes === "letters" ? image : null,
  };
}

/** Read an image of a page; ms is how long that takes. */
async function read({ pixels, width, height, isWritten }) {
  const started = performance.now();
  const page = await reader.read(new Uint8Array(pixels), width, height, { isWritten });
  return { ...page, ms: Math.round(performance.now() - started) };
}

const tasks = { start, classify, read };

self.onmessage = async ({ data: { id, task, value } }) => {
  try {
    self.postMessage({ id, result: await tasks[task](value) });
  } catch (error) {
    // OpenCV throws the address of a C++ exception.
    self.postMessage({ id, error: typeof error === "number" ? `OpenCV error ${error}` : String(error?.message ?? error) });
  }
};
