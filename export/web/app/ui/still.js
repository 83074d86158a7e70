// Photos: the whole one, or the part that is drawn around with a finger.
import { at, cover, pointOn, state } from "./common.js";
import { placeSquare } from "./camera.js";
import { look } from "./look.js";

// Phones draw no more on a canvas than about 16 million pixels; larger photos are made smaller.
const MAX_PHOTO_PX = 12e6;
const MIN_PART_PX = 8;

const still = at("still");
let corner = null;

export async function openPhoto(file) {
  const run = state.run;
  const photo = await createImageBitmap(file).catch(() => null);
  // Another photo or another way may have been chosen meanwhile.
  if (run !== state.run) return photo?.close();
  if (!photo) return cover(`${file.name}: this browser cannot read it as an image. Choose a JPEG or PNG.`);
  cover("");
  const scale = Math.min(1, Math.sqrt(MAX_PHOTO_PX / (photo.width * photo.height)));
  still.width = Math.max(1, Math.floor(photo.width * scale));
  still.height = Math.max(1, Math.floor(photo.height * scale));
  const context = still.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, still.width, still.height);
  photo.close();
  chooseAll();
  await readPhoto();
}

/** Read the chosen part of the photo, if there is one. */
export async function readPhoto() {
  if (state.mode === "photo" && state.part) await look(still, state.part, [still.width, still.height]);
}

function chooseAll() {
  state.part = [0, 0, still.width, still.height];
  placeSquare();
}

still.addEventListener("pointerdown", (event) => {
  if (!state.part) return;
  still.setPointerCapture(event.pointerId);
  corner = pointOn(still, event);
});
still.addEventListener("pointermove", (event) => {
  if (!corner) return;
  const [x, y] = pointOn(still, event);
  state.part = [Math.min(x, corner[0]), Math.min(y, corner[1]), Math.abs(x - corner[0]), Math.abs(y - corner[1])];
  placeSquare();
});
still.addEventListener("pointerup", () => {
  if (!corner) return;
  corner = null;
  // A tap chooses the whole photo again.
  if (Math.min(state.part[2], state.part[3]) < MIN_PART_PX) chooseAll();
  readPhoto();
});
still.addEventListener("pointercancel", () => (corner = null));
