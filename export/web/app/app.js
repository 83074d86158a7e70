// The page: camera, photo or drawing to text. worker.js reads; the parts of the page are in ui/.
import { ask, at, cover, state, stop, tell } from "./ui/common.js";
import { closeCamera, freeze, isOpen, openCamera, placeSquare, readFrozen } from "./ui/camera.js";
import { fitPad, readPad, wipe } from "./ui/pad.js";
import { clearMarks, showNothing } from "./ui/show.js";
import { openPhoto, readPhoto } from "./ui/still.js";
import { keys } from "./ui/text.js";

/** Choose where images come from: camera, photo or draw. */
function choose(mode) {
  state.mode = document.body.dataset.mode = mode;
  state.run++;
  state.isFrozen = false;
  state.part = null;
  for (const name of ["camera", "photo", "draw"]) at(name).setAttribute("aria-pressed", String(name === mode));
  at("freeze").setAttribute("aria-pressed", "false");
  cover("");
  showNothing();
  if (mode !== "camera") closeCamera();
  if (mode === "camera") openCamera();
  if (mode === "draw") fitPad();
  placeSquare();
}

/** Choose what is read: a page, or one letter or thing. */
function chooseKind(kind) {
  if (kind === state.kind && document.body.dataset.kind === kind) return;
  state.kind = document.body.dataset.kind = kind;
  at("whole").setAttribute("aria-pressed", String(kind === "page"));
  at("one").setAttribute("aria-pressed", String(kind === "one"));
  at("pad").setAttribute("aria-label", `Drawing: draw ${kind === "page" ? "letters" : "one"} here with a finger, a pen or the mouse`);
  if (state.mode === "camera") return choose("camera");
  showNothing();
  readAgain();
}

/** Read what does not change by itself. */
function readAgain() {
  readFrozen();
  readPad();
  readPhoto();
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
at("whole").onclick = () => chooseKind("page");
at("one").onclick = () => chooseKind("one");
at("written").onchange = readAgain;

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches?.("textarea, input:not([type=checkbox])");
  // Enter presses the button that has the focus.
  const isPressing = event.key === "Enter" && event.target.matches?.("button, summary");
  if (isTyping || isPressing || event.ctrlKey || event.metaKey || event.altKey) return;
  const ways = { f: freeze, Escape: wipe, c: () => choose("camera"), d: () => choose("draw"), p: () => at("whole").click(), o: () => at("one").click() };
  const does = { ...keys, ...ways }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
addEventListener("resize", () => {
  placeSquare();
  fitPad();
  // Boxes stand where the image was.
  clearMarks();
  readAgain();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) closeCamera();
  else if (state.mode === "camera" && !isOpen()) choose("camera");
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
    const readsPages = facts.takes === "letters";
    at("kinds").hidden = at("help").hidden = !readsPages;
    at("case").hidden = !facts.has_case;
    if (!readsPages) chooseKind("one");
    state.isReady = true;
    tell("ready", "good");
    readPad();
    readPhoto();
  } catch (error) {
    stop(`The model cannot be used: ${error.message}`);
  }
}

if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js");
start();
