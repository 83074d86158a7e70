// Shows what was read: the text of a page with a box around each letter, or the label of one letter or thing.
import { at, placeIn, state } from "./common.js";

// A label is announced when this many frames in a row agree, so that a screen reader is not flooded.
const STEADY = 3;
// The text of a page is the one that most of so many frames agree on, and it changes when two do, or after so long.
const FRAMES = 5;
const PATIENCE_MS = 1000;
const NOTHING = "\u00a0";
const MARK = { line: 2, minFont: 11, maxFont: 30, fontShare: 0.6, known: "#00b37e", unknown: "#f5a742", outside: "#9a9ea5" };

const marks = at("marks");
let agreed = 0, recent = [], shownAt = 0;

/** Forget what was shown. */
export function showNothing() {
  recent = [];
  agreed = 0;
  state.newest = null;
  setText("");
  at("count").textContent = "";
  clearMarks();
  showLabel({ isEmpty: true }, true);
}

/** Show the page that was read in a part [x, y, width, height] of an image of `size`; a live one changes when frames agree. */
export function showPage(page, part, size, isLive) {
  drawMarks(page, part, size);
  recent = isLive ? [...recent.slice(1 - FRAMES), page] : [page];
  const counts = new Map();
  for (const { text } of recent) counts.set(text, (counts.get(text) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const best = recent.findLast(({ text }) => counts.get(text) === most);
  if (isLive && most < 2 && performance.now() - shownAt < PATIENCE_MS) return;
  shownAt = performance.now();
  setText(best.text);
  at("count").textContent = best.text ? counted(best) : "No letters found.";
  at("count").title = `read in ${page.ms} ms`;
}

function counted({ lines, leftOut }) {
  const many = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;
  const letters = lines.flat(2).filter((one) => one.isKnown).length;
  return `${many(letters, "letter")} in ${many(lines.length, "line")}${leftOut ? `; ${many(leftOut, "other mark")}` : ""}`;
}

function setText(text) {
  state.added = state.kind === "page" ? text : "";
  at("add").disabled = !text;
  if (at("page").textContent !== text) at("page").textContent = text;
}

export const clearMarks = () => marks.getContext("2d").clearRect(0, 0, marks.width, marks.height);

/** Draw a box around each letter, with the letter above it; what stands outside the boxes of a form is grey. */
function drawMarks({ lines, outside }, [x, y], [width, height]) {
  const sharp = devicePixelRatio, stage = at("stage");
  [marks.width, marks.height] = [stage.clientWidth * sharp, stage.clientHeight * sharp];
  const { scale, left, top } = placeIn(stage, width, height), context = marks.getContext("2d");
  context.scale(sharp, sharp);
  Object.assign(context, { lineWidth: MARK.line, textAlign: "center", textBaseline: "alphabetic", lineJoin: "round" });
  const all = [...lines.flat(2), ...outside.flat(2).map((one) => ({ ...one, isOutside: true }))];
  for (const { letter, box, isKnown, isOutside } of all) {
    const [boxX, boxY, w, h] = [left + (x + box[0]) * scale, top + (y + box[1]) * scale, box[2] * scale, box[3] * scale];
    const colour = isOutside ? MARK.outside : isKnown ? MARK.known : MARK.unknown;
    Object.assign(context, { strokeStyle: colour, fillStyle: colour });
    context.strokeRect(boxX - 1, boxY - 1, w + 2, h + 2);
    const font = Math.max(MARK.minFont, Math.min(MARK.maxFont, MARK.fontShare * h));
    context.font = `700 ${font}px system-ui, sans-serif`;
    const above = boxY - 4 > font ? boxY - 4 : boxY + h + font;
    // A dark rim, so that the letter is seen on paper and on a board.
    Object.assign(context, { strokeStyle: "#0d0e0f", lineWidth: 2.5 });
    context.strokeText(letter, boxX + w / 2, above);
    context.fillText(letter, boxX + w / 2, above);
    context.lineWidth = MARK.line;
  }
}

/** Show the label of one letter or thing, and offer to add it; a camera's counts when enough frames agree, or if isSteady says so. */
export function showLabel(answer, isSteady = state.mode !== "camera") {
  const isKnown = !answer.isEmpty && !answer.isRejected;
  const name = answer.isEmpty ? "" : isKnown ? answer.label : "?";
  agreed = state.newest === name ? agreed + 1 : 1;
  state.newest = name;
  const label = at("label");
  if (agreed >= STEADY || isSteady) {
    // What is added is what you see.
    state.added = isKnown ? name : "";
    at("add").disabled = !isKnown;
    if (label.textContent !== (name || NOTHING)) {
      label.textContent = name || NOTHING;
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
