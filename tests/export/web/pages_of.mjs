// Reads pages as the app does: node pages_of.mjs APP FOLDER, with sizes.json and images.bin (RGBA) in the folder; writes read.json
// with each page in capitals and in the case in which it is written.
import fs from "node:fs";
import { openApp } from "./app_of.mjs";

const [app, folder] = process.argv.slice(2);
const part = await openApp(app);
const [{ openEngine }, { Reader }, { CaseNet }] = await Promise.all(["engine.js", "reader.js", "text/context.js"].map(part));
const facts = JSON.parse(fs.readFileSync(`${app}/model.json`));
const engine = await openEngine(fs.readFileSync(`${app}/model.onnx`), facts);
const numbers = Uint8Array.from(fs.readFileSync(`${app}/case.bin`));
const reader = new Reader(engine, new CaseNet(new Float32Array(numbers.buffer)));
const images = fs.readFileSync(`${folder}/images.bin`);
const read = [];
let offset = 0;
for (const [height, width] of JSON.parse(fs.readFileSync(`${folder}/sizes.json`))) {
  const rgba = new Uint8Array(images.subarray(offset, (offset += 4 * height * width)));
  const [capitals, written] = [await reader.read(rgba, width, height), await reader.read(rgba, width, height, { isWritten: true })];
  read.push({ capitals, written });
}
fs.writeFileSync(`${folder}/read.json`, JSON.stringify(read));
