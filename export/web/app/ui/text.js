// The text that is collected, and where it goes.
import { at, state, tell } from "./common.js";
import { wipe } from "./pad.js";

const text = at("text");

function add() {
  const name = state.added;
  if (!name) return;
  // A page begins a new line; labels that are words have spaces between them.
  const isApart = text.value && !/\s$/.test(text.value) && (state.kind === "page" || name.length > 1);
  text.value += (isApart ? (state.kind === "page" ? "\n" : " ") : "") + name;
  text.scrollTop = text.scrollHeight;
  if (state.mode === "draw") wipe();
}

/** Share or copy the text; if there is none, what is read at the moment. */
async function share() {
  const shared = text.value || state.added;
  if (!shared) return;
  try {
    if (navigator.share) await navigator.share({ text: shared });
    else {
      await navigator.clipboard.writeText(shared);
      tell("copied", "good");
    }
  } catch (error) {
    // Whoever closes the list of programs has chosen not to share.
    if (error.name !== "AbortError") tell("cannot be shared", "doubt");
  }
}

export const keys = { Enter: add, Backspace: () => at("back").click() };

at("add").onclick = add;
at("space").onclick = () => (text.value += " ");
at("back").onclick = () => (text.value = Array.from(text.value).slice(0, -1).join(""));
at("clear").onclick = () => (text.value = "");
at("share").onclick = share;
if (!navigator.share) at("share").textContent = "Copy";
