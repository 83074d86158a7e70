// Has the worker read what a canvas can draw, and shows the answer if it is still wanted.
import { ask, at, fail, state } from "./common.js";
import { showLabel, showPage } from "./show.js";

// One letter or thing is classified at this size at most; networks see far fewer pixels.
const MAX_SIDE = 480;
// The page before a camera is read at a size that takes about so long; frozen, it is read with all pixels.
const LIVE = { minSide: 640, quickMs: 40, slowMs: 80, step: 1.25 };

const snapshot = document.createElement("canvas");
let liveSide = LIVE.minSide;

/** Read a part [x, y, width, height] of something of `size` that a canvas can draw, and show the answer if it is still wanted. */
export function look(source, part, size, isLive = false) {
  return read(source, part, size, isLive).catch((error) => fail(error.message));
}

async function read(source, [x, y, width, height], size, isLive) {
  // What is drawn or chosen before the model is there, is looked at then.
  if (!state.isReady) return;
  const { run, kind } = state, isPage = kind === "page";
  const most = !isPage ? MAX_SIDE : isLive ? liveSide : Infinity;
  const scale = Math.min(1, most / Math.max(width, height));
  snapshot.width = Math.max(1, Math.round(width * scale));
  snapshot.height = Math.max(1, Math.round(height * scale));
  const context = snapshot.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  // Transparent pixels are paper.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, snapshot.width, snapshot.height);
  context.drawImage(source, x, y, width, height, 0, 0, snapshot.width, snapshot.height);
  const { data } = context.getImageData(0, 0, snapshot.width, snapshot.height);
  const image = { pixels: data.buffer, width: snapshot.width, height: snapshot.height };
  if (!isPage) {
    const answer = await ask("classify", image, [data.buffer]);
    if (run === state.run) showLabel(answer);
    return;
  }
  const page = await ask("read", { ...image, isWritten: at("written").checked }, [data.buffer]);
  if (isLive) {
    const isSlow = page.ms > LIVE.slowMs, isQuick = page.ms < LIVE.quickMs;
    liveSide = isSlow ? Math.max(LIVE.minSide, liveSide / LIVE.step) : isQuick ? Math.min(Math.max(width, height), liveSide * LIVE.step) : liveSide;
  }
  if (run !== state.run) return;
  for (const one of [...page.lines, ...page.outside].flat(2)) one.box = one.box.map((value) => value / scale);
  showPage(page, [x, y], size, isLive);
}
