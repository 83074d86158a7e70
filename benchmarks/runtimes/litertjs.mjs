// Run exported files in LiteRT.js under node; the same jobs and results as probe.py:
//
//     node litertjs.mjs FOLDER JOBS RESULTS        FOLDER holds node_modules/@litertjs/core
import {appendFileSync, readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';

// TFLite gives the integer output of a softmax this scale; LiteRT.js does not say it.
const SOFTMAX_SCALE = 1 / 256;
const ARRAYS = {float32: Float32Array, uint8: Uint8Array, int8: Int8Array};

// LiteRT.js loads its WebAssembly as a browser's worker does.
globalThis.self = globalThis;
globalThis.importScripts = (path) => {
  const module = {exports: {}};
  const load = new Function('module', 'exports', 'require', '__filename', '__dirname', readFileSync(path, 'utf8'));
  load(module, module.exports, createRequire(path), path, dirname(path));
  globalThis.ModuleFactory = module.exports;
};

// Read an .npy of uint8: its shape and its bytes.
function readImages(path) {
  const file = readFileSync(path);
  const begin = 10 + file.readUInt16LE(8);
  const shape = /'shape': \(([^)]*)\)/.exec(file.toString('latin1', 10, begin))[1].split(',').filter((n) => n.trim()).map(Number);
  return [shape, file.subarray(begin)];
}

// Write rows of numbers as an .npy of float32.
function writeAnswers(path, rows) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows.length}, ${rows[0].length}), }`;
  const header = Buffer.from(text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11) + '\n', 'latin1');
  const begin = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length & 255, header.length >> 8]);
  writeFileSync(path, Buffer.concat([begin, header, Buffer.from(Float32Array.from(rows.flat()).buffer)]));
}

const [folder, jobs, results] = process.argv.slice(2);
const base = join(folder, 'node_modules', '@litertjs', 'core');
const {loadLiteRt, loadAndCompile, Tensor} = await import(pathToFileURL(join(base, 'dist', 'index.js')));
await loadLiteRt(`${join(base, 'wasm')}/`, {threads: false});
for (const job of JSON.parse(readFileSync(jobs, 'utf8'))) {
  let error = '';
  try {
    const model = await loadAndCompile(new Uint8Array(readFileSync(job.model)), {accelerator: 'wasm'});
    const [input] = model.getInputDetails();
    const [[count, ...shape], pixels] = readImages(job.images);
    const size = shape.reduce((a, b) => a * b);
    const rows = [];
    for (let i = 0; i < count; i++) {
      const tensor = new Tensor(ARRAYS[input.dtype].from(pixels.subarray(i * size, (i + 1) * size)), [1, ...shape]);
      const [output] = await model.run(tensor);
      const values = output.toTypedArray();
      rows.push(Array.from(values, (value) => (values instanceof Float32Array ? value : value * SOFTMAX_SCALE)));
      tensor.delete();
      output.delete();
    }
    writeAnswers(job.answers, rows);
  } catch (problem) {
    error = `${problem.name ?? 'Error'}: ${String(problem.message ?? problem).trim().split('\n')[0]}`;
  }
  appendFileSync(results, `${JSON.stringify({error})}\n`);
}
process.exit(0);
