// A payload as text that folds: whatever it holds, it is never markup.

import { h } from "./dom.js";
import { count, many } from "./format.js";

const MOST_CHARACTERS = 400;
const MOST_CHILDREN = 100;
const OPEN_DEPTH = 2;

/** Show any JSON value under a name. */
export function valueTree(label, value, depth = 0) {
  if (value === null || typeof value !== "object") return leaf(label, value);
  const entries = Array.isArray(value) ? value.map((one, at) => [at, one]) : Object.entries(value);
  if (entries.length === 0) return leaf(label, value);
  const inside = h("div", { class: "inside" });
  const size = many(entries.length, Array.isArray(value) ? "item" : "key");
  const element = h("details", { class: "value" }, h("summary", {}, h("bdi", { class: "key" }, label), h("span", { class: "soft" }, ` ${size}`)), inside);
  let shown = 0;
  const more = () => {
    const next = entries.slice(shown, shown + MOST_CHILDREN);
    shown += next.length;
    inside.querySelector(":scope > button")?.remove();
    inside.append(...next.map(([key, one]) => valueTree(String(key), one, depth + 1)));
    const left = entries.length - shown;
    if (left > 0) inside.append(h("button", { type: "button", onclick: more }, `${count(left)} more`));
  };
  // What is folded is made when it is opened.
  element.addEventListener("toggle", () => element.open && shown === 0 && more());
  if (depth < OPEN_DEPTH && entries.length <= MOST_CHILDREN) {
    more();
    element.open = true;
  }
  return element;
}

function leaf(label, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const kind = typeof value === "string" ? "text" : value === null ? "null" : typeof value;
  const written = h("bdi", { class: `is-${kind}` }, text.slice(0, MOST_CHARACTERS));
  const element = h("div", { class: "value" }, h("bdi", { class: "key" }, label), " ", written);
  if (text.length > MOST_CHARACTERS) {
    const whole = h("button", { type: "button" }, `Show all ${count(text.length)} characters`);
    whole.addEventListener("click", () => {
      written.textContent = text;
      whole.remove();
    });
    element.append(" … ", whole);
  }
  return element;
}
