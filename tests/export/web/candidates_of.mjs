// Finds what may be letters as the app does: node candidates_of.mjs APP FOLDER, with sizes.json and images.bin in the folder;
// writes found.json, the candidates of each image, and pixels.bin, the ink and the 28x28 image of each candidate.
import fs from "node:fs";
import { openApp } from "./app_of.mjs";

const [app, folder] = process.argv.slice(2);
const part = await openApp(app);
const [{ scoped }, { toGray }, { findCandidates }] = await Promise.all(["opencv.js", "page/ink.js", "page/find.js"].map(part));
const images = fs.readFileSync(`${folder}/images.bin`);
const found = [], pixels = [];
let place = 0;
for (const [height, width] of JSON.parse(fs.readFileSync(`${folder}/sizes.json`))) {
  const rgba = new Uint8Array(images.subarray(place, (place += 4 * height * width)));
  const candidates = scoped(() => findCandidates(toGray(rgba, width, height)));
  found.push(
    candidates.map(({ ink, box, corner, strength, place, isOutside }) => {
      return { shape: [ink.height, ink.width], box, corner, strength, place, isOutside };
    }),
  );
  for (const { ink, glyphImage } of candidates) pixels.push(Buffer.from(ink.data), Buffer.from(glyphImage));
}
fs.writeFileSync(`${folder}/found.json`, JSON.stringify(found));
fs.writeFileSync(`${folder}/pixels.bin`, Buffer.concat(pixels));
