// Drawing with a finger, a pen or the mouse.
import { at, pointOn, state } from "./common.js";
import { look } from "./look.js";
import { showNothing } from "./show.js";

// A drawing is read when the pen has rested for so long.
const REST_MS = 350;
// The pen's width as a share of the pad: one letter fills it, a page has many.
const PEN = { width: { one: 1 / 22, page: 1 / 60 }, ink: "#14161a", paper: "#ffffff" };

const pad = at("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
let stroke = null, rest = 0, isWritten = false;

export function fitPad() {
  const side = Math.round(Math.min(pad.clientWidth, pad.clientHeight) * devicePixelRatio);
  if (!side || side === pad.width) return;
  pad.width = pad.height = side;
  wipe();
}

export function wipe() {
  pen.fillStyle = PEN.paper;
  pen.fillRect(0, 0, pad.width, pad.height);
  isWritten = false;
  clearTimeout(rest);
  if (state.mode !== "draw") return;
  // An answer that is on its way belongs to what was wiped.
  state.run++;
  showNothing();
}

/** Read the drawing, if there is one. */
export function readPad() {
  if (state.mode === "draw" && isWritten) look(pad, [0, 0, pad.width, pad.height], [pad.width, pad.height]);
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
  Object.assign(pen, { lineWidth: pad.width * PEN.width[state.kind], lineCap: "round", lineJoin: "round", strokeStyle: PEN.ink });
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
  isWritten = true;
}
