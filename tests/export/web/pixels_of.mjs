// Prepares images as the app does: node pixels_of.mjs APP FOLDER, with sizes.json and images.bin in the folder; writes pixels.bin.
import fs from "node:fs";
import { openApp } from "./app_of.mjs";

const [app, folder] = process.argv.slice(2);
const part = await openApp(app);
const { prepare } = await part("pixels.js");
const { sizes, facts } = JSON.parse(fs.readFileSync(`${folder}/sizes.json`));
const images = fs.readFileSync(`${folder}/images.bin`);
const made = [];
let place = 0;
for (const [height, width] of sizes) {
  const rgba = new Uint8Array(images.subarray(place, (place += 4 * height * width)));
  for (const one of facts) made.push(Buffer.from(prepare(rgba, width, height, one)));
}
fs.writeFileSync(`${folder}/pixels.bin`, Buffer.concat(made));
