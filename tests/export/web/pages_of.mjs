// Reads pages as the app does, from their candidates: node pages_of.mjs APP FOLDER, with pages.json and inks.bin in the folder;
// writes read.json.
import fs from "node:fs";
import { openApp } from "./app_of.mjs";

const [app, folder] = process.argv.slice(2);
const part = await openApp(app);
const [{ openEngine }, { Reader }, { CaseNet }, { Candidate }] = await Promise.all(
  ["engine.js", "reader.js", "text/context.js", "page/candidate.js"].map(part),
);
const facts = JSON.parse(fs.readFileSync(`${app}/model.json`));
const engine = await openEngine(fs.readFileSync(`${app}/model.onnx`), facts);
const numbers = Uint8Array.from(fs.readFileSync(`${app}/case.bin`));
const reader = new Reader(engine, new CaseNet(new Float32Array(numbers.buffer)));
const inks = fs.readFileSync(`${folder}/inks.bin`);
let offset = 0;
const read = [];
for (const { candidates, isWritten } of JSON.parse(fs.readFileSync(`${folder}/pages.json`))) {
  const found = candidates.map(({ box, corner, strength, place, isOutside, height, width }) => {
    const data = new Uint8Array(inks.subarray(offset, (offset += height * width)));
    return new Candidate(box, { data, width, height }, corner, strength, place, isOutside);
  });
  read.push(await reader.readCandidates(found, { isWritten }));
}
fs.writeFileSync(`${folder}/read.json`, JSON.stringify(read));
