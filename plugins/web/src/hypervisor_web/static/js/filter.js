// The filter box: a combobox that suggests options, and values that were seen.

import { fill, h } from "./dom.js";
import { has, toggled, words } from "./filter_words.js";
import { quoted } from "./address.js";

const OPTIONS = [
  ["--type", "type or pattern, such as 'ring.*'"],
  ["--agent", "name, id or pattern"],
  ["--session", "id of a session"],
  ["--trace", "id of a trace"],
  ["--since", "30s, 5m, 2h, 1d, or a time"],
  ["--until", "30s, 5m, 2h, 1d, or a time"],
  ["--wrong", "only what went wrong"],
];
const MOST_SUGGESTED = 12;
const MOST_SEEN = 500; // values kept of each kind

/** Remembers values of `--type`, `--agent`, `--session` that were seen, to suggest them. */
export class Seen {
  constructor() {
    this.values = { "--type": new Set(), "--agent": new Set(), "--session": new Set() };
  }

  /** Note one value; null is none. */
  add(option, value) {
    const known = this.values[option];
    if (value && !known.has(value) && known.size < MOST_SEEN) known.add(value);
  }

  /** Those that hold `part`, the ones that begin with it first. */
  like(option, part) {
    const wanted = part.toLowerCase();
    const found = [...(this.values[option] ?? [])].filter((one) => one.toLowerCase().includes(wanted));
    const late = (one) => (one.toLowerCase().startsWith(wanted) ? 0 : 1);
    return found.sort((some, other) => late(some) - late(other) || (some < other ? -1 : 1));
  }
}

/** Make the box. `onApply(text)` is told of a filter that is to hold; `show(text)`, `fail(words)`, `focus()`. */
export function filterBox({ seen, onApply }) {
  const list = h("ul", { class: "suggestions", id: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true });
  const problem = h("p", { class: "error", id: "filter-error", role: "alert", hidden: true });
  const field = h("input", {
    id: "filter",
    type: "text",
    role: "combobox",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    placeholder: "Filter: --type 'ring.*' --agent build* words",
    "aria-label": "Filter",
    "aria-expanded": "false",
    "aria-controls": "suggestions",
    "aria-autocomplete": "list",
    "aria-describedby": "filter-error",
  });
  const wrong = h("button", { type: "button", "aria-pressed": "false", title: "Show only what went wrong (w)", onclick: () => turnWrong() }, "Only what went wrong");
  const element = h("div", { class: "filter grow" }, field, list);
  let applied = "";
  let offers = []; // {text, note, start, end}
  let chosen = -1;

  field.addEventListener("input", suggest);
  field.addEventListener("keydown", press);
  field.addEventListener("focus", () => field.value && suggest());
  field.addEventListener("blur", () => {
    hide();
    apply();
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field keeps the focus
    const at = [...list.children].indexOf(event.target.closest("li"));
    if (at >= 0) take(at);
  });

  function suggest() {
    const caret = field.selectionStart ?? field.value.length;
    const before = words(field.value.slice(0, caret));
    const last = before.at(-1);
    const isOpen = last !== undefined && last.end === caret;
    const part = isOpen ? last.text : "";
    const start = isOpen ? last.start : caret;
    const option = before.at(isOpen ? -2 : -1)?.text;
    if (option in seen.values) {
      offers = seen.like(option, part).map((text) => ({ text: quoted(text), note: "" }));
    } else if (part.startsWith("-") || (part === "" && field.value.trim() === "")) {
      const used = before.map((one) => one.text);
      offers = OPTIONS.filter(([text]) => text.startsWith(part) && text !== part && !used.includes(text)).map(([text, note]) => ({ text, note }));
    } else offers = [];
    offers = offers.slice(0, MOST_SUGGESTED).map((one) => ({ ...one, start, end: caret }));
    chosen = -1;
    draw();
  }

  function draw() {
    list.hidden = offers.length === 0;
    field.setAttribute("aria-expanded", String(!list.hidden));
    fill(list, offers.map(({ text, note }, at) => h("li", { role: "option", id: `suggestion-${at}`, "aria-selected": String(at === chosen) }, h("bdi", { class: "mono" }, text), note ? h("span", { class: "soft" }, ` ${note}`) : null)));
    if (chosen >= 0) field.setAttribute("aria-activedescendant", `suggestion-${chosen}`);
    else field.removeAttribute("aria-activedescendant");
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  function hide() {
    offers = [];
    chosen = -1;
    draw();
  }

  function take(at) {
    const { text, start, end } = offers[at];
    field.setRangeText(`${text} `, start, end, "end");
    suggest();
  }

  function press(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (moves && offers.length) {
      chosen = (chosen + moves + offers.length + (chosen < 0 && moves < 0 ? 1 : 0)) % offers.length;
      draw();
    } else if (moves) suggest();
    else if (event.key === "Enter" && chosen >= 0) take(chosen);
    else if (event.key === "Enter") {
      hide();
      apply();
    } else if (event.key === "Escape" && offers.length) hide();
    else if (event.key === "Escape") {
      field.value = applied;
      field.blur();
    } else if (event.key !== "Tab" || chosen < 0) return;
    else take(chosen);
    event.preventDefault();
  }

  function apply(text = field.value.trim()) {
    if (text === applied) return;
    show(text);
    onApply(text);
  }

  function turnWrong() {
    apply(toggled(field.value, "--wrong"));
  }

  /** Show a filter that holds. */
  function show(text) {
    applied = text;
    if (field.value.trim() !== text) field.value = text;
    wrong.setAttribute("aria-pressed", String(has(text, "--wrong")));
    fail("");
  }

  /** Say why the server does not understand the filter. */
  function fail(text) {
    problem.hidden = text === "";
    problem.textContent = text;
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }

  return {
    element,
    wrong,
    problem,
    show,
    fail,
    turnWrong,
    apply,
    focus() {
      field.focus();
      field.select();
    },
  };
}
