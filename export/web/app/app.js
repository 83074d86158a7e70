// The page: camera, photo or drawing to a label, and labels to text. worker.js classifies.

// A label is announced when this many frames in a row agree, so that a screen reader is not flooded.
const STEADY = 3;
// Images are classified at this size at most; networks see far fewer pixels.
const MAX_SIDE = 480;
// The camera's square, as a share of the frame's shorter side.
const SQUARE = 0.62;
// A drawing is read when the pen has rested for so long.
const REST_MS = 350;
// Phones draw no more on a canvas than about 16 million pixels; larger photos are made smaller.
const MAX_PHOTO_PX = 12e6;
const PEN = { share: 1 / 22, ink: "#14161a", paper: "#ffffff" };

const at = (id) => document.getElementById(id);
const video = at("video"), still = at("still"), pad = at("pad"), square = at("square");
const snapshot = document.createElement("canvas");
const pen = pad.getContext("2d", { willReadFrequently: true });
const state = { mode: "camera", isFrozen: false, newest: null, added: "", run: 0, facing: "environment", part: null, reason: "" };

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let calls = 0;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(result);
};
worker.onerror = () => stop("The program could not be loaded. Reload the page; if that does not help, use a browser of 2022 or later.");

function ask(task, value, moved = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, task, value }, moved);
  });
}

function tell(words, tone = "") {
  at("state").textContent = words;
  document.body.dataset.tone = tone;
}

/** Cover the image with a reason why there is none; an empty one uncovers it, unless the model cannot be used at all. */
function cover(reason) {
  at("cover").textContent = state.reason || reason;
}

function fail(reason) {
  tell("not working", "bad");
  cover(reason);
}

/** Say why the model cannot be used, and keep saying it. */
function stop(reason) {
  state.reason = reason;
  fail(reason);
}

/** Classify a part [x, y, width, height] of something that a canvas can draw, and show the answer if it is still wanted. */
async function look(source, [x, y, width, height]) {
  // What is drawn or chosen before the model is there, is looked at then.
  if (!state.isReady) return;
  const run = state.run;
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  snapshot.width = Math.max(1, Math.round(width * scale));
  snapshot.height = Math.max(1, Math.round(height * scale));
  const context = snapshot.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  // Transparent pixels are paper.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, snapshot.width, snapshot.height);
  context.drawImage(source, x, y, width, height, 0, 0, snapshot.width, snapshot.height);
  const { data } = context.getImageData(0, 0, snapshot.width, snapshot.height);
  const answer = await ask("classify", { pixels: data.buffer, width: snapshot.width, height: snapshot.height }, [data.buffer]);
  if (run === state.run) show(answer);
}

let agreed = 0;

/** Show an answer, and offer to add its label; a camera's counts when enough frames agree, or if isSteady says so. */
function show(answer, isSteady = state.mode !== "camera") {
  const isKnown = !answer.isEmpty && !answer.isRejected;
  const name = answer.isEmpty ? "" : isKnown ? answer.label : "?";
  agreed = state.newest === name ? agreed + 1 : 1;
  state.newest = name;
  const label = at("label");
  if (agreed >= STEADY || isSteady) {
    // What is added is what you see.
    state.added = isKnown ? name : "";
    at("add").disabled = !isKnown;
    if (label.textContent !== (name || "\u00a0")) {
      label.textContent = name || "\u00a0";
      label.classList.toggle("long", name.length > 2);
      label.title = isKnown || !name ? "" : "probably none of the labels";
    }
  }
  const rows = (answer.best ?? []).map(([text, share]) => {
    const row = document.createElement("li");
    row.dataset.name = text;
    const word = document.createElement("span");
    word.textContent = text;
    const bar = document.createElement("meter");
    bar.value = share;
    bar.setAttribute("aria-hidden", "true");
    row.append(word, bar, `${Math.round(100 * share)} %`);
    return row;
  });
  at("best").replaceChildren(...rows);
  drawGlyph(answer.glyph);
}

/** Show what the network sees. */
function drawGlyph(pixels) {
  const canvas = at("glyph"), context = canvas.getContext("2d");
  canvas.hidden = !pixels;
  if (!pixels) return;
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

// The camera

let stream = null;

async function openCamera() {
  closeCamera();
  if (!navigator.mediaDevices?.getUserMedia) {
    const why = window.isSecureContext ? "This browser gives pages no camera." : "Browsers give a camera only to pages over https, and to localhost.";
    return cover(`${why} Take a photo or draw instead.`);
  }
  const run = state.run;
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: state.facing, width: { ideal: 1280 } }, audio: false });
    // The mode may have changed while the browser asked for permission.
    if (run !== state.run || state.mode !== "camera") return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    stream.getVideoTracks()[0].addEventListener("ended", () => cover("The camera is gone. Press Camera to look for it again."));
    video.srcObject = stream;
    await video.play();
    cover("");
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    at("turn").hidden = cameras.length < 2;
    requestAnimationFrame(() => followCamera(run));
  } catch (error) {
    const reasons = {
      NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this page, and press Camera.",
      NotFoundError: "No camera was found. Connect one and press Camera.",
      NotReadableError: "The camera does not answer; another program may use it. Close that, and press Camera.",
    };
    if (run === state.run) cover(`${reasons[error.name] ?? `The camera cannot be opened (${error.message}).`} You can take a photo or draw instead.`);
  }
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
}

async function followCamera(run) {
  if (run !== state.run || state.mode !== "camera" || !stream) return;
  const { videoWidth: width, videoHeight: height } = video;
  if (width && !state.isFrozen && state.isReady) {
    const side = SQUARE * Math.min(width, height);
    await look(video, [(width - side) / 2, (height - side) / 2, side, side]).catch((error) => fail(error.message));
  }
  requestAnimationFrame(() => followCamera(run));
}

// Photos: the whole one, or the part that is drawn around with a finger

async function openPhoto(file) {
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
  state.part = [0, 0, still.width, still.height];
  placeSquare();
  await look(still, state.part).catch((error) => fail(error.message));
}

/** Return where a pointer is on a canvas that is shown as a whole, in its pixels. */
function pointOn(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const left = box.left + (box.width - canvas.width * scale) / 2, top = box.top + (box.height - canvas.height * scale) / 2;
  const within = (value, most) => Math.max(0, Math.min(most, value));
  return [within((event.clientX - left) / scale, canvas.width), within((event.clientY - top) / scale, canvas.height)];
}

let corner = null;

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
  if (Math.min(state.part[2], state.part[3]) < 8) state.part = [0, 0, still.width, still.height];
  placeSquare();
  look(still, state.part).catch((error) => fail(error.message));
});

/** Show which part of the image is classified. */
function placeSquare() {
  const isCamera = state.mode === "camera" && video.videoWidth > 0, isPhoto = state.mode === "photo" && state.part;
  square.hidden = !isCamera && !isPhoto;
  if (square.hidden) return;
  const [width, height] = isCamera ? [video.videoWidth, video.videoHeight] : [still.width, still.height];
  const side = SQUARE * Math.min(width, height);
  const [x, y, w, h] = isCamera ? [(width - side) / 2, (height - side) / 2, side, side] : state.part;
  const box = at("stage").getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height);
  const left = (box.width - width * scale) / 2, top = (box.height - height * scale) / 2;
  Object.assign(square.style, {
    left: `${left + x * scale}px`, top: `${top + y * scale}px`, width: `${w * scale}px`, height: `${h * scale}px`,
  });
}

still.addEventListener("pointercancel", () => (corner = null));

video.addEventListener("resize", placeSquare);
video.addEventListener("loadeddata", placeSquare);
addEventListener("resize", () => (placeSquare(), fitPad()));

// Drawing

let stroke = null, rest = 0, isWritten = false;

function fitPad() {
  const side = Math.round(Math.min(pad.clientWidth, pad.clientHeight) * devicePixelRatio);
  if (!side || side === pad.width) return;
  pad.width = pad.height = side;
  wipe();
}

function wipe() {
  pen.fillStyle = PEN.paper;
  pen.fillRect(0, 0, pad.width, pad.height);
  isWritten = false;
  clearTimeout(rest);
  if (state.mode !== "draw") return;
  // An answer that is on its way belongs to what was wiped.
  state.run++;
  show({ isEmpty: true });
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  clearTimeout(rest);
  stroke = pointOn(pad, event);
  line(stroke, stroke);
});
pad.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  for (const one of event.getCoalescedEvents?.() ?? [event]) {
    const point = pointOn(pad, one);
    line(stroke, point);
    stroke = point;
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, () => {
    if (!stroke) return;
    stroke = null;
    rest = setTimeout(readPad, REST_MS);
  });
}

function line(from, to) {
  Object.assign(pen, { lineWidth: pad.width * PEN.share, lineCap: "round", lineJoin: "round", strokeStyle: PEN.ink });
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
  isWritten = true;
}

function readPad() {
  if (state.mode === "draw" && isWritten) look(pad, [0, 0, pad.width, pad.height]).catch((error) => fail(error.message));
}

// Ways to give an image

function choose(mode) {
  state.mode = document.body.dataset.mode = mode;
  state.run++;
  state.isFrozen = false;
  state.part = null;
  for (const name of ["camera", "photo", "draw"]) at(name).setAttribute("aria-pressed", String(name === mode));
  at("freeze").setAttribute("aria-pressed", "false");
  cover("");
  show({ isEmpty: true }, true);
  if (mode !== "camera") closeCamera();
  if (mode === "camera") openCamera();
  if (mode === "draw") fitPad();
  placeSquare();
}

function freeze() {
  if (state.mode !== "camera" || !stream) return;
  state.isFrozen = !state.isFrozen;
  at("freeze").setAttribute("aria-pressed", String(state.isFrozen));
  if (state.isFrozen) video.pause();
  else video.play();
}

at("camera").onclick = () => choose("camera");
at("draw").onclick = () => choose("draw");
at("photo").onclick = () => at("file").click();
at("file").onchange = () => {
  const [file] = at("file").files;
  // The same file may be chosen again.
  at("file").value = "";
  if (!file) return;
  choose("photo");
  openPhoto(file);
};
at("freeze").onclick = freeze;
at("wipe").onclick = wipe;
at("turn").onclick = () => {
  state.facing = state.facing === "environment" ? "user" : "environment";
  choose("camera");
};

// Text

function add() {
  const name = state.added, text = at("text");
  if (!name) return;
  // Labels that are words have spaces between them.
  text.value += name.length > 1 && text.value && !/\s$/.test(text.value) ? ` ${name}` : name;
  if (state.mode === "draw") wipe();
}

async function share() {
  const text = at("text").value;
  if (!text) return;
  try {
    if (navigator.share) await navigator.share({ text });
    else {
      await navigator.clipboard.writeText(text);
      tell("copied", "good");
    }
  } catch (error) {
    // Whoever closes the list of programs has chosen not to share.
    if (error.name !== "AbortError") tell("cannot be shared", "doubt");
  }
}

at("add").onclick = add;
at("space").onclick = () => (at("text").value += " ");
at("back").onclick = () => (at("text").value = Array.from(at("text").value).slice(0, -1).join(""));
at("clear").onclick = () => (at("text").value = "");
at("share").onclick = share;
if (!navigator.share) at("share").textContent = "Copy";

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches?.("textarea, input");
  // Enter presses the button that has the focus.
  const isPressing = event.key === "Enter" && event.target.matches?.("button");
  if (isTyping || isPressing || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = { Enter: add, Backspace: at("back").onclick, f: freeze, Escape: wipe, c: () => choose("camera"), d: () => choose("draw") }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) closeCamera();
  else if (state.mode === "camera" && !stream) choose("camera");
});

async function start() {
  if (window.lettercastMissing) return;
  choose("camera");
  try {
    const { facts, proof } = await ask("start");
    at("model").textContent = facts.name;
    if (proof && !proof.isProved) {
      const worst = `${proof.wrong} of ${proof.cases} golden cases have another label, and probabilities differ by up to ${proof.difference.toFixed(2)}`;
      return stop(`This browser computes other answers than the model's export: ${worst}. Its answers cannot be trusted.`);
    }
    at("proof").textContent = proof
      ? `All ${proof.cases} golden cases of the export have the same label in this browser; the largest difference of a probability is ${proof.difference.toPrecision(1)}.`
      : "This model has no golden cases, so nothing shows that this browser computes what the export did.";
    state.isReady = true;
    tell("ready", "good");
    readPad();
    if (state.part) look(still, state.part).catch((error) => fail(error.message));
  } catch (error) {
    stop(`The model cannot be used: ${error.message}`);
  }
}

if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js");
start();
