// What all parts of the page share: its elements, its state, words for the user, and the worker that reads.

export const at = (id) => document.getElementById(id);

/**
 * mode is where images come from (camera, photo, draw), kind what is read (page, or one letter or thing), run a number that
 * changes when answers on their way are no longer wanted, newest and added the labels of the last answer and what Add takes of it,
 * part the read part of a photo, and reason why the model cannot be used.
 */
export const state = {
  mode: "camera", kind: "page", isReady: false, isFrozen: false, newest: null, added: "", run: 0, facing: "environment", part: null, reason: "",
};

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

/** Have the worker do a task; the buffers in `moved` are the worker's from then on. */
export function ask(task, value, moved = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, task, value }, moved);
  });
}

export function tell(words, tone = "") {
  at("state").textContent = words;
  document.body.dataset.tone = tone;
}

/** Cover the image with a reason why there is none; an empty one uncovers it, unless the model cannot be used at all. */
export function cover(reason) {
  at("cover").textContent = state.reason || reason;
}

export function fail(reason) {
  tell("not working", "bad");
  cover(reason);
}

/** Say why the model cannot be used, and keep saying it. */
export function stop(reason) {
  state.reason = reason;
  fail(reason);
}

/** Return how an image of this size is shown as a whole in an element: its scale, left and top in the element's pixels. */
export function placeIn(element, width, height) {
  const box = element.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height);
  return { scale, left: (box.width - width * scale) / 2, top: (box.height - height * scale) / 2 };
}

/** Return where a pointer is on a canvas that is shown as a whole, in its pixels. */
export function pointOn(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const { scale, left, top } = placeIn(canvas, canvas.width, canvas.height);
  const within = (value, most) => Math.max(0, Math.min(most, value));
  return [within((event.clientX - box.left - left) / scale, canvas.width), within((event.clientY - box.top - top) / scale, canvas.height)];
}
