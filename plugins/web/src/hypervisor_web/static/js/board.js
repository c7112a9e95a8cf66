// What the boards share: asking each second for what is new, a filter, rows that stay in place.

import { fill, h } from "./dom.js";
import { duration, now } from "./format.js";
import { tick } from "./parts.js";

const EACH_MS = 1_000;
const LONGEST_WAIT_MS = 10_000;

/**
 * Ask for `/api/PATH` each second while the tab is shown, and call `draw` with what is new.
 *
 * `params()` is asked each time. `fail(text)` gets the server's words where it refuses. Gives
 * `again()`, which asks at once, for other parameters, and `close()`.
 */
export function follow({ root, path, params, draw, fail, api, connection }) {
  const closing = new AbortController();
  let known = null;
  let failures = 0;
  let wake = () => {};
  let turn = 0;

  async function ask() {
    const own = turn;
    const began = performance.now();
    try {
      const found = await api.get(path, { ...params(), known }, { signal: closing.signal });
      if (own !== turn) return 0; // it answers what is not asked any more
      failures = 0;
      connection("ok", "connected");
      if (found) {
        known = found.version;
        draw(found);
      }
      tick(root);
      tickElapsed(root);
      return Math.max(EACH_MS, 4 * (performance.now() - began)); // what is slow is asked for less often
    } catch (error) {
      if (closing.signal.aborted) return 0;
      known = null;
      failures += 1;
      connection("failed", error.text ?? String(error));
      if (error.status >= 400) fail(error.text);
      return Math.min(LONGEST_WAIT_MS, EACH_MS * 2 ** failures);
    }
  }

  function rest(ms) {
    return new Promise((done) => {
      const timer = ms ? setTimeout(look, ms) : null;
      function look() {
        if (document.hidden && !closing.signal.aborted) return;
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", look);
        done();
      }
      wake = look;
      document.addEventListener("visibilitychange", look);
      if (!ms) look();
    });
  }

  async function run() {
    await rest(0);
    while (!closing.signal.aborted) await rest(await ask());
  }

  run();
  return {
    again() {
      turn += 1;
      known = null;
      wake();
    },
    close() {
      closing.abort();
      wake();
    },
  };
}

/** A field that filters a view: by its label, kept in the address under `filter`. Escape leaves it, and what it says. */
export function filterField({ value, label, onInput }) {
  let timer = null;
  const field = h("input", { type: "search", value, placeholder: label, "aria-label": label, spellcheck: "false", autocomplete: "off" });
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => onInput(field.value.trim()), 150);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // browsers empty the field
    field.blur();
  });
  return field;
}

/**
 * Put a list into `container`: an element for each item, kept while the item stays as it is.
 *
 * `make(item)` makes the element. The focus stays on the same link of the same item.
 */
export function keyed(container, items, id, make) {
  container.made ??= new Map();
  const made = container.made;
  const seen = new Set();
  const active = document.activeElement;
  let focused = null;
  for (const [key, one] of made) {
    const links = [...one.element.querySelectorAll("a, button, summary")];
    if (links.includes(active)) focused = [key, links.indexOf(active)];
  }
  let before = null;
  for (const item of items) {
    const key = id(item);
    if (seen.has(key)) continue;
    seen.add(key);
    const text = JSON.stringify(item);
    let one = made.get(key);
    if (!one || one.text !== text) {
      const element = make(item);
      one?.element.replaceWith(element);
      made.set(key, (one = { element, text }));
    }
    const place = before ? before.nextElementSibling : container.firstElementChild;
    if (place !== one.element) container.insertBefore(one.element, place);
    before = one.element;
  }
  for (const [key, one] of made) {
    if (seen.has(key)) continue;
    one.element.remove();
    made.delete(key);
  }
  if (focused && document.activeElement !== active) {
    made.get(focused[0])?.element.querySelectorAll("a, button, summary")[focused[1]]?.focus({ preventScroll: true });
  }
}

/** How long something has lasted that goes on; it is renewed each second. */
export function elapsed(begun) {
  return h("span", { class: "elapsed", "data-begun": begun }, duration(now() - begun));
}

function tickElapsed(root) {
  const present = now();
  for (const one of root.querySelectorAll(".elapsed")) {
    const text = duration(present - Number(one.dataset.begun));
    if (one.textContent !== text) one.textContent = text;
  }
}

/** A view's frame: its name, what stands beside it, and a place for what it shows. */
export function frame(root, heading, ...tools) {
  const body = h("div", { class: "board-body" });
  const note = h("p", { class: "soft board-note" });
  fill(root, h("div", { class: "toolbar board-tools" }, h("h1", {}, heading), ...tools), note, body);
  return { body, note };
}
