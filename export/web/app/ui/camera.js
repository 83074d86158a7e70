// The camera: a page, or the letter or thing in a square.
import { at, cover, placeIn, state } from "./common.js";
import { look } from "./look.js";

// The square's side, as a share of the frame's shorter side.
const SQUARE = 0.62;

const video = at("video");
let stream = null;

export const isOpen = () => stream !== null;

export async function openCamera() {
  closeCamera();
  if (!navigator.mediaDevices?.getUserMedia) {
    const why = window.isSecureContext ? "This browser gives pages no camera." : "Browsers give a camera only to pages over https, and to localhost.";
    return cover(`${why} Take a photo or draw instead.`);
  }
  const run = state.run;
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: state.facing, width: { ideal: 1920 } }, audio: false });
    // The mode may have changed while the browser asked for permission.
    if (run !== state.run || state.mode !== "camera") return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    stream.getVideoTracks()[0].addEventListener("ended", () => cover("The camera is gone. Press Camera to look for it again."));
    video.srcObject = stream;
    await video.play();
    cover("");
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    at("turn").hidden = cameras.length < 2;
    follow(run);
  } catch (error) {
    const reasons = {
      NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this page, and press Camera.",
      NotFoundError: "No camera was found. Connect one and press Camera.",
      NotReadableError: "The camera does not answer; another program may use it. Close that, and press Camera.",
    };
    if (run === state.run) cover(`${reasons[error.name] ?? `The camera cannot be opened (${error.message}).`} You can take a photo or draw instead.`);
  }
}

export function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
}

/** Read one frame after the other. */
async function follow(run) {
  while (run === state.run && state.mode === "camera" && stream) {
    const shown = video.currentTime;
    if (video.videoWidth && !state.isFrozen) await lookAtFrame(true);
    // The next frame may have come while this one was read.
    if (shown === video.currentTime || !state.isReady || state.isFrozen) await new Promise(requestAnimationFrame);
  }
}

function lookAtFrame(isLive) {
  const { videoWidth: width, videoHeight: height } = video;
  return look(video, state.kind === "page" ? [0, 0, width, height] : squareIn(width, height), [width, height], isLive);
}

function squareIn(width, height) {
  const side = SQUARE * Math.min(width, height);
  return [(width - side) / 2, (height - side) / 2, side, side];
}

/** Hold the camera's image, and read it with all its pixels; or let it go on. */
export function freeze() {
  if (state.mode !== "camera" || !stream) return;
  state.isFrozen = !state.isFrozen;
  at("freeze").setAttribute("aria-pressed", String(state.isFrozen));
  if (!state.isFrozen) return video.play();
  video.pause();
  readFrozen();
}

/** Read the page in a frame that is held, if there is one. */
export function readFrozen() {
  if (state.mode === "camera" && state.isFrozen && state.kind === "page" && video.videoWidth) lookAtFrame(false);
}

/** Show which part of the image is classified; a page before a camera is read as a whole. */
export function placeSquare() {
  const { part, mode, kind } = state, still = at("still");
  const isCamera = mode === "camera" && kind === "one" && video.videoWidth > 0, isPhoto = mode === "photo" && part;
  at("square").hidden = !isCamera && !isPhoto;
  if (!isCamera && !isPhoto) return;
  const [width, height] = isCamera ? [video.videoWidth, video.videoHeight] : [still.width, still.height];
  const [x, y, w, h] = isCamera ? squareIn(width, height) : part;
  const { scale, left, top } = placeIn(at("stage"), width, height);
  Object.assign(at("square").style, {
    left: `${left + x * scale}px`, top: `${top + y * scale}px`, width: `${w * scale}px`, height: `${h * scale}px`,
  });
}

video.addEventListener("resize", placeSquare);
video.addEventListener("loadeddata", placeSquare);
