// The parts of an app in node: openApp(FOLDER) starts OpenCV and returns a function that imports a module of the app.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

export async function openApp(folder) {
  const part = (name) => import(pathToFileURL(`${folder}/${name}`).href);
  const { loadOpenCV } = await part("opencv.js");
  await loadOpenCV(fs.readFileSync(`${folder}/packages/opencv/opencv.wasm`));
  return part;
}
